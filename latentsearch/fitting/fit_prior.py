"""One line from a generator and images to a prior that knows what its latents look like."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from latentsearch._checks import require_count, require_positive, require_seed, require_share
from latentsearch._context import in_own_context
from latentsearch.errors import InvalidArgument
from latentsearch.fitting._cost import cost_beside
from latentsearch.fitting._density import fit_density, nats
from latentsearch.fitting._given import (
    Augment,
    are_latents,
    changed,
    check_given,
    check_settings,
    encoded,
    held_out_of,
    warn_if_interrupted,
)
from latentsearch.fitting._temperature import typical_temperature
from latentsearch.noise import Noise
from latentsearch.priors import (
    Fingerprint,
    FittedPrior,
    HistogramPrior,
    MaskedDiffusion,
    PixelCNN,
    StandardNormal,
    UniformCodes,
    fitted,
)
from latentsearch.protocols import AutoEncoder, EmbeddingGenerator, Generator, Prior, require_generator
from latentsearch.spaces import Continuous, Discrete
from latentsearch.training import Fit, Group, fit, initialised

Network = Callable[..., MaskedDiffusion | PixelCNN]

_BATCH = 256  # images encoded at once
_SPLIT, _DRAWS = 1, 2  # streams of noise: which images are held out, and draws whose likelihood is compared with theirs
_RESIDUALS, _LEAST_IMAGES = 1 << 16, 8  # elements of residuals kept, and images of which they are at least
_WARM_UP, _LEAST_RATE = 200, 0.02


@in_own_context
def fit_prior(
    generator: Generator,
    images: Tensor,
    *,
    network: Network | None = None,
    steps: int = 5000,
    held_out: float = 0.05,
    augment: Augment | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    temperature: float | None = None,
    autocast: torch.dtype | None = None,
    progress: bool = False,
    seed: int = 0,
) -> FittedPrior:
    """Fit a prior to what the generator's encoder makes of images.

    Images are encoded, a part of them is held out, and a prior is fitted to the others: over codes a network, which
    starts at the histogram of each position and ends with the weights that held-out codes were likeliest under; over
    continuous latents a Gaussian mixture, whose size held-out latents decide. Of spatial ones ``(C, H, W)`` they also
    decide whether it is one over whole latents or over patches, which are alike in all places.

    The prior knows how far the decoder is off, so that ``noise="decoder"`` has a meaning beside it.
    [priors.save][latentsearch.priors.save] writes it to a file.

    Args:
        generator: The decoder, with ``encode``.
        images: ``(N, *O)``, data as the decoder gives them; hundreds at least, and better thousands. Or latents,
            ``(N, *S)`` codes or continuous, for a generator without an encoder.
        network: Over codes, [MaskedDiffusion][latentsearch.priors.MaskedDiffusion], which can propose and is taken if
            none is given, or [PixelCNN][latentsearch.priors.PixelCNN], which has an exact probability in one pass; with
            ``functools.partial`` for other sizes.
        steps: Gradient steps of a network, 32 grids each. 5,000 take some minutes of one core on 7 × 7 grids; ten times
            as many are worth it.
        held_out: The share of images that is held out.
        augment: Other images that might be data as well, such as shifted or mirrored ones, drawn before they are
            encoded: half of each batch is of these. A shifted image has other codes, not shifted ones.
        temperature: Of a network's conditionals, 1 for what it learnt. If not given, the one at which its draws are as
            likely as held-out grids, if there are 16 of these: a network that is small for its data spreads over more.
        checkpoint: A file to save to and to resume from if it exists.
        autocast: A dtype to train in, such as ``torch.bfloat16`` where the hardware is fast in it.
        progress: Whether to show progress.
        seed: For the split, first weights, and the order of the data.

    Returns:
        The prior, frozen. Its ``figures`` are of held-out data: over codes ``bits`` a code, as learnt, beside those of
        the ``histogram`` and the ``uniform`` distribution, and the ``temperature`` of its draws; over continuous
        latents ``nats`` a dimension, beside those of the ``standard normal``.

    Raises:
        Unsupported: If the generator has no encoder and the data are no latents, or a setting is for codes alone.
        InvalidArgument: If there are too few images, or these are not the decoder's: of another shape, or plainly in
            another range.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> generator = ls.wrap(zoo.load("mnist-vqvae-40"))
        >>> images = torch.cat([zoo.images()[0].roll(shift, 3) for shift in range(-5, 5)])
        >>> prior = ls.fit_prior(generator, images, steps=20)
        >>> sorted(prior.figures)
        ['bits', 'histogram', 'temperature', 'uniform']
    """
    require_generator("fit_prior.generator", generator)
    require_count("fit_prior.steps", steps)
    require_share("fit_prior.held_out", held_out)
    require_seed("fit_prior.seed", seed)
    if temperature is not None:
        require_positive("fit_prior.temperature", temperature)
    space = generator.space
    for_codes = {"network": network, "augment": augment, "checkpoint": checkpoint, "autocast": autocast}
    check_settings(space, **for_codes, temperature=temperature)
    plan = Fit(
        steps,
        batch_size=32,
        optimizer=Group(_decayed, partial(torch.optim.AdamW, lr=2e-3, betas=(0.9, 0.98))),
        schedule=_warm_up_and_cosine,
        clip=1.0,
        autocast=autocast,
        average=_decay(steps),
        best="sum",
        log_every=max(steps // 20, 1),
        progress=progress,
        checkpoint=checkpoint,
    )
    images = check_given(generator, images, held_out, covariance=True)
    if augment is not None:
        changed(augment, images[:2], Noise.from_seed(0, 2, device=images.device), are_latents(generator, images))
    parts = _split(images, held_out, seed)
    train, validation = (_encoded(generator, part) for part in parts)
    residuals = _residuals(generator, parts[1], validation)
    fingerprint = Fingerprint.of(generator, validation)
    if isinstance(space, Continuous):
        density = fit_density(train, validation, seed)
        return fitted(density, residuals, _nats(density, space, validation), fingerprint)
    stream = None if augment is None else _augmented(generator, parts[0], train, augment)
    model = _untrained(generator, space, train, network or MaskedDiffusion, seed)
    history = fit(model, (train,) if stream is None else stream, plan, validation=(validation,), seed=seed)
    warn_if_interrupted("fit_prior", history)
    prior = model.requires_grad_(False)
    prior.set_cost(cost_beside(generator, prior, validation[:1]))
    figures = _bits(prior, space, train, validation)
    if temperature is None:
        temperature = typical_temperature(prior, validation, Noise.from_seed(seed).fold(_DRAWS))
    prior.set_temperature(temperature)
    return fitted(prior, residuals, figures | {"temperature": temperature}, fingerprint)


# -- data --------------------------------------------------------------------------------------------


def _split(images: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """The images to fit to, and those held out."""
    order = Noise.from_seed(seed).fold(_SPLIT).uniform(len(images))[0].argsort().to(images.device)
    count = held_out_of(len(images), share)
    return images[order[count:]], images[order[:count]]


def _encoded(generator: Generator, images: Tensor) -> Tensor:
    """Latents of images; latents as they are."""
    if are_latents(generator, images):
        return images
    assert isinstance(generator, AutoEncoder)
    return torch.cat([encoded(generator, part) for part in images.split(_BATCH)])


@torch.no_grad()
def _residuals(generator: Generator, images: Tensor, latents: Tensor) -> Tensor:
    """``(n, *O)``: how far the decoder is off, of some images; nothing where there are only latents."""
    if are_latents(generator, images):
        return torch.zeros(0, dtype=generator.dtype, device=generator.device)
    count = max(_RESIDUALS // images[0].numel(), _LEAST_IMAGES)
    decoded = generator.decode(latents[:count])
    return decoded - images[:count].to(decoded)


def _augmented(generator: Generator, images: Tensor, latents: Tensor, augment: Augment) -> Callable[..., Tensor]:
    """Batches of which half are of changed images."""

    def batch(step: int, noise: Noise) -> Tensor:
        rows = noise.integers(len(images), 32)[0].to(images.device)
        others = changed(augment, images[rows[16:]], noise.fold(1).split(16))
        return torch.cat([latents[rows[:16].to(latents.device)], _encoded(generator, others)])

    return batch


# -- networks ----------------------------------------------------------------------------------------


def _untrained(
    generator: Generator, space: Discrete, codes: Tensor, network: Network, seed: int
) -> MaskedDiffusion | PixelCNN:
    """The network at the histogram of the codes."""
    book = generator.codebook if isinstance(generator, EmbeddingGenerator) else None
    book = book if book is not None and book.ndim == 2 else None
    histogram = HistogramPrior.from_codes(codes, space.codebook_size).logits
    with initialised(seed, torch.float32):
        model: object = network(space, codebook=book, histogram=histogram)
    if not isinstance(model, (MaskedDiffusion, PixelCNN)):
        hint = "other models are fitted by ls.fit, and priors.fitted(model, residuals, figures) can be saved"
        expected = "one that makes a MaskedDiffusion or a PixelCNN"
        raise InvalidArgument("fit_prior.network", got=f"one of {type(model).__name__}", expected=expected, hint=hint)
    return model.to(generator.device)


def _decayed(model: nn.Module) -> list[dict[str, object]]:
    """Parameter groups: weights of layers decay, biases and scales do not."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}]


def _decay(steps: int) -> float:
    """Of the average of the weights: it forgets all but the last part of a fit, however short."""
    return min(max(1 - 20 / steps, 0.5), 0.999)


def _warm_up_and_cosine(step: int, steps: int) -> float:
    """The share of the learning rate: up over the first steps, then down along half a cosine."""
    cosine = 0.5 + 0.5 * math.cos(math.pi * step / steps)
    return min((step + 1) / _WARM_UP, 1.0) * (_LEAST_RATE + (1 - _LEAST_RATE) * cosine)


# -- figures -----------------------------------------------------------------------------------------


@torch.no_grad()
def _bits(prior: Prior, space: Discrete, train: Tensor, held_out: Tensor) -> dict[str, float]:
    """Bits a code on held-out grids, at most 500 of them."""
    grids = held_out[:500]
    histogram = HistogramPrior.from_codes(train, space.codebook_size)
    rivals = {"bits": prior, "histogram": histogram, "uniform": UniformCodes(space)}
    unit = math.log(2) * space.positions
    return {name: -float(rival.log_prob(grids).double().mean()) / unit for name, rival in rivals.items()}


def _nats(prior: Prior, space: Continuous, held_out: Tensor) -> dict[str, float]:
    """Nats a dimension on held-out latents."""
    rivals = {"nats": prior, "standard normal": StandardNormal(space.shape)}
    return {name: nats(rival, held_out) for name, rival in rivals.items()}
