"""The vectors of a latent point the same way."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.constraints._vectors import vectors
from latentsearch.errors import InvalidArgument
from latentsearch.goal import Constraint, Score


class Geocross(Constraint):
    r"""The L vectors of a latent ``(L, d)`` point the same way: the loss is $\sum_{i<j} \theta(v_i, v_j)^2$.

    The angle $\theta$ is in radians. A StyleGAN has been trained with the same vector in all its layers;
    with one each it can make more images, and worse ones the further they are apart: the geodesic cross loss
    of *PULSE* (CVPR 2020, [arXiv:2003.03808](https://arxiv.org/abs/2003.03808), section 3.3). Where the
    published program weighs its average over all pairs of 18 layers with 0.05, this sum is weighed with about 0.02,
    beside 100 times a mean square.

    Raises:
        InvalidArgument: When a search begins, if latents are codes, or no several vectors.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> z = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [3.0, 3.0]]])
        >>> ls.constraints.Geocross()(z, z).loss.round(decimals=3)
        tensor([2.4670, 0.0000])
    """

    reads = "latent"

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        held = vectors("Geocross", latent, 1)
        first, second = torch.triu_indices(held.shape[1], held.shape[1], 1, device=held.device)
        lengths = _length(held)
        units = held / lengths
        apart, along = (_length(units[:, first] + sign * units[:, second])[..., 0] for sign in (-1, 1))
        return Score((2 * torch.atan2(apart, along)).square().sum(1))

    def validate(self, output: Tensor, latent: Tensor) -> None:
        vectors("Geocross", latent, 1)
        if latent.ndim < 3 or latent.shape[-2] < 2:
            raise InvalidArgument(
                "Geocross",
                got=f"latents of shape {tuple(latent.shape[1:])}",
                expected="several vectors, (L, d) with L of at least 2",
                hint="one vector has no other to keep to",
            )


def _length(v: Tensor) -> Tensor:
    """``(..., 1)``; the root has no gradient at 0, where none is taken."""
    squared = v.square().sum(-1, keepdim=True)
    return squared.clamp(min=torch.finfo(v.dtype).tiny).sqrt()
