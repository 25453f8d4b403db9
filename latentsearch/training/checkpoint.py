"""A fit on disk: saved as it goes, and taken up again bit for bit."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from latentsearch import _checkpoint
from latentsearch._identity import describe_settings, describe_structure
from latentsearch.errors import InvalidArgument
from latentsearch.result import Status
from latentsearch.training.batches import identity_of
from latentsearch.training.history import History

if TYPE_CHECKING:
    from latentsearch.training.loop import Loop


class SavedFit:
    """The checkpoint of one fit, and what it must agree with to be taken up again."""

    def __init__(self, loop: Loop, path: str | os.PathLike[str]) -> None:
        plan = loop.plan
        self.loop, self.path = loop, Path(path).expanduser()
        self.identity = {
            "model": describe_structure(loop.model),
            "optimizer": describe_settings(list(plan.groups.items())),
            # Without a schedule nothing depends on the number of steps, and a fit may be made longer.
            "schedule": describe_settings(plan.schedule and (plan.schedule, plan.steps)),
            "batch size": str(plan.batch_size),
            "clip": repr(plan.clip),
            "autocast": repr(plan.autocast),
            "average": repr(plan.average),
            "best": repr(plan.best),
            "data": loop.batches.identity,
            "validation data": "none" if loop.validation is None else identity_of(loop.validation),
            "seed": str(loop.seed),
        }

    def resume_or_try(self) -> None:
        """Go on where the file left off; without one, see that it can be written."""
        if self.path.exists():
            self._resume()
            return
        try:
            self.save()
        except OSError as error:
            raise InvalidArgument(
                "Fit.checkpoint", got=f"{self.path}, which cannot be written ({error})", expected="a path that can"
            ) from error

    def save(self) -> None:
        """Write down all that the next step depends on."""
        loop = self.loop
        tensors = _over("model.", loop.model.state_dict()) | _over("average.", loop.average.tensors())
        tensors |= _over("best.", loop.selection.weights) | _over("sum.", loop.means.sums)
        for number, turn in enumerate(loop.turns.all):
            tensors |= _over(f"optimizer.{number}.", turn.tensors())
        header = {
            "kind": "fit",
            "identity": self.identity,
            "step": loop.step,
            "history": dataclasses.asdict(loop.history),
            "counts": loop.means.counts,
            "optimizers": [turn.numbers() for turn in loop.turns.all],
        }
        _checkpoint.save(self.path, tensors, header)

    def _resume(self) -> None:
        loop = self.loop
        tensors, header = _checkpoint.load(self.path, kind="fit")
        self._check(header)
        loop.model.load_state_dict(_under("model.", tensors))
        loop.average.restore(_under("average.", tensors))
        device = next(loop.model.parameters()).device
        loop.selection.weights = {name: t.to(device) for name, t in _under("best.", tensors).items()}
        loop.means.sums = {name: t.to(device) for name, t in _under("sum.", tensors).items()}
        loop.means.counts = header["counts"]
        for number, (turn, numbers) in enumerate(zip(loop.turns.all, header["optimizers"], strict=True)):
            turn.restore(_under(f"optimizer.{number}.", tensors), numbers)
        loop.history, loop.step = History(**header["history"] | {"status": Status.RUNNING}), header["step"]

    def _check(self, header: dict[str, Any]) -> None:
        """Raise unless the file is of this very fit."""
        _checkpoint.require_identity(self.path, "fit", header.get("identity"), self.identity)


def _over(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
