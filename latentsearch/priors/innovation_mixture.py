"""A prior over spatial latents: one Gaussian tells what is far apart, a mixture over patches what is near.

Sources: the innovations of a Gaussian process are the errors of its linear prediction, Kailath, *An innovations
approach to least-squares estimation* (1968), <https://doi.org/10.1109/TAC.1968.1099025>; that they have a common scale
in places of images, Wainwright and Simoncelli, *Scale mixtures of Gaussians and the statistics of natural images*
(2000), <https://papers.nips.cc/paper/1750>.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_noise
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.priors._fixed_blocks import in_blocks
from latentsearch.priors._latents import require_floating, require_vectors
from latentsearch.priors.patch_mixture import PatchMixture
from latentsearch.spaces import Continuous

_FLOOR = 1e-4  # added to the variances, as a share of their mean


@dataclass(frozen=True, eq=False)
class InnovationMixture:
    r"""$\log p(z) = \log p_{\mathrm{patches}}(L^{-1} (z - \mu)) - \log |L|$.

    $L$ is the Cholesky factor of the covariance of latents, site by site in raster order, so $L^{-1} (z - \mu)$ are
    the innovations: what is left of a site once all that comes before it has predicted it linearly, in units of that
    prediction's error. They are uncorrelated, but not independent: where a picture has contrast, all of
    them are large. A [PatchMixture][latentsearch.priors.PatchMixture] over them knows that.

    A PatchMixture by itself looks no farther than its reach, and forgets the colour of the one half of a picture on its
    way through the other. One Gaussian looks everywhere, and takes every place for equally rough. With one component
    this is that Gaussian. It has as many covariances as pairs of elements: beyond some hundreds of elements, take
    the PatchMixture.

    Attributes:
        mean: ``(H * W * C,)``, $\mu$: sites in raster order, each with its channels.
        factor: ``(d, d)``, $L$, lower triangular.
        patches: A mixture over patches of innovations, ``(C, H, W)``.

    Raises:
        InvalidArgument: If the shapes do not agree.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.priors import InnovationMixture
        >>> encodings = ls.Noise.from_seed(0, 90).normal(2, 4, 4)
        >>> prior = InnovationMixture.fit(encodings, components=2)
        >>> z = prior.sample(ls.Noise.from_seed(1, 3))
        >>> z.shape, prior.log_prob(z).shape
        (torch.Size([3, 2, 4, 4]), torch.Size([3]))
    """

    mean: Tensor
    factor: Tensor
    patches: PatchMixture
    _whitening: Tensor = field(init=False, repr=False)  # (d, d), the inverse factor
    _log_volume: Tensor = field(init=False, repr=False)  # (), float64

    def __post_init__(self) -> None:
        for name in ("mean", "factor"):
            require_floating(f"InnovationMixture.{name}", getattr(self, name))
        if not isinstance(self.patches, PatchMixture):
            raise InvalidArgument("InnovationMixture.patches", got=in_short(self.patches), expected="a PatchMixture")
        size = self.mean.numel()
        if size != math.prod(self.patches.shape) or self.factor.shape != (size, size):
            got = f"mean {describe(self.mean)}, factor {describe(self.factor)} for {self.patches.shape}"
            raise InvalidArgument("InnovationMixture", got=got, expected="(d,) and (d, d), d elements of a latent")
        factor = self.factor.double().tril()
        identity = torch.eye(size, dtype=factor.dtype, device=factor.device)
        whitening = torch.linalg.solve_triangular(factor, identity, upper=False)
        object.__setattr__(self, "_whitening", whitening.to(self.mean.dtype))
        object.__setattr__(self, "_log_volume", factor.diagonal().log().sum())

    @classmethod
    def fit(
        cls, latents: Tensor, components: int = 50, *, reach: int = 1, seed: int = 0, patches: int = 100_000
    ) -> InnovationMixture:
        """The Gaussian of the moments of encodings, and the mixture of the patches of their innovations.

        Args:
            latents: ``(T, C, H, W)``; T should be several times the number of elements.
            components: Of the mixture.
            reach: How many rows and columns a site looks back in it.
            seed: For the choice of patches and the start.
            patches: The most that the mixture is fitted to.
        """
        require_floating("InnovationMixture.latents", latents)
        if latents.ndim != 4 or len(latents) < 2:
            expected = "floating (T, C, H, W), at least two"
            raise InvalidArgument("InnovationMixture.latents", got=describe(latents), expected=expected)
        flat = _raster(latents).double()
        mean, covariance = flat.mean(0), torch.cov(flat.T).view(flat.shape[1], -1)
        covariance.diagonal().add_(_FLOOR * covariance.diagonal().mean())
        factor = torch.linalg.cholesky(covariance)
        white = torch.linalg.solve_triangular(factor, (flat - mean).T, upper=False).T
        innovations = _spatial(white, latents.shape[1:]).to(latents.dtype).contiguous()
        mixture = PatchMixture.fit(innovations, components, reach=reach, seed=seed, patches=patches)
        return cls(mean.to(latents.dtype), factor.to(latents.dtype), mixture)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.patches!r})"

    @property
    def space(self) -> Continuous:
        """Latents of its shape."""
        return self.patches.space

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats."""
        require_vectors("InnovationMixture.log_prob", z, self.patches.shape)
        density = self.patches.log_prob(self.innovations(z))
        return (density.double() - self._log_volume.to(density.device)).to(density.dtype).to(z.device)

    def innovations(self, z: Tensor) -> Tensor:
        """``(N, C, H, W)``: of latents ``(N, C, H, W)``, uncorrelated and of unit variance."""
        dtype = torch.promote_types(z.dtype, self.mean.dtype)
        flat = _raster(z.to(self.mean.device, dtype)) - self.mean
        return _spatial(flat @ self._whitening.T.to(dtype), self.patches.shape)

    @torch.no_grad()
    def sample(self, noise: Noise) -> Tensor:
        """``(N, C, H, W)``, the innovations site by site."""
        require_noise("InnovationMixture.noise", noise)
        drawn = self.patches.sample(noise).to(self.mean.device)
        return in_blocks(self._coloured, drawn).to(noise.keys.device)

    def to(self, device: torch.device | str) -> InnovationMixture:
        """The same prior on another device."""
        return InnovationMixture(self.mean.to(device), self.factor.to(device), self.patches.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """Those of the Gaussian and of the mixture of patches."""
        return {"mean": self.mean, "factor": self.factor} | self.patches.tensors()

    @property
    def settings(self) -> dict[str, object]:
        """Those of the mixture of patches."""
        return self.patches.settings

    def _coloured(self, innovations: Tensor) -> Tensor:
        return _spatial(_raster(innovations) @ self.factor.T + self.mean, self.patches.shape).contiguous()


def _raster(latents: Tensor) -> Tensor:
    """``(N, C, H, W)`` as vectors ``(N, H * W * C)``, site by site."""
    return latents.movedim(1, -1).flatten(1)


def _spatial(flat: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """And back."""
    channels, height, width = shape
    return flat.view(len(flat), height, width, channels).movedim(-1, 1)
