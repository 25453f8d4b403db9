"""A search on disk: saved as it goes, and taken up again bit for bit."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from latentsearch import _checkpoint
from latentsearch._identity import describe_settings
from latentsearch._rounding import same_decoder, same_losses
from latentsearch._rows import flatten, unflatten
from latentsearch.errors import BrokenFile, InvalidArgument
from latentsearch.loop.draws import drawn_from
from latentsearch.objective import EmbeddingView
from latentsearch.priors import FittedPrior
from latentsearch.problem import Problem
from latentsearch.protocols import Prior

if TYPE_CHECKING:
    from latentsearch.loop.loop import Loop

# What the ledger must have back.
_LEDGER = ("held", "status", "spent")


class SavedSearch:
    """The checkpoint of one run, and what it must agree with to be taken up again."""

    def __init__(self, loop: Loop, problem: Problem) -> None:
        assert loop.settings.checkpoint is not None
        self.loop, self.path = loop, Path(loop.settings.checkpoint).expanduser()
        self.identity = {
            "searcher": describe_settings(loop.method),
            "space": describe_settings(loop.objective.generator.space),
            "allowed codes": describe_settings(EmbeddingView(loop.objective.generator).own),
            "seeds": describe_settings(list(problem.seeds)),
            "init": describe_settings(problem.init),
            "goal": describe_settings(loop.objective.per_problem),
            "precision": describe_settings((loop.settings.autocast, loop.settings.patches)),
            "stop_when_satisfied": repr(loop.settings.stop_when_satisfied),
            "prior": describe_settings(_bare(drawn_from(problem, samples=loop.method.samples))),
        }

    def resume_or_try(self) -> None:
        """Go on where the file left off; without one, see that it can be written."""
        if self.path.exists():
            self._resume()
        else:
            self._try_path()

    def _try_path(self) -> None:
        """Save once before the first step: better to learn now than at the end that it cannot be done."""
        self.loop.clock = time.perf_counter()
        try:
            self.save()
        except OSError as error:
            raise InvalidArgument(
                "Run.checkpoint", got=f"{self.path}, which cannot be written ({error})", expected="a path that can"
            ) from error

    def save_if_possible(self) -> None:
        """Save, or warn that it cannot be done."""
        _checkpoint.attempt(self.save, self.path)

    def save(self) -> None:
        """Write down all that the next step depends on."""
        loop, ledger = self.loop, self.loop.ledger
        tensors = {f"state.{name}": tensor for name, tensor in flatten(loop.state).items()}
        tensors |= {f"incumbents.{name}": tensor for name, tensor in loop.incumbents.tensors().items()}
        tensors |= {f"ledger.{name}": getattr(ledger, name) for name in _LEDGER}
        tensors["probe"] = loop.fingerprint.loss
        tensors["probe.output"] = loop.probe
        header = {
            "kind": "search",
            "identity": self.identity,
            "step": loop.number,
            "seconds": time.perf_counter() - loop.clock,
            "paid_until": loop.paid_until,
            "evaluations": self._limits(),
            "chunk_rows": loop.objective.chunks.size,
        }
        _checkpoint.save(self.path, tensors, header)

    def _limits(self) -> list[float | None]:
        return [limit if math.isfinite(limit) else None for limit in self.loop.limits["evaluations"]]

    def _resume(self) -> None:
        loop, ledger = self.loop, self.loop.ledger
        tensors, header = _checkpoint.load(self.path, kind="search", device=ledger.held.device)
        self._check(tensors, header)
        for name in _LEDGER:
            setattr(ledger, name, tensors[f"ledger.{name}"])
        revived = ledger.revive()
        loop.incumbents.restore(_under("incumbents.", tensors))
        loop.state = unflatten(loop.state, _under("state.", tensors))
        sizes = [size for size in (header["chunk_rows"], loop.settings.chunk_rows) if size is not None]
        loop.objective.chunks.size = min(sizes, default=None)
        loop.number, loop.elapsed = header["step"], header["seconds"]
        same_budget = header["evaluations"] == self._limits()
        loop.paid_until = header["paid_until"] if same_budget and not revived else 0

    def _check(self, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        """Raise unless the file is of this very search and this very decoder."""
        _checkpoint.require_identity(self.path, "search", header["identity"], self.identity)
        same = same_decoder(tensors["probe.output"], self.loop.probe)
        if not same or not same_losses(tensors["probe"], self.loop.fingerprint.loss, atol=1e-8):
            raise BrokenFile(
                f"the checkpoint {self.path} is of another decoder: two latents decode to others than they did; "
                f"they had losses {tensors['probe'].tolist()}, and have {self.loop.fingerprint.loss.tolist()}. "
                "Give this search a path of its own, or delete the file"
            )


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _bare(prior: Prior) -> Prior:
    """What draws are made by: of a fitted prior, the prior itself."""
    return prior.prior if isinstance(prior, FittedPrior) else prior
