"""The sphere as the set of feasible latents."""

from __future__ import annotations

import math
from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.constraints._vectors import check_dims, vectors
from latentsearch.errors import InvalidArgument
from latentsearch.goal import Limit
from latentsearch.goal.limit import Priority

_TOLERANCE = 16  # eps by which a length may miss the radius: the rounding of d elements


class Sphere(Limit):
    r"""The latent stays on a sphere about the origin.

    Draws of a standard normal prior in d dimensions are nearly all at a distance of about $\sqrt d$, so
    this is where the decoder has been trained: *PULSE: Self-Supervised Photo Upsampling via Latent Space
    Exploration of Generative Models* (CVPR 2020, [arXiv:2003.03808](https://arxiv.org/abs/2003.03808)), section 3.2.
    [Shell][latentsearch.Shell] is its soft form.

    A goal with this limit has an infinite loss off the sphere, and searches start at draws of the prior that
    are projected onto it. An ``init`` must be on it: ``sphere.project(z)`` gives the nearest.

    Args:
        radius: Of the sphere; None for $\sqrt d$, d being the elements of a vector.
        dims: How many of a latent's last dimensions make one vector, each of which is on a sphere of its own:
            1 for the ``(L, d)`` latents of a StyleGAN. None: a latent is one vector, whatever its shape.

    Raises:
        InvalidArgument: If the radius is not positive; when a search begins, if latents are codes.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> sphere = ls.Sphere()
        >>> z = sphere.project(torch.tensor([[3.0, 0.0, 4.0, 0.0]]))
        >>> z, sphere.contains(z)
        (tensor([[1.2000, 0.0000, 1.6000, 0.0000]]), tensor([True]))
    """

    centered: ClassVar[bool] = False

    def __init__(self, radius: float | None = None, *, dims: int | None = None) -> None:
        number = isinstance(radius, Real) and not isinstance(radius, bool)
        if radius is not None and not (number and 0 < radius < math.inf):
            expected = "a positive number, or None for the root of the dimension"
            raise InvalidArgument("Sphere.radius", got=repr(radius), expected=expected)
        check_dims("Sphere", dims)
        self.radius, self.dims = radius, dims

    @property
    def center(self) -> Tensor:
        raise LookupError("the origin is not on the sphere, and no point of it comes first: project draws of the prior")

    def contains(self, latent: Tensor) -> Tensor:
        return self._on_it(latent).all(1)

    def project(self, latent: Tensor, priority: Priority | None = None) -> Tensor:
        found = self.at(self.directions(latent), latent)
        kept = self._on_it(latent)[..., None].expand(vectors("Sphere", latent, self.dims).shape).reshape(latent.shape)
        return torch.where(kept, latent, found)

    def tangent(self, latent: Tensor, gradient: Tensor) -> Tensor:
        at = self.directions(latent)
        held = vectors("Sphere", gradient, self.dims).to(at.dtype)
        along = held - (held * at).sum(-1, keepdim=True) * at
        return along.view(gradient.shape).to(gradient.dtype)

    def _on_it(self, latent: Tensor) -> Tensor:
        """``(N, L)`` bool: which vectors have the radius as their length, up to rounding."""
        held = vectors("Sphere", latent, self.dims)
        length, radius = _norm(held)[..., 0], self._radius(held.shape[-1])
        return (length - radius).abs() <= _TOLERANCE * torch.finfo(latent.dtype).eps * radius

    def _radius(self, d: int) -> float:
        return math.sqrt(d) if self.radius is None else float(self.radius)

    def validate(self, output: Tensor, latent: Tensor) -> None:
        vectors("Sphere", latent, self.dims)

    def __repr__(self) -> str:
        settings = [] if self.radius is None else [f"radius={self.radius:g}"]
        settings += [] if self.dims is None else [f"dims={self.dims}"]
        return f"Sphere({', '.join(settings)})"

    # -- in polar coordinates ----------------------------------------------------------------------

    def directions(self, latent: Tensor) -> Tensor:
        """Unit vectors ``(N, L, d)``, float32 at least: the directions of latents ``(N, *S)``.

        That of the origin is as good as any: all elements alike.
        """
        held = vectors("Sphere", latent, self.dims)
        held = held.to(torch.promote_types(held.dtype, torch.float32))
        # Scaled first: squares of very long and very short vectors leave the range of floating point.
        largest = held.abs().amax(-1, keepdim=True)
        held = torch.where(largest > 0, held / largest.clamp(min=torch.finfo(held.dtype).tiny), 1.0)
        return held / _norm(held)

    def at(self, directions: Tensor, like: Tensor) -> Tensor:
        """The latents in directions ``(N, L, d)``, of ``like``'s shape ``(N, *S)`` and dtype."""
        return (self._radius(directions.shape[-1]) * directions).view(like.shape).to(like.dtype)


def _norm(v: Tensor) -> Tensor:
    """``(..., 1)``, float32 at least."""
    v = v.to(torch.promote_types(v.dtype, torch.float32))
    return v.square().sum(-1, keepdim=True).sqrt()
