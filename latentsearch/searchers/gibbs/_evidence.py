"""What the outputs say of each code: the loss to second order around a grid, position by position."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.noise import Noise
from latentsearch.objective import Linear, Objective


def slope(likelihood: Objective, z: Tensor) -> Tensor:
    r"""The first order of the loss where one position takes another code, ``(M, *S, K)``: $g \cdot \delta$.

    Args:
        likelihood: What is searched for, without the prior; it costs 2 evaluations.
        z: ``(M, *S)``, the grids.
    """
    return _rise(likelihood, likelihood.linearise(z), z)


def expansion(likelihood: Objective, z: Tensor, probes: int, curvature: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    r"""First and second order of the loss where one position takes another code, ``(M, *S, K)`` each.

    For a sum of squares the second is $\|J \delta\|^2$, of Gauss and Newton, by random probes; a position that the
    outputs do not show has next to none. For other losses it is $\lambda |\delta|^2/2$.

    Args:
        likelihood: What is searched for, without the prior.
        z: ``(M, *S)``, grids that fit it.
        probes: How many, for sums of squares.
        curvature: ``(M,)``, λ for other losses.
        noise: M rows.
    """
    if not likelihood.goal.least_squares:
        half = 0.5 * curvature.view(-1, *(1,) * z.ndim)
        return slope(likelihood, z), half * _from_own(likelihood.codebook.excess(likelihood.embed(z)), z)
    linear, seen = likelihood.sensitivities(z, probes, noise)
    second = torch.zeros(*z.shape, likelihood.grid.codebook_size, dtype=seen.dtype, device=seen.device)
    for number in range(probes):
        second += _from_own(likelihood.codebook.products(seen[:, number]), z).square() / probes
    return _rise(likelihood, linear, z), second


def _rise(likelihood: Objective, linear: Linear, z: Tensor) -> Tensor:
    rise = likelihood.codebook.products(linear.gradient)
    return _from_own(rise if linear.table is None else rise + linear.table, z)


def _from_own(table: Tensor, z: Tensor) -> Tensor:
    """A table ``(M, *S, K)`` as differences from the codes that are there."""
    return table - table.gather(-1, z[..., None])
