"""The contract of a relaxation or gradient estimator, the same in search and in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from latentsearch._structural import Structural
from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.noise import Noise

Loss = Callable[[Tensor, Tensor], Tensor]
"""``f(z, row) -> (M,)``: the loss of latents ``(M, *S)`` or ``(M, *S, K)``; ``row`` says whose each is."""


@runtime_checkable
class NeighbourhoodLoss(Protocol, metaclass=Structural):
    """A [Loss][latentsearch.relaxations.Loss] that knows a cheaper way to many grids that differ in one code."""

    def __call__(self, z: Tensor, row: Tensor) -> Tensor:
        """The loss of latents, ``(M,)``."""

    def neighbourhood(self, z: Tensor, code: Tensor | None) -> Tensor:
        """The losses of grids that differ from given ones in one code at most.

        Args:
            z: ``(N, *S)`` int64, one grid for each row.
            code: ``(N, P, C)`` int64, what to put at each of the P positions; None for all K codes.

        Returns:
            ``(N, P, C)``, or ``(N, P, K)``; without a gradient.
        """


@runtime_checkable
class Estimator(Protocol, metaclass=Structural):
    """A surrogate loss whose gradient with respect to logits can be followed.

    Attributes:
        unbiased: Whether the estimate averages to the gradient of the expected loss over codes.
    """

    @property
    def unbiased(self) -> bool: ...

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """What one call costs for each row: a loss is one, a loss with its gradient two.

        Args:
            shape: S, the shape of a grid.
            codes: K, the size of the codebook.
        """

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate of each row.

        Args:
            logits: ``(N, *S, K)``, unnormalised log-probabilities of the codes.
            f: The loss of latents, hard or soft; where it is a
                [NeighbourhoodLoss][latentsearch.relaxations.NeighbourhoodLoss], its shorter way is taken.
            noise: N rows of noise.

        Returns:
            ``(N,)``: the value of f at the estimator's sample. Its gradient with respect to the
            logits is the estimate; parameters of f receive the gradient of that value alone.
        """


def own_rows(logits: Tensor) -> Tensor:
    """``(N,)``: each row serves itself."""
    return torch.arange(len(logits), device=logits.device)


def positionwise(logits: Tensor) -> Tensor:
    """``(N, *S, K)`` as ``(N, P, K)``; of a scalar grid P is 1."""
    return logits.reshape(len(logits), -1, logits.shape[-1])


def asked(f: Loss, z: Tensor, row: Tensor) -> Tensor:
    """The losses of latents, ``(M,)``, whole numbers and bools as floats.

    Raises:
        InvalidArgument: If f gives anything else, which would be broadcast into gradients of other losses.
        Unsupported: If a gradient with respect to the latents is needed, and f has none.
    """
    loss = f(z, row)
    if not isinstance(loss, Tensor) or loss.shape != row.shape:
        got = describe(loss) if isinstance(loss, Tensor) else type(loss).__name__
        raise InvalidArgument("the loss f(z, row)", got=got, expected=f"one loss for each of {len(row)} latents")
    if z.requires_grad and torch.is_grad_enabled() and not loss.requires_grad:
        hint = "take an estimator that never differentiates it, such as LocalExpectation(top=1) or Rloo(4)"
        raise Unsupported(
            "the loss f(z, row)", got="one without a gradient", expected="a differentiable one", hint=hint
        )
    return loss if loss.is_floating_point() else loss.to(torch.float32)


def require_per_row(name: str, value: float | Tensor, logits: Tensor) -> float | Tensor:
    """The setting, a number or one for each row of the logits.

    Raises:
        InvalidArgument: If it is a tensor of another shape, which might be broadcast over positions or codes.
    """
    if isinstance(value, Tensor) and value.ndim:
        wide = (len(logits), *[1] * (logits.ndim - 1))
        if value.shape not in (wide, (1,) * logits.ndim):
            raise InvalidArgument(name, got=describe(value), expected=f"a number, or a tensor of shape {wide}")
    return value


def injected(value: Tensor, target: Tensor, gradient: Tensor) -> Tensor:
    """``(N,)``: the value as it is, with a gradient of its own with respect to ``target``, ``(N, ...)``."""
    return value + (gradient.detach() * as_zero(target)).flatten(1).sum(1)


def as_zero(target: Tensor) -> Tensor:
    """Zeros through which a gradient comes to ``target``, but for codes that a logit of -inf rules out."""
    return (target - target.detach()).masked_fill(target == -torch.inf, 0)


@torch.no_grad()
def neighbourhood(f: Loss, z: Tensor, codes: int, code: Tensor | None = None) -> Tensor:
    """``(N, P, C)``: the losses of ``z`` with each of some codes put at each position, or of all K.

    Args:
        f: The loss; asked for its shorter way if it has one, and for N * P * C grids otherwise.
        z: ``(N, *S)`` int64.
        codes: K.
        code: ``(N, P, C)`` int64, the codes to put; None for all.
    """
    flat = z.reshape(len(z), -1)
    rows, positions = flat.shape
    if isinstance(f, NeighbourhoodLoss):
        loss, expected = f.neighbourhood(z, code), (rows, positions, codes if code is None else code.shape[-1])
        if loss.shape != expected:
            raise InvalidArgument(
                "f.neighbourhood(z, code)", got=describe(loss), expected=f"losses of shape {expected}"
            )
        return loss
    if code is None:
        code = torch.arange(codes, device=z.device).expand(rows, positions, codes)
    put = torch.eye(positions, dtype=torch.bool, device=z.device)[None, :, None]
    grids = torch.where(put, code[..., None], flat[:, None, None])
    row = own_rows(z).repeat_interleave(grids[0, ..., 0].numel())
    return asked(f, grids.view(-1, *z.shape[1:]), row).view(code.shape)
