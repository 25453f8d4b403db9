"""The methods that are compared, and which of their settings are tuned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch

import latentsearch as ls
from codes_bench.asktell import packages
from codes_bench.outsiders import outsiders


def _straight_through_adam(lr: float) -> ls.Searcher:
    return ls.StraightThroughSearch(optimizer=partial(torch.optim.Adam, lr=lr), on_repeat="continue")


# One step size for all problems of a generator, the best on other images; nothing else is tuned.
TUNED: Mapping[str, tuple[Callable[[float], ls.Searcher], tuple[float, ...]]] = {
    "algorithm 2": (
        lambda lr: ls.StraightThroughSearch(lr=lr, on_repeat="continue"), (300, 1000, 3000, 10_000)),
    "algorithm 2, snapped": (lambda lr: ls.StraightThroughSearch(lr=lr, snap=True), (3000, 10_000, 20_000, 40_000)),
    "algorithm 3": (lambda lr: ls.SinglePositionSearch(lr=lr), (1e4, 3e4, 1e5)),
    "algorithm 3, snapped": (lambda lr: ls.SinglePositionSearch(lr=lr, snap=True), (3e4, 1e5, 3e5)),
    "straight-through, Adam": (_straight_through_adam, (0.03, 0.1, 0.3)),
}  # fmt: skip

OWN: Mapping[str, ls.Searcher] = {
    "AutoSearch": ls.AutoSearch(),
    "RelaxedSearch": ls.RelaxedSearch(),
    "CoordinateSearch": ls.CoordinateSearch(patience=None),
    "PursuitSearch": ls.PursuitSearch(patience=None),
    "ColouredSearch": ls.ColouredSearch(patience=99),
    "BanditSearch": ls.BanditSearch(patience=None),
    "algorithm 2, own steps": ls.StraightThroughSearch(lr=None, on_repeat="continue"),
    "JacobiSearch": ls.JacobiSearch(),
    "LangevinSearch": ls.LangevinSearch(),
    "EvolutionSearch": ls.EvolutionSearch(),
    "RandomSearch": ls.RandomSearch(),
}
# Ends by its patience, STALLED, or OPTIMAL: it is run where budgets are large enough to see that.
STALLING: Mapping[str, ls.Searcher] = {"CoordinateSearch, patience 512": ls.CoordinateSearch(patience=512)}
# Goes on until every single swap was tried; in a stage of its own.
PROVING: Mapping[str, ls.Searcher] = {
    "AutoSearch, then every swap": ls.Then(
        ls.Stage(ls.AutoSearch(), share=1 / 8), ls.CoordinateSearch(batch=64, patience=None)
    )
}
PLAIN: Mapping[str, ls.Searcher] = {**OWN, **STALLING, **PROVING, **outsiders(), **packages()}
CONVERGING = ("AutoSearch", "CoordinateSearch", *STALLING)

# These fit themselves to the budget, so each budget is a run of its own; one run serves the others.
FITTED = ("AutoSearch", "RelaxedSearch", "LangevinSearch")
NO_GRADIENT = ("AutoSearch", "EvolutionSearch", "RandomSearch", "(1+λ) evolution", *packages())


def names(constraint: ls.Constraint | None = None, stalling: bool = True) -> list[str]:
    """The methods that can search for a constraint, or all; with those that stop by patience, or without."""
    found = [*PLAIN, *TUNED] if constraint is None or constraint.differentiable else list(NO_GRADIENT)
    barred = set(PROVING) | (set() if stalling else set(STALLING))
    if constraint is not None:
        barred |= set() if constraint.goal.least_squares else {"PursuitSearch"}
        barred |= set() if constraint.goal.separates(2) else {"ColouredSearch"}
    return [name for name in found if name not in barred]


def is_own(name: str) -> bool:
    """Whether it is a method of the package, or one that others published."""
    return name in OWN or name in STALLING


def method(name: str, step: float | None) -> ls.Searcher:
    """A method by name, with its tuned step size where it has one."""
    if name in PLAIN:
        return PLAIN[name]
    assert step is not None
    return TUNED[name][0](step)
