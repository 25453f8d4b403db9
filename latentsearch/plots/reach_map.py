"""How far a code is felt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from latentsearch.errors import InvalidArgument, describe
from latentsearch.plots._figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reach_map(changes: Tensor, *, title: str = "") -> Figure:
    """Draw where an output changes, for instance where one code was replaced by another: its receptive field.

    Args:
        changes: ``(N, C, H, W)``: differences of outputs; what is drawn is their mean size at each pixel.
        title: A heading.

    Returns:
        A matplotlib figure; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If they are not of images.
        Unsupported: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch import plots, zoo
        >>> generator = ls.wrap(zoo.load("mnist-vqvae-40"))
        >>> codes = generator.encode(zoo.images()[0])
        >>> other = codes.clone()
        >>> other[:, 3, 3] = (codes[:, 3, 3] + 1) % 40
        >>> figure = plots.reach_map(generator.decode(other) - generator.decode(codes))
    """
    if not isinstance(changes, Tensor) or changes.ndim != 4 or not changes.numel() or not changes.is_floating_point():
        got = describe(changes) if isinstance(changes, Tensor) else type(changes).__name__
        raise InvalidArgument("reach_map.changes", got=got, expected="floating differences of images (N, C, H, W)")
    figure, axes = new_figure("reach_map", 3.6, 3.0)
    shown = axes.imshow(changes.detach().abs().float().mean((0, 1)).cpu().numpy(), cmap="Blues", vmin=0)
    figure.colorbar(shown, ax=axes)
    axes.set(xticks=[], yticks=[], title=title)
    return figure
