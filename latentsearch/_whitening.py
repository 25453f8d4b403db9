"""The affine map that makes latents white, measured rather than learnt: where every flow starts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEAST = 1e-6  # of the variance of each element, added to it: latents may lie in a subspace


def root_of_covariance(rows: Tensor) -> Tensor:
    """``(d, d)`` lower triangular, whose product with its transpose is the covariance of rows ``(T, d)``.

    Directions without any spread are given a little.
    """
    scale = rows.std(0, correction=0)
    scale = torch.where(scale > 0, scale, 1)
    centred = (rows - rows.mean(0)) / scale
    correlation = centred.T @ centred / len(rows)
    correlation.diagonal().add_(_LEAST)
    factor: Tensor = torch.linalg.cholesky(correlation)
    return scale[:, None] * factor


class Whitening(nn.Module):
    """Rows ``(N, d)`` to rows of mean 0 and covariance I, and back; the identity until it has measured some."""

    shift: Tensor  # (d,)
    root: Tensor  # (d, d), lower triangular

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("root", torch.eye(size))

    @torch.no_grad()
    def measure(self, rows: Tensor) -> None:
        """Become the map that makes rows ``(T, d)`` white."""
        precise = rows.to(self.shift.device).double()
        self.shift.copy_(precise.mean(0))
        self.root.copy_(root_of_covariance(precise))

    def white(self, rows: Tensor) -> Tensor:
        """From latents."""
        dtype = torch.promote_types(rows.dtype, torch.float32)
        solved: Tensor = torch.linalg.solve_triangular(
            self.root.to(dtype), (rows - self.shift).to(dtype).T, upper=False
        )
        return solved.T.to(rows.dtype)

    def coloured(self, rows: Tensor) -> Tensor:
        """To latents."""
        return self.shift + rows @ self.root.T

    def log_volume(self) -> Tensor:
        """What a log-density loses from white rows to latents."""
        return self.root.diagonal().log().sum()
