"""SplitGibbsSearch against posteriors of which every probability is known."""

from __future__ import annotations

import pytest
import torch
from test_gibbs import FREE, counts, posterior, two_sided

import latentsearch as ls
from latentsearch.noise import Noise
from latentsearch.objective import ChargedPrior, Ledger
from latentsearch.searchers.gibbs._infill import infill
from latentsearch.testing import toys
from latentsearch.testing._statistics import FALSE_ALARM, chance_of_counts


@pytest.mark.parametrize("trust", [0.0, 0.3])
def test_with_a_pass_a_position_answers_are_drawn_from_the_posterior_at_any_noise(trust: float) -> None:
    generator, goal = two_sided((2, 2), 3, cost=0.25)
    settings = {"candidates": 3, "masked": (1.0, 0.5), "passes": 4, "iterations": 20, "restarts": 1000}
    method = ls.SplitGibbsSearch(explore=0, probes=4, reveals=0, trust=trust, **settings)
    result = method.search(generator, goal, seed=1, run=FREE)
    chance = chance_of_counts(counts(result.candidates.latent[0], 3).double(), posterior(generator, goal)[1])
    assert chance > FALSE_ALARM
    # The expansion, the first loss, and of each iteration the candidates, a slope if it is trusted, and the passes, of
    # which the first serves all candidates.
    each = 3 + 2 * bool(trust) + 0.25 * (1 + 3 * 4)
    assert float(result.evaluations[0]) == 1000 * (2 + 4 + 1 + 20 * each)


def test_with_one_pass_answers_are_drawn_from_the_posterior_at_little_noise() -> None:
    generator, goal = two_sided((2, 2), 3)
    method = ls.SplitGibbsSearch(explore=20, probes=2, reveals=2, masked=(0.5, 0.01), iterations=300, restarts=400)
    result = method.search(generator, goal, seed=2, run=FREE)
    drawn = counts(result.candidates.latent[0], 3).double()
    assert chance_of_counts(drawn, posterior(generator, goal)[1]) > FALSE_ALARM


def test_what_is_kept_stays_and_what_is_there_now_comes_first() -> None:
    prior = toys.ListedPrior(Noise.from_seed(0).normal(3, 3, 3)[0], (3,), cost=0.5)
    ledger, noise = Ledger(2), Noise.from_seed(1, 2)
    z = torch.tensor([[0, 2, 1], [1, 1, 0]])
    masked = torch.tensor([[True, False, True], [False, False, False]])
    found = infill(ChargedPrior(prior, ledger), z, masked, None, 5, 3, noise)
    assert torch.equal(found.z[:, 0], z)
    assert (found.z == z[:, None])[~masked[:, None].expand_as(found.z)].all()
    assert ledger.spent.tolist() == [0.5 * (1 + 2 * 6)] * 2
    # A code after another, in whichever order: the probability of what was masked given the rest.
    exact = prior.log_prob(found.z[0]) - torch.stack([prior.log_prob(g) for g in _all_of(z[0], masked[0])]).logsumexp(0)
    assert torch.allclose(found.prior[0], exact)
    assert torch.equal(found.prior, found.proposal)
    assert torch.equal(found.prior[1], torch.zeros(6, dtype=torch.float64))


def _all_of(z: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """``(T, 1, *S)``: the grids that agree with ``z`` where nothing is masked."""
    grids = torch.cartesian_prod(*[torch.arange(3)] * 3)
    return grids[(grids == z)[:, ~masked].all(1)][:, None]


BAD: tuple[dict[str, object], ...] = (
    {"masked": (0.0, 0.5)},
    {"masked": 0.5},
    {"passes": 0},
    {"reveals": -1},
    {"candidates": 0},
    {"trust": 2.0},
    {"iterations": 0},
)


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_bad_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ls.InvalidArgument, match=f"SplitGibbsSearch.{next(iter(bad))}"):
        ls.SplitGibbsSearch(**bad)  # type: ignore[arg-type]
