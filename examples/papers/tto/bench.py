"""What is searched: a trained VQ-VAE, and pairs of a source and a target image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch import _checkpoint, models

PAIR_SEED = 0  # the published seed of the source-target pairs; it also seeds random codes and random search
PAIRS, TUNING = 200, 32


@dataclass(frozen=True)
class Bench:
    """Pairs of images, and the model whose latent space is searched.

    Attributes:
        model: A VQ-VAE in evaluation mode.
        generator: The same, wrapped.
        sources: (B, C, H, W) images whose codes a search starts from.
        targets: (B, C, H, W) images that it is to reach.
    """

    model: models.VQVAE
    generator: ls.CodebookGenerator
    sources: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def goal(self) -> ls.Matches:
        """Mean squared error over all pixels and channels, one problem a pair."""
        return ls.Matches(self.targets)

    @torch.no_grad()
    def encoded(self) -> Tensor:
        """The sources' codes."""
        return self.model.encode(self.sources)

    def random_codes(self) -> Tensor:
        """One uniform grid of codes a pair."""
        space = self.generator.space
        draw = torch.Generator().manual_seed(PAIR_SEED)
        return torch.randint(space.codebook_size, (len(self), *space.shape), generator=draw)

    @torch.no_grad()
    def own_loss(self) -> Tensor:
        """(B,): the loss of the model's own encoding of each target, the yardstick of every search."""
        return (self.model.decode(self.model.encode(self.targets)) - self.targets).square().flatten(1).mean(1)

    def part(self, start: int, stop: int) -> Bench:
        """Some of the pairs."""
        return replace(self, sources=self.sources[start:stop], targets=self.targets[start:stop])


def load_model(path: Path) -> models.VQVAE:
    """A VQ-VAE that `train_vqvae.py` or `train_zoo.py` wrote."""
    tensors, header = _checkpoint.load(path, kind="model")
    model = models.VQVAE(**header["settings"])
    model.load_state_dict(tensors)
    return fast_layout(model.eval().requires_grad_(False))


def fast_layout(model: models.VQVAE) -> models.VQVAE:
    """Weights in channels_last: a fifth faster on a CPU, and the same results but for rounding."""
    return model.to(memory_format=torch.channels_last)


def make_benches(
    model: models.VQVAE, images: Tensor, *, pairs: int = PAIRS, tuning: int = TUNING, seed: int = PAIR_SEED
) -> tuple[Bench, Bench]:
    """The pairs that are reported, and other pairs, no image in common, on which step sizes are tuned.

    Images are the first 2 * pairs + 2 * tuning of a seeded permutation of the test images:
    sources, targets, tuning sources, tuning targets.
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    sizes = [pairs, pairs, tuning, tuning]
    sources, targets, other_sources, other_targets = (images[i] for i in order[: sum(sizes)].split(sizes))
    generator = ls.wrap(model)
    assert isinstance(generator, ls.CodebookGenerator)
    return Bench(model, generator, sources, targets), Bench(model, generator, other_sources, other_targets)
