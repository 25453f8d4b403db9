"""Local expectation gradients: each position's expectation in full, the others drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch.noise import Noise
from latentsearch.relaxations._codes import one_hot
from latentsearch.relaxations.estimator import Loss, asked, injected, neighbourhood, own_rows, positionwise


@dataclass(frozen=True)
class LocalExpectation:
    r"""Draw a grid, and at each position take the expectation over its codes with the others as drawn.

    With $S_{pj}$ the loss of the drawn grid with code j at position p, the estimate for a logit is

    $$q_{pj}\,\bigl(S_{pj} - \textstyle\sum_i q_{pi} S_{pi}\bigr),$$

    unbiased, with no width or temperature to choose. The losses are the same as those that
    [DirectArgmax][latentsearch.relaxations.DirectArgmax] needs.

    With ``top`` the sum is over the likeliest codes of each position; what is left is the chance
    that the draw is none of them, and then the draw's own term. Still unbiased
    [Liu, Regier, Tripuraneni, Jordan and McAuliffe, *Rao-Blackwellized stochastic gradients for discrete
    distributions*, 2019].

    Source: Titsias and Lázaro-Gredilla, *Local expectation gradients for black box variational
    inference* (2015).

    Attributes:
        top: Codes of each position whose losses are asked for; None for all.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import LocalExpectation
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: z.sum(1).float()
        >>> LocalExpectation()(logits, f, ls.Noise.from_seed(0, 1)).backward()
        >>> [round(grad, 2) for grad in logits.grad[0, 0].tolist()]
        [-0.33, 0.0, 0.33]
    """

    top: int | None = None

    unbiased: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.top is not None:
            require_count("LocalExpectation.top", self.top)

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """The draw's loss, and that of every code at every position."""
        return 1 + torch.Size(shape).numel() * min(self.top or codes, codes)

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator]."""
        codes = logits.shape[-1]
        fixed = logits.detach()
        z = noise.categorical(fixed)
        value = asked(f, z, own_rows(logits))
        q = positionwise(fixed).softmax(-1)
        if self.top is None or self.top >= codes:
            weight = q * neighbourhood(f, z, codes)
        else:
            weight = self._of_likely(q, f, z, value.detach())
        gradient = weight - q * weight.sum(-1, keepdim=True)
        return injected(value, logits, gradient.view_as(logits))

    def _of_likely(self, q: Tensor, f: Loss, z: Tensor, value: Tensor) -> Tensor:
        """``(N, P, K)``: ``q S`` for the likeliest codes, and the draw's S where it is none of them."""
        assert self.top is not None
        share, likely = q.topk(self.top, -1)
        loss = neighbourhood(f, z, q.shape[-1], likely).to(q.dtype)
        drawn = z.view(q.shape[:-1])[..., None]
        other = ~(likely == drawn).any(-1, keepdim=True)
        # Measured from the mean of the likely ones, which does not look at the draw: of less variance.
        mean = (share * loss).sum(-1, keepdim=True) / share.sum(-1, keepdim=True)
        weight = torch.zeros_like(q).scatter(-1, likely, share * (loss - mean))
        return weight + one_hot(drawn[..., 0], q) * other * (value.view(-1, 1, 1) - mean)
