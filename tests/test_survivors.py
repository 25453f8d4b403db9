"""What mutants of the code once survived: each of these fails if one comes back."""

from __future__ import annotations

import pytest
import torch

import latentsearch as ls
from latentsearch import models, training
from latentsearch.noise import Noise
from latentsearch.relaxations import GumbelRao, ReinMax
from latentsearch.searchers._curvature import Curvature
from latentsearch.testing import toys


def gradient_of(estimator, logits, values, noise):
    leaf = logits.clone().requires_grad_()
    estimator(leaf, lambda z, row: (z * values).flatten(1).sum(1), noise).sum().backward()
    return leaf.grad


def test_the_temperature_of_reinmax_flattens_the_softmax():
    """The estimate is ``2 J(p1) g - J(p0) g / 2``, with p1 between the draw and the softmax of ``l / tau``."""
    logits, values, noise = torch.tensor([[[1.0, -0.5, 0.3]]]), torch.tensor([0.2, -1.0, 2.0]), Noise.from_seed(0, 1)
    draw = torch.nn.functional.one_hot(noise.categorical(logits), 3).float()

    def jacobian(p):
        return p * (values - (p * values).sum(-1, keepdim=True))

    for tau in (0.5, 2.0):
        between = ((logits / tau).softmax(-1) + draw) / 2
        expected = 2 * jacobian(between) - 0.5 * jacobian(logits.softmax(-1))
        assert torch.allclose(gradient_of(ReinMax(tau), logits, values, noise), expected, atol=1e-6)


def test_gumbel_rao_averages_over_noise_of_its_own():
    logits, values, noise = torch.zeros(600, 1, 4), torch.tensor([0.0, 1.0, 5.0, -3.0]), Noise.from_seed(0, 600)
    one, many = (gradient_of(GumbelRao(0.1, samples=n), logits, values, noise) for n in (1, 32))
    assert many.var(0).sum() < 0.7 * one.var(0).sum()


def test_optimal_is_said_once_all_swaps_were_tried():
    toy = toys.codes(problems=1, shape=(2, 2), codebook_size=5)
    searcher, run = ls.CoordinateSearch(batch=1, patience=None), ls.Run(evaluations=200)
    result = searcher.search(toy.generator, toy.constraint, init=toy.solution, seed=0, run=run)
    # A step ranks the swaps by a value with its gradient, and tries one: each of the 4 x 4 that there are.
    assert result.status == (ls.Status.OPTIMAL,) and result.steps == 4 * 4
    assert float(result.evaluations) == 3 * 4 * 4


def test_a_resumed_search_knows_what_those_that_ended_spent(tmp_path):
    toy = toys.bowl(problems=3)
    run = ls.Run(evaluations=[6, 40, 40], checkpoint=tmp_path / "run", checkpoint_every=1)

    def stop(step: ls.Step) -> bool:
        return step.number == 8

    stopped = ls.Run(**(vars(run) | {"callbacks": [stop]}))
    ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=stopped)
    resumed = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    assert resumed.evaluations.tolist() == [6, 40, 40]


def test_commitment_pulls_the_encoder_and_the_codebook_term_the_codes():
    with training.initialised(0):
        model = models.VQVAE((1, 8, 8), codebook_size=6, width=3, channels=8, residual_blocks=1, update="gradient")
    terms = model.training_terms(torch.rand(4, 1, 8, 8), Noise.from_seed(0))
    encoder, codes = next(model.encoder.parameters()), next(model.codes.parameters())
    pulls = {
        name: [g is not None and bool(g.any()) for g in gradients]
        for name in ("commitment", "codebook")
        if (gradients := torch.autograd.grad(terms[name], [encoder, codes], allow_unused=True, retain_graph=True))
    }
    assert pulls == {"commitment": [True, False], "codebook": [False, True]}


def test_a_curvature_forgets():
    fit, far = Curvature(torch.zeros(1, 2)), torch.ones(1)
    for _ in range(200):
        fit = fit.observe(torch.tensor([1.0]), far)
    for _ in range(200):
        fit = fit.observe(torch.tensor([5.0]), far)
    assert float(fit.value) == pytest.approx(5.0, rel=0.05)


def test_compiled_losses_of_swaps_are_the_same():
    torch.compiler.reset()
    images, noise = (torch.rand(6, 1, 4, 4) > 0.5).float(), Noise.from_seed(1)
    terms = []
    for compiled in (False, True):
        with training.initialised(0):
            model = models.DiscreteVAE((1, 4, 4), variables=2, categories=3, compiled=compiled)
        found = model.training_terms(images, noise)
        sum(found.values()).backward()
        terms.append([*found.values(), *(p.grad for p in model.parameters() if p.grad is not None)])
    assert len(terms[0]) > 4 and all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*terms, strict=True))
