"""Codes put in a line, so that neighbours have similar embeddings."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch.errors import InvalidArgument, describe


def principal_order(codebook: Tensor) -> Tensor:
    """Codes by where they lie along the codebook's first principal axis.

    Args:
        codebook: ``(K, D)``, or ``(*S, K, D)`` where positions have their own.

    Returns:
        ``(K,)`` or ``(*S, K)`` int64.

    Example:
        >>> import torch
        >>> from latentsearch.adapters import principal_order
        >>> principal_order(torch.tensor([[0.0, 0.0], [2.0, 2.1], [1.0, 0.9]]))
        tensor([0, 2, 1])
    """
    centred = _checked("principal_order", codebook)
    centred = centred - centred.mean(-2, keepdim=True)
    axis = torch.linalg.svd(centred, full_matrices=False).Vh[..., 0, :, None]
    return _along((centred @ axis)[..., 0])


def fiedler_order(codebook: Tensor, neighbours: int = 8) -> Tensor:
    """Codes along the Fiedler vector of the graph of nearest neighbours.

    Where the codes lie on a curve, this follows it: the vector is the slowest that varies over the
    graph at all, the eigenvector of the second smallest eigenvalue of its Laplacian
    [Fiedler 1973](https://doi.org/10.21136/CMJ.1973.101168).

    Args:
        codebook: ``(K, D)``, or ``(*S, K, D)`` where positions have their own.
        neighbours: Codes that each one is tied to.

    Returns:
        ``(K,)`` or ``(*S, K)`` int64.

    Example:
        >>> import torch
        >>> from latentsearch.adapters import fiedler_order
        >>> angle = torch.tensor([0.0, 3.0, 1.0, 2.0])
        >>> fiedler_order(torch.stack([angle.cos(), angle.sin()], -1), neighbours=1)
        tensor([0, 2, 3, 1])
    """
    require_count("fiedler_order.neighbours", neighbours)
    book = _checked("fiedler_order", codebook)
    distance = torch.cdist(book, book)
    near = distance.topk(min(neighbours + 1, book.shape[-2]), -1, largest=False)
    scale = near.values[..., -1:].clamp(min=torch.finfo(book.dtype).tiny)
    ties = torch.zeros_like(distance).scatter(-1, near.indices, (-(near.values / scale).square()).exp())
    # A whiff of all distances keeps the graph in one piece, whose Fiedler vector is then unique.
    mean = distance.mean((-2, -1), keepdim=True).clamp(min=torch.finfo(book.dtype).tiny)
    weight = torch.maximum(ties, ties.mT) + 1e-6 * (-distance / mean).exp()
    weight = weight - torch.diag_embed(weight.diagonal(dim1=-2, dim2=-1))
    root = weight.sum(-1).rsqrt()
    laplacian = torch.diag_embed(torch.ones_like(root)) - root[..., None] * weight * root[..., None, :]
    return _along(torch.linalg.eigh(laplacian).eigenvectors[..., 1] * root)


def _along(place: Tensor) -> Tensor:
    """The codes sorted by place; the end is first at which the lower-numbered code lies."""
    order = place.argsort(dim=-1, stable=True)
    return torch.where(order[..., :1] <= order[..., -1:], order, order.flip(-1))


def _checked(what: str, codebook: Tensor) -> Tensor:
    if not isinstance(codebook, Tensor) or not codebook.is_floating_point() or codebook.ndim < 2:
        got = describe(codebook) if isinstance(codebook, Tensor) else type(codebook).__name__
        raise InvalidArgument(f"{what}.codebook", got=got, expected="a floating codebook (K, D) or (*S, K, D)")
    if not bool(codebook.isfinite().all()):
        raise InvalidArgument(f"{what}.codebook", got="NaN or infinity in it", expected="finite vectors")
    return codebook.detach().double()
