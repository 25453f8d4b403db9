"""Where latents lie, in two dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_one_of, require_seed
from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.plots._figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED = 20  # labels that there is room to name
_LEAST = 5  # points of which t-SNE makes anything


def latent_map(
    latents: Tensor,
    labels: Tensor | None = None,
    *,
    marks: Tensor | None = None,
    method: Literal["pca", "tsne"] = "pca",
    seed: int = 0,
) -> Figure:
    """Draw latents as points of a plane, and centres or a codebook among them as crosses.

    By ``"pca"`` the plane is that of the largest variance of the latents, and distances in it are at most those between
    latents. By ``"tsne"`` neighbours stay neighbours; how far apart groups are, and how large, then says nothing.

    Sources: van der Maaten and Hinton, *Visualizing data using t-SNE* (2008); Shi, *Rethinking VAE: From Continuous to
    Discrete Representations Without Probabilistic Assumptions* (2025), Figures 3.4, 4.1 and 4.2.

    Args:
        latents: ``(N, *S)`` floating: encodings, or the embeddings of codes, ``generator.embed(codes)``.
        labels: ``(N,)`` int64: a colour each; up to 20 are named.
        marks: ``(K, *S)``: of the same kind as the latents.
        method: ``"pca"`` or ``"tsne"``; the latter is scikit-learn's, which the extra ``tsne`` has.
        seed: Of t-SNE.

    Returns:
        A matplotlib figure; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If the shapes do not agree, or a number is not finite.
        Unsupported: If matplotlib or scikit-learn is not installed.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import plots, zoo
        >>> images, labels = zoo.images()
        >>> z = ls.wrap(zoo.load("mnist-vae")).encode(images)
        >>> figure = plots.latent_map(z, labels)
    """
    require_one_of("latent_map.method", method, ("pca", "tsne"))
    points = _points("latents", latents, None)
    crosses = None if marks is None else _points("marks", marks, points.shape[1])
    if len(points) < 2:
        raise InvalidArgument("latent_map.latents", got=describe(latents), expected="two at least")
    require_seed("latent_map.seed", seed)
    if labels is not None:
        _check_labels(labels, len(points))
    placed = (_principal(points, crosses) if method == "pca" else _neighbours(points, crosses, seed)).numpy()
    figure, axes = new_figure("latent_map", 5.4, 4.6)
    dots, marked = placed[: len(points)], placed[len(points) :]
    if labels is None:
        axes.scatter(dots[:, 0], dots[:, 1], s=8, alpha=0.6, linewidths=0)
    else:
        for label in labels.unique().tolist():
            own = dots[(labels == label).cpu().numpy()]
            axes.scatter(own[:, 0], own[:, 1], s=8, alpha=0.6, linewidths=0, label=str(label))
        if len(labels.unique()) <= _NAMED:
            axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)
    if crosses is not None:
        axes.scatter(marked[:, 0], marked[:, 1], s=22, marker="x", color="black", linewidths=1)
    axes.set(xticks=[], yticks=[], title="principal components" if method == "pca" else "t-SNE")
    return figure


def _check_labels(labels: object, count: int) -> None:
    if not isinstance(labels, Tensor) or labels.shape != (count,) or labels.is_floating_point():
        raise InvalidArgument("latent_map.labels", got=in_short(labels), expected=f"int64 labels ({count},)")


def _points(name: str, latents: Tensor, width: int | None) -> Tensor:
    """``(N, d)`` float64 on the CPU."""
    if not isinstance(latents, Tensor) or latents.ndim < 2 or not latents.is_floating_point():
        got = describe(latents) if isinstance(latents, Tensor) else type(latents).__name__
        hint = "generator.embed(codes) gives codes a place" if isinstance(latents, Tensor) else ""
        raise InvalidArgument(f"latent_map.{name}", got=got, expected="floating latents (N, *S)", hint=hint)
    points = latents.detach().cpu().double().flatten(1)
    if width is not None and points.shape[1] != width:
        raise InvalidArgument(f"latent_map.{name}", got=describe(latents), expected=f"{width} elements each")
    if not bool(points.isfinite().all()):
        raise InvalidArgument(f"latent_map.{name}", got="NaN or infinity", expected="finite latents")
    return points


def _principal(points: Tensor, marks: Tensor | None) -> Tensor:
    """In the plane of the points' largest variance."""
    centre = points.mean(0)
    basis = torch.linalg.svd(points - centre, full_matrices=False).Vh[:2].T
    # Signs are a matter of the solver's taste: the largest weight of each axis is positive.
    basis = basis * basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign()
    together = points if marks is None else torch.cat([points, marks])
    placed = (together - centre) @ basis
    return torch.nn.functional.pad(placed, (0, 2 - placed.shape[1]))


def _neighbours(points: Tensor, marks: Tensor | None, seed: int) -> Tensor:
    """By t-SNE of all together."""
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        hint = "pip install 'latentsearch[tsne]', or method='pca'"
        raise Unsupported(
            "latent_map.method", got="no package sklearn", expected="the extra `tsne`", hint=hint
        ) from error
    together = points if marks is None else torch.cat([points, marks])
    if len(together) < _LEAST:
        raise InvalidArgument("latent_map.latents", got=f"{len(together)}", expected=f"{_LEAST} at least for t-SNE")
    perplexity = min(30.0, (len(together) - 1) / 3)
    placed = TSNE(perplexity=perplexity, random_state=seed, init="pca").fit_transform(together.numpy())
    return torch.from_numpy(placed).double()
