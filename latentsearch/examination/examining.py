"""The examination of a latent space, part by part."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

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
from latentsearch.examination.trials import BUDGET, TARGETS, encoder_losses, half_seen, trials, with_priors
from latentsearch.protocols import Generator
from latentsearch.spaces import Continuous

_SHOWN = 10  # images a row


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
    start = time.perf_counter()
    said = partial(print, file=sys.stderr, flush=True) if progress else _silent
    setting = Setting.of(generator, images, seed)
    said(f"examine: {len(setting.images)} images; what lies between latents, and what single elements do")
    parts = _parts(setting)
    said(f"examine: methods, with {BUDGET} evaluations each")
    tried, best, notes = trials(setting)
    said("examine: priors")
    known = _with_encoder(setting) if setting.latents is not None else _WITHOUT
    trial, losses = advice.chosen(tried), encoder_losses(setting)
    encoder_loss = None if losses is None else float(losses.double().mean())
    findings = (
        *([advice.on_reconstruction(known.reconstruction)] if known.reconstruction else []),
        advice.on_search(trial, encoder_loss, BUDGET),
        *([advice.on_density(known.density)] if known.density else []),
        *advice.on_lines(parts.lines),
        *([advice.on_elements(parts.elements)] if parts.elements else []),
        *([advice.on_codes(parts.codes)] if parts.codes else []),
        *([advice.on_reach(parts.reach)] if parts.reach else []),
    )
    noise = known.reconstruction.noise if known.reconstruction else None
    return Examination(
        about=_about(setting),
        images=len(setting.images),
        verdict=advice.verdict(findings),
        findings=findings,
        advice=advice.lines_to_paste(trial, known.priors, noise, BUDGET),
        reconstruction=known.reconstruction,
        codes=parts.codes,
        elements=parts.elements,
        density=known.density,
        lines=parts.lines,
        reach=parts.reach,
        trials=tuple(tried),
        priors=known.priors,
        encoder_loss=encoder_loss,
        budget=BUDGET,
        searcher=trial.searcher,
        notes=(*known.notes, *notes),
        seconds=time.perf_counter() - start,
        pictures=_pictures(setting, parts, known.halves, best) if setting.images_drawn else {},
    )


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
    priors: Mapping[str, float]
    halves: Mapping[str, Tensor]
    notes: list[str]


_WITHOUT = _Known(
    None, None, {}, {}, ["There is no encoder: what depends on encodings is left out. encode= on wrapping adds it."]
)


def _parts(setting: Setting) -> _Parts:
    if isinstance(setting.generator.space, Continuous):
        return _Parts(lines(setting), elements(setting), None, None, None)
    used = None if setting.latents is None else code_use(setting)
    return _Parts(lines(setting), None, used, *reach(setting))


def _with_encoder(setting: Setting) -> _Known:
    rebuilt = reconstruction(setting)
    found, prior, notes = density(setting)
    priors, halves, said = with_priors(setting, rebuilt.noise, prior)
    return _Known(rebuilt, found, priors, halves, notes + said)


def reconstruction(setting: Setting) -> Reconstruction:
    """Of all images, by the encoder's latents, not drawn from q(z|x)."""
    decoded = setting.decode(setting.encode(setting.images))
    error = float((decoded - setting.images).double().square().mean())
    variance = float((setting.images - setting.images.mean(0)).double().square().mean())
    return Reconstruction(error, 1 - error / max(variance, 1e-12), error**0.5)


def _about(setting: Setting) -> str:
    """The generator and its output, in words."""
    space, output = setting.generator.space, "×".join(map(str, setting.images.shape[1:]))
    if isinstance(space, Continuous):
        return f"{type(setting.generator).__name__}: {'×'.join(map(str, space.shape))} numbers to {output}"
    sides = "×".join(map(str, space.shape))
    return f"{type(setting.generator).__name__}: {sides} codes of {space.codebook_size} to {output}"


def _pictures(setting: Setting, parts: _Parts, halves: Mapping[str, Tensor], best: Tensor) -> dict[str, Tensor]:
    """Images for the page, by name; all on the CPU."""
    targets = setting.images[:TARGETS]
    found = {"target": targets, "searched": best, "lines": strips(setting)}
    if setting.latents is not None:
        shown = setting.images[:_SHOWN]
        found |= {"image": shown, "reconstruction": setting.decode(setting.encode(shown)), "map": _map(setting)}
        found |= {"half": targets * half_seen(targets)} if halves else {}
        found |= {f"half, {name}": output for name, output in halves.items()}
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
