"""Codes that training never used: each gives way to the nearest code that it did use."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from latentsearch.errors import InvalidArgument, describe

_CHUNK = 1024  # codes compared with all others at once


def checked_masks(
    used: Tensor | Sequence[Tensor | None] | None,
    codebooks: list[Tensor],
    shapes: list[tuple[int, ...]],
    several: bool,
) -> list[Tensor]:
    """One mask a codebook, ``(K,)`` or ``(*S, K)`` bool; all True where nothing was said."""
    if used is None:
        used = [None] * len(codebooks)
    elif not several:
        used = [used]  # type: ignore[list-item]  # which is looked over below
    masks: list[object] = [*used] if isinstance(used, Sequence) else []
    if len(masks) != len(codebooks):
        raise InvalidArgument(
            "CodebookGenerator.used",
            got=describe(used) if isinstance(used, Tensor) else f"{len(masks)} masks",
            expected=f"a list of masks, one for each of {len(codebooks)} codebooks; None where all codes are used",
        )
    return [_checked(*each) for each in zip(masks, codebooks, shapes, strict=True)]


def _checked(mask: object, book: Tensor, shape: tuple[int, ...]) -> Tensor:
    if mask is None:
        return torch.ones(book.shape[:-1], dtype=torch.bool, device=book.device)
    allowed = {tuple(book.shape[:-1]), (*shape, book.shape[-2])}
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or tuple(mask.shape) not in allowed:
        raise InvalidArgument(
            "CodebookGenerator.used",
            got=describe(mask) if isinstance(mask, Tensor) else type(mask).__name__,
            expected="a bool " + ", or for each position ".join(map(str, sorted(allowed, key=len))),
            hint=_hint(mask, shape, book.shape[-2]),
        )
    empty = (~mask.any(-1)).nonzero().tolist()
    if empty:
        got, hint = "a codebook of which no code is used", ""
        if mask.ndim > 1:
            several = len(empty) > 1
            got = f"{len(empty)} position{'s' if several else ''} without any code"
            hint = f"position {tuple(empty[0])} is {'one of them' if several else 'the one'}"
        raise InvalidArgument("CodebookGenerator.used", got=got, expected="at least one True among the K", hint=hint)
    return mask.to(book.device)


def _hint(mask: object, shape: tuple[int, ...], size: int) -> str:
    """How what was given becomes a mask."""
    whole = (*shape, size)
    if not isinstance(mask, Tensor):
        array = type(mask).__module__ == "numpy"
        return "torch.from_numpy(used)" if array else _OF_CODES.format(whole=whole)
    if not mask.is_floating_point() and mask.dtype != torch.bool and tuple(mask.shape) == shape:
        return _OF_CODES.format(whole=whole)
    if mask.dtype != torch.bool:
        return "of counts write counts > 0, and of 0 and 1 used > 0"
    if tuple(mask.shape) == (size, *shape):
        return "used.movedim(0, -1) has the codes last"
    if tuple(mask.shape[1:]) == whole and len(mask) > 1:
        return "one mask serves all problems: make a generator for each, or say it of a goal with Within"
    if mask.numel() == math.prod(whole) and mask.shape[-1] == size:
        return f"used.view{whole}"
    return ""


_OF_CODES = "of codes make a mask: torch.zeros({whole}, dtype=torch.bool).scatter(-1, codes[..., None], True)"


def stand_ins(codebook: Tensor, used: Tensor) -> Tensor:
    """The code that each code stands for: itself if used, else the nearest used one; as ``used``, int64."""
    if bool(used.all()):
        return torch.arange(used.shape[-1], device=used.device).expand(used.shape)
    if used.ndim == 1:
        return _nearest_used(codebook, used)
    masks = used.flatten(0, -2)
    if codebook.ndim > 2:
        books = codebook.flatten(0, -3)
        return torch.stack([_nearest_used(*pair) for pair in zip(books, masks, strict=True)]).view(used.shape)
    # Positions are many, and what they allow is mostly one of a few.
    kinds, kind = masks.unique(dim=0, return_inverse=True)
    return torch.stack([_nearest_used(codebook, mask) for mask in kinds])[kind].view(used.shape)


def _nearest_used(codebook: Tensor, used: Tensor) -> Tensor:
    alias = torch.arange(len(codebook), device=codebook.device)
    kept = alias[used]
    if len(kept) == 1:
        return kept.expand(len(alias))
    vectors = codebook.to(torch.promote_types(codebook.dtype, torch.float32)).nan_to_num()
    for part in alias[~used].split(_CHUNK):
        alias[part] = kept[torch.cdist(vectors[part], vectors[kept]).argmin(1)]
    return alias
