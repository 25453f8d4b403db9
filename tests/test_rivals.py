"""examples/benchmarks/mnist_bits.py and rivals.py: what they implement, on problems whose answers are known."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch import zoo
from latentsearch.noise import Noise
from latentsearch.priors import HistogramPrior

sys.path.append(str(Path(__file__).parents[1] / "examples" / "benchmarks"))

import mnist_bits
import posterior
import rivals
from codes_bench import bits, pages
from codes_bench.g2d2 import G2D2
from codes_bench.pairs import OPERATORS, Pairs, random_pairs
from codes_bench.products import ProductMixture
from codes_bench.split_gibbs import SplitGibbs
from codes_bench.unmasking import Messages, Slopes, Unmasking


def every_grid(positions: int) -> Tensor:
    return torch.tensor(list(itertools.product((0, 1), repeat=positions)))


@pytest.mark.parametrize("operator", OPERATORS)
def test_messages_are_exact_where_pairs_make_no_loops(operator: str) -> None:
    pairs = torch.tensor([[0, 1, 1, 4], [1, 2, 3, 4]])
    odds, grids = torch.tensor([[0.3, -1.0, 2.0, -0.4, 0.1]]), every_grid(5)
    constraint = Pairs(torch.tensor([[1, 0, 1, 1]]), pairs, OPERATORS[operator], nats=2.0)
    weights = (grids * odds).sum(1) - constraint(grids.float(), grids).loss
    share = weights.softmax(0)
    exact = (grids * share[:, None]).sum(0).logit()
    assert torch.allclose(odds[0] + constraint.evidence(odds, 60)[0], exact, atol=1e-4)


@pytest.mark.parametrize("operator", OPERATORS)
def test_slopes_of_pairs_are_what_a_flip_changes(operator: str) -> None:
    pairs = random_pairs(12, 16)[:, :7]
    grid = Noise.from_seed(0).integers(2, 16).float().requires_grad_()
    constraint = Pairs(Noise.from_seed(1).integers(2, pairs.shape[1]), pairs, OPERATORS[operator])
    loss = constraint(grid, grid).loss
    (slope,) = torch.autograd.grad(loss.sum(), grid)
    for position in set(range(16)) - set(pairs[:, pairs[0] == pairs[1]].flatten().tolist()):
        flipped = grid.detach().clone()
        flipped[0, position] = 1 - flipped[0, position]
        change = constraint(flipped, flipped).loss - loss
        assert torch.allclose(change, slope[0, position] * (1 - 2 * grid[0, position]), atol=1e-4)


def test_of_a_pair_the_surer_bit_is_drawn_first() -> None:
    constraint = Pairs(torch.zeros(1, 3), torch.tensor([[0, 2, 3], [1, 1, 3]]), OPERATORS["XOR"])
    kept = constraint.apart(torch.tensor([[True, True, True, True]]), torch.tensor([[2, 1, 0, 3]]))
    assert kept.tolist() == [[False, False, True, True]]


def test_a_mixture_of_products_conditions_exactly() -> None:
    noise = Noise.from_seed(0, 3)
    prior = ProductMixture(noise.uniform(4), noise.fold(1).uniform(1)[:, 0].softmax(0))
    grids, known = every_grid(4), torch.tensor([True, False, True, False])
    logs = prior.log_prob(grids)
    assert logs.logsumexp(0).abs() < 1e-5
    found = prior.conditionals(grids, known.expand_as(grids))
    for grid, each in zip(grids, found, strict=True):
        same = (grids[:, known] == grid[known]).all(1)
        share = logs[same].softmax(0)
        assert torch.allclose(each[~known, 1].exp(), (share[:, None] * grids[same]).sum(0)[~known], atol=1e-5)
        assert torch.equal(each[known].argmax(-1), grid[known])


def test_a_mixture_of_products_is_fitted() -> None:
    grids = torch.tensor([[1, 1, 1, 0], [0, 0, 0, 1]]).repeat(20, 1)
    prior = ProductMixture.fit(grids, 4)
    drawn = prior.sample(Noise.from_seed(1, 50))
    assert float((drawn[:, 0] == drawn[:, 2]).double().mean()) > 0.9
    assert float(prior.log_prob(grids).mean()) > -1.2


@pytest.fixture
def given() -> mnist_bits.Given:
    images, labels = zoo.images()
    truth = bits.bits_of(images)
    prior = {"mixture": HistogramPrior.from_codes(truth, 2)}
    return mnist_bits.Given(truth[:2], labels[:2], prior, zoo.load("mnist-classifier").eval())


@pytest.mark.parametrize("operator", mnist_bits.PAIRS)
@pytest.mark.parametrize("evidence", [Messages(), Slopes()])
def test_unmasking_fits_what_was_measured(evidence: Messages | Slopes, operator: str, given: mnist_bits.Given) -> None:
    method = mnist_bits.Method(Unmasking(evidence, stages=8))
    result, passes = mnist_bits.found_by(method, operator, given, 0)
    nothing = mnist_bits.judged(given.priors["mixture"].sample(Noise.from_seed(0, 2)), operator, given)
    found = mnist_bits.judged(result.latent, operator, given)
    assert all(status == ls.Status.FINISHED for status in result.status)
    assert found["mismatches"] < 0.5 * nothing["mismatches"] and found["wrong bits"] < nothing["wrong bits"]
    assert passes * evidence.cost >= result.evaluations.sum()


def test_the_truth_is_measured_without_noise(given: mnist_bits.Given) -> None:
    for operator in mnist_bits.PAIRS:
        found = mnist_bits.judged(given.truth, operator, given)
        assert found["agreement"] == 1 and found["mismatches"] == 0 and found["psnr"] == 80


def test_what_is_logged_of_a_method(given: mnist_bits.Given, monkeypatch: pytest.MonkeyPatch) -> None:
    short = dataclasses.replace(mnist_bits.METHODS["GibbsSearch"], evaluations=100)
    monkeypatch.setitem(mnist_bits.METHODS, "GibbsSearch", short)
    row = mnist_bits.measure("GibbsSearch", "XOR", given, 0)
    assert row["count"] == 2 and row["evaluations"] <= 100
    assert set(row) >= {"agreement", "read right", "psnr", "wrong bits", "mismatches", "passes"}


# -- rivals ------------------------------------------------------------------------------------------


def planted() -> tuple[ls.CodebookGenerator, ls.Goal, Tensor]:
    """Grids of four codes that outputs show as they are, under a histogram that knows nothing."""
    prior = HistogramPrior(torch.zeros(2, 2, 4))
    generator = ls.CodebookGenerator(torch.nn.Identity(), torch.eye(4), shape=(2, 2), prior=prior)
    truth = Noise.from_seed(5, 3).integers(4, 2, 2)
    return generator, ls.Matches(generator.decode(truth), noise=0.2) + ls.LogPrior(prior), truth


@pytest.mark.parametrize(
    ("searcher", "evaluations"),
    [(SplitGibbs(rounds=6, passes=2, moves=60), 6 * 61), (G2D2(scale=0.32, stages=6, iterations=10), 6 * 20)],
    ids=["SGDD", "G2D2"],
)
def test_rivals_find_what_outputs_show(searcher: ls.Searcher, evaluations: int) -> None:
    generator, goal, truth = planted()
    result = searcher.search(generator, goal, seed=0)
    assert (result.evaluations == evaluations).all()
    assert float((result.latent == truth).double().mean()) >= 0.8


def test_rivals_keep_rows_apart() -> None:
    generator, goal, _ = planted()
    seeds = ls.problem_seeds(0, 3)
    for searcher in (SplitGibbs(rounds=2, passes=2, moves=20), G2D2(scale=0.32, stages=3, iterations=3)):
        together = searcher.search(generator, goal, seed=seeds)
        alone = searcher.search(generator, goal.select(torch.tensor([2])), seed=[seeds[2]])
        assert torch.equal(together.latent[2], alone.latent[0])


def test_a_table_is_put_where_the_page_has_a_place_for_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- codes -->\nold\n<!-- end -->\nb\n")
    pages.put(page, "codes", "new\n")
    assert page.read_text() == "a\n<!-- codes -->\nnew\n<!-- end -->\nb\n"
    with pytest.raises(ValueError, match="bits"):
        pages.put(page, "bits", "new\n")


@pytest.mark.parametrize("script", [mnist_bits, rivals], ids=["bits", "rivals"])
def test_the_page_shows_the_log(script: ModuleType) -> None:
    page = script.PAGE.read_text()
    assert script.report(json.loads(script.LOG.read_text())) in page, f"run {script.__name__}.py report --write"
    assert len(page.splitlines()) <= 100


def test_the_rivals_of_codes_are_tabled() -> None:
    row = {"method": "G2D2", "within tolerance": 0.5, "in band": 0.25, "both": 0.125, "evaluations": 6580.0}
    log = {"settings": {"count": 8}, "tasks": {"x4": {"encoder": {"both": 0.9}, "rows": [row]}}}
    assert "| G2D2 | 50% | 25% | 12% |" in rivals.report(log)
    task = posterior.Task("x4", ls.Matches(torch.zeros(1)), ls.Matches(torch.zeros(1)), torch.zeros(1), 0.1)
    made = {name: make(task) for name, (make, _) in rivals.METHODS.items()}
    assert made["SGDD as released"].step_cost(ls.Discrete((7, 7), 512)) * 70 == 19_950
    assert made["G2D2"].step_cost(ls.Discrete((7, 7), 512)) * 100 == 6000
