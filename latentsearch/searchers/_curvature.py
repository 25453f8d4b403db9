"""The curvature of the loss in embedding space: one value a row, fitted to losses already measured.

Where the embeddings move by δ, the loss changes by about ``g·δ + λ |δ|²/2``: a first-order change, and a quadratic
term that is λ times half the squared distance. The fit is least squares over all measured changes, old ones fading:
``λ = Σ (change - first order) half / Σ half²``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._codebook import Codebook
from latentsearch.objective import Objective

FADE = 0.8  # of what was learnt before, in every step


@dataclass
class Curvature:
    """λ, fitted to measured changes of the loss.

    Attributes:
        sums: ``(M, 2)``: numerator and denominator of the fit, in float32 at least, since squared distances overflow
            half precision.
    """

    sums: Tensor

    @classmethod
    def unknown(cls, objective: Objective, rows: int) -> Curvature:
        """The fit before anything is measured."""
        dtype = torch.promote_types(objective.generator.dtype, torch.float32)
        return cls(torch.zeros(rows, 2, dtype=dtype, device=objective.generator.device))

    @property
    def value(self) -> Tensor:
        """``(M,)``: λ, at least 0; 0 where nothing was learnt yet."""
        tiny = torch.finfo(self.sums.dtype).tiny
        return (self.sums[:, 0] / self.sums[:, 1].clamp(min=tiny)).clamp(min=0)

    def value_or(self, guess: Tensor) -> Tensor:
        """``(M,)``: λ; a guess ``(M,)`` where nothing was learnt yet."""
        return torch.where(self.sums[:, 1] > 0, self.value, guess)

    def observe(self, quadratic: Tensor, half_distance: Tensor, fade: float = FADE) -> Curvature:
        """The fit with more changes of the loss; those that are not finite are left out.

        Args:
            quadratic: ``(M,)`` or ``(M, ..., C)``: the measured change minus the first-order change.
            half_distance: Alike, half the squared distance of the moves.
            fade: The weight of all earlier changes from now on.
        """
        quadratic, half_distance = quadratic.to(self.sums.dtype), half_distance.to(self.sums.dtype)
        equations = torch.stack([quadratic * half_distance, half_distance * half_distance], -1)
        equations = torch.where(equations.isfinite().all(-1, keepdim=True), equations, 0)
        news = equations if equations.ndim == 2 else equations.flatten(1, -2).sum(1)
        return Curvature(fade * self.sums + news)


def first_guess(codebook: Codebook, gradient: Tensor) -> Tensor:
    """``(M,)``: the λ at which a step down the gradient is as long as codes are far from each other.

    Args:
        codebook: The codes.
        gradient: ``(M, *S, D)``.
    """
    # Squares and their quotient leave the range of half precision.
    wide = torch.promote_types(codebook.vectors.dtype, torch.float32)
    apart = 2 * codebook.vectors.to(wide).var(-2, correction=0).sum(-1).mean()
    steepness = gradient.to(wide).square().sum(-1).flatten(1).mean(1)
    return (steepness / apart.clamp(min=torch.finfo(apart.dtype).tiny)).sqrt()
