"""Images that are given to a generator, held against those that it gives."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._shapes import remedy
from latentsearch.errors import InvalidArgument, describe
from latentsearch.protocols import Generator
from latentsearch.spaces import Continuous

_log = logging.getLogger("latentsearch")

_FAR = 0.5  # of the range: how far beyond it noise takes no target
_SLACK = 0.1  # of the range: how far beyond it decoders overshoot
_BYTES = 50  # what goes beyond, up to 255, was bytes
_MOST = 1 << 16  # elements that are looked at for a range


class Span(NamedTuple):
    """Where values lie."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"[{self.low:.3g}, {self.high:.3g}]"


def example_output(generator: Generator) -> Tensor:
    """``(1, *O)``: what some latent decodes to."""
    space = generator.space
    dtype = generator.dtype if isinstance(space, Continuous) else torch.int64
    with torch.no_grad():
        return generator.decode(torch.zeros(1, *space.shape, dtype=dtype, device=generator.device))


def require_images(what: str, images: object, example: Tensor) -> Tensor:
    """Images of the shape and dtype that a decoder gives, and finite.

    Args:
        what: The argument, for the message.
        images: ``(N, *O)``.
        example: ``(1, *O)``, an output of the decoder.

    Raises:
        InvalidArgument: If they are no tensor, of another shape, not floating, or not finite.
    """
    images, wanted = require_tensor(what, images), tuple(example.shape[1:])
    expected = f"floating images (N, {', '.join(map(str, wanted))}), as the decoder gives"
    if tuple(images.shape[1:]) != wanted or not images.ndim:
        hint = remedy("images", tuple(images.shape), lambda shape: shape[1:] == wanted)
        raise InvalidArgument(what, got=describe(images), expected=expected, hint=hint)
    if not images.is_floating_point():
        hint = "images.float() / 255 for bytes, if the decoder gives [0, 1]" if images.dtype == torch.uint8 else ""
        raise InvalidArgument(what, got=describe(images), expected=expected, hint=hint)
    if not bool(images.isfinite().all()):
        raise InvalidArgument(what, got="NaN or infinity among them", expected="finite images")
    return images


def require_tensor(what: str, data: object) -> Tensor:
    """Data as a tensor; of what is none, how to make one."""
    if isinstance(data, Tensor):
        return data
    hint = ""
    if type(data).__module__ == "numpy":
        hint = "torch.from_numpy(images)"
    elif isinstance(data, (list, tuple)) and all(isinstance(row, Tensor) for row in data):
        hint = "torch.stack(images)"
    elif isinstance(data, Iterable) and not isinstance(data, (str, bytes)):
        hint = "torch.cat([images for images, *_ in loader]) has all of a loader's, torch.stack those of a data set"
    raise InvalidArgument(what, got=type(data).__name__, expected="a tensor (N, *O)", hint=hint)


def require_range(what: str, images: Tensor, outputs: Tensor, declared: tuple[float, float] | None) -> None:
    """Raise if images are plainly not in the range of a decoder's outputs.

    Args:
        what: The argument, for the message.
        images: ``(n, *O)``.
        outputs: ``(m, *O)`` of the decoder.
        declared: The range that the generator was wrapped with; None where it was not said.
    """
    found, own = bulk_of(images), bulk_of(outputs)
    wanted = own if declared is None else Span(*declared)
    slack = _SLACK * (wanted.high - wanted.low)
    beyond = found.low < wanted.low - slack or found.high > wanted.high + slack
    hint = transform("images", found, wanted, known=declared is not None)
    # What a decoder gives of a few latents is not its whole range: there the common mistakes count, and no others.
    if hint or (declared is not None and beyond):
        lie = f"the decoder's outputs, which lie in {own}" if declared is None else f"output_range, {wanted}"
        raise InvalidArgument(what, got=f"values in {found}", expected=f"images in the range of {lie}", hint=hint)


def require_target(what: str, target: Tensor, outputs: Tensor, declared: tuple[float, float] | None) -> None:
    """Raise if a target is plainly in another range than outputs; where that is not known, if it is of bytes.

    Args:
        what: The argument, for the message.
        target: ``(n,)``, the elements of it that count.
        outputs: ``(m, *O)`` of the decoder.
        declared: The range that the generator was wrapped with; None where it was not said.
    """
    found, own = bulk_of(target), bulk_of(outputs)
    if declared is not None:
        hint = transform("target", found, Span(*declared), known=True)
        beyond = max(declared[0] - found.low, found.high - declared[1])
        if not hint and beyond > _FAR * (declared[1] - declared[0]):
            _log.warning("%s has values in %s, far beyond the outputs' range %s", what, found, Span(*declared))
    else:
        of_bytes = found.low >= 0 and _BYTES < found.high <= 255 and max(-own.low, own.high) < 2
        hint = transform("target", found, own, known=False) if of_bytes else ""
    if hint:
        expected = f"the outputs' range, {own} here" if declared is None else f"output_range, {Span(*declared)}"
        raise InvalidArgument(what, got=f"values in {found}", expected=expected, hint=hint)


def bulk_of(images: Tensor) -> Span:
    """Where all but the lowest and the highest hundredth of the elements lie."""
    flat = images.detach().flatten().float()
    ordered = flat[:: max(1, len(flat) // _MOST)].sort().values
    last = (len(ordered) - 1) // 100
    return Span(float(ordered[last]), float(ordered[len(ordered) - 1 - last]))


def shown_range(images: Iterable[Tensor]) -> tuple[float, float]:
    """What to show black and white: (0, 1) or (-1, 1) where values lie there, else from the least to the most."""
    values = torch.cat([each.detach().flatten().float().cpu() for each in images])
    values = values[values.isfinite()]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    for span in ((0.0, 1.0), (-1.0, 1.0)):
        slack = _SLACK * (span[1] - span[0])
        if span[0] - slack <= low and high <= span[1] + slack:
            return span
    return (low, high) if high > low else (low - 0.5, low + 0.5)


# Ranges that images are kept in, and how one becomes another where that has a shorter form than a product and a sum.
_BYTE, _UNIT, _SIGNED, _CENTRED = Span(0, 255), Span(0, 1), Span(-1, 1), Span(-0.5, 0.5)
_SHORT = {
    (_BYTE, _UNIT): "{} / 255",
    (_BYTE, _SIGNED): "{} / 127.5 - 1",
    (_SIGNED, _UNIT): "({} + 1) / 2",
    (_UNIT, _SIGNED): "2 * {} - 1",
    (_UNIT, _BYTE): "{} * 255",
    (_UNIT, _CENTRED): "{} - 0.5",
    (_SIGNED, _CENTRED): "{} / 2",
    (_CENTRED, _SIGNED): "2 * {}",
}


def transform(name: str, found: Span, wanted: Span, *, known: bool) -> str:
    """What takes images to another range, where they are in one that is a common mistake; empty where they are not.

    ``known`` says whether the other range is known, or is where a few outputs happen to lie.
    """
    source, target = _kept_in(found), _usual(wanted) if known else _likely(wanted)
    if not known and source is _CENTRED:
        return ""  # so do many images lie that are in no such range
    if source is None or target is None or source == target:
        return ""
    if source is _CENTRED and target is _UNIT:
        return f"({name} + 1) / 2 if it is kept in [-1, 1], {name} + 0.5 if in [-0.5, 0.5]"
    if (source, target) in _SHORT:
        return _SHORT[source, target].format(name)
    scale = (target.high - target.low) / (source.high - source.low)
    return f"{name} * {scale:.4g} + {target.low - source.low * scale:.4g}".replace("+ -", "- ")


def _kept_in(found: Span) -> Span | None:
    """The range that images seem to be kept in."""
    if found.low >= -0.01:
        return _BYTE if _BYTES < found.high <= 255 else _UNIT if 0.5 < found.high <= 1.1 else None
    if found.low >= -0.55 and 0.2 < found.high <= 0.55:
        return _CENTRED
    return _SIGNED if -1.5 < found.low < -0.55 and found.high < 1.5 else None


def _usual(wanted: Span) -> Span:
    """One of the usual ranges, if a range is about that; else itself."""
    for usual in (_UNIT, _CENTRED, _SIGNED, _BYTE):
        slack = _SLACK * (usual.high - usual.low)
        if abs(wanted.low - usual.low) <= slack and abs(wanted.high - usual.high) <= slack:
            return usual
    return wanted


def _likely(own: Span) -> Span | None:
    """The range that a decoder has whose outputs lie there; None where that is anyone's guess."""
    if own.low > -0.5 and own.high < 1.6:
        return _UNIT
    if -1.6 < own.low <= -0.5 and own.high < 1.6:
        return _SIGNED
    return _BYTE if own.low > -10 and own.high > _BYTES else None
