"""What lies between latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from latentsearch._checks import require_count
from latentsearch._images import shown_range
from latentsearch._paths import outputs_between
from latentsearch.errors import InvalidArgument, describe
from latentsearch.plots.image_grid import image_grid
from latentsearch.protocols import Generator, require_generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def interpolation(
    generator: Generator,
    starts: Tensor,
    ends: Tensor,
    *,
    steps: int = 9,
    scale: int = 2,
    value_range: tuple[float, float] | None = None,
) -> Figure:
    """Draw what is decoded along the lines between pairs of latents, a row a pair.

    Codes go along the line of their embeddings; where there are none, they are replaced in order.

    Args:
        generator: One whose outputs are images.
        starts: ``(N, *S)`` latents, such as encodings.
        ends: ``(N, *S)``.
        steps: Images a row, both ends included.
        scale: How many times images are enlarged.
        value_range: What is shown black and white: the generator's ``output_range`` if not given, or where outputs lie.

    Returns:
        A matplotlib figure; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If the latents are not of the generator's shape, or not equally many.
        Unsupported: If matplotlib is not installed.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import plots, zoo
        >>> generator = ls.wrap(zoo.load("mnist-vae"))
        >>> z = generator.encode(zoo.images()[0][:4])
        >>> figure = plots.interpolation(generator, z[:2], z[2:])
    """
    require_generator("interpolation.generator", generator)
    require_count("interpolation.steps", steps, 2)
    for name, latents in (("starts", starts), ("ends", ends)):
        require_latents(f"interpolation.{name}", latents, generator)
    if len(starts) != len(ends):
        got = f"{len(starts)} starts and {len(ends)} ends"
        raise InvalidArgument("interpolation", got=got, expected="as many of both")
    between = outputs_between(generator, starts, ends, steps).transpose(0, 1)
    span = value_range or span_of(generator, list(between))
    return image_grid(list(between), [""] * len(between), scale=scale, value_range=span)


def span_of(generator: Generator, rows: list[Tensor]) -> tuple[float, float]:
    """What to show black and white of a generator's outputs."""
    declared: tuple[float, float] | None = getattr(generator, "output_range", None)
    return declared or shown_range(rows)


def require_latents(what: str, latents: object, generator: Generator) -> None:
    """Raise InvalidArgument unless these are hard latents ``(N, *S)`` of a generator."""
    shape = generator.space.shape
    if not isinstance(latents, Tensor) or latents.shape[1:] != shape or not len(latents):
        got = describe(latents) if isinstance(latents, Tensor) else type(latents).__name__
        hint = "latent[None] makes one a batch" if isinstance(latents, Tensor) and latents.shape == shape else ""
        expected = f"latents (N, {', '.join(map(str, shape))})"
        raise InvalidArgument(what, got=got, expected=expected, hint=hint)
