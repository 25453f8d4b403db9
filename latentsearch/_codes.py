"""Grids of codes and their embeddings: lookup, nearest neighbours, hashes.

A codebook is ``(K, D)``, or broadcastable to ``(*S, K, D)`` where positions have their own.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch.noise import Noise, mix_


def lookup(codebook: Tensor, z: Tensor) -> Tensor:
    """Hard ``(N, *S)`` or soft ``(N, *S, K)`` codes to embeddings ``(N, *S, D)``."""
    if z.is_floating_point():
        return z @ _of_rows(codebook) if _serves_rows(codebook) else (z[..., None, :] @ codebook)[..., 0, :]
    positions = torch.arange(math.prod(z.shape[1:]), device=z.device).view(z.shape[1:])
    return lookup_at(codebook, z, positions.expand_as(z), z.shape[1:])


def lookup_at(codebook: Tensor, codes: Tensor, positions: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Embeddings ``(..., D)`` of codes ``(...)`` at positions ``(...)`` of the flattened grid of a shape."""
    if codebook.ndim == 2:
        return F.embedding(codes, codebook)
    # Not of an expanded codebook, which would hold each that serves several positions as often.
    own = [positions // math.prod(shape[axis + 1 :]) % side for axis, side in enumerate(shape)]
    held = codebook.shape[:-2]
    index = [at if books > 1 else torch.zeros_like(at) for at, books in zip(own, held, strict=True)]
    return codebook[tuple([*index, codes])]


def products(codebook: Tensor, v: Tensor) -> Tensor:
    """Inner products of ``(N, *S, D)`` with every code: ``(N, *S, K)``."""
    return v @ _of_rows(codebook).mT if _serves_rows(codebook) else (codebook @ v[..., None])[..., 0]


def _serves_rows(codebook: Tensor) -> bool:
    """Whether one codebook serves all positions along the grid's last axis: then products need no copies of it."""
    return codebook.ndim == 2 or codebook.shape[-3] == 1


def _of_rows(codebook: Tensor) -> Tensor:
    return codebook if codebook.ndim == 2 else codebook[..., 0, :, :]


def excess(codebook: Tensor, e: Tensor) -> Tensor:
    """``|e - c_j|^2 - |e|^2`` for every code j: ``(N, *S, K)``; its arg-min is the nearest code."""
    return codebook.square().sum(-1) - 2 * products(codebook, e)


def nearest(codebook: Tensor, e: Tensor) -> Tensor:
    """The nearest code at each position: ``(N, *S, D)`` to int64 ``(N, *S)``."""
    return excess(codebook, e).argmin(-1)


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
        alias: ``(K,)``, or ``(P, K)`` where positions differ: the code that each one stands for.
        z: ``(N, *S)`` or ``(N, *S, K)``.
    """
    if z.is_floating_point():
        index = alias if alias.ndim == 1 else alias.view(*z.shape[1:])
        return torch.zeros_like(z).scatter_add(-1, index.expand_as(z), z)
    if alias.ndim == 1:
        return alias[z]
    flat = z.flatten(1)
    return alias[torch.arange(len(alias), device=z.device), flat].view_as(z)


def rows_that_fit(shape: tuple[int, ...], codebook_size: int, elements: int = 1 << 24) -> int:
    """How many rows of scores ``(*S, K)`` fit in so many ``elements``; at least one."""
    return max(elements // (math.prod(shape) * codebook_size), 1)


def code_draws(logits: Tensor, count: int, noise: Noise) -> Tensor:
    """``(N, count, *S)`` grids whose codes are drawn, each by itself, from ``softmax(logits)``, ``(N, *S, K)``."""
    steps = logits.softmax(-1).cumsum(-1).flatten(1, -2)
    uniform = noise.uniform(steps.shape[1], count, dtype=steps.dtype) * steps[..., -1:]
    codes = torch.searchsorted(steps, uniform).clamp(max=logits.shape[-1] - 1)
    return codes.mT.reshape(len(logits), count, *logits.shape[1:-1])
