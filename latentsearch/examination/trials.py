"""Methods tried on some of the images: how near each comes to the encoder's loss, and what a prior adds."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from latentsearch.constraints import LogPrior, Matches
from latentsearch.errors import LatentSearchError
from latentsearch.examination.advice import NOTHING
from latentsearch.examination.density import BY_FIT, OWN
from latentsearch.examination.examination import Trial
from latentsearch.examination.setting import Setting
from latentsearch.goal import AnyGoal
from latentsearch.objective import cost_of_pass
from latentsearch.priors import UniformCodes
from latentsearch.protocols import ConditionalPrior, Prior, Searcher
from latentsearch.result import SearchResult, Status
from latentsearch.run import Run
from latentsearch.searchers import (
    AutoSearch,
    CMAESSearch,
    CoordinateSearch,
    EvolutionSearch,
    GibbsSearch,
    GradientSearch,
    RandomSearch,
    RelaxedSearch,
)
from latentsearch.spaces import Continuous

TARGETS, HALVES, BUDGET = 16, 8, 300  # images, those of which half is shown, evaluations
NEAR = 1.1  # times the encoder's loss
_LONGEST = 6.0  # seconds: what is slower is cut short, and a note says so
_SLOW, _FEWEST = 0.02, 4  # seconds of a row, and the images that are searched for then
_ROWS = 64
_SWEEPS = 3  # of a chain over codes


def methods(setting: Setting) -> dict[str, Searcher]:
    """Those that are tried, by name: what ``ls.search`` chooses, descent, and what needs no gradient."""
    if isinstance(setting.generator.space, Continuous):
        return {
            "ls.search": AutoSearch(),
            "GradientSearch(restarts=4)": GradientSearch(restarts=4),
            "CMAESSearch()": CMAESSearch(),
            "RandomSearch()": RandomSearch(),
        }
    return {
        "ls.search": AutoSearch(),
        "RelaxedSearch()": RelaxedSearch(),
        "CoordinateSearch()": CoordinateSearch(),
        "EvolutionSearch()": EvolutionSearch(),
    }


def targets_of(setting: Setting) -> Tensor:
    """The images that are searched for: fewer where the decoder is slow."""
    return setting.images[: TARGETS if setting.row_seconds < _SLOW else _FEWEST]


def encoder_losses(setting: Setting) -> Tensor | None:
    """``(B,)``: the mean squares of the encoder's latents of the targets, not drawn from q(z|x)."""
    if setting.latents is None:
        return None
    targets = targets_of(setting)
    return (setting.decode(setting.encode(targets)) - targets).square().flatten(1).mean(1)


def trials(setting: Setting) -> tuple[list[Trial], Tensor, list[str]]:
    """Each method on whole images; the best outputs; and notes."""
    targets, encoder, found, notes = targets_of(setting), encoder_losses(setting), [], []
    best: tuple[float, Tensor] = (float("inf"), torch.zeros_like(targets))
    for name, searcher in methods(setting).items():
        start = time.perf_counter()
        try:
            result = _searched(setting, searcher, Matches(targets))
        except Exception as error:  # a decoder may fail for what one method asks of it, and not for another
            found.append(Trial(name, searcher, float("inf"), None, None, 0.0, 0.0, refused=in_a_line(error)))
            continue
        seconds, loss = time.perf_counter() - start, float(result.score.loss.double().mean())
        if _cut_short(result):
            notes.append(f"{name} was stopped after {_LONGEST:g} s, before its budget was spent.")
        best = min(best, (loss, result.output), key=lambda each: each[0])
        found.append(_trial(name, searcher, result, encoder, setting.negligible, seconds))
    return found, best[1], notes


def _trial(
    name: str, searcher: Searcher, result: SearchResult, encoder: Tensor | None, negligible: float, seconds: float
) -> Trial:
    loss, spent = float(result.score.loss.double().mean()), float(result.evaluations.mean())
    if encoder is None:
        return Trial(name, searcher, loss, None, None, spent, seconds, trace=result.trace)
    near = (NEAR * encoder).clamp(min=negligible).to(result.trace.loss)
    there = result.trace.loss <= near
    # When half of the images are there; a trace never rises.
    enough = there.double().mean(1) >= 0.5
    after = float(result.trace.evaluations[enough].mean(1)[0]) if bool(enough.any()) else None
    reached = float((result.score.loss <= near.to(result.score.loss)).double().mean())
    return Trial(name, searcher, loss, reached, after, spent, seconds, trace=result.trace)


def with_priors(
    setting: Setting, noise: float, prior: Prior | None
) -> tuple[dict[str, float], dict[str, Tensor], list[str]]:
    """By prior, how far off the half is that a search does not see; its outputs; and notes."""
    targets = targets_of(setting)[:HALVES]
    mask = half_seen(targets)
    seen, likely = Matches(targets, mask=mask), Matches(targets, mask=mask, noise=noise)
    goals: dict[str, AnyGoal] = {NOTHING: seen}
    if not isinstance(setting.generator.prior, UniformCodes):
        goals[OWN] = likely + LogPrior(setting.generator.prior)
    if prior is not None:
        goals[BY_FIT] = likely + LogPrior(prior)
    outputs, notes = {}, []
    hidden = (1 - mask).expand_as(targets)

    def off(output: Tensor) -> float:
        return float(((output - targets).square() * hidden).sum() / hidden.sum())

    errors = {"the mean of your images": off(setting.images.mean(0))}
    for name, goal in goals.items():
        try:
            result = _searched(setting, AutoSearch(), goal, _pays_for_sweeps(setting, goal))
        except Exception as error:
            notes.append(f"Half images with {name} were not searched: {in_a_line(error)}")
            continue
        errors[name], outputs[name] = off(result.output), result.output
        if _cut_short(result):
            notes.append(f"Half images with {name} were stopped after {_LONGEST:g} s.")
    return errors, outputs, notes


def half_seen(images: Tensor) -> Tensor:
    """``(1, *O)``: 1 on the first half of the last dimension."""
    mask = torch.zeros_like(images[:1])
    mask[..., : (images.shape[-1] + 1) // 2] = 1
    return mask


def _pays_for_sweeps(setting: Setting, goal: AnyGoal) -> int:
    """The budget, or what a chain over codes needs whose prior has a network: that is charged, too."""
    space, prior = setting.generator.space, goal.goal.prior
    if isinstance(space, Continuous) or not isinstance(prior, ConditionalPrior) or not prior.cost:
        return BUDGET
    return max(BUDGET, math.ceil(GibbsSearch().evaluations_of(_SWEEPS, space, cost_of_pass(prior))))


def _searched(setting: Setting, searcher: Searcher, goal: AnyGoal, budget: int = BUDGET) -> SearchResult:
    run = Run(evaluations=budget, seconds=_LONGEST, chunk_rows=_ROWS)
    result = searcher.search(setting.generator, goal, seed=setting.seed, run=run)
    if Status.INTERRUPTED in result.status:
        raise KeyboardInterrupt  # a search keeps what it has; an examination cut short would mislead
    return result


def in_a_line(error: Exception) -> str:
    """What went wrong; of other errors than the package's own, their kind too."""
    text = (str(error).splitlines() or [""])[0]
    return text if isinstance(error, LatentSearchError) else f"{type(error).__name__}: {text}"


def _cut_short(result: SearchResult) -> bool:
    """Whether time ended it: evaluations were left for more."""
    return result.seconds >= _LONGEST and bool((result.evaluations < 0.9 * BUDGET).any())
