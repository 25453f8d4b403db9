"""The result of two searches, one after the other: of each problem the answer that counts."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.errors import SearchFailed
from latentsearch.goal import Score
from latentsearch.result import Candidates, SearchResult, Status, Trace

CONVERGED = (Status.STALLED, Status.OPTIMAL)  # no improvement among the likeliest changes; proven that there is none


def put_rows(whole: Tensor, index: Tensor, part: Tensor, dim: int = 0) -> Tensor:
    """The whole, with some of its rows or columns replaced by the part's."""
    return whole.index_copy(dim, index, part.to(whole.dtype))


def joined(before: SearchResult, after: SearchResult, index: Tensor, if_better: bool) -> SearchResult:
    """The result of both: of ``after`` for the problems in ``index``, of ``before`` for the others."""
    # A stage that could not pay for a step has no answer: not even which restart was the best.
    moved = after.evaluations > 0
    if not bool(moved.any()):
        return before
    own, new = before.score.map(lambda part: part[index]), after.score
    searched, same = moved, (after.latent == before.latent[index]).flatten(1).all(1)
    moved = searched & (_better(new, own) if if_better else ~_better(own, new))
    # The same latent, scored again in another batch, may have another last bit: that makes it neither better nor worse.
    accepted = (moved & ~same) if if_better else (moved | (searched & same))

    def put(whole: Tensor, part: Tensor) -> Tensor:
        return put_rows(whole, index, torch.where(per_row(moved, part), part, whole[index]))

    def score(a: Score, b: Score) -> Score:
        return Score(put(a.loss, b.loss), put(a.passed, b.passed))

    status, evaluations = list(before.status), before.evaluations.index_add(0, index, after.evaluations)
    for b, ended, taken, kept in zip(index.tolist(), after.status, accepted.tolist(), same.tolist(), strict=True):
        # Ctrl-C ends the stages that are to come, too; and of the same latent the status that says more is kept.
        if taken or ended == Status.INTERRUPTED or (kept and _rank(ended) > _rank(status[b])):
            status[b] = ended
    latent = put(before.latent, after.latent)
    total = score(before.score, after.score)
    return SearchResult(
        latent=latent,
        output=put(before.output, after.output),
        score=total,
        terms={name: score(before.terms[name], after.terms[name]) for name in before.terms},
        status=tuple(status),
        evaluations=evaluations,
        steps=before.steps + after.steps,
        seconds=before.seconds + after.seconds,
        candidates=_candidates(before, after, index, moved),
        trace=_trace(before, after, index),
    )


def _rank(status: Status) -> int:
    """0 for a status that says nothing about improvements, 1 for STALLED, 2 for OPTIMAL."""
    return CONVERGED.index(status) + 1 if status in CONVERGED else 0


def _better(a: Score, b: Score) -> Tensor:
    """Whether a's problems are better than b's: satisfied and not, or of a lower loss."""
    lower = (a.loss < b.loss) | b.loss.isnan()
    return (a.passed & ~b.passed) | (lower & (a.passed == b.passed))


def _candidates(before: SearchResult, after: SearchResult, index: Tensor, moved: Tensor) -> Candidates:
    """Of each problem, the candidates of the last search whose answer was accepted, whatever became of the others."""
    own, new = _as_many(before, after.candidates.latent.shape[1]), after.candidates

    def put(whole: Tensor, part: Tensor) -> Tensor:
        return put_rows(whole, index, torch.where(per_row(moved, part), part, whole[index]))

    score = Score(put(own.score.loss, new.score.loss), put(own.score.passed, new.score.passed))
    return Candidates(put(own.latent, new.latent), score, put(own.status, new.status))


def _as_many(result: SearchResult, restarts: int) -> Candidates:
    """A result's candidates if there are so many; else its best, repeated."""
    if result.candidates.latent.shape[1] == restarts:
        return result.candidates
    status = torch.tensor([int(value) for value in result.status], device=result.latent.device)

    def many(part: Tensor) -> Tensor:
        return part[:, None].expand(-1, restarts, *part.shape[1:])

    return Candidates(many(result.latent), result.score.map(many), many(status))


def _trace(before: SearchResult, after: SearchResult, index: Tensor) -> Trace:
    """Both traces, one after the other; evaluations and best losses go on from where the first one ended."""
    a, b = before.trace, after.trace
    steps = len(b.loss)
    if not len(a.loss):
        loss = torch.full_like(before.score.loss, torch.inf).expand(steps, -1)
        spent, seconds = torch.zeros_like(before.evaluations), 0.0
    else:
        loss, spent, seconds = a.loss[-1].expand(steps, -1), a.evaluations[-1], float(a.seconds[-1])
    later = put_rows(torch.zeros_like(spent).expand(steps, -1), index, b.evaluations, 1)
    return Trace(
        torch.cat([a.loss, torch.minimum(loss, put_rows(torch.full_like(loss, torch.inf), index, b.loss, 1))]),
        torch.cat([a.evaluations, spent + later]),
        torch.cat([a.seconds, b.seconds + seconds]),
    )


def failed(error: Exception, before: SearchResult, index: Tensor) -> SearchFailed:
    """The failure of a later stage, with the best of all problems."""
    latent, loss = before.latent, before.score.loss
    if isinstance(error, SearchFailed):
        better = error.loss < loss[index]
        mask = better.view(-1, *[1] * (latent.ndim - 1))
        latent = put_rows(latent, index, torch.where(mask, error.latent, latent[index]))
        loss = put_rows(loss, index, torch.where(better, error.loss, loss[index]))
    return SearchFailed(str(error), latent=latent, loss=loss)
