"""The paper's flows onto Gumbel-softmax codes: gradients, densities, and that the script runs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from latentsearch.noise import Noise
from latentsearch.priors import Concrete

REPOSITORY = Path(__file__).resolve().parents[1]
PAPERS = REPOSITORY / "examples" / "papers"
pytestmark = pytest.mark.skipif(not PAPERS.is_dir(), reason="the examples are not part of this checkout")
if PAPERS.is_dir():
    sys.path.insert(0, str(PAPERS))
    from flows.coupling import Flows, Shape
    from flows.measure import measured
    from flows.recipes import CAUSES, mended, published, train, with_cause
    from flows.targets import Target

SEEDS = [3, 4]


def flows(target: Any, rotate: bool = True) -> Any:
    """Flows that are not the identity, in float64."""
    made = Flows(Shape(target.size, bound=1.0, rotate=rotate), SEEDS, 0.5, target.whitening()).double()
    with torch.no_grad():
        for i, parameter in enumerate(made.parameters()):
            parameter.add_(0.1 * Noise.from_seed(i).normal(*parameter.shape, dtype=torch.float64)[0])
        for block in made.blocks:
            block.turn.copy_(torch.linalg.qr(block.turn)[0])  # a rotation in float64 too
    return made


@pytest.mark.parametrize("rotate", [True, False])
def test_the_score_carried_along_is_that_of_the_inverse(rotate: bool) -> None:
    target = Target.make(2, 3, 0.5, correlated=False)
    made = flows(target, rotate)
    u, log_q, score = made.with_score(Noise.from_seed(1, 7).normal(target.size, dtype=torch.float64))
    leaf = u.detach().requires_grad_()
    inverse = made.log_prob(leaf)
    (expected,) = torch.autograd.grad(inverse.sum(), leaf)
    torch.testing.assert_close(inverse, log_q, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(score, expected, rtol=1e-7, atol=1e-7)


def test_flows_of_several_seeds_do_not_know_of_each_other() -> None:
    target = Target.make(2, 3, 0.5, correlated=False)
    both = train(target, mended("Adam"), SEEDS, 3)
    alone = train(target, mended("Adam"), SEEDS[1:], 3)
    assert [point[1] for point in both.curve] == pytest.approx([point[0] for point in alone.curve], abs=1e-4)


def test_an_independent_target_is_the_concrete_distribution() -> None:
    target = Target.make(3, 4, 0.1, correlated=False)
    u = target.sample(Noise.from_seed(0, 30))
    expected = Concrete(target.logits, 0.1).log_prob(u.view(30, 3, 3))
    torch.testing.assert_close(target.log_prob(u), expected, rtol=1e-4, atol=1e-4)


def test_a_correlated_target_is_normalised() -> None:
    """By importance sampling from its Gaussian: the mean ratio of densities is 1."""
    target = Target.make(2, 2, 1.0, correlated=True)
    gaussian = Flows(Shape(2, bound=1.0, rotate=False), [0], 0.0, target.whitening())
    with torch.no_grad():
        u, log_q = gaussian(Noise.from_seed(0, 40_000).normal(2))
        ratio = (target.log_prob(u) - log_q).exp()
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / 200)


def test_the_published_formula_is_no_density_off_the_simplex() -> None:
    """Scaled by c it loses K log c a position, so its integral along a ray is that of dr / r."""
    target = Target.make(2, 4, 0.1, correlated=False)
    z = Noise.from_seed(0, 5).uniform(2, 4)
    for scale in (0.1, 3.0):
        off = target.log_prob_published(scale * z) - target.log_prob_published(z)
        torch.testing.assert_close(off, torch.full((5,), -8 * math.log(scale)), rtol=1e-4, atol=1e-2)
    assert target.log_prob_published(-z).isnan().all()


def test_every_cause_is_in_the_published_recipe_and_in_none_of_the_mended() -> None:
    worst, best = published(5.0, "Nesterov", "softmax"), mended("Adam")
    for cause in CAUSES:
        assert with_cause(worst, cause, present=True) == worst and with_cause(worst, cause, present=False) != worst
        assert with_cause(best, cause, present=False) == best and with_cause(best, cause, present=True) != best


def test_forty_steps_halve_what_an_untrained_gaussian_is_off() -> None:
    target = Target.make(1, 4, 0.1, correlated=False)
    before = measured(train(target, mended("Adam"), [0], 1), target, mended("Adam"), 4000)
    after = measured(train(target, mended("Adam"), [0], 40), target, mended("Adam"), 4000)
    assert before["forward"][0] == pytest.approx(0.052, abs=0.01) and after["finite"] == [True]
    assert after["forward"][0] < 0.03 and after["reverse"][0] < 0.03


LOG = REPOSITORY / "examples" / "logs" / "flows_to_gumbel.json"


@pytest.mark.skipif(not LOG.exists(), reason="flows_to_gumbel.py run writes it")
def test_the_log_is_whole() -> None:
    log = json.loads(LOG.read_text())
    runs = log["mended"]
    assert len(runs) == 8 and all(all(run["finite"]) for run in runs)
    for run in runs:
        most = 0.05 if run["correlated"] else 0.02
        assert max(run["reverse"] + run["forward"]) <= most
    report = [sys.executable, str(PAPERS / "flows_to_gumbel.py"), "report"]
    done = subprocess.run(report, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout.count("| 4: N(0, I), 0.1, Nesterov |") == 8
