"""What lies between encodings: how evenly outputs change on lines, and how many latents are holes."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._paths import crossed, outputs_between
from latentsearch.examination.examination import Lines
from latentsearch.examination.setting import Setting
from latentsearch.protocols import EmbeddingGenerator
from latentsearch.spaces import Continuous

PAIRS, STEPS = 32, 9
_DRAWS = 200  # latents halfway, and draws of the prior
_FLOOR = 0.95  # of encodings: those whose outputs come back better than the rest


def lines(setting: Setting) -> Lines:
    """Along lines between encodings; between draws of the prior where there is no encoder."""
    starts, ends = _pairs(known(setting))
    outputs = outputs_between(setting.generator, starts, ends, STEPS).flatten(2)
    lengths = outputs.diff(dim=0).norm(dim=2)
    apart = _apart(setting, starts, ends)
    holes = (None, None) if setting.latents is None else _holes(setting)
    return Lines(
        leap=_leap(setting, lengths),
        slope=float((lengths.sum(0) / apart.clamp(min=1e-12)).mean()),
        between=holes[0],
        drawn=holes[1],
    )


def _leap(setting: Setting, lengths: Tensor) -> float | None:
    """The largest of steps ``(T, N)`` over their mean, of lines on which outputs change."""
    generator = setting.generator
    if not isinstance(generator.space, Continuous) and not isinstance(generator, EmbeddingGenerator):
        return None
    moving = lengths[:, lengths.sum(0) > 0]
    return float((moving.amax(0) / moving.mean(0)).mean()) if moving.numel() else 1.0


def _pairs(latents: Tensor) -> tuple[Tensor, Tensor]:
    """As many starts as ends."""
    count = min(PAIRS, len(latents) // 2)
    return latents[:count], latents[count : 2 * count]


def known(setting: Setting) -> Tensor:
    """Encodings, or draws of the prior where there are none."""
    if setting.latents is not None:
        return setting.latents
    return setting.drawn


def _apart(setting: Setting, starts: Tensor, ends: Tensor) -> Tensor:
    """``(N,)``: how long the lines are, of codes in embeddings; without these in codes that differ."""
    generator = setting.generator
    if isinstance(generator.space, Continuous):
        length: Tensor = torch.linalg.vector_norm((ends - starts).flatten(1), dim=1)
        return length
    if isinstance(generator, EmbeddingGenerator):
        length = torch.linalg.vector_norm((generator.embed(ends) - generator.embed(starts)).flatten(1), dim=1)
        return length
    return (ends != starts).flatten(1).sum(1).double()


def _holes(setting: Setting) -> tuple[float, float]:
    """Shares of latents halfway and of draws whose outputs do not come back."""
    assert setting.latents is not None
    limit = _lost(setting, setting.outputs[:_DRAWS]).quantile(_FLOOR).clamp(min=setting.negligible)
    latents = setting.latents[: 2 * _DRAWS]
    half = len(latents) // 2
    one, other = latents[:half], latents[half : 2 * half]
    # Halfway between two codes there is none, but between two grids there is one of some codes of each.
    continuous = isinstance(setting.generator.space, Continuous)
    middle = 0.5 * (one + other) if continuous else crossed(one, other, 0.5)
    tried = (setting.decode(middle), setting.decode(setting.drawn[:_DRAWS]))
    shares = [float((_lost(setting, each) > limit).double().mean()) for each in tried]
    return shares[0], shares[1]


def _lost(setting: Setting, outputs: Tensor) -> Tensor:
    """``(N,)``: the mean square of what outputs lose when they are encoded and decoded again."""
    again = setting.decode(setting.encode(outputs))
    return (again - outputs).square().flatten(1).double().mean(1)


@torch.no_grad()
def strips(setting: Setting, rows: int = 4) -> Tensor:
    """``(rows, T, C, H, W)``: outputs along some of the lines."""
    starts, ends = _pairs(known(setting))
    return outputs_between(setting.generator, starts[:rows], ends[:rows], STEPS).transpose(0, 1)
