"""Small problems whose optimum is known, for tests and for documentation.

Their decoders do elementwise arithmetic and short sums only, so a row's result is the same to the
last bit whatever batch it is in, and exact laws can be tested exactly.
"""

from __future__ import annotations

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
