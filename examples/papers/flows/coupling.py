"""Affine coupling blocks, sixteen to a flow, and the path gradient of the reverse KL divergence through them.

Flows of M seeds stand side by side, each with weights of its own: tensors are ``(M, N, D)``, and what becomes of one
flow does not reach the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentsearch.training import initialised

BLOCKS, HIDDEN = 16, 32


@dataclass(frozen=True)
class Shape:
    """What a flow is made with.

    Attributes:
        size: D, elements of a latent.
        bound: The largest log-scale of a block; None leaves the exponential unbounded.
        rotate: Whether every other block turns its latent by a fixed random rotation, and back; without, blocks
            alternate between the two halves.
    """

    size: int
    bound: float | None
    rotate: bool


class Network(nn.Module):
    """M perceptrons with two hidden layers, initialised as ``nn.Linear`` is, but for a last layer of zeros."""

    def __init__(self, wide: int, out: int, seeds: Sequence[int]) -> None:
        super().__init__()
        layers = [list(_layers(wide, out, seed)) for seed in seeds]
        self.weights = nn.ParameterList(torch.stack([each[i].weight.T for each in layers]) for i in range(3))
        self.biases = nn.ParameterList(torch.stack([each[i].bias[None] for each in layers]) for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, nn.functional.silu(x) if i else x, weight)
        return x


def _layers(wide: int, out: int, seed: int) -> Iterator[nn.Linear]:
    with initialised(seed), torch.no_grad():
        yield nn.Linear(wide, HIDDEN)
        yield nn.Linear(HIDDEN, HIDDEN)
        last = nn.Linear(HIDDEN, out)
        # A block begins as the identity, which is the kindest reading of "as published" too.
        last.weight.zero_()
        last.bias.zero_()
        yield last


class Coupling(nn.Module):
    """``y_1 = x_1, y_2 = x_2 e^s + t`` with s and t of x_1, in a turned frame."""

    turn: Tensor

    def __init__(self, shape: Shape, turn: Tensor, seeds: Sequence[int]) -> None:
        super().__init__()
        self.kept, self.bound = shape.size // 2, shape.bound
        self.net = Network(self.kept, 2 * (shape.size - self.kept), seeds)
        self.register_buffer("turn", turn)

    def _scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.net(kept).chunk(2, -1)
        return (s if self.bound is None else self.bound * (s / self.bound).tanh()), t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(M, N, D)`` to the same and the log-determinant ``(M, N)``."""
        kept, moved = (x @ self.turn).tensor_split([self.kept], -1)
        s, t = self._scale_and_shift(kept)
        return torch.cat([kept, moved * s.exp() + t], -1) @ self.turn.mT, s.sum(-1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The other way."""
        kept, moved = (y @ self.turn).tensor_split([self.kept], -1)
        s, t = self._scale_and_shift(kept)
        return torch.cat([kept, (moved - t) * (-s).exp()], -1) @ self.turn.mT, -s.sum(-1)

    def with_score(self, x: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`forward`, and the gradient of the log-density carried along: that at x becomes that at y.

        The recursion of Vaitl et al., *Fast and unified path gradient estimators for normalizing flows*, 2024,
        which needs no inverse.
        """
        kept, moved = (x @ self.turn).tensor_split([self.kept], -1)
        score_kept, score_moved = (score @ self.turn).tensor_split([self.kept], -1)
        s, t = self._scale_and_shift(kept)
        stretched = moved * s.exp()
        with torch.no_grad():
            score_moved = score_moved * (-s).exp()
            pull = (1 + stretched * score_moved, score_moved)
        (back,) = torch.autograd.grad((s, t), kept, pull, retain_graph=True)
        score = torch.cat([score_kept - back, score_moved], -1) @ self.turn.mT
        return torch.cat([kept, stretched + t], -1) @ self.turn.mT, s.sum(-1), score


class Flows(nn.Module):
    """Blocks between a Gaussian base N(mean, I) and a fixed affine map, for each of M seeds.

    Args:
        shape: Of the blocks.
        seeds: Of weights and rotations.
        mean: Of the base.
        affine: Where the blocks' output goes last, ``x L^T + m``: lower triangular L ``(D, D)`` and m ``(D,)``.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, shape: Shape, seeds: Sequence[int], mean: float, affine: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        turns = torch.stack([_turns(shape, seed) for seed in seeds], 1)
        # A seed of its own for each block, or all sixteen would be the same.
        inner = [[100 * seed + block for seed in seeds] for block in range(BLOCKS)]
        self.blocks = nn.ModuleList(Coupling(shape, turn, own) for turn, own in zip(turns, inner, strict=True))
        self.mean = mean
        self.register_buffer("scale", affine[0])
        self.register_buffer("shift", affine[1])
        self.log_scale = float(affine[0].diagonal().double().log().sum())

    def forward(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Standard normals to ``(u, log q(u))``."""
        x, log_q = eps + self.mean, _log_normal(eps)
        for block in self.blocks:
            x, log_det = block(x)
            log_q = log_q - log_det
        return x @ self.scale.T + self.shift, log_q - self.log_scale

    def with_score(self, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`forward`, and d log q / du with the weights held."""
        # The base needs a graph for the blocks' own derivatives, though nobody asks for its gradient.
        x, log_q, score = (eps + self.mean).requires_grad_(), _log_normal(eps), -eps
        for block in self.blocks:
            x, log_det, score = block.with_score(x, score)
            log_q = log_q - log_det
        score = torch.linalg.solve_triangular(self.scale, score, upper=False, left=False)
        return x @ self.scale.T + self.shift, log_q - self.log_scale, score

    def log_prob(self, u: Tensor) -> Tensor:
        """``(M, N)``."""
        x = torch.linalg.solve_triangular(self.scale.T, u - self.shift, upper=True, left=False)
        log_det = u.new_zeros(u.shape[:-1]) - self.log_scale
        for block in reversed(self.blocks):
            x, more = block.inverse(x)
            log_det = log_det + more
        return _log_normal(x - self.mean) + log_det


def _log_normal(eps: Tensor) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0, validate_args=False).log_prob(eps).sum(-1)


def _turns(shape: Shape, seed: int) -> Tensor:
    """``(BLOCKS, D, D)``."""
    plain = torch.eye(shape.size), torch.eye(shape.size).roll(shape.size // 2, 0)
    if not shape.rotate:
        return torch.stack([plain[i % 2] for i in range(BLOCKS)])
    with initialised(seed):
        turned = torch.linalg.qr(torch.randn(BLOCKS // 2, shape.size, shape.size))[0]
    return torch.stack([plain[i // 2 % 2] if i % 2 else turned[i // 2] for i in range(BLOCKS)])
