"""Attributes that a critic is to see in outputs or in latents, or not to see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch.constraints._classifier import Judge, Of, logits_of, require_judge, require_kind, require_threshold
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Constraint, Score


class HasAttributes(Constraint):
    r"""A critic sees some attributes, and does not see others.

    The loss is $-\log p$, summed over the attributes that are asked for: p is the probability that the critic gives to
    what is asked, $\operatorname{sigmoid}(\pm\operatorname{logit})$. Others are free.

    A critic of one logit, such as a [RealismCritic][latentsearch.critics.RealismCritic], has one attribute, which is
    that it approves: the loss is softplus(-logit).

    Args:
        critic: Latents, or outputs, to logits ``(N, A)``, or ``(N,)`` for one attribute.
        wanted: What is asked: True or False of some of the attributes by their numbers, ``{2: True, 5: False}``; True
            for a critic of one; or a tensor ``(A,)``, or ``(B, A)`` for B problems, of ones and zeros, NaN for what is
            free.
        threshold: Satisfied where the probability of all that is asked, the product over attributes, is at least this;
            None for no threshold.
        of: What the critic looks at: ``"latent"``, for which the decoder is not run, or ``"output"``.

    Raises:
        InvalidArgument: If the critic is in train mode, or nothing is asked, or the threshold is out of range.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> term = ls.HasAttributes(lambda z: z, {0: True, 2: False}, threshold=0.5)
        >>> term(torch.zeros(1, 1), torch.tensor([[1.0, -5.0, -1.0]]))
        Score(loss=tensor([0.6265]), satisfied=tensor([True]))
    """

    tensors: ClassVar[tuple[str, ...]] = ("wanted",)

    def __init__(
        self,
        critic: Judge,
        wanted: bool | Mapping[int, bool] | Tensor = True,
        *,
        threshold: float | None = 0.9,
        of: Of = "latent",
    ) -> None:
        require_judge("HasAttributes.critic", critic, of)
        require_kind("HasAttributes.critic", critic, exclusive=False)
        require_threshold("HasAttributes.threshold", threshold)
        self.critic, self.threshold = critic, threshold
        self.reads: Of = of
        self.numbers = sorted(wanted) if isinstance(wanted, Mapping) else None
        self.wanted = _as_tensor(wanted)
        self.problems = len(self.wanted)

    @property
    def satisfied_at(self) -> float | None:
        return None if self.threshold is None else -math.log(self.threshold)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        logits = self.critic(latent if self.reads == "latent" else output)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        logits = logits[:, None] if logits.ndim == 1 else logits
        logits = logits if self.numbers is None else logits[:, self.numbers]
        sign = 2 * self.wanted.nan_to_num().to(logits) - 1
        loss = torch.where(self.wanted.isnan(), 0.0, F.softplus(-sign * logits)).sum(1)
        most = self.satisfied_at
        return Score(loss) if most is None else Score(loss, loss <= most)

    def validate(self, output: Tensor, latent: Tensor) -> None:
        seen = latent if self.reads == "latent" else output
        logits = logits_of("HasAttributes.critic", self.critic, seen, self.reads, alone=True)
        found = 1 if logits.ndim == 1 else logits.shape[1]
        asked = self.wanted.shape[1] if self.numbers is None else self.numbers[-1] + 1
        if asked > found or (self.numbers is None and asked < found):
            got = f"{asked} attributes" if self.numbers is None else f"attribute {asked - 1}"
            hint = "{number: True} asks for some of them" if self.numbers is None and found > 1 else ""
            expected = f"attributes of a critic with {found} logit{'s' if found > 1 else ''}"
            raise InvalidArgument("HasAttributes.wanted", got=got, expected=expected, hint=hint)


def _as_tensor(wanted: bool | Mapping[int, bool] | Tensor) -> Tensor:
    """``(B, A)``: ones, zeros, and NaN for what is free."""
    match wanted:
        case bool():
            return torch.tensor([[float(wanted)]], dtype=torch.float32)
        case Mapping() if wanted and all(_is_asked(number, value) for number, value in wanted.items()):
            return torch.tensor([[float(wanted[number]) for number in sorted(wanted)]], dtype=torch.float32)
        case Tensor() if wanted.ndim in (1, 2) and wanted.numel() and _is_of_ones_and_zeros(wanted):
            floating = wanted.detach().to(torch.float32)
            return floating[None] if floating.ndim == 1 else floating
    got = describe(wanted) if isinstance(wanted, Tensor) else repr(wanted)
    if isinstance(wanted, Tensor) and wanted.is_floating_point() and bool(wanted.isnan().all(-1).any()):
        got += " that asks for nothing"
    expected = "True, {number of an attribute: True or False}, or a tensor (A,) or (B, A) of ones, zeros and NaN"
    raise InvalidArgument("HasAttributes.wanted", got=got, expected=expected)


def _is_asked(number: object, value: object) -> bool:
    whole = isinstance(number, int) and not isinstance(number, bool) and number >= 0
    return whole and isinstance(value, bool)


def _is_of_ones_and_zeros(wanted: Tensor) -> bool:
    """Whether something is asked, and nothing else than yes or no."""
    free = wanted.isnan() if wanted.is_floating_point() else torch.zeros_like(wanted, dtype=torch.bool)
    return bool(((wanted == 0) | (wanted == 1) | free).all()) and bool((~free).any(-1).all())
