"""A translation-invariant prior over large spatial latents: a mixture of Gaussians over their patches.

Source: Theis, Hosseini and Bethge, *Mixtures of conditional Gaussian scale mixtures applied to multiscale image
representations* (2012), <https://doi.org/10.1371/journal.pone.0039857>, equations 3 and 4, with free covariances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch._checks import in_short, require_count, require_noise
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.priors._fixed_blocks import in_blocks
from latentsearch.priors._latents import require_floating, require_vectors
from latentsearch.priors.gaussian_mixture import GaussianMixture
from latentsearch.spaces import Continuous

_CHOICE = 1  # the stream of noise of the windows that a mixture is fitted to


@dataclass(frozen=True)
class _Sites:
    """Sites of a latent whose patches are cut by its border in the same way.

    Attributes:
        index: ``(L,)`` int64, where in the flattened H × W.
        elements: ``(e,)`` int64, the elements of a patch that lie inside; the site's own C come last.
        mixture: Of those.
    """

    index: Tensor
    elements: Tensor
    mixture: GaussianMixture


@dataclass(frozen=True, eq=False)
class PatchMixture:
    r"""$\log p(z) = \sum_s \log p(z_s \mid$ what lies before s in raster order and within reach$)$.

    The conditionals are those of one mixture of Gaussians over patches: a site with all its channels, the
    ``reach`` sites before it in its row, and ``2 reach + 1`` in each of the ``reach`` rows above. So the
    density is normalised, draws made site by site follow it exactly, and the mixture is as large for
    large latents as for small ones. At the border a patch is what lies inside, with its marginal density.

    The expected patch log-likelihood is another density made of patches: the mean over all tilings. It is
    only known up to a constant, and takes neighbours for independent in every tiling that parts them, so it
    couples them less than data do.

    Attributes:
        patches: A mixture over ``(2 reach (reach + 1) + 1, C)``: the sites of a patch in raster order.
        shape: ``(C, H, W)``, the shape of one latent.
        reach: How many rows and columns a site looks back.

    Raises:
        InvalidArgument: If the mixture is not one of such patches.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.priors import PatchMixture
        >>> encodings = ls.Noise.from_seed(0, 20).normal(2, 8, 8)
        >>> prior = PatchMixture.fit(encodings, components=2, reach=1)
        >>> z = prior.sample(ls.Noise.from_seed(1, 4))
        >>> z.shape, prior.log_prob(z).shape
        (torch.Size([4, 2, 8, 8]), torch.Size([4]))
    """

    patches: GaussianMixture
    shape: tuple[int, int, int]
    reach: int
    _sites: list[_Sites] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        require_count("PatchMixture.reach", self.reach)
        if not isinstance(self.patches, GaussianMixture):
            raise InvalidArgument("PatchMixture.patches", got=in_short(self.patches), expected="a GaussianMixture")
        object.__setattr__(self, "shape", Continuous(self.shape).shape)
        if len(self.shape) != 3:
            raise InvalidArgument("PatchMixture.shape", got=repr(self.shape), expected="three numbers, (C, H, W)")
        expected = (_count(self.reach), self.shape[0])
        if self.patches.space.shape != expected:
            got = f"a mixture over {self.patches.space.shape} for latents {self.shape}"
            hint = "PatchMixture.fit makes one from encodings"
            raise InvalidArgument("PatchMixture", got=got, expected=f"one over {expected}", hint=hint)
        object.__setattr__(self, "_sites", self._grouped())

    @classmethod
    def fit(
        cls, latents: Tensor, components: int = 50, *, reach: int = 2, seed: int = 0, patches: int = 100_000
    ) -> PatchMixture:
        """The mixture of the patches of encodings that no border cuts.

        Args:
            latents: ``(T, C, H, W)``.
            components: M.
            reach: How many rows and columns a site looks back.
            seed: For the choice of patches and the start.
            patches: The most that it is fitted to.

        Raises:
            InvalidArgument: If a number is not whole, or the latents are smaller than a patch.
        """
        require_count("PatchMixture.reach", reach)
        require_count("PatchMixture.patches", patches)
        high, wide = reach + 1, 2 * reach + 1
        require_floating("PatchMixture.latents", latents)
        if latents.ndim != 4 or latents.shape[2] < high or latents.shape[3] < wide:
            expected = f"floating (T, C, H, W) with H >= {high} and W >= {wide}"
            raise InvalidArgument("PatchMixture.latents", got=describe(latents), expected=expected)
        windows = latents.unfold(2, high, 1).unfold(3, wide, 1)  # (T, C, h, w, reach + 1, 2 reach + 1)
        windows = windows.permute(0, 2, 3, 4, 5, 1)
        ranks = Noise.from_seed(seed, device=latents.device).fold(_CHOICE).uniform(math.prod(windows.shape[:3]))[0]
        chosen = torch.unravel_index(ranks.argsort()[:patches], windows.shape[:3])
        # What comes before a site and the site itself are the first places of a window in raster order.
        rows = windows[chosen].flatten(1, 2)[:, : _count(reach)]
        channels, height, width = latents.shape[1:]
        return cls(GaussianMixture.fit(rows, components, seed=seed), (channels, height, width), reach)

    def __repr__(self) -> str:
        count, name = len(self.patches.means), type(self).__name__
        return f"{name}({count} components over patches of reach {self.reach} of {self.shape})"

    @property
    def space(self) -> Continuous:
        """Latents of its shape."""
        return Continuous(self.shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats."""
        require_vectors("PatchMixture.log_prob", z, self.shape)
        channels, reach = self.shape[0], self.reach
        windows = F.unfold(self._padded(z.to(self.patches.means.device)), (reach + 1, 2 * reach + 1))
        windows = windows.view(len(z), channels, (reach + 1) * (2 * reach + 1), -1).permute(0, 3, 2, 1)
        vectors = windows[:, :, : _count(reach)].flatten(2)  # (N, H * W, n * C)
        total = torch.zeros(len(z), dtype=torch.float64, device=vectors.device)
        for sites in self._sites:
            seen = vectors[:, sites.index][:, :, sites.elements].flatten(0, 1)
            value = sites.mixture.log_prob_given(seen[:, :-channels], seen[:, -channels:])
            total = total + value.view(len(z), -1).double().sum(1)
        return total.to(z.device, torch.promote_types(z.dtype, self.patches.means.dtype))

    @torch.no_grad()
    def sample(self, noise: Noise) -> Tensor:
        """``(N, C, H, W)``, site by site."""
        require_noise("PatchMixture.noise", noise)
        home = self.patches.means.device
        return in_blocks(lambda keys: self._drawn(Noise(keys)), noise.keys.to(home)).to(noise.keys.device)

    def to(self, device: torch.device | str) -> PatchMixture:
        """The same prior on another device."""
        return PatchMixture(self.patches.to(device), self.shape, self.reach)

    def tensors(self) -> dict[str, Tensor]:
        """Those of the mixture of patches."""
        return self.patches.tensors()

    @property
    def settings(self) -> dict[str, object]:
        """Arguments of the constructor beside the mixture."""
        return {"shape": self.shape, "reach": self.reach}

    def _drawn(self, noise: Noise) -> Tensor:
        (channels, height, width), reach = self.shape, self.reach
        padded = self._padded(self.patches.means.new_zeros(len(noise), *self.shape))
        of_site = {site: sites for sites in self._sites for site in sites.index.tolist()}
        for site in range(height * width):
            row, column, sites = site // width, site % width, of_site[site]
            window = padded[:, :, row : row + reach + 1, column : column + 2 * reach + 1]
            vector = window.flatten(2).mT[:, : _count(reach)].flatten(1)[:, sites.elements]
            drawn = sites.mixture.completed(vector[:, :-channels], noise.fold(site))
            padded[:, :, row + reach, column + reach] = drawn
        return padded[:, :, reach:, reach : reach + width].contiguous()

    def _padded(self, z: Tensor) -> Tensor:
        """With sites above and beside it, so that every window is whole; what lies there is never looked at."""
        return F.pad(z, (self.reach, self.reach, self.reach, 0))

    def _grouped(self) -> list[_Sites]:
        """All sites, by how much of their patches lies inside: rows above, columns to the left and to the right."""
        (_, height, width), reach, home = self.shape, self.reach, self.patches.means.device
        groups: dict[tuple[int, int, int], list[int]] = {}
        for row in range(height):
            for column in range(width):
                inside = min(row, reach), min(column, reach), min(width - 1 - column, reach)
                groups.setdefault(inside, []).append(row * width + column)
        found = []
        for inside, index in groups.items():
            elements = self._elements(*inside).to(home)
            found.append(_Sites(torch.tensor(index, device=home), elements, self.patches.marginal(elements)))
        return found

    def _elements(self, above: int, left: int, right: int) -> Tensor:
        """Those of a patch as a vector of which so many rows and columns lie inside."""
        reach, channels = self.reach, self.shape[0]
        inside = torch.zeros(reach + 1, 2 * reach + 1, dtype=torch.bool)
        inside[reach - above :, reach - left : reach + right + 1] = True
        places = inside.flatten()[: _count(reach)].nonzero()
        return (places * channels + torch.arange(channels)).flatten()


def _count(reach: int) -> int:
    """Sites of a patch."""
    return 2 * reach * (reach + 1) + 1
