"""What single elements of a latent do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentsearch._checks import in_short, is_number, is_whole
from latentsearch._paths import with_changed
from latentsearch.errors import InvalidArgument
from latentsearch.plots.image_grid import image_grid
from latentsearch.plots.interpolation import require_latents, span_of
from latentsearch.protocols import Generator, require_generator
from latentsearch.spaces import Continuous

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS, _AMOUNTS, _CODES = 8, (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0), 9


def perturbation(
    generator: Generator,
    latent: Tensor,
    *,
    elements: Sequence[int] | None = None,
    amounts: Sequence[float] = _AMOUNTS,
    codes: Sequence[int] | None = None,
    scale: int = 2,
    value_range: tuple[float, float] | None = None,
) -> Figure:
    """Draw what becomes of an output as one element of its latent changes, a row an element.

    To elements of continuous latents amounts are added; codes are replaced, each by each of some others.

    Source: Shi, *Rethinking VAE: From Continuous to Discrete Representations Without Probabilistic Assumptions* (2025),
    Figures 2.1, 3.2 and 4.6.

    Args:
        generator: One whose outputs are images.
        latent: ``(*S)``, one latent.
        elements: Which, counted in the flattened latent; the first eight if not given.
        amounts: What is added to an element of a continuous latent, in the unit of latents.
        codes: By what codes are replaced; the first nine of the codebook if not given.
        scale: How many times images are enlarged.
        value_range: What is shown black and white: the generator's ``output_range`` if not given, or where outputs lie.

    Returns:
        A matplotlib figure; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If the latent is not of the generator's shape, or there is no such element or code.
        Unsupported: If matplotlib is not installed.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import plots, zoo
        >>> generator = ls.wrap(zoo.load("mnist-vqvae-40"))
        >>> z = generator.encode(zoo.images()[0][:1])
        >>> figure = plots.perturbation(generator, z[0], elements=[16, 24, 32])
    """
    require_generator("perturbation.generator", generator)
    space, size = generator.space, math.prod(generator.space.shape)
    if isinstance(latent, Tensor):
        require_latents("perturbation.latent", latent[None], generator)
    else:
        require_latents("perturbation.latent", latent, generator)
    chosen = (
        list(range(min(size, _ROWS)))
        if elements is None
        else [int(e) if isinstance(e, Tensor) else e for e in elements]
    )
    if not chosen or any(not is_whole(element) or element not in range(size) for element in chosen):
        raise InvalidArgument("perturbation.elements", got=str(chosen), expected=f"some in [0, {size})")
    flat = latent.flatten()
    if isinstance(space, Continuous):
        if codes is not None:
            got = f"codes for continuous latents, {space}"
            raise InvalidArgument("perturbation.codes", got=got, expected="amounts= to add to an element")
        moves = _moves(amounts, flat)
        changed = [with_changed(latent, element, flat[element] + moves) for element in chosen]
    else:
        others = list(range(min(space.codebook_size, _CODES))) if codes is None else list(codes)
        if not others or any(code not in range(space.codebook_size) for code in others):
            expected = f"some in [0, {space.codebook_size})"
            raise InvalidArgument("perturbation.codes", got=str(others), expected=expected)
        changed = [with_changed(latent, element, torch.tensor(others, device=flat.device)) for element in chosen]
    with torch.no_grad():
        rows = [generator.decode(each) for each in changed]
    span = value_range or span_of(generator, rows)
    return image_grid(rows, [str(element) for element in chosen], scale=scale, value_range=span)


def _moves(amounts: object, like: Tensor) -> Tensor:
    """Amounts as a tensor ``(n,)``."""
    # Tensors and arrays say what they hold by the same name.
    numbers = amounts.tolist() if hasattr(amounts, "tolist") else amounts
    if not isinstance(numbers, Sequence) or not numbers or not all(map(is_number, numbers)):
        raise InvalidArgument("perturbation.amounts", got=in_short(amounts), expected="finite numbers, one at least")
    return torch.tensor(numbers, dtype=like.dtype, device=like.device)
