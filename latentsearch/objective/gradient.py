"""Gradients that are taken at once, and the error where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from latentsearch._rows import per_row
from latentsearch.errors import Unsupported

if TYPE_CHECKING:
    from latentsearch.objective.objective import Objective

# What helps where a gradient is lacking.
WITHOUT_GRADIENT = (
    "or search without a gradient, with ls.EvolutionSearch() on codes and ls.CMAESSearch() on continuous latents, "
    "and say Satisfies(..., differentiable=False) of a rule that has none"
)


class Differentiated(torch.autograd.Function):
    """The loss of each row with its gradient already taken, so that no graph of the decoder is kept."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, objective: Objective, row: Tensor | None) -> tuple[Tensor, Tensor]:
        score, gradient = objective.value_and_gradient(z, row)
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(score.passed)
        return score.loss, score.passed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return per_row(grad_loss, gradient) * gradient, None, None


def check_differentiable(loss: Tensor) -> None:
    """Raise unless a gradient can flow through a loss."""
    if not loss.requires_grad:
        raise no_gradient()


def no_gradient(what: str = "the objective") -> Unsupported:
    """The error for a loss that no gradient flows through."""
    return Unsupported(
        what,
        got="a loss that no gradient flows through",
        expected="a decoder and constraints that torch can differentiate",
        hint=f"look for no_grad, torch.inference_mode, detach, numpy or argmax in them; {WITHOUT_GRADIENT}",
    )
