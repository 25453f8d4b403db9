"""The examination of a latent space, part by part."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._checks import require_flag
from latentsearch._context import in_own_context
from latentsearch.examination import advice
from latentsearch.examination.between import lines, strips
from latentsearch.examination.density import density
from latentsearch.examination.examination import (
    CodeUse,
    Density,
    Elements,
    Examination,
    Lines,
    Reach,
    Reconstruction,
)
from latentsearch.examination.setting import Setting
from latentsearch.examination.single import changed_codes, changed_elements, code_use, elements, reach
from latentsearch.examination.trials import BUDGET, encoder_losses, half_seen, targets_of, trials, with_priors
from latentsearch.priors import UniformCodes
from latentsearch.protocols import EmbeddingGenerator, Generator, LocalGenerator
from latentsearch.spaces import Continuous, Discrete

_SHOWN = 10  # images a row
_FITTED = 7  # a stream of noise


@in_own_context
def examine(generator: Generator, images: Tensor, *, seed: int = 0, progress: bool = False) -> Examination:
    """Examine a latent space: can it give such images, are they found, and by which method, prior and noise level?

    Of at most 500 images it measures how well they are reconstructed, how evenly outputs change between them, whether
    random latents look like encodings, which codes or elements count, and how near several methods come to the
    encoder's own loss. It takes less than a minute of two cores for 500 images of 32×32, for most decoders. The
    generator is left as it is.

    Without an encoder, what depends on encodings is left out.

    Args:
        generator: A wrapped decoder, of continuous latents or of codes.
        images: ``(N, *O)``, at least 20 and better hundreds, in the range of the decoder's outputs: data such as should
            come out, best of those that it was not trained on.
        seed: Of everything random.
        progress: Whether to say on stderr what is being looked at.

    Returns:
        What was found: ``print`` it, or ``save("report.html")`` writes it with pictures.

    Raises:
        InvalidArgument: If it is no generator, or the images are too few, of another shape or in another range.
        Unsupported: If no method can search it.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> images, _ = zoo.images()
        >>> report = ls.examine(ls.wrap(zoo.load("mnist-vae")), images)
        >>> report.verdict.startswith("Worth searching"), report.reconstruction.explained > 0.8
        (True, True)
    """
    require_flag("examine.progress", progress)
    start = time.perf_counter()
    said = _say if progress else _silent
    setting = Setting.of(generator, images, seed)
    said(f"examine: {len(setting.images)} images; what lies between latents, and what single elements do")
    parts = _parts(setting)
    said(f"examine: methods, with {BUDGET} evaluations each")
    tried, best, notes = trials(setting)
    said("examine: priors")
    known = _with_encoder(setting) if setting.latents is not None else _WITHOUT
    trial, losses = advice.chosen(tried), encoder_losses(setting)
    encoder_loss = None if losses is None else float(losses.double().mean())
    targets, codes = len(targets_of(setting)), isinstance(generator.space, Discrete)
    found_share = 1 - trial.loss / setting.variance
    prior = advice.prior_of(known.density, isinstance(generator.prior, UniformCodes))
    explained = max(known.reconstruction.explained if known.reconstruction else -1.0, found_share)
    # Without an encoder, what the search leaves is all that is known of the decoder's error.
    noise = known.reconstruction.noise if known.reconstruction else max(trial.loss, setting.negligible) ** 0.5
    books = isinstance(generator, EmbeddingGenerator) and generator.codebook.ndim > 2
    saves = isinstance(generator, LocalGenerator) and generator.redecode_share < 1
    findings = (
        *([advice.on_reconstruction(known.reconstruction, found_share)] if known.reconstruction else []),
        advice.on_search(trial, encoder_loss, setting.negligible, targets, found_share),
        *([advice.on_density(known.density)] if known.density else []),
        *advice.on_lines(parts.lines),
        *([advice.on_elements(parts.elements)] if parts.elements else []),
        *([advice.on_codes(parts.codes, books)] if parts.codes else []),
        *([advice.on_reach(parts.reach, saves)] if parts.reach else []),
    )
    return Examination(
        about=_about(setting),
        images=len(setting.images),
        targets=targets,
        verdict=advice.verdict(findings, explained),
        findings=findings,
        advice=advice.lines_to_paste(trial, prior, noise, BUDGET, codes, chosen=not tried[0].refused),
        reconstruction=known.reconstruction,
        codes=parts.codes,
        elements=parts.elements,
        density=known.density,
        lines=parts.lines,
        reach=parts.reach,
        trials=tuple(tried),
        prior=prior,
        halves=known.errors,
        encoder_loss=encoder_loss,
        budget=BUDGET,
        searcher=trial.searcher,
        notes=(*known.notes, *notes),
        seconds=time.perf_counter() - start,
        pictures=_pictures(setting, parts, known, best) if setting.images_drawn else {},
    )


def _say(text: str) -> None:
    """On stderr, if that is there: no examination ends for want of it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(text, file=sys.stderr, flush=True)


def _silent(text: str) -> None:
    """Nothing is said."""


class _Parts(NamedTuple):
    """What is measured of every generator."""

    lines: Lines
    elements: Elements | None
    codes: CodeUse | None
    reach: Reach | None
    felt: Tensor | None  # changes of outputs where the code in the middle is another one


class _Known(NamedTuple):
    """What is measured where there is an encoder."""

    reconstruction: Reconstruction | None
    density: Density | None
    errors: Mapping[str, float]
    halves: Mapping[str, Tensor]
    drawn: Tensor | None  # some latents of the fitted prior
    notes: list[str]


_WITHOUT = _Known(
    None,
    None,
    {},
    {},
    None,
    ["There is no encoder: what depends on encodings is left out. encode= on wrapping adds it."],
)


def _parts(setting: Setting) -> _Parts:
    if isinstance(setting.generator.space, Continuous):
        return _Parts(lines(setting), elements(setting), None, None, None)
    used = None if setting.latents is None else code_use(setting)
    return _Parts(lines(setting), None, used, *reach(setting))


def _with_encoder(setting: Setting) -> _Known:
    rebuilt = reconstruction(setting)
    found, prior, notes = density(setting)
    errors, halves, said = with_priors(setting, rebuilt.noise, prior)
    drawn = None if prior is None else prior.sample(setting.noise(_FITTED, _SHOWN))
    return _Known(rebuilt, found, errors, halves, drawn, notes + said)


def reconstruction(setting: Setting) -> Reconstruction:
    """Of all images, by the encoder's latents, not drawn from q(z|x)."""
    decoded = setting.decode(setting.encode(setting.images))
    error = float((decoded - setting.images).double().square().mean())
    # A noise level of nothing would be a likelihood that nothing meets.
    return Reconstruction(error, 1 - error / setting.variance, max(error, setting.negligible) ** 0.5)


def _about(setting: Setting) -> str:
    """The generator and its output, in words."""
    space, output = setting.generator.space, "×".join(map(str, setting.images.shape[1:]))
    if isinstance(space, Continuous):
        return f"{type(setting.generator).__name__}: {'×'.join(map(str, space.shape))} numbers to {output}"
    sides = "×".join(map(str, space.shape))
    return f"{type(setting.generator).__name__}: {sides} codes of {space.codebook_size} to {output}"


def _pictures(setting: Setting, parts: _Parts, known: _Known, best: Tensor) -> dict[str, Tensor]:
    """Images for the page, by name; all on the CPU."""
    targets = setting.images[:_SHOWN]
    found = {"target": targets, "searched": best[:_SHOWN], "lines": strips(setting)}
    if setting.latents is not None:
        shown = setting.images[:_SHOWN]
        found |= {"image": shown, "reconstruction": setting.decode(setting.encode(shown)), "map": _map(setting)}
        shown = targets_of(setting)[: len(next(iter(known.halves.values()), setting.images))]
        found |= {"half": shown * half_seen(shown)} if known.halves else {}
        found |= {f"half, {name}": output for name, output in known.halves.items()}
    if known.drawn is not None:
        found["drawn, fitted"] = setting.decode(known.drawn)
    found["drawn"] = setting.decode(setting.drawn[:_SHOWN])
    if parts.elements is not None:
        found["elements"], order = changed_elements(setting, parts.elements)
        found["which elements"] = torch.tensor(order)
    else:
        found["codes"] = changed_codes(setting)
    if parts.felt is not None:
        found["felt"] = parts.felt
    if parts.codes is not None and setting.latents is not None:
        found["used codes"] = setting.latents
    return {name: picture.detach().cpu() for name, picture in found.items()}


def _map(setting: Setting) -> Tensor:
    """``(2, n, d)``: encodings, and draws of the generator's prior, as points."""
    assert setting.latents is not None
    count = min(len(setting.latents), len(setting.drawn))
    return torch.stack(setting.points(setting.latents[:count], setting.drawn[:count].to(setting.latents)))
