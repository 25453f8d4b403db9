"""What the stages of one run may spend, and what is left of it for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from latentsearch.result import SearchResult
from latentsearch.run import Run


@dataclass(frozen=True)
class Spent:
    """What the stages so far have taken: evaluations a problem, steps and seconds of all."""

    evaluations: list[float]
    steps: int = 0
    seconds: float = 0.0

    @classmethod
    def by(cls, result: SearchResult) -> Spent:
        """What a search took."""
        return cls(result.evaluations.tolist(), result.steps, result.seconds)


class Budget:
    """The limits of a run, cut into stages.

    Args:
        run: The run.
        problems: B, how many it is for.
        shares: The part of the evaluations that each stage may spend, besides what is left of earlier parts.
        all_limits: Whether steps and seconds are cut into such parts, too.
    """

    def __init__(self, run: Run, problems: int, shares: Sequence[float], *, all_limits: bool = False) -> None:
        self.all_limits = all_limits
        self.evaluations, self.steps, self.seconds = (
            run.limit(name, problems) for name in ("evaluations", "steps", "seconds")
        )
        # By the end of each stage so much may have been spent; the last one takes all that is left.
        self.until = [*(min(sum(shares[: number + 1]), 1.0) for number in range(len(shares) - 1)), 1.0]

    def payable(self, spent: Spent, least: int) -> list[int]:
        """The problems with enough evaluations for a first step that takes so many, a step to take and time for it."""
        return [
            b for b, taken in enumerate(spent.evaluations)
            if self.evaluations[b] - taken >= least and self.steps[b] > spent.steps and self.seconds[b] > spent.seconds
        ]  # fmt: skip

    def of_stage(self, number: int, problems: Sequence[int], spent: Spent) -> list[float]:
        """The evaluations that a stage may spend on each of these problems; negative where they were overdrawn."""
        return [_part(self.evaluations[b], self.until[number]) - spent.evaluations[b] for b in problems]

    def limits(self, number: int, problems: Sequence[int], spent: Spent) -> dict[str, Any]:
        """What is left for a stage and these problems, as limits of a Run."""
        until = self.until[number] if self.all_limits else 1.0
        return {
            "evaluations": _limit(self.of_stage(number, problems, spent)),
            "steps": _limit([_part(self.steps[b], until) - spent.steps for b in problems]),
            "seconds": _limit([until * self.seconds[b] - spent.seconds for b in problems]),
        }


def _limit(left: list[float]) -> list[float] | None:
    return None if math.isinf(min(left)) else [max(limit, 0) for limit in left]


def _part(limit: float, share: float) -> float:
    return math.floor(share * limit) if math.isfinite(limit) else limit
