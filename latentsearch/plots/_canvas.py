"""The layout that the grid and the animation share: rows of images, labels to the left, titles between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_count, require_span
from latentsearch.errors import InvalidArgument, describe

if TYPE_CHECKING:
    from PIL import Image

_PAPER, _INK, _FAINT = 255, 25, 110  # greys
_GAP, _MARGIN = 4, 12  # pixels
# How far, in spans of the range, a value may lie outside: decoders overshoot, but bytes are a mistake.
_SLACK = 0.9


class Canvas:
    """Where everything goes, worked out once; [draw][latentsearch.plots._canvas.Canvas.draw] fills it in.

    Args:
        what: The function on whose behalf errors are raised.
        rows: Images ``(n, C, H, W)`` or moving ones ``(T, n, C, H, W)``, C being 1 or 3.
        labels: One for each row.
        titles: A heading above the row of that number.
        scale: Pixels for each pixel of the largest images; smaller ones are enlarged to their size.
        value_range: What is shown black and white.
        captioned: Whether to leave a line for a caption.
    """

    def __init__(
        self,
        what: str,
        rows: Sequence[Tensor],
        labels: Sequence[str],
        titles: Mapping[int, str] | None,
        scale: int,
        value_range: tuple[float, float],
        captioned: bool = False,
    ) -> None:
        from PIL import ImageFont

        if isinstance(rows, Tensor) or not isinstance(rows, Sequence):
            expected, hint = "a list of rows", "[images] is one row" if isinstance(rows, Tensor) else ""
            raise InvalidArgument(f"{what}.rows", got=in_short(rows), expected=expected, hint=hint)
        rows = [row.detach() if isinstance(row, Tensor) else row for row in rows]
        _check(what, rows, labels, titles, scale, value_range)
        self.rows, self.labels, self.titles, self.range = rows, labels, dict(titles or {}), value_range
        self.mode = "RGB" if any(row.shape[-3] == 3 for row in rows) else "L"
        self.cell = (max(row.shape[-2] for row in rows) * scale, max(row.shape[-1] for row in rows) * scale)
        self.font: Any = ImageFont.load_default(13)
        self.bold: Any = ImageFont.load_default(16)
        widest = max(int(self.font.getlength(label)) for label in labels)
        self.left = _MARGIN + (widest + 2 * _GAP if widest else 0)
        self.tops, top = [], _MARGIN
        for number in range(len(rows)):
            if number in self.titles:
                top += 38 if number else 24
            self.tops.append(top)
            top += self.cell[0] + _GAP
        columns = max(row.shape[-4] for row in rows)
        width = self.left + columns * (self.cell[1] + _GAP) - _GAP
        width = max([width, *(_MARGIN + int(self.bold.getlength(title)) for title in self.titles.values())])
        self.size = (width + _MARGIN, top - _GAP + _MARGIN + (20 if captioned else 0))

    def draw(self, moment: int = 0, caption: str = "") -> Image.Image:
        """The canvas with moving rows at one moment, or at their last if they are over."""
        from PIL import Image, ImageDraw
        from torchvision.transforms.v2.functional import to_pil_image

        image = Image.new(self.mode, self.size, _grey(self.mode, _PAPER))
        pen = ImageDraw.Draw(image)
        for number, (row, label, top) in enumerate(zip(self.rows, self.labels, self.tops, strict=True)):
            if number in self.titles:
                pen.text((_MARGIN, top - 7), self.titles[number], _grey(self.mode, _INK), self.bold, anchor="ls")
            middle = top + self.cell[0] // 2
            pen.text((self.left - 2 * _GAP, middle), label, _grey(self.mode, _FAINT), self.font, anchor="rm")
            still = row[min(moment, len(row) - 1)] if row.ndim == 5 else row
            for column, cell in enumerate(self._pixels(still)):
                image.paste(to_pil_image(cell), (self.left + column * (self.cell[1] + _GAP), top))
        if caption:
            place = (self.left, self.size[1] - _MARGIN)
            pen.text(place, caption, _grey(self.mode, _FAINT), self.font, anchor="ls")
        return image

    def _pixels(self, images: Tensor) -> Tensor:
        """``(n, C, H, W)`` to bytes ``(n, C, *cell)``."""
        from torchvision.transforms.v2.functional import InterpolationMode, resize

        low, high = self.range
        grey = ((images.detach().float().cpu() - low) / (high - low)).clamp(0, 1)
        if self.mode == "RGB":
            grey = grey.expand(-1, 3, -1, -1)
        pixels = (grey * 255).round().to(torch.uint8)
        # Nearest, so that what is seen is what there is.
        large: Tensor = resize(pixels, list(self.cell), InterpolationMode.NEAREST)
        return large


def _grey(mode: str, value: int) -> Any:
    return (value,) * 3 if mode == "RGB" else value


def _check(
    what: str,
    rows: Sequence[Tensor],
    labels: Sequence[str],
    titles: Mapping[int, str] | None,
    scale: int,
    value_range: tuple[float, float],
) -> None:
    require_labels(f"{what}.labels", labels, len(rows), "rows")
    if titles is not None and not isinstance(titles, Mapping):
        raise InvalidArgument(f"{what}.titles", got=in_short(titles), expected="headings by the number of a row")
    if any(number not in range(len(rows)) for number in titles or {}):
        raise InvalidArgument(f"{what}.titles", got=f"{sorted(titles or {})}", expected=f"rows in [0, {len(rows)})")
    require_count(f"{what}.scale", scale)
    require_span(f"{what}.value_range", value_range)
    for number, row in enumerate(rows):
        _check_row(f"{what}.rows[{number}]", row, value_range)


def require_labels(what: str, labels: object, count: int, things: str) -> None:
    """Raise unless there is one text for each of some things, of which there is one at least."""
    expected = f"one for each of {count} {things}" if count else f"at least one of the {things}"
    if not isinstance(labels, Sequence) or isinstance(labels, str) or not all(isinstance(one, str) for one in labels):
        raise InvalidArgument(what, got=in_short(labels), expected=f"a list of texts, {expected}")
    if not count or len(labels) != count:
        raise InvalidArgument(what, got=f"{len(labels)} labels", expected=expected)


def _check_row(what: str, row: object, value_range: tuple[float, float]) -> None:
    expected = "images (n, C, H, W) with C = 1 or 3" + (", or moving ones (T, n, C, H, W)" if "gif" in what else "")
    if not isinstance(row, Tensor):
        raise InvalidArgument(what, got=type(row).__name__, expected=expected)
    if row.ndim not in ((4, 5) if "gif" in what else (4,)) or row.shape[-3] not in (1, 3) or not row.numel():
        hint = "row[None] adds a dimension" if row.ndim == 3 else ""
        if row.ndim in (4, 5) and row.shape[-1] in (1, 3):
            hint = "channels come before height and width: row.movedim(-1, -3)"
        raise InvalidArgument(what, got=describe(row), expected=expected, hint=hint)
    if not row.is_floating_point():
        raise InvalidArgument(what, got=describe(row), expected="floating values", hint="row.float() / 255 for bytes")
    low, high = value_range
    least, most = float(row.min()), float(row.max())
    slack = _SLACK * (high - low)
    if not (least > low - slack and most < high + slack):
        raise InvalidArgument(
            what,
            got=f"values from {least:.3g} to {most:.3g}",
            expected=f"values in {value_range}, or not much outside",
            hint="give value_range=, or look for NaN",
        )
