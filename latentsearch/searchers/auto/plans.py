"""The plans that come with the package, the first that applies being taken."""

from __future__ import annotations

import math
from dataclasses import replace

from latentsearch.constraints import Classified, HasAttributes
from latentsearch.objective import cost_of_pass
from latentsearch.problem import Problem
from latentsearch.protocols import ConditionalPrior, Searcher
from latentsearch.searchers.auto._on_codes import (
    LEAST_FOR_STALLS,
    LEAST_FOR_SWAPS,
    one_relaxation,
    relaxation_and_swaps,
    rounds,
    until_stalled,
)
from latentsearch.searchers.auto.plan import Plan
from latentsearch.searchers.cmaes import CMAESSearch
from latentsearch.searchers.evolution import EvolutionSearch
from latentsearch.searchers.exhaustive import ExhaustiveSearch, count_of_grids
from latentsearch.searchers.gibbs import GibbsSearch
from latentsearch.searchers.gradient import GradientSearch
from latentsearch.searchers.halving import HalvingSearch
from latentsearch.searchers.smc import SMCSearch
from latentsearch.searchers.stages import AugmentedLagrangian
from latentsearch.searchers.swaps import CoordinateSearch
from latentsearch.spaces import Continuous, Discrete

_FEW = 4096  # so many grids are decoded one by one where there is no limit
_CHAINS, _MOST_CHAINS = 4, 8  # of samples: without a limit, and at most
_SWEEPS_OF_A_CHAIN = 3  # that are enough for one
_PARTICLES = (8, 4, 2)  # of a pass, the most that is paid for
_CODES = "examples/logs/codes, docs/results/codes.md"


def _is_continuous(problem: Problem, evaluations: float) -> bool:
    return isinstance(problem.generator.space, Continuous)


def _has_no_gradient(problem: Problem, evaluations: float) -> bool:
    return not problem.goal.differentiable


def _is_continuous_without_gradient(problem: Problem, evaluations: float) -> bool:
    return _is_continuous(problem, evaluations) and _has_no_gradient(problem, evaluations)


def _pays_for_all_grids(problem: Problem, evaluations: float) -> bool:
    if not isinstance(problem.generator.space, Discrete):
        return False
    if math.isinf(evaluations):
        return count_of_grids(problem.generator) <= _FEW
    return ExhaustiveSearch().cost(problem.generator) <= evaluations


def _has_a_prior_that_proposes(problem: Problem, evaluations: float) -> bool:
    """Whether a learnt prior over codes counts; one that costs nothing says nothing of codes together.

    The goal's counts, and the generator's beside a Gaussian likelihood. Beside other losses it does not: of these
    nobody said how much they weigh.
    """
    prior, goal = problem.prior, problem.goal
    if not (isinstance(prior, ConditionalPrior) and prior.cost > 0 and goal.likelihood.terms):
        return False
    if goal.prior is None:
        return goal.least_squares and all(term.in_nats for term in goal.constraints)
    return goal.prior_weight > 0


def _has_requirements(problem: Problem, evaluations: float) -> bool:
    return problem.goal.required and problem.goal.augmentation is None


def _rounds_of_one(problem: Problem, evaluations: float) -> Searcher:
    """Rounds that begin where the one before ended, which is what a requirement is met from."""
    continuous = isinstance(problem.generator.space, Continuous)
    if not problem.goal.differentiable:
        return AugmentedLagrangian(CMAESSearch() if continuous else EvolutionSearch())
    return AugmentedLagrangian(GradientSearch() if continuous else CoordinateSearch())


def _always(problem: Problem, evaluations: float) -> bool:
    return True


def _cmaes(problem: Problem, evaluations: float) -> Searcher:
    return CMAESSearch()


def _halving(problem: Problem, evaluations: float) -> Searcher:
    return HalvingSearch()


def _exhaustive(problem: Problem, evaluations: float) -> Searcher:
    return ExhaustiveSearch()


def _gibbs(problem: Problem, evaluations: float) -> Searcher:
    """As many chains as the budget is for, so that the candidates are different answers."""
    if math.isinf(evaluations):
        return GibbsSearch(restarts=_CHAINS)
    chain, space = GibbsSearch(), problem.generator.space
    assert isinstance(space, Discrete)
    each = chain.evaluations_of(_SWEEPS_OF_A_CHAIN, space, cost_of_pass(problem.prior))
    chains = int(min(max(evaluations // each, 1), _MOST_CHAINS))
    return GibbsSearch(explore=int(min(chain.explore, evaluations / chains / 4)), restarts=chains)


def _asks_for_a_class(problem: Problem, evaluations: float) -> bool:
    """Whether nothing but classes or attributes are asked: moves of single codes stay in the class of their start."""
    terms = problem.goal.likelihood.constraints
    asked = all(isinstance(term, (Classified, HasAttributes)) and term.reads != "latent" for term in terms)
    known = _has_a_prior_that_proposes(problem, evaluations) and problem.goal.differentiable
    return known and asked and _chain_of_classes(problem, evaluations) is not None


def _chain_of_classes(problem: Problem, evaluations: float) -> tuple[SMCSearch, float] | None:
    """A pass with as many particles as the budget pays for, and what it costs."""
    space = problem.generator.space
    assert isinstance(space, Discrete)
    for particles in _PARTICLES:
        chain = SMCSearch(particles=particles, reveals=min(24, space.positions), trust=1.0, transitions=1)
        cost = chain.evaluations_of(1, space, cost_of_pass(problem.prior))
        if cost <= evaluations:
            return chain, cost
    return None


def _smc(problem: Problem, evaluations: float) -> Searcher:
    """As many chains as the budget is for."""
    found = _chain_of_classes(problem, evaluations)
    assert found is not None
    chain, cost = found
    chains = _CHAINS if math.isinf(evaluations) else int(min(evaluations // cost, _MOST_CHAINS))
    return replace(chain, restarts=chains)


def _evolution(problem: Problem, evaluations: float) -> Searcher:
    return EvolutionSearch()


DEFAULT_PLANS = (
    Plan("codes, few grids", _pays_for_all_grids, _exhaustive, "a proof at the cost of a search"),
    Plan("requirements", _has_requirements, _rounds_of_one, "tests/test_requirements.py"),
    Plan(
        "continuous latents, no gradient",
        _is_continuous_without_gradient,
        _cmaes,
        "the one method of the package for these",
    ),
    Plan(
        "continuous latents",
        _is_continuous,
        _halving,
        "examples/logs/continuous.json, docs/results/continuous.md",
    ),
    Plan(
        "codes, a prior that proposes, and a class",
        _asks_for_a_class,
        _smc,
        "examples/logs/latent_constraints.json, docs/results/latent_constraints.md: codes",
    ),
    Plan("codes, a prior that proposes", _has_a_prior_that_proposes, _gibbs, "docs/results/posterior.md"),
    Plan("codes, no gradient", _has_no_gradient, _evolution, f"{_CODES}: bright"),
    Plan(
        "codes, a relaxation",
        lambda problem, evaluations: evaluations < LEAST_FOR_SWAPS,
        one_relaxation,
        f"{_CODES}: match and x4 at 100 evaluations",
    ),
    Plan(
        "codes, a relaxation, then swaps",
        lambda problem, evaluations: evaluations < LEAST_FOR_STALLS,
        relaxation_and_swaps,
        f"{_CODES}: match and x4 at 300 evaluations",
    ),
    Plan(
        "codes, until swaps stall",
        lambda problem, evaluations: math.isinf(evaluations),
        until_stalled,
        f"{_CODES}: match, how searches end",
    ),
    Plan(
        "codes, rounds of longer and longer relaxations",
        _always,
        rounds,
        f"{_CODES}: planted at 10,000 evaluations; rounds find grids there that one round does not",
    ),
)
