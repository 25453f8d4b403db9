"""How a tensor of the wrong shape becomes one that fits, in words: a hint is given only where it helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Shape = tuple[int, ...]


def remedy(name: str, shape: Shape, fits: Callable[[Shape], bool]) -> str:
    """What makes a tensor fit, such as ``mask[None, None]``; empty where none of the usual ways does.

    Args:
        name: The tensor's, in the expression.
        shape: Its shape.
        fits: Whether a tensor of another shape would do.
    """
    ways = {found: way for way, found in reversed(list(_ways(name, shape))) if fits(found)}
    return " or ".join(reversed(ways.values()))


def _ways(name: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    """Axes that are added in front or after the rows, and channels that go before height and width."""
    for count in (1, 2, 3):
        yield f"{name}[{', '.join(['None'] * count)}]", (1,) * count + shape
    if shape:
        yield f"{name}[:, None]", (shape[0], 1, *shape[1:])
    if len(shape) >= 3:
        yield f"{name}.movedim(-1, 1)", (shape[0], shape[-1], *shape[1:-1])
        yield f"{name}.movedim(-1, 0)[None]", (1, shape[-1], *shape[:-1])
