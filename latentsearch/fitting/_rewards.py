"""The rewards that a rule gives what latents decode to, looked over at one door."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentsearch._memory import Chunks
from latentsearch._rounding import same_scores
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal._addend import Addend
from latentsearch.protocols import Generator

Rule = Callable[[Tensor], Tensor]
"""Outputs ``(N, *O)`` to rewards ``(N,)`` from 0 to 1; it needs no gradient."""

_ROWS = 500  # decoded together


class Rewards:
    """A generator and a rule: latents to rewards.

    Args:
        caller: Of errors.
        generator: The decoder.
        rule: What scores its outputs.
    """

    def __init__(self, caller: str, generator: Generator, rule: Rule) -> None:
        self.what, self.generator, self.rule = f"{caller}.rule", generator, rule
        self.chunks = Chunks(_ROWS)
        if not callable(rule) or isinstance(rule, Addend):
            expected = "a function from outputs (N, *O) to rewards (N,) from 0 to 1"
            hint = "of a constraint's loss a reward is torch.exp(-loss)" if isinstance(rule, Addend) else ""
            raise InvalidArgument(self.what, got=type(rule).__name__, expected=expected, hint=hint)

    @torch.no_grad()
    def __call__(self, latents: Tensor) -> Tensor:
        """``(N,)`` float32 rewards of latents ``(N, *S)``, on their device."""
        return self.chunks.run(lambda rows: (self._of(self._decoded(latents[rows])),), len(latents))[0]

    @torch.no_grad()
    def check(self, latents: Tensor) -> None:
        """Refuse a rule that is random, or mixes rows, on two latents or more."""
        output = self._decoded(latents)
        first, again = self._of(output.clone()), self._of(output.clone())
        if not same_scores(first, again):
            got = f"rewards {again.tolist()} after {first.tolist()} for the same outputs"
            raise InvalidArgument(self.what, got=got, expected="the same rewards every time")
        alone = torch.cat([self._of(output[n : n + 1].clone()) for n in range(len(output))])
        if not same_scores(alone, first):
            got = f"rewards {first.tolist()} for {len(output)} rows together, and {alone.tolist()} for each alone"
            raise InvalidArgument(self.what, got=got, expected="rewards of each row alone")

    def _decoded(self, latents: Tensor) -> Tensor:
        # A decoder may return what it was given, and a rule may write into that.
        return self.generator.decode(latents.clone())

    def _of(self, output: Tensor) -> Tensor:
        found: object = self.rule(output)
        what, rows = f"{self.what}'s result", len(output)
        expected = f"rewards ({rows},), numbers from 0 to 1"
        if not isinstance(found, Tensor) or tuple(found.shape) != (rows,) or found.is_complex():
            got = describe(found) if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise InvalidArgument(what, got=f"{got} for {rows} outputs", expected=expected)
        rewards = found.detach().to(output.device, torch.float32)
        outside = ~((rewards >= 0) & (rewards <= 1))
        if bool(outside.any()):
            worst = float(rewards[outside][0])
            hint = "a bounded one of a loss is torch.exp(-loss)" if worst == worst else "where nothing counts, give 0"
            raise InvalidArgument(what, got=f"a reward of {worst:g}", expected=expected, hint=hint)
        return rewards
