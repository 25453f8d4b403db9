"""The latent is as long as draws of a standard normal prior are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentsearch.constraints._vectors import check_dims, vectors
from latentsearch.goal import Constraint, Score


class Shell(Constraint):
    r"""The latent is as long as draws of a standard normal prior are: the loss is $-\log p(\|z\|)$ in nats.

    The length r of a standard normal vector of d elements has the density
    $p(r) \propto r^{d-1} e^{-r^2/2}$, so the loss is $\tfrac12 r^2 - (d-1) \log r$, from which its
    least value is subtracted: it is 0 at $r = \sqrt{d-1}$. The most *likely* latent of all is the origin, which
    looks like no draw; a [LogPrior][latentsearch.LogPrior] pulls there, and this pulls to where draws are.
    As in ReNO ([arXiv:2406.04312](https://arxiv.org/abs/2406.04312)).
    [Sphere][latentsearch.Sphere] is its hard form.

    Args:
        dims: How many of a latent's last dimensions make one vector; None for all. Losses of several vectors add up.

    Raises:
        InvalidArgument: When a search begins, if latents are codes.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> z = torch.tensor([[0.0, 0.0, 0.0, 3.0 ** 0.5], [1.0, 1.0, 1.0, 1.0], [0.1, 0.1, 0.1, 0.1]])
        >>> ls.Shell()(z, z).loss.abs().round(decimals=3)
        tensor([0.0000, 0.0680, 4.9960])
    """

    reads = "latent"

    def __init__(self, *, dims: int | None = None) -> None:
        check_dims("Shell", dims)
        self.dims = dims

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        held = vectors("Shell", latent, self.dims)
        power = held.shape[-1] - 1
        squared = held.square().sum(-1)
        # At the origin the logarithm has no gradient: none is taken there.
        log = squared.clamp(min=torch.finfo(squared.dtype).tiny).log()
        least = 0.5 * power * (1 - math.log(power)) if power else 0.0
        return Score((0.5 * (squared - power * log) - least).sum(1))

    def validate(self, output: Tensor, latent: Tensor) -> None:
        vectors("Shell", latent, self.dims)
