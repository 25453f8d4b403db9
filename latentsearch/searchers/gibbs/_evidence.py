"""What the outputs say of each code, near a grid that fits them: the loss to second order, position by position."""

from __future__ import annotations

from torch import Tensor

from latentsearch._codes import excess, products
from latentsearch.noise import Noise
from latentsearch.objective import Objective


def evidence(likelihood: Objective, z: Tensor, probes: int, curvature: Tensor, noise: Noise) -> Tensor:
    r"""By how much the loss would rise if one position took another code, ``(M, *S, K)``, and the others stayed.

    For a sum of squares that is $g \cdot \delta + \|J \delta\|^2$, the second term from random probes; a position that
    the outputs do not show has next to none. For other losses it is $g \cdot \delta + \lambda |\delta|^2/2$.

    Args:
        likelihood: What is searched for, without the prior.
        z: ``(M, *S)``, grids that fit it.
        probes: How many, for sums of squares.
        curvature: ``(M,)``, λ for other losses.
        noise: M rows.
    """
    if not likelihood.goal.least_squares:
        linear = likelihood.linearise(z)
        distance = excess(likelihood.codebook, likelihood.embed(z))
        rise = products(likelihood.codebook, linear.gradient) + 0.5 * curvature.view(-1, *(1,) * z.ndim) * distance
        return _from_own(rise if linear.table is None else rise + linear.table, z)
    linear, seen = likelihood.sensitivities(z, probes, noise)
    rise = _from_own(products(likelihood.codebook, linear.gradient), z)
    for number in range(probes):
        rise = rise + _from_own(products(likelihood.codebook, seen[:, number]), z).square() / probes
    return rise


def _from_own(table: Tensor, z: Tensor) -> Tensor:
    """A table ``(M, *S, K)`` as differences from the codes that are there."""
    return table - table.gather(-1, z[..., None])
