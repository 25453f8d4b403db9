"""How far one code reaches through a decoder: found by probing, proved by decoding, or given up with a reason.

A convolutional decoder answers to a change of one cell near that cell alone, and what it answers
depends on the cells near by alone. So a crop of the grid around the cell is decoded, and the
outputs that the cell reaches are pasted into those of the grid before the change::

    cells of the grid                    outputs, along one axis
    . . . . . . . . . . . .              ======================    before the change
        c c c P c c c                          ====ooooo====       the crop, decoded
                                         ==========ooooo=======    what the cell reaches, pasted

The crop is wide enough that its false borders are not felt where outputs are pasted. At the true
borders of the grid it is shifted inwards, and its border there is the grid's own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch.errors import Unsupported
from latentsearch.noise import Noise
from latentsearch.protocols import EmbeddingGenerator
from latentsearch.spaces import Discrete

MOST = 0.5  # the largest share of a decode that is worth the trouble
_CODES, _PLACES, _CHUNK = 3, 8, 4


@dataclass(frozen=True)
class LocalAxis:
    """An axis of the grid along which a code reaches some of the outputs only.

    A code in cell p reaches the outputs ``scale * p - before`` to ``scale * p + after``.

    Attributes:
        grid: Which axis of the grid, rows not counted.
        output: Which axis of the output, rows not counted.
        side: Cells along it.
        scale: Outputs a cell.
        before: Outputs reached before the cell's first.
        after: Outputs reached from the cell's first on.
    """

    grid: int
    output: int
    side: int
    scale: int
    before: int
    after: int

    @property
    def window(self) -> int:
        """Outputs that a code reaches."""
        return self.before + 1 + self.after

    @property
    def crop(self) -> int:
        """Cells that these outputs depend on."""
        return 2 * ((self.before + self.after) // self.scale) + 1

    def start(self, cell: Tensor) -> Tensor:
        """The first cell of the crop around each cell, ``(N,)``."""
        return (cell - self.crop // 2).clamp(0, self.side - self.crop)

    def cells(self, cell: Tensor) -> Tensor:
        """The crop around each cell: ``(N, crop)``."""
        return self.start(cell)[:, None] + torch.arange(self.crop, device=cell.device)

    def outputs(self, cell: Tensor) -> Tensor:
        """The outputs that each cell reaches, ``(N, window)``; beyond a border, the output there once more."""
        reached = (self.scale * cell - self.before)[:, None] + torch.arange(self.window, device=cell.device)
        return reached.clamp(0, self.side * self.scale - 1)


@dataclass(frozen=True)
class Patches:
    """What is decoded again when one code of a grid changes.

    Attributes:
        shape: S, the grid.
        axes: The axes along which a code reaches some of the outputs only; along others it reaches all.
        error: The largest difference from a full decode that the check has seen, relative to the
            largest output: convolutions over another size round differently.
        why: Why nothing can be saved; empty where something can.
    """

    shape: tuple[int, ...]
    axes: tuple[LocalAxis, ...] = ()
    error: float = 0.0
    why: str = ""

    @property
    def crop(self) -> tuple[int, ...]:
        """The cells that are decoded again, by axis of the grid."""
        crop = list(self.shape)
        for axis in self.axes:
            crop[axis.grid] = axis.crop
        return tuple(crop)

    @property
    def share(self) -> float:
        """These cells as a share of the grid: of a convolutional decoder's multiply-adds, too."""
        return 1.0 if self.why else math.prod(self.crop) / math.prod(self.shape)

    def cells(self, position: Tensor) -> Tensor:
        """The crop around each position of the flattened grid, as such positions: ``(N, P')``."""
        cell = list(_unravelled(position, self.shape))
        along = [torch.arange(side, device=position.device).expand(len(position), -1) for side in self.shape]
        for axis in self.axes:
            along[axis.grid] = axis.cells(cell[axis.grid])
        return _ravelled(along, self.shape)

    def paste(self, patch: Tensor, position: Tensor, output: Tensor) -> Tensor:
        """Write what the crops decoded to, ``(N, *O')``, over ``output`` ``(N, *O)`` where the code reaches."""
        cell = list(_unravelled(position, self.shape))
        reached = [axis.outputs(cell[axis.grid]) for axis in self.axes]
        shifts = [axis.start(cell[axis.grid]) * axis.scale for axis in self.axes]
        places = _ravelled(reached, [axis.side * axis.scale for axis in self.axes])
        within = _ravelled(
            [at - shift[:, None] for at, shift in zip(reached, shifts, strict=True)],
            [axis.crop * axis.scale for axis in self.axes],
        )
        source, target = self._local_last(patch), self._local_last(output)
        kept = math.prod(target.shape[1 : target.ndim - len(self.axes)])
        values = source.reshape(len(source), kept, -1).gather(2, within[:, None].expand(-1, kept, -1))
        flat = target.reshape(len(target), kept, -1)
        flat.scatter_(2, places[:, None].expand(-1, kept, -1), values.to(flat.dtype))
        last = range(target.ndim - len(self.axes), target.ndim)
        return flat.view(target.shape).movedim(tuple(last), self._output_axes()).contiguous()

    def _output_axes(self) -> tuple[int, ...]:
        return tuple(1 + axis.output for axis in self.axes)

    def _local_last(self, output: Tensor) -> Tensor:
        return output.movedim(self._output_axes(), tuple(range(output.ndim - len(self.axes), output.ndim)))


def _unravelled(position: Tensor, shape: Sequence[int]) -> Iterator[Tensor]:
    """The index along each axis of positions of a flattened grid."""
    for number, side in enumerate(shape):
        yield position // math.prod(shape[number + 1 :]) % side


def _ravelled(along: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """Flat positions of the product of indices ``(N, k_i)`` along each axis: ``(N, k_1 * k_2 * ...)``."""
    flat = along[0]
    for index, side in zip(along[1:], shape[1:], strict=True):
        flat = (flat[:, :, None] * side + index[:, None, :]).flatten(1)
    return flat


# -- finding them ------------------------------------------------------------------------------------


class _GivenUp(Exception):
    """Nothing can be saved, and the message says why."""


@torch.no_grad()
def find_patches(generator: EmbeddingGenerator) -> Patches:
    """Find out what one code reaches in a decoder of embedded codes, and check that crops decode alike.

    It costs about twenty decodes, and is the same whenever it is done. Nothing is known of the
    decoder but that it can be called, so:

    1. The grid is shortened by one cell along each axis: the output must shorten by a cell's worth.
    2. One code in the middle is put to NaN, and to other codes. NaN spreads to all that it could
       reach, also where today's activations are cut off; so what is found holds for every grid.
    3. Codes at corners, edges, in the middle and elsewhere are changed, and the patched outputs
       compared with those of a full decode: they must agree to 256 units of rounding of the
       largest output (3e-5 in float32, at most 0.02 in half precision). This sees what shortening
       and NaN cannot, such as embeddings of the position.

    Args:
        generator: A generator with embeddings; its decoder must take grids of other sizes.

    Returns:
        What is decoded again; where that saves nothing, with the reason in ``why``.
    """
    if not isinstance(generator, EmbeddingGenerator) or not isinstance(generator.space, Discrete):
        got, expected = f"a {type(generator).__name__}", "a generator of codes with embeddings"
        raise Unsupported("find_patches", got=got, expected=expected)
    # cuDNN may convolve in tiles or by Fourier transforms, which spread NaN, and in TF32.
    with torch.backends.cudnn.flags(enabled=False):
        try:
            return _Finder(generator, generator.space).find()
        except _GivenUp as reason:
            return Patches(generator.space.shape, why=str(reason))


class _Finder:
    """The steps of ``find_patches``, and two random grids with what they decode to."""

    def __init__(self, generator: EmbeddingGenerator, space: Discrete) -> None:
        self.space, self.decode_embedding = space, generator.decode_embedding
        self.noise = Noise.from_seed(0, 2, device=generator.device)
        self.e = generator.embed(self.noise.fold(0).integers(space.codebook_size, *space.shape))
        self.embed = generator.embed
        self.output = self.decode_embedding(self.e)
        if not self.output.is_floating_point():
            raise _GivenUp(f"the outputs are {self.output.dtype}")
        self.scale = float(self.output.abs().max().clamp(min=1e-30))
        # Of the largest output. Convolutions over another size add up in another order, hence units of rounding.
        self.tolerance = min(256 * torch.finfo(self.output.dtype).eps, 0.02)

    def find(self) -> Patches:
        """What is decoded again, or _GivenUp."""
        scaled = [self._scale(axis) for axis, side in enumerate(self.space.shape) if side > 1]
        if len({output for _, output, _ in scaled}) < len(scaled):
            raise _GivenUp(f"several axes of the grid share one of the outputs {_by(self.output.shape[1:])}")
        reach = self._reached()
        axes = [self._local(reach, *found) for found in scaled]
        patches = Patches(self.space.shape, tuple(axis for axis in axes if axis is not None))
        if not patches.axes:
            raise _GivenUp("one code reaches the outputs from border to border along every axis of the grid")
        if patches.share > MOST:
            raise _GivenUp(
                f"one code reaches so far that {_by(patches.crop)} of {_by(self.space.shape)} cells would be "
                f"decoded again, and more than {MOST:.0%} of them save too little"
            )
        return Patches(patches.shape, patches.axes, error=self._prove(patches))

    def _scale(self, axis: int) -> tuple[int, int, int]:
        """Shorten the grid by one cell: (axis of the grid, axis of the output, outputs a cell)."""
        side = self.space.shape[axis]
        e = self.e[:1].narrow(1 + axis, 0, side - 1)
        shorter, whole = self._decoded(e, f"a grid {_by(e.shape[1:-1])}").shape[1:], self.output.shape[1:]
        if len(shorter) != len(whole):
            raise _GivenUp(f"a grid {_by(e.shape[1:-1])} decodes to another number of dimensions")
        changed = [j for j, (a, b) in enumerate(zip(shorter, whole, strict=True)) if a != b]
        steps = [whole[j] - shorter[j] for j in changed]
        if len(changed) != 1 or whole[changed[0]] != side * steps[0]:
            raise _GivenUp(
                f"outputs do not go with cells: grids {_by(self.space.shape)} and {_by(e.shape[1:-1])} decode to "
                f"{_by(whole)} and {_by(shorter)}"
            )
        return axis, changed[0], steps[0]

    def _decoded(self, e: Tensor, what: str) -> Tensor:
        try:
            return self.decode_embedding(e)
        except Exception as error:
            said = f"{type(error).__name__}: {error}".split("\n")[0][:120]
            raise _GivenUp(f"the decoder, made for {_by(self.space.shape)}, fails on {what} with {said}") from error

    def _reached(self) -> Tensor:
        """``O`` bool: the outputs that a code in the middle of the grid reaches."""
        shape, size = self.space.shape, self.space.codebook_size
        middle = sum(side // 2 * math.prod(shape[axis + 1 :]) for axis, side in enumerate(shape))
        codes = self.noise[:1].fold(1).integers(size, _CODES, *shape)[0]
        e = self.e[:1].flatten(1, -2).repeat(_CODES + 1, 1, 1)
        e[:_CODES, middle] = self.embed(codes).flatten(1, -2)[:, middle]
        e[_CODES, middle] = torch.nan
        decoded = self._decoded(e.unflatten(1, shape), "NaN")
        reached = ~((decoded - self.output[:1]).abs() <= self.tolerance * self.scale)
        if not bool(reached.any()):
            raise _GivenUp("no output answers to a change of a code")
        return reached.any(0)

    def _local(self, reached: Tensor, grid: int, output: int, scale: int) -> LocalAxis | None:
        """What a code reaches along one axis; None where that is all of it."""
        side = self.space.shape[grid]
        found = reached.movedim(output, 0).reshape(reached.shape[output], -1).any(1).nonzero()[:, 0].tolist()
        first, last = found[0], found[-1]
        if first == 0 or last == side * scale - 1:
            return None
        own = side // 2 * scale
        # A cell's own outputs are always taken to be reached, which keeps the arithmetic at the borders simple.
        axis = LocalAxis(grid, output, side, scale, before=max(own - first, 0), after=max(last - own, scale - 1))
        return axis if axis.crop < side else None

    def _prove(self, patches: Patches) -> float:
        """Change codes all over the grid: the largest difference between patched and full decodes."""
        position = self._places(patches)
        rows = torch.arange(len(position), device=position.device) % len(self.e)
        codes = self.noise[:1].fold(2).integers(self.space.codebook_size, len(position), *self.space.shape)[0]
        base = self.e.flatten(1, -2)[rows]
        at = position[:, None, None].expand(-1, 1, base.shape[-1])
        e = base.scatter(1, at, self.embed(codes).flatten(1, -2).gather(1, at))
        worst = 0.0
        for part in torch.arange(len(position), device=position.device).split(_CHUNK):
            cells = patches.cells(position[part])
            crop = e[part].gather(1, cells[..., None].expand(-1, -1, e.shape[-1])).unflatten(1, patches.crop)
            decoded = self._decoded(crop, f"a grid {_by(patches.crop)}")
            self._check_crop(patches, decoded)
            patched = patches.paste(decoded, position[part], self.output[rows[part]])
            full = self.decode_embedding(e[part].unflatten(1, self.space.shape))
            differences = (patched - full).abs().flatten(1).amax(1)
            difference = float(differences.max()) / self.scale
            if not difference <= self.tolerance:  # NaN is not
                cell = [int(i) for i in _unravelled(position[part][differences.argmax()], self.space.shape)]
                raise _GivenUp(
                    f"a crop {_by(patches.crop)} around cell {cell} decodes to something else than the whole grid, by "
                    f"{difference:.2g} of the largest output, so the decoder does more than what is near a cell"
                )
            worst = max(worst, difference)
        return worst

    def _check_crop(self, patches: Patches, decoded: Tensor) -> None:
        expected = list(self.output.shape[1:])
        for axis in patches.axes:
            expected[axis.output] = axis.crop * axis.scale
        if list(decoded.shape[1:]) != expected:
            raise _GivenUp(f"a crop {_by(patches.crop)} decodes to {_by(decoded.shape[1:])}, not to {_by(expected)}")

    def _places(self, patches: Patches) -> Tensor:
        """Corners, edges, the middle, and some others: positions of the flattened grid."""
        shape = self.space.shape
        local = {axis.grid for axis in patches.axes}
        spots = [(0, side // 2, side - 1) if a in local else (side // 2,) for a, side in enumerate(shape)]
        sides = torch.tensor(shape, device=self.e.device)
        chosen = torch.tensor(list(itertools.product(*spots)), device=self.e.device)
        others = self.noise[:1].fold(3).integers(sides, _PLACES, len(shape))[0]
        return _ravelled(list(torch.cat([chosen, others])[..., None].unbind(1)), shape)[:, 0]


def _by(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))
