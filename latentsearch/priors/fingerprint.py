"""By what a decoder is known again: what a few of its latents decode to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._rounding import same_in_outline
from latentsearch.protocols import Generator

_LATENTS, _PARTS = 2, 16


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A few latents, and an outline of what a decoder makes of them.

    It holds of the same decoder on any device and in any precision, and of no other: not of one with other weights, nor
    of one whose outputs are shown in another range.

    Attributes:
        latent: ``(n, *S)``, such as data have.
        outline: ``(n, m)``, the means of m parts of each output.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> from latentsearch.priors import Fingerprint
        >>> generator = ls.wrap(zoo.load("mnist-vqvae-40"))
        >>> fingerprint = Fingerprint.of(generator, generator.encode(zoo.images()[0]))
        >>> inverted = ls.wrap(zoo.load("mnist-vqvae-40"), output_transform=lambda x: 1 - x, check=False)
        >>> fingerprint.is_of(generator), fingerprint.is_of(inverted)
        (True, False)
    """

    latent: Tensor
    outline: Tensor

    @classmethod
    def of(cls, generator: Generator, latent: Tensor) -> Fingerprint:
        """A decoder's, of the first of some latents ``(N, *S)``."""
        few = latent[:_LATENTS].detach()
        return cls(few, _outline(_outputs(generator, few)))

    @classmethod
    def unknown(cls) -> Fingerprint:
        """That of any decoder."""
        return cls(torch.zeros(0), torch.zeros(0))

    def is_of(self, generator: Generator) -> bool:
        """Whether a generator over latents of the same space decodes them to the same."""
        if not len(self.latent):
            return True
        outputs = _outputs(generator, self.latent.to(generator.device))
        found = _outline(outputs)
        return same_in_outline(found, self.outline.to(found), float(outputs.abs().max()))

    def to(self, device: torch.device | str) -> Fingerprint:
        """The same on another device."""
        return Fingerprint(self.latent.to(device), self.outline.to(device))


@torch.no_grad()
def _outputs(generator: Generator, latent: Tensor) -> Tensor:
    # A mask of allowed codes leaves the decoder as it is, and these latents may hold others.
    generator = getattr(generator, "unmasked", generator)
    # One at a time: two may not fit where a search takes chunks of one.
    return torch.cat([generator.decode(row) for row in latent.split(1)]).flatten(1).float()


def _outline(outputs: Tensor) -> Tensor:
    return torch.stack([part.mean(1) for part in outputs.tensor_split(min(_PARTS, outputs.shape[1]), 1)], 1)
