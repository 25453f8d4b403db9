"""Grids of codes: hashes, draws, and codes that stand for others."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentsearch.noise import Noise, mix_


def grid_hash(z: Tensor, codebook_size: int) -> Tensor:
    """``(N,)`` int64: a wrapping sum of one hash per (position, code); chance of a clash 2^-64 a pair."""
    flat = z.flatten(1)
    positions = torch.arange(flat.shape[1], device=z.device) * codebook_size
    return mix_(flat + positions + 1).sum(1)


def swapped_hash(z: Tensor, position: Tensor, code: Tensor, codebook_size: int) -> Tensor:
    """``(N, C)`` int64: the hashes of grids with one code put elsewhere; positions ``(N, C)`` of the flattened grid."""
    start, held = position * codebook_size + 1, z.flatten(1).gather(1, position)
    return grid_hash(z, codebook_size)[:, None] - mix_(start + held) + mix_(start + code)


def canonical(alias: Tensor, z: Tensor) -> Tensor:
    """Every code as the one that it stands for; of soft codes, their weights added up there.

    Args:
        alias: ``(K,)``, or ``(*S, K)`` where positions differ: the code that each one stands for.
        z: ``(N, *S)`` or ``(N, *S, K)``.
    """
    if z.is_floating_point():
        return torch.zeros_like(z).scatter_add(-1, alias.expand_as(z), z)
    if alias.ndim == 1:
        return alias[z]
    each = alias.flatten(0, -2)
    return each[torch.arange(len(each), device=z.device), z.flatten(1)].view_as(z)


def rows_that_fit(shape: tuple[int, ...], codebook_size: int, elements: int = 1 << 24) -> int:
    """How many rows of scores ``(*S, K)`` fit in so many ``elements``; at least one."""
    return max(elements // (math.prod(shape) * codebook_size), 1)


def code_draws(logits: Tensor, count: int, noise: Noise) -> Tensor:
    """``(N, count, *S)`` grids whose codes are drawn, each by itself, from ``softmax(logits)``, ``(N, *S, K)``."""
    steps = logits.softmax(-1).cumsum(-1).flatten(1, -2)
    uniform = noise.uniform(steps.shape[1], count, dtype=steps.dtype) * steps[..., -1:]
    codes = torch.searchsorted(steps, uniform).clamp(max=logits.shape[-1] - 1)
    return codes.mT.reshape(len(logits), count, *logits.shape[1:-1])


def codes_drawn(logits: Tensor, noise: Noise) -> Tensor:
    """``(N, *S)``: a grid a row of noise, each of its codes drawn by itself from ``softmax(logits)``, ``(*S, K)``."""
    steps = logits.softmax(-1).cumsum(-1).flatten(0, -2)
    uniform = noise.uniform(len(steps), dtype=steps.dtype) * steps[:, -1]
    codes = torch.searchsorted(steps, uniform.mT.contiguous(), right=True).clamp(max=logits.shape[-1] - 1)
    return codes.mT.reshape(-1, *logits.shape[:-1])
