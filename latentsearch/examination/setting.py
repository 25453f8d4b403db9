"""What is examined: a generator, some images, and where its encoder puts them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from latentsearch._checks import require_seed
from latentsearch._images import example_output, require_images, require_range
from latentsearch._memory import Chunks
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.fitting import encodings
from latentsearch.noise import Noise
from latentsearch.protocols import AutoEncoder, ConditionalPrior, EmbeddingGenerator, Generator, require_generator
from latentsearch.spaces import Continuous, Discrete

MOST, LEAST = 500, 20  # images that are looked at, and without which nothing can be said
_FEW = 128  # draws of a prior with a network, which takes a pass for each code
_ROWS = 64  # decoded at once
_LOOKED_AT = 64  # images whose range is compared with their reconstructions'
_TIMED, _SECONDS = 8, 8.0  # images tried first, and how long all may take
_NEGLIGIBLE = 1e-3  # of the variance
_WIDTH = 64  # principal components of latents that a critic sees


@dataclass(frozen=True)
class Setting:
    """A generator, data in random order, and streams of noise.

    Attributes:
        generator: What is examined.
        images: ``(n, *O)``.
        latents: ``(n, *S)``: encodings, of a VAE draws of q(z|x); None where there is no encoder.
        seed: Of everything random.
        row_seconds: What it takes to draw or encode a latent and to decode it.
    """

    generator: Generator
    images: Tensor
    latents: Tensor | None
    seed: int
    row_seconds: float = 0.0

    @staticmethod
    def of(generator: Generator, images: object, seed: int) -> Setting:
        """Looked over, encoded, and at most 500.

        Raises:
            InvalidArgument: If it is no generator, or the images are not such as it gives, or too few.
        """
        require_generator("examine.generator", generator)
        require_seed("examine.seed", seed)
        example = example_output(generator)
        if example.ndim < 2:
            raise InvalidArgument("examine.generator", got="outputs of one number a latent", expected="outputs (N, *O)")
        given = images.detach().clone() if isinstance(images, Tensor) else images  # of inference mode, or with a graph
        data = require_images("examine.images", given, example)
        if len(data) < LEAST:
            raise InvalidArgument("examine.images", got=f"{len(data)}", expected=f"at least {LEAST}, better hundreds")
        order = Noise.from_seed(seed).uniform(len(data))[0].argsort()[:MOST]
        data = data[order.to(data.device)].to(generator.device, generator.dtype)
        row = _seconds_of_a_row(generator, data)
        data = data[: min(MOST, max(LEAST, int(_SECONDS / row)))]
        setting = Setting(generator, data, _encoded(generator, data, seed), seed, row)
        # Of random latents too: what an encoder makes of images in another range may decode to that range.
        known = [setting.drawn[:_LOOKED_AT], *([] if setting.latents is None else [setting.latents[:_LOOKED_AT]])]
        outputs = setting.decode(torch.cat([latents.to(known[0]) for latents in known]))
        _require_finite(outputs)
        require_range("examine.images", data[:_LOOKED_AT], outputs, getattr(generator, "output_range", None))
        return setting

    def noise(self, stream: int, rows: int = 1) -> Noise:
        """Rows of a stream of their own."""
        return Noise.from_seed(self.seed, rows, device=self.generator.device).fold(stream)

    def decode(self, latents: Tensor) -> Tensor:
        """``(N, *O)``, a part at a time."""
        return by_parts(self.generator.decode, latents)

    @cached_property
    def outputs(self) -> Tensor:
        """``(n, *O)``: the encodings decoded."""
        assert self.latents is not None
        return self.decode(self.latents)

    @cached_property
    def drawn(self) -> Tensor:
        """``(m, *S)``: random latents, of the generator's own prior; fewer where it has a network to run."""
        prior = self.generator.prior
        count = _FEW if isinstance(prior, ConditionalPrior) and prior.cost > 0 else MOST
        latents = prior.sample(self.noise(1, min(count, len(self.images))))
        self.generator.space.check("a sample of the generator's prior", latents)
        return latents

    @cached_property
    def variance(self) -> float:
        """Of the images about their mean, an element: what the mean of them all is off by."""
        return max(float((self.images - self.images.mean(0)).double().square().mean()), 1e-12)

    @property
    def negligible(self) -> float:
        """A mean square that nobody sees: a thousandth of the images' variance. Beneath it, losses are rounding."""
        return _NEGLIGIBLE * self.variance

    def encode(self, outputs: Tensor) -> Tensor:
        """Where the encoder puts outputs: ``(N, *S)``."""
        assert isinstance(self.generator, AutoEncoder)
        return by_parts(self.generator.encode, outputs)

    @cached_property
    def spread(self) -> Tensor:
        """``(*S)``: the standard deviation of each element of continuous encodings, or of the prior's draws."""
        known = self.latents if self.latents is not None else self.drawn
        return known.std(0)

    @cached_property
    def images_drawn(self) -> bool:
        """Whether outputs are images, which can be shown."""
        return self.images.ndim == 4 and self.images.shape[1] in (1, 3)

    def points(self, *latents: Tensor) -> list[Tensor]:
        """Latents as vectors of at most 64 principal components of all together: what a critic tells apart by."""
        space, generator = self.generator.space, self.generator
        if isinstance(space, Continuous):
            flat = [each.flatten(1) for each in latents]
        elif isinstance(generator, EmbeddingGenerator):
            flat = [by_parts(generator.embed, each).flatten(1) for each in latents]
        else:
            flat = [torch.nn.functional.one_hot(each, space.codebook_size).float().flatten(1) for each in latents]
        if flat[0].shape[1] <= _WIDTH:
            return flat
        together = torch.cat(flat).double()
        together -= together.mean(0)
        # By inner products of rows, of which there are fewer than elements.
        values, vectors = torch.linalg.eigh(together @ together.T)
        placed = vectors[:, -_WIDTH:] * values[-_WIDTH:].clamp(min=0).sqrt()
        return list(placed.split([len(each) for each in latents]))


def by_parts(function: object, rows: Tensor) -> Tensor:
    """A row-local function of rows, a part of them at a time and without gradients."""
    assert callable(function)

    def part(index: slice) -> list[Tensor]:
        return [function(rows[index])]

    with torch.no_grad():
        return Chunks(_ROWS).run(part, len(rows))[0]


def _seconds_of_a_row(generator: Generator, data: Tensor) -> float:
    """What encoding, decoding and a draw of the prior take, the slowest of encoding and drawing counted."""
    part, start = data[:_TIMED], time.perf_counter()
    drawn = generator.prior.sample(Noise.from_seed(0, len(part), device=generator.device))
    first = time.perf_counter()
    _encoded(generator, part, 0)
    second = time.perf_counter()
    by_parts(generator.decode, drawn)
    return (time.perf_counter() - second + max(first - start, second - first)) / len(part)


def _require_finite(outputs: Tensor) -> None:
    """Raise if some latents decode to what is no number: of these nothing can be measured."""
    bad = int((~outputs.isfinite()).flatten(1).any(1).sum())
    if bad:
        got = f"NaN or infinity in {bad} of {len(outputs)} outputs, of encodings and of draws of its prior"
        raise InvalidArgument("examine.generator", got=got, expected="finite outputs", hint="a prior that avoids them")


def _encoded(generator: Generator, data: Tensor, seed: int) -> Tensor | None:
    """Encodings, or None where there is no encoder."""
    if not isinstance(generator, AutoEncoder):
        return None
    try:
        with torch.no_grad():
            generator.encode(data[:1])
    except Unsupported:
        return None
    latents = encodings(generator, data, Noise.from_seed(seed, device=generator.device).fold(2)).latents
    return latents if isinstance(generator.space, Continuous) else latents.long()


def discrete(setting: Setting) -> Discrete:
    """The space of a generator of codes."""
    assert isinstance(setting.generator.space, Discrete)
    return setting.generator.space
