"""A classifier recognises the output, or the latent, as some class."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from latentsearch._checks import is_whole, require_one_of
from latentsearch.constraints._classifier import Judge, Of, logits_of, require_judge, require_kind, require_threshold
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Constraint, Score


class Classified(Constraint):
    r"""A classifier gives the output, or the latent, a label.

    Args:
        classifier: Outputs ``(N, *O)``, or latents, to logits ``(N, classes)``; log-probabilities serve as well.
        label: The target class, one for all problems or ``(B,)`` int64.
        loss: ``"probability"`` for $-\log p(\mathrm{label})$, or ``"logit"`` for the negative
            logit, which does not saturate but has no lower bound.
        threshold: Satisfied where the label's probability is at least this; None for no threshold.
        of: What it reads: ``"output"``, or ``"latent"`` for a classifier of latents, such as an
            [AttributeCritic][latentsearch.critics.AttributeCritic]: the decoder is not run for it. Codes come hard
            ``(N, *S)``, or soft ``(N, *S, K)`` in searchers that follow gradients.

    Raises:
        InvalidArgument: If the classifier is in train mode, or labels or threshold are out of range.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> goal = ls.Classified(lambda x: torch.stack([x.sum(1), -x.sum(1)], 1), label=0, threshold=0.9)
        >>> goal(torch.ones(1, 3), torch.zeros(1, 8)).satisfied
        tensor([True])
    """

    tensors: ClassVar[tuple[str, ...]] = ("label",)

    def __init__(
        self,
        classifier: Judge,
        label: int | Tensor,
        *,
        loss: Literal["probability", "logit"] = "probability",
        threshold: float | None = 0.9,
        of: Of = "output",
    ) -> None:
        require_judge("Classified.classifier", classifier, of)
        require_kind("Classified.classifier", classifier, exclusive=True)
        require_threshold("Classified.threshold", threshold)
        self.label = _indices(label)
        require_one_of("Classified.loss", loss, ("probability", "logit"))
        self.classifier, self.loss, self.threshold = classifier, loss, threshold
        self.reads: Of = of
        self.problems = len(self.label)

    @property
    def satisfied_at(self) -> float | None:
        if self.threshold is None or self.loss != "probability":
            return None
        return -math.log(self.threshold)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        logits = self.classifier(self._read(output, latent))
        label = self.label.expand(len(logits))[:, None]
        log_probability = logits.log_softmax(1).gather(1, label)[:, 0]
        loss = -log_probability if self.loss == "probability" else -logits.gather(1, label)[:, 0]
        if self.threshold is None:
            return Score(loss)
        return Score(loss, log_probability.exp() >= self.threshold)

    def _read(self, output: Tensor, latent: Tensor) -> Tensor:
        return latent if self.reads == "latent" else output

    def validate(self, output: Tensor, latent: Tensor) -> None:
        logits = logits_of("Classified.classifier", self.classifier, self._read(output, latent), self.reads)
        if logits.shape[1] == 1:
            raise InvalidArgument(
                "Classified.classifier",
                got="one logit, (N, 1), of which the only class is certain",
                expected="logits of two classes at least",
                hint="one logit is an attribute: HasAttributes(net, of='output'); or make two of it: "
                "lambda x: torch.cat([-net(x), net(x)], 1)",
            )
        if bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones_like(logits[:, 0]), atol=1e-4):
            raise InvalidArgument(
                "Classified.classifier",
                got="probabilities: rows that sum to 1",
                expected="logits, or log-probabilities",
                hint="leave the softmax out, or take the logarithm: lambda x: net(x).log()",
            )
        if int(self.label.max()) >= logits.shape[1]:
            raise InvalidArgument(
                "Classified.label", got=str(int(self.label.max())), expected=f"a class in [0, {logits.shape[1]})"
            )


def _indices(label: object) -> Tensor:
    """``(B,)`` int64: one class, or one a problem."""
    expected = "the index of a class, or whole numbers (B,), one a problem"
    if isinstance(label, Tensor):
        found, got = label, describe(label)
    else:
        one = isinstance(label, (list, tuple)) and all(map(is_whole, label))
        if not (is_whole(label) or (one and label)):
            raise InvalidArgument("Classified.label", got=repr(label), expected=expected)
        found, got = torch.tensor(label), repr(label)
    hint = "of one-hot vectors label.argmax(1) are the indices" if found.ndim > 1 else ""
    if found.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        hint = hint or "whole numbers are label.long()"
    whole = not (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool)
    if found.ndim > 1 or not whole or not found.numel() or int(found.min()) < 0:
        raise InvalidArgument("Classified.label", got=got, expected=expected, hint=hint)
    return found.reshape(-1).long()
