"""How often each code is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch.errors import InvalidArgument, describe
from latentsearch.plots._figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def code_usage(codes: Tensor, codebook_size: int) -> Figure:
    """Draw the share of positions that each code has, the commonest first, beside equal shares.

    Args:
        codes: ``(N, *S)`` int64 grids, such as encodings of images.
        codebook_size: K.

    Returns:
        A matplotlib figure; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If these are no codes of such a codebook.
        Unsupported: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> from latentsearch import plots
        >>> figure = plots.code_usage(torch.tensor([[0, 1], [1, 3]]), codebook_size=8)
    """
    require_count("code_usage.codebook_size", codebook_size)
    if not isinstance(codes, Tensor) or codes.dtype != torch.int64 or not codes.numel():
        got = describe(codes) if isinstance(codes, Tensor) else type(codes).__name__
        raise InvalidArgument("code_usage.codes", got=got, expected="int64 codes (N, *S)")
    if int(codes.min()) < 0 or int(codes.max()) >= codebook_size:
        got = f"codes from {int(codes.min())} to {int(codes.max())}"
        raise InvalidArgument("code_usage.codes", got=got, expected=f"those of [0, {codebook_size})")
    share = torch.bincount(codes.flatten().cpu(), minlength=codebook_size).double() / codes.numel()
    figure, axes = new_figure("code_usage", 6.0, 2.6)
    axes.fill_between(range(codebook_size), share.sort(descending=True).values.tolist(), step="mid", alpha=0.8)
    axes.axhline(1 / codebook_size, color="grey", linestyle="--", linewidth=1, label="equal shares")
    axes.set(xlabel="codes, the commonest first", ylabel="share of positions", xlim=(-0.5, codebook_size - 0.5))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure
