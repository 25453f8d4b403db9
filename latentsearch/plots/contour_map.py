"""What a critic or a prior says of the plane through three latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentsearch._checks import require_count, require_function, require_weight
from latentsearch.errors import InvalidArgument, describe
from latentsearch.plots._canvas import require_labels
from latentsearch.plots._figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEVELS, _ROWS = 12, 4096  # contours, and latents looked at together
_ROUNDING = 10  # so many times what a latent's numbers are rounded by is no distance


def contour_map(
    function: Callable[[Tensor], Tensor],
    corners: Tensor,
    labels: Sequence[str] = ("a", "b", "c"),
    *,
    path: Tensor | None = None,
    margin: float = 0.5,
    steps: int = 61,
) -> Figure:
    """Draw a function of latents over the plane through three of them.

    Axes are distances from the first latent, in the unit of latents. The plane shows how a critic sees the space
    between a draw of the prior, an encoding and another one, and whether anything leads from one to the other.

    Source: Engel, Hoffman and Roberts, *Latent constraints* (2018), Figure 3, <https://arxiv.org/abs/1711.05772>.

    Args:
        function: Latents ``(N, *S)`` to numbers ``(N,)``, such as a critic, ``prior.log_prob``, or
            ``lambda z: critic(z)[:, 7]``.
        corners: ``(3, *S)``: latents, not on one line.
        labels: What the three are called.
        path: ``(T, *S)``: latents on the way of a search or along a line. Each is drawn at the point of the plane that
            is nearest to it, which may be far away: the colour there is not the value on the path.
        margin: How much of the triangle's extent is shown around it, at least 0.
        steps: Points a side.

    Returns:
        A matplotlib figure, for ``figure.savefig("map.png")``; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If there are not three finite latents, they lie on one line, or the function does not give a
            number a row.
        Unsupported: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> from latentsearch import plots
        >>> from latentsearch.priors import StandardNormal
        >>> corners = torch.tensor([[0.0, 0, 0], [2, 0, 1], [0, 2, -1]])
        >>> figure = plots.contour_map(StandardNormal((3,)).log_prob, corners)
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['a', 'b', 'c']
    """
    require_function("contour_map.function", function, "a function of latents (N, *S), such as prior.log_prob")
    require_count("contour_map.steps", steps, 2)
    require_weight("contour_map.margin", margin)
    plane = _Plane(corners)
    require_labels("contour_map.labels", labels, 3, "latents")
    marks = plane.coordinates(corners)
    low, high = marks.min(0).values, marks.max(0).values
    room = margin * (high - low).max()
    across, up = (torch.linspace(float(low[n] - room), float(high[n] + room), steps) for n in (0, 1))
    grid = torch.stack(torch.meshgrid(across, up, indexing="xy"), -1)
    values = _values(function, plane.latents(grid.view(-1, 2))).view(steps, steps)
    figure, axes = new_figure("contour_map", 5.2, 4.4)
    filled = axes.contourf(across, up, values, levels=_LEVELS, cmap="Blues")
    axes.contour(across, up, values, levels=_LEVELS, colors="white", linewidths=0.4)
    figure.colorbar(filled, ax=axes)
    if path is not None:
        _check_path(path, plane)
        axes.plot(*plane.coordinates(path).T, color="crimson", linewidth=1.5)
    axes.scatter(marks[:, 0], marks[:, 1], color="black", s=18, zorder=3)
    paper = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1.5}
    for label, (x, y) in zip(labels, marks.tolist(), strict=True):
        axes.annotate(label, (x, y), xytext=(6, 6), textcoords="offset points", bbox=paper)
    axes.set(xlim=across[[0, -1]].tolist(), ylim=up[[0, -1]].tolist(), xlabel=f"from {labels[0]} to {labels[1]}")
    axes.set_aspect("equal")
    return figure


class _Plane:
    """The plane through three latents, with coordinates in the unit of latents."""

    def __init__(self, corners: Tensor) -> None:
        tensor = isinstance(corners, Tensor)
        if not tensor or corners.ndim < 2 or len(corners) != 3 or not corners.is_floating_point():
            got = describe(corners) if tensor else type(corners).__name__
            raise InvalidArgument("contour_map.corners", got=got, expected="three floating latents, (3, *S)")
        if not bool(corners.isfinite().all()):
            raise InvalidArgument("contour_map.corners", got="NaN or infinity", expected="finite latents")
        self.shape, rows = corners.shape[1:], corners.detach().cpu().double().flatten(1)
        self.origin: Tensor = rows[0]
        sides = rows[1:] - rows[0]
        basis, triangle = torch.linalg.qr(sides.T)
        least = _ROUNDING * torch.finfo(corners.dtype).eps * float(rows.abs().max())
        if rows.shape[1] < 2 or float(triangle.diagonal().abs().min()) <= least:
            got = "latents on one line, or two of them equal"
            raise InvalidArgument("contour_map.corners", got=got, expected="three that span a plane")
        self.basis: Tensor = basis * triangle.diagonal().sign()  # b lies to the right of a, and c above
        self.like = corners

    def coordinates(self, latents: Tensor) -> Tensor:
        """``(N, 2)``: where latents ``(N, *S)`` lie above the plane."""
        away: Tensor = latents.detach().cpu().double().flatten(1) - self.origin
        return away @ self.basis

    def latents(self, points: Tensor) -> Tensor:
        """``(N, *S)``: the latents at points ``(N, 2)``."""
        rows: Tensor = self.origin + points.double() @ self.basis.T
        return rows.view(-1, *self.shape).to(self.like.device, self.like.dtype)


def _check_path(path: Tensor, plane: _Plane) -> None:
    if not isinstance(path, Tensor) or path.shape[1:] != plane.shape or not path.is_floating_point():
        got, shape = describe(path) if isinstance(path, Tensor) else type(path).__name__, plane.shape
        raise InvalidArgument("contour_map.path", got=got, expected=f"floating latents (T, {str(tuple(shape))[1:-1]})")


@torch.no_grad()
def _values(function: Callable[[Tensor], Tensor], latents: Tensor) -> Tensor:
    found = []
    for part in latents.split(_ROWS):
        values: object = function(part)
        if not isinstance(values, Tensor) or values.shape != (len(part),):
            got = describe(values) if isinstance(values, Tensor) else f"a {type(values).__name__}"
            hint = "of several outputs take one: lambda z: critic(z)[:, 7]"
            raise InvalidArgument("contour_map.function's result", got=got, expected=f"({len(part)},)", hint=hint)
        found.append(values.cpu().double())
    return torch.cat(found)
