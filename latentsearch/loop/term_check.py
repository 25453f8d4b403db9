"""A term of a goal, tried on two rows before a run: what it gives, whether rows are its own, and what it changes."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._memory import Chunks
from latentsearch._rounding import same_scores
from latentsearch._watch import Watch, modules_behind
from latentsearch.errors import InvalidArgument, LatentSearchError
from latentsearch.goal import Constraint, Score
from latentsearch.goal.refusals import require_score

_ROWS = (
    "look for means, norms or sorts over dimension 0; draws for all rows from one seed take the noise that a search "
    "hands them: Satisfies(..., stochastic=True)"
)
_DRAWS = "; what draws takes the noise that a search hands it: Satisfies(..., stochastic=True)"
_COPY = "begin with x = x.clone(), or write x.clamp(0, 1) for x.clamp_(0, 1), x / s for x.div_(s)"


def check_term(term: Constraint, of_two: Constraint, output: Tensor, z: Tensor, chunk_rows: int | None) -> None:
    """Raise unless a term scores each of two rows by itself, in the same way each time, and changes nothing.

    Networks are watched wherever they are: behind a lambda as well as in an attribute. What they change is undone.

    Args:
        term: The term.
        of_two: The same for these two rows.
        output: ``(2, *O)``.
        z: ``(2, *S)``.
        chunk_rows: The most rows that it is to score at once.
    """
    known = [module for value in getattr(term, "__dict__", {}).values() for module in modules_behind(value)]
    with Watch(known, weights=False) as watch:
        try:
            term.validate(output[:chunk_rows], z[:chunk_rows])
            _check(of_two, output, z, chunk_rows, watch)
        except Exception as error:
            _check_frozen(term, watch, error)
            if isinstance(error, LatentSearchError):
                raise
            got, expected = f"a term that fails with {type(error).__name__}: {error}", "one that scores two rows"
            raise InvalidArgument(term.name, got=got, expected=expected) from error
        _check_frozen(term, watch)


def _check(term: Constraint, output: Tensor, z: Tensor, chunk_rows: int | None, watch: Watch) -> None:
    before = output._version, z._version
    together = _losses(term, output, z, chunk_rows)
    # Counted by torch: what was in range already looks the same after a clamp.
    if (output._version, z._version) != before:
        got, expected = "a term that changes outputs or latents in place", "one that leaves its arguments as they are"
        raise InvalidArgument(term.name, got=got, expected=expected, hint=_COPY)
    watch.mark()
    if not same_scores(_losses(term, output, z, chunk_rows), together):
        raise _drawn(term, watch)
    if watch.changed():
        got, expected = "weights or buffers that each call changes", "frozen networks"
        raise InvalidArgument(term.name, got=got, expected=expected, hint=watch.hint())
    alone = _losses(term, output, z, 1)
    if not same_scores(alone, together):
        if not torch.equal(_losses(term, output, z, 1), alone):
            raise _drawn(term, watch)
        raise InvalidArgument(
            term.name,
            got=f"losses {together.tolist()} for two rows together, and {alone.tolist()} for each alone",
            expected="a loss whose row n depends on row n alone",
            hint=_ROWS,
        )


def _drawn(term: Constraint, watch: Watch) -> InvalidArgument:
    got, expected = "another loss for the same outputs in a second call", "a loss that depends on its arguments alone"
    return InvalidArgument(term.name, got=got, expected=expected, hint=f"{watch.hint()}{_DRAWS}")


def _losses(term: Constraint, output: Tensor, z: Tensor, chunk_rows: int | None) -> Tensor:
    """``(2,)``: the losses, of so many rows at once."""

    def part(rows: slice) -> tuple[Tensor]:
        index = torch.arange(len(z), device=z.device)[rows]
        score: object = term.select(index)(output[rows], z[rows])
        require_score(term.name, score, len(index))
        assert isinstance(score, Score)
        return (score.loss,)

    return Chunks(chunk_rows).run(part, len(z))[0]


def _check_frozen(term: Constraint, watch: Watch, cause: Exception | None = None) -> None:
    """Raise if a layer of a network drops values or mixes rows, whatever that led to."""
    if kinds := watch.stateful():
        got, expected = f"a network with {' and '.join(kinds)} in train mode", "a frozen one"
        raise InvalidArgument(term.name, got=got, expected=expected, hint="call .eval() first") from cause
