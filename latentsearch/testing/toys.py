"""Small problems whose optimum is known, for tests and for documentation.

Their decoders do elementwise arithmetic and short sums only, so a row's result is the same to the
last bit whatever batch it is in, and exact laws can be tested exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch.algebra import Constraint
from latentsearch.constraints import Matches
from latentsearch.noise import Noise
from latentsearch.priors import StandardNormal, UniformCodes
from latentsearch.protocols import Generator, Prior
from latentsearch.spaces import Continuous, Discrete


@dataclass(frozen=True)
class Toy:
    """A generator, a wish for B problems, and what can be reached.

    Attributes:
        generator: The decoder.
        constraint: The wish.
        optimum: ``(B,)``: the lowest loss there is.
        solution: ``(B, *S)``: latents that reach it.
    """

    generator: Generator
    constraint: Constraint
    optimum: Tensor
    solution: Tensor


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
