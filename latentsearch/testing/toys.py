"""Small problems whose optimum is known, for tests and for documentation.

Their decoders do elementwise arithmetic and short sums only, so a row's result is the same to the
last bit whatever batch it is in, and exact laws can be tested exactly.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latentsearch.constraints import Matches
from latentsearch.noise import Noise
from latentsearch.priors import StandardNormal, UniformCodes
from latentsearch.protocols import Prior
from latentsearch.spaces import Continuous, Discrete
from latentsearch.testing._problem import TestProblem


@dataclass(frozen=True)
class Toy(TestProblem):
    """A problem whose optimum is known, and whose rows are the same to the last bit in every batch.

    Attributes:
        generator: The decoder.
        constraint: What should hold, for B problems.
        optimum: ``(B,)``: the lowest loss there is.
        solution: ``(B, *S)``: latents that reach it.
    """

    optimum: Tensor = field()
    solution: Tensor = field()


class ElementwiseGenerator:
    """Continuous latents, each number mapped by itself: ``z + sin(z) / 2``, increasing and smooth."""

    def __init__(self, shape: tuple[int, ...] = (4,), dtype: torch.dtype = torch.float32) -> None:
        self.space = Continuous(shape)
        self.prior: Prior = StandardNormal(shape, dtype)
        self.device, self.dtype = torch.device("cpu"), dtype

    def decode(self, z: Tensor) -> Tensor:
        """``(N, *S)`` to ``(N, *S)``."""
        return z + 0.5 * z.sin()


class CodeGenerator:
    """Grids of codes on a line: code k has the embedding ``k / (K - 1)``, and the output is its cube.

    The embedding is one number, so every step is elementwise arithmetic or a sum over K numbers of
    which one is not zero.
    """

    def __init__(
        self, shape: tuple[int, ...] = (2, 2), codebook_size: int = 5, dtype: torch.dtype = torch.float32
    ) -> None:
        self.space = Discrete(shape, codebook_size)
        self.prior: Prior = UniformCodes(self.space, dtype)
        self.device, self.dtype = torch.device("cpu"), dtype
        self.codebook = (torch.arange(codebook_size, dtype=dtype) / (codebook_size - 1))[:, None]

    def decode(self, z: Tensor) -> Tensor:
        """Hard or soft codes to ``(N, *S)``."""
        return self.decode_embedding(self.embed(z))

    def embed(self, z: Tensor) -> Tensor:
        """Hard or soft codes to ``(N, *S, 1)``."""
        return (z[..., None] * self.codebook).sum(-2) if z.is_floating_point() else self.codebook[z]

    def decode_embedding(self, e: Tensor) -> Tensor:
        """``(N, *S, 1)`` to ``(N, *S)``."""
        e = e[..., 0]
        return e * e * e

    def encode(self, output: Tensor) -> Tensor:
        """``(N, *S)`` to the nearest codes."""
        root = output.sign() * output.abs() ** (1 / 3)
        return (root * (self.space.codebook_size - 1)).round().long().clamp(0, self.space.codebook_size - 1)


class ListedPrior:
    """Any distribution over grids of codes, where there are few enough to list: all that is asked of it is exact.

    It keeps the probability of every part of a grid, so that each question is a look at a table, the same to the last
    bit whatever batch it is in.

    Args:
        logits: ``(K, ..., K)``, an axis a position: log-probabilities of all grids up to a constant.
        shape: Of the grids, whose positions are these axes.
        cost: Of one pass.

    Attributes:
        space: The grids.
        grids: ``(T, *S)``, all of them.
        log_probs: ``(T,)`` float64, theirs.
        cost: Of one pass, as a share of a decode.

    Example:
        >>> import torch
        >>> from latentsearch.testing import toys
        >>> prior = toys.ListedPrior(torch.tensor([[0.0, 1.0], [2.0, 0.0]]), (2,))
        >>> prior.conditionals(torch.tensor([[1, 0]]), torch.tensor([[True, False]])).exp()[0, 1]
        tensor([0.8808, 0.1192], dtype=torch.float64)
    """

    def __init__(self, logits: Tensor, shape: tuple[int, ...], cost: float = 0.0) -> None:
        size, positions = logits.shape[0], logits.ndim
        self.space, self.cost = Discrete(shape, size), cost
        codes = itertools.product(range(size), repeat=positions)
        self.grids = torch.tensor(list(codes)).view(-1, *shape)
        self.log_probs = logits.double().flatten().log_softmax(0)
        # One more code a position stands for any: its entries are sums over the others.
        parts = self.log_probs.view(logits.shape)
        for axis in range(positions):
            parts = torch.cat([parts, parts.logsumexp(axis, keepdim=True)], axis)
        self._parts = parts.flatten()
        self._places = torch.tensor([(size + 1) ** (positions - 1 - axis) for axis in range(positions)])

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)``."""
        return self.grids[noise.categorical(self.log_probs.expand(len(noise), -1))]

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats; of a soft grid, the expectation over independent codes."""
        if not self.space.is_soft(z):
            return self._parts[(z.flatten(1) * self._places).sum(1)]
        soft, grids = z.flatten(1, -2), self.grids.flatten(1)
        shares = torch.stack([soft[:, position, grids[:, position]] for position in range(soft.shape[1])]).prod(0)
        return (shares * self.log_probs).sum(1)

    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        """``(N, *S, K)``."""
        size = self.space.codebook_size
        seen = torch.where(known, z, size).flatten(1)
        index = (seen * self._places).sum(1)[:, None, None]
        # Of each position the code that is known, or any, gives way to each of the codes.
        swapped = index + (torch.arange(size) - seen[..., None]) * self._places[:, None]
        found = (self._parts[swapped] - self._parts[index]).view(*z.shape, size)
        own = torch.where(z[..., None] == torch.arange(size), 0.0, -torch.inf).to(found.dtype)
        return torch.where(known[..., None], own, found)

    def passes(self, mask: Tensor) -> Tensor:
        """``(N,)`` int64: a pass a position."""
        return mask.flatten(1).sum(1)

    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        """``(N, *S)``, one position after another."""
        z, known, drawn = z.flatten(1), ~mask.flatten(1), mask.flatten(1)
        for position in range(z.shape[1]):
            logits = self.conditionals(z.view(mask.shape), known.view(mask.shape)).flatten(1, -2)[:, position]
            code = torch.where(drawn[:, position], noise.fold(position).categorical(logits), z[:, position])
            at = torch.tensor([position])
            z, known = z.index_copy(1, at, code[:, None]), known.index_fill(1, at, True)
        return z.view(mask.shape)


def bowl(problems: int = 2, shape: tuple[int, ...] = (4,), dtype: torch.dtype = torch.float32) -> Toy:
    """Match a planted output of a smooth decoder; the optimum is 0.

    Example:
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl(problems=3)
        >>> toy.constraint(toy.generator.decode(toy.solution), toy.solution).loss
        tensor([0., 0., 0.])
    """
    generator = ElementwiseGenerator(shape, dtype)
    solution = Noise.from_seed(1, problems).normal(*shape, dtype=dtype)
    return Toy(generator, Matches(generator.decode(solution)), torch.zeros(problems, dtype=dtype), solution)


def codes(
    problems: int = 2, shape: tuple[int, ...] = (2, 2), codebook_size: int = 5, dtype: torch.dtype = torch.float32
) -> Toy:
    """Match a planted grid of codes; the optimum is 0.

    Example:
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> toy.constraint(toy.generator.decode(toy.solution), toy.solution).loss
        tensor([0., 0.])
    """
    generator = CodeGenerator(shape, codebook_size, dtype)
    solution = Noise.from_seed(2, problems).integers(codebook_size, *shape)
    return Toy(generator, Matches(generator.decode(solution)), torch.zeros(problems, dtype=dtype), solution)


def several(problems: int = 3, dtype: torch.dtype = torch.float32) -> list[Toy]:
    """The toys on which searchers are tried: continuous latents, and grids of 2x2 and of 4x4 codes.

    Example:
        >>> from latentsearch.testing import toys
        >>> [toy.generator.space.shape for toy in toys.several()]
        [(4,), (2, 2), (4, 4)]
    """
    return [bowl(problems, dtype=dtype), codes(problems, dtype=dtype), codes(problems, (4, 4), dtype=dtype)]
