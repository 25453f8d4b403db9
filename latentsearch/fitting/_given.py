"""What is given to fit to, looked over before any work: its kind, shape and range, and whether it is enough."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from latentsearch._checks import in_short, misfit
from latentsearch._images import bulk_of, example_output, require_images, require_range, require_tensor
from latentsearch._warnings import warn
from latentsearch.errors import InvalidArgument, LatentSearchError, Unsupported, describe
from latentsearch.fitting._density import LEAST_EACH, is_spatial
from latentsearch.noise import Noise
from latentsearch.protocols import AliasedGenerator, AutoEncoder, Generator
from latentsearch.result import Status
from latentsearch.spaces import Continuous, Discrete, LatentSpace
from latentsearch.training import History

_LOOKED_AT = 64  # images that are encoded and decoded beforehand
_MASKED = 0.1  # share of codes
_LEAST, _FEW = 10, 200  # images: refused, and warned of
_FEW_EACH = 10  # latents for each element: fewer are warned of


Augment = Callable[[Tensor, Noise], Tensor]
"""From images ``(n, *O)`` and n rows of noise to other images that might be data as well."""


class FitWarning(UserWarning):
    """Something about what a prior is fitted to that works, and is probably not what was meant."""


def check_settings(space: LatentSpace, **for_codes: object) -> None:
    """Raise if a setting of networks over codes was given for continuous latents, which have a mixture."""
    given = [name for name, value in for_codes.items() if value is not None]
    if isinstance(space, Continuous) and given:
        expected = "none over continuous latents, to which a Gaussian mixture is fitted"
        flow = "a flow is fitted by ls.fit(ls.priors.RectifiedFlow(shape).calibrated(z), (z,), ls.Fit(steps))"
        hint = flow if given[0] == "network" else ""
        raise Unsupported(f"fit_prior.{given[0]}", got=repr(for_codes[given[0]]), expected=expected, hint=hint)
    network, augment = for_codes.get("network"), for_codes.get("augment")
    if network is not None:
        _check_network(network)
    if augment is not None and not callable(augment):
        expected = "a function of images and noise"
        raise InvalidArgument("fit_prior.augment", got=in_short(augment), expected=expected)


def _check_network(network: object) -> None:
    """Raise unless something can be called with what the networks over codes are made of."""
    got = in_short(network)
    if callable(network) and not isinstance(network, nn.Module):
        why = misfit(network, None, codebook=None, histogram=None)
        if not why:
            return
        got += f" ({why})"
    expected, hint = "a class such as PixelCNN, not made yet", "partial(MaskedDiffusion, channels=64) has other sizes"
    raise InvalidArgument("fit_prior.network", got=got, expected=expected, hint=hint)


@torch.no_grad()
def check_given(
    generator: Generator, data: object, held_out: float, *, caller: str = "fit_prior", covariance: bool = False
) -> Tensor:
    """Data that a prior, or a critic, of the generator's latents can be fitted to.

    Args:
        generator: The decoder.
        data: Images ``(N, *O)``, or latents ``(N, *S)``.
        held_out: The share that is held out.
        caller: The function on whose behalf errors are raised.
        covariance: Whether continuous latents get a density with a covariance, which takes some for each element.

    Returns:
        The data; latents where the generator's are.

    Raises:
        InvalidArgument: If they are neither images as the decoder gives them nor its latents, or too few.
        Unsupported: If they are images, and the generator has no encoder.
    """
    what = f"{caller}.images"
    space, data = generator.space, require_tensor(what, data)
    if are_latents(generator, data):
        space.check(what, data)
        _check_number(what, space, data, held_out, covariance)
        _warn_of_a_mask(what, generator, _few(data).to(generator.device))
        return data.to(generator.device)
    if not isinstance(generator, AutoEncoder):
        raise no_encoder(generator, caller)
    images = require_images(what, data, example_output(generator))
    _check_number(what, space, images, held_out, covariance)
    few = _few(images)
    whole = getattr(generator, "unmasked", generator)
    z = encoded(whole, few)
    again = whole.decode(z)
    require_range(what, few, again, getattr(generator, "output_range", None))
    _warn_of_strangers(what, few.to(again), again)
    _warn_of_a_mask(what, generator, z)
    return images


def _few(data: Tensor) -> Tensor:
    return data[:: math.ceil(len(data) / _LOOKED_AT)]


@torch.no_grad()
def are_latents(generator: Generator, data: Tensor) -> bool:
    """Whether data are latents, to judge by their shape; where images have the same, whether nothing encodes these."""
    space = generator.space
    if tuple(data.shape[1:]) != space.shape or (isinstance(space, Discrete) and data.is_floating_point()):
        return False
    if isinstance(space, Discrete) or not isinstance(generator, AutoEncoder):
        return True
    if example_output(generator).shape[1:] != data.shape[1:]:
        return True
    try:
        generator.encode(data[:1].to(generator.device, generator.dtype))
    except Unsupported:
        return True
    return False


@torch.no_grad()
def encoded(generator: AutoEncoder, images: Tensor) -> Tensor:
    """Latents ``(n, *S)`` of images ``(n, *O)``."""
    what = f"{type(generator).__name__}.encode"
    try:
        z = generator.encode(images.to(generator.device))
    except Unsupported as error:
        raise no_encoder(generator) from error
    except LatentSearchError:
        raise
    except Exception as error:
        got = f"a function that fails on {describe(images)} with {type(error).__name__}: {error}"
        raise InvalidArgument(what, got=got, expected="images (N, *O) to latents (N, *S)") from error
    generator.space.check(what, z)
    if len(z) != len(images):
        raise InvalidArgument(what, got=f"{len(z)} latents for {len(images)} images", expected="one an image")
    return z


def changed(augment: Augment, images: Tensor, noise: Noise, latents: bool = False) -> Tensor:
    """Other images that might be data as well, as many and of the same kind."""
    if latents:
        raise InvalidArgument("fit_prior.augment", got="latents", expected="images, which are changed before encoding")
    try:
        found: object = augment(images, noise)
    except Exception as error:
        raise InvalidArgument(
            "fit_prior.augment",
            got=f"a function that fails on {describe(images)} with {type(error).__name__}: {error}",
            expected="one from images (n, *O) and n rows of noise to as many images",
            hint="one of images alone is lambda images, noise: function(images), if it is not random",
        ) from error
    if not isinstance(found, Tensor) or found.shape != images.shape or not found.is_floating_point():
        got = f"{describe(found) if isinstance(found, Tensor) else type(found).__name__} for {describe(images)}"
        raise InvalidArgument("fit_prior.augment's result", got=got, expected="as many images of the same shape")
    return found


def warn_if_interrupted(caller: str, history: History) -> None:
    """Warn that Ctrl-C ended a fit, and that what it had learnt until then is what is returned."""
    if history.status is Status.INTERRUPTED:
        warn(f"{caller}: interrupted; this is what it had learnt by then", FitWarning)


def labels_of(caller: str, labels: object, rows: int) -> Tensor:
    """Labels of images: classes as int64, attributes as floating numbers.

    Raises:
        InvalidArgument: If they are neither, or not one an image.
    """
    expected = f"classes ({rows},) int64, or attributes ({rows}, A), bools or numbers from 0 to 1"
    if not isinstance(labels, Tensor):
        raise InvalidArgument(f"{caller}.labels", got=type(labels).__name__, expected=expected)
    shaped = labels.ndim in (1, 2) and len(labels) == rows and labels.numel() > 0 and not labels.is_complex()
    whole = shaped and not labels.is_floating_point() and labels.dtype != torch.bool
    low, high = (float(labels.min()), float(labels.max())) if shaped else (0.0, 0.0)
    classes = shaped and labels.ndim == 1 and whole and low >= 0
    attributes = shaped and labels.ndim == 2 and low >= 0 and high <= 1
    if not (classes or attributes):
        hint = "labels[:, None] is one attribute" if shaped and labels.ndim == 1 and not whole else ""
        got = f"{describe(labels)}, from {low:g} to {high:g}" if shaped else describe(labels)
        raise InvalidArgument(f"{caller}.labels", got=got, expected=expected, hint=hint)
    if classes and high >= rows:
        got, hint = f"classes up to {high:,.0f}", "labels.unique(return_inverse=True)[1] numbers them from 0"
        raise InvalidArgument(f"{caller}.labels", got=got, expected=f"classes below {rows:,}", hint=hint)
    return labels.long() if classes else labels.float()


def no_encoder(generator: Generator, caller: str = "fit_prior") -> Unsupported:
    """The error for images, and nothing to encode them."""
    shape = ", ".join(map(str, generator.space.shape))
    kind = "floating latents" if isinstance(generator.space, Continuous) else "int64 codes"
    return Unsupported(
        f"{caller}.generator",
        got=f"a {type(generator).__name__} without an encoder, and images",
        expected="an encoder, encode= on wrapping",
        hint=f"or give latents in place of images: {kind} (N, {shape})",
    )


def _check_number(what: str, space: LatentSpace, data: Tensor, held_out: float, covariance: bool) -> None:
    """Refuse so few that nothing can be fitted to them, and warn of few."""
    out = held_out_of(len(data), held_out)
    train, shape = len(data) - out, space.shape
    size = shape[0] if is_spatial(shape) else math.prod(shape)
    continuous = covariance and isinstance(space, Continuous)
    least, enough = (max(_LEAST, LEAST_EACH * size), max(_FEW, _FEW_EACH * size)) if continuous else (_LEAST, _FEW)
    got = f"{len(data)}, of which {out} {'is' if out == 1 else 'are'} held out"
    whose = f", for latents of {size} {'channels' if is_spatial(shape) else 'elements'}" if continuous else ""
    if train < least:
        expected = f"at least {least} to fit to{whose}; better {enough:,}"
        raise InvalidArgument(what, got=got, expected=expected)
    if len(data) < enough:
        warn(
            f"{what}: got {got}, by which the figures go; they are few. Give {enough:,} "
            f"at least{whose}, and better thousands",
            FitWarning,
        )


def held_out_of(count: int, share: float) -> int:
    """How many are held out."""
    return max(int(share * count), 1)


def _warn_of_strangers(what: str, images: Tensor, again: Tensor) -> None:
    """Warn if what images are encoded to decodes to something farther from them than their mean is."""
    off, spread = float((again - images).square().mean()), float((images - images.mean(0)).square().mean())
    if off > spread > 0:
        low, high = float(again.min()), float(again.max())
        warn(
            f"{what}: decode(encode(x)) is farther from the images (mean square {off:.3g}) than their mean "
            f"is ({spread:.3g}). Images lie in {bulk_of(images)}, outputs in [{low:.3g}, {high:.3g}]: are these images "
            "in the range that the encoder takes, and such as it was trained on?",
            FitWarning,
        )


def _warn_of_a_mask(what: str, generator: Generator, z: Tensor) -> None:
    """Warn if many codes of data are not allowed: a prior would learn others in their place."""
    if not isinstance(generator, AliasedGenerator):
        return
    changed = float((generator.canonical(z) != z).double().mean())
    if changed > _MASKED:
        warn(
            f"{what}: {changed:.0%} of their codes are not among those that the generator's mask allows, and others "
            "stand for them. Fit to the generator without used=, and give that prior to goals of this one",
            FitWarning,
        )
