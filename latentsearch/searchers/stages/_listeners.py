"""Callbacks of a run of several stages: they see one run, and what stops a stage stops all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from latentsearch.run import Callback, Step
from latentsearch.searchers.stages._budget import Spent


class Listeners:
    """The callbacks of a run.

    Attributes:
        stopped: Whether one of them stopped a stage. No problem's status tells where that was at the stage's last step.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks, self.stopped = callbacks, False

    def of_stage(self, problems: Sequence[int], spent: Spent) -> list[Callback]:
        """The callbacks for a stage that searches for these problems, after so much was spent."""
        return [self._relayed(callback, problems, spent) for callback in self.callbacks]

    def _relayed(self, callback: Callback, problems: Sequence[int], spent: Spent) -> Callback:
        def relayed(step: Step) -> bool | None:
            try:
                stop = callback(_of_whole(step, problems, spent))
            except KeyboardInterrupt:
                self.stopped = True
                raise
            self.stopped = self.stopped or bool(stop)
            return stop

        return relayed


def _of_whole(step: Step, problems: Sequence[int], spent: Spent) -> Step:
    """A stage's step as a step of the whole run."""
    problem = torch.tensor(problems, device=step.problem.device)[step.problem]
    row = problem * step.restarts + step.row % step.restarts
    number, seconds = step.number + spent.steps, step.seconds + spent.seconds
    return replace(step, number=number, seconds=seconds, problem=problem, row=row)
