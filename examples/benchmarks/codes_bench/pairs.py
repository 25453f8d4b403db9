"""Bits that are only known in pairs: their XOR, or their AND."""

from __future__ import annotations

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.goal import Constraint

# What is measured of a pair of bits, ``(2, 2)``: symmetric in the two.
OPERATORS = {"XOR": torch.tensor([[0.0, 1.0], [1.0, 0.0]]), "AND": torch.tensor([[0.0, 0.0], [0.0, 1.0]])}
_MOST = 20.0  # nats: log-odds beyond it are certain


class Pairs(Constraint):
    """Of some pairs of bits an operator's value was measured.

    The loss is minus the log-likelihood up to a constant, of measurements that are wrong at a rate of
    ``1 / (1 + exp(nats))``. Between zeros and ones the operator is its bilinear extension, so slopes are what a flip
    changes.

    Args:
        measured: ``(B, M)`` of zeros and ones.
        pairs: ``(2, M)`` int64, two positions of the flattened output each.
        operator: ``(2, 2)``, symmetric.
        nats: What a mismatch costs.
    """

    tensors = ("measured",)

    def __init__(self, measured: Tensor, pairs: Tensor, operator: Tensor, nats: float = 7.0) -> None:
        self.measured, self.pairs, self.operator, self.nats = measured.float(), pairs, operator, nats
        self.problems = len(measured)

    def __call__(self, output: Tensor, latent: Tensor) -> ls.Score:
        found = applied(self.operator, *output.flatten(1)[:, self.pairs].unbind(1))
        return ls.Score(self.nats * (self.measured + (1 - 2 * self.measured) * found).sum(1))

    def mismatches(self, output: Tensor) -> Tensor:
        """``(N,)``: of outputs ``(N, *O)`` of zeros and ones."""
        return (self(output, output).loss / self.nats).round()

    def evidence(self, log_odds: Tensor, sweeps: int) -> Tensor:
        """What all measurements say of each bit: belief propagation [Pearl 1982], exact where pairs make no loops.

        Args:
            log_odds: ``(N, P)``, log p(1) / p(0) of each bit without them.
            sweeps: Times that messages are passed over every pair, in both directions.

        Returns:
            ``(N, P)``, to be added to the log-odds.
        """
        first, second = self.pairs
        source, target = torch.cat([first, second]), torch.cat([second, first])
        back = torch.arange(len(source)).roll(len(first))
        none, one, both = (value.repeat(1, 2) for value in self._likelihoods)
        # A bit paired with itself tells of itself alone.
        itself, alone = source == target, both.log() - none.log()
        message, gathered = torch.zeros(len(log_odds), len(source)), torch.zeros_like(log_odds)
        for _ in range(sweeps):
            chance = ((log_odds + gathered)[:, source] - message[:, back]).sigmoid()
            told = torch.lerp(one, both, chance).log() - torch.lerp(none, one, chance).log()
            # Half of the last message stays: around loops they would swing.
            message = torch.lerp(message, torch.where(itself, 0.5 * alone, told), 0.5)
            gathered = torch.zeros_like(log_odds).index_add(1, target, message)
        return gathered.clamp(-_MOST, _MOST)

    def apart(self, chosen: Tensor, rank: Tensor) -> Tensor:
        """``(N, P)`` bool: of both bits of a pair that are chosen only the one of the lower rank.

        Args:
            chosen: ``(N, P)`` bool.
            rank: ``(N, P)``, all different.
        """
        first, second = self.pairs
        both = chosen[:, first] & chosen[:, second] & (first != second)
        later = torch.where(rank[:, first] > rank[:, second], first, second)
        dropped = torch.zeros_like(rank, dtype=torch.int64).scatter_add(1, later, both.long()) > 0
        return chosen & ~dropped

    @property
    def _likelihoods(self) -> list[Tensor]:
        """``(N, M)`` each: of what was measured if none of the two bits is 1, if one is, and if both are."""
        values = (self.operator[0, 0], self.operator[0, 1], self.operator[1, 1])
        return [torch.where(self.measured == value, self.nats, -self.nats).sigmoid() for value in values]


def applied(operator: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The bilinear extension of a symmetric operator to numbers between 0 and 1."""
    none, one, both = operator[0, 0], operator[0, 1], operator[1, 1]
    return none + (one - none) * (a + b) + (both - 2 * one + none) * a * b


def random_pairs(count: int, positions: int, seed: int = 0) -> Tensor:
    """``(2, count)`` int64, as SGDD draws them: with replacement, from torch's own generator."""
    return torch.randint(0, positions, (2, count), generator=torch.Generator().manual_seed(seed))


def measured_of(bits: Tensor, pairs: Tensor, operator: Tensor) -> Tensor:
    """``(N, M)`` without noise, of bits ``(N, *S)``."""
    first, second = bits.flatten(1)[:, pairs].unbind(1)
    return operator[first, second]
