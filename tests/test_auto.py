"""What is chosen for whom."""

from __future__ import annotations

import pytest
import torch

import latentsearch as ls
from latentsearch import training, zoo
from latentsearch.testing import toys

CODES, CONTINUOUS = toys.codes(shape=(4, 4), codebook_size=16), toys.bowl()
RULE = ls.Satisfies(lambda output: (output.flatten(1).round().sum(1) - 3).abs(), differentiable=False)


@pytest.mark.parametrize(
    ("toy", "constraint", "budget", "chosen"),
    [
        (CODES, CODES.constraint, 100, ls.RelaxedSearch),
        (CODES, CODES.constraint, 300, ls.Then),
        (CODES, CODES.constraint, None, ls.Then),
        (CODES, RULE, 300, ls.EvolutionSearch),
        (toys.codes(), toys.codes().constraint, 1000, ls.ExhaustiveSearch),
        (toys.codes(), toys.codes().constraint, None, ls.ExhaustiveSearch),
        (toys.codes(), RULE, None, ls.ExhaustiveSearch),
        (CONTINUOUS, CONTINUOUS.constraint, 300, ls.HalvingSearch),
        (CONTINUOUS, RULE, 300, ls.CMAESSearch),
    ],
)
def test_the_choice_goes_by_space_gradient_and_budget(toy, constraint, budget, chosen):
    run = ls.Run(evaluations=budget)
    auto = ls.AutoSearch().choose(toy.generator, constraint, run)
    assert type(auto) is chosen
    if budget is not None:
        # Told where to start, or it would start at the encoding of the target.
        init = toy.generator.prior.sample(ls.Noise.from_seed(0, constraint.problems))
        found = ls.search(toy.generator, constraint, init=init, seed=0, run=run)
        same = auto.search(toy.generator, constraint, init=init, seed=0, run=run)
        assert torch.equal(found.latent, same.latent) and (found.evaluations <= budget).all()


def test_a_whole_target_is_searched_from_its_encoding():
    toy = toys.codes(problems=3, shape=(7, 7), codebook_size=64)
    encoding = toy.generator.encode(toy.constraint.goal.constraints[0].target)
    result = ls.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=24))
    assert torch.equal(result.latent, encoding) and (result.score.loss == 0).all()
    half = ls.Matches(toy.constraint.goal.constraints[0].target, mask=(torch.arange(7) < 3).float().expand(1, 7, 7))
    result = ls.search(toy.generator, half, seed=0, run=ls.Run(evaluations=24))
    assert not torch.equal(result.latent, encoding)  # the half that is hidden says nothing


def test_small_budgets_are_spent():
    toy = toys.codes(problems=1, shape=(7, 7), codebook_size=64)
    init = toy.generator.prior.sample(ls.Noise.from_seed(0, 1))
    for budget in (30, 40, 60, 90):
        result = ls.search(toy.generator, toy.constraint, init=init, seed=0, run=ls.Run(evaluations=budget))
        assert 0.85 * budget <= float(result.evaluations) <= budget


def test_it_reaches_what_no_single_method_of_it_does():
    run = ls.Run(evaluations=600)
    auto = ls.search(CODES.generator, CODES.constraint, seed=0, run=run)
    relaxed = ls.RelaxedSearch().search(CODES.generator, CODES.constraint, seed=0, run=run)
    assert torch.equal(auto.latent, CODES.solution) and (auto.score.loss < relaxed.score.loss).any()


def test_arguments_are_looked_at_before_a_choice_is_made():
    with pytest.raises(ls.InvalidArgument, match="generator: got 'decoder', expected a Generator"):
        ls.search("decoder", CODES.constraint)  # type: ignore[arg-type]


@pytest.mark.parametrize("budget", [16, 20, 31, 32, 40])
def test_all_grids_are_decoded_only_where_that_can_be_paid_for(budget):
    toy = toys.codes(shape=(1, 2), codebook_size=4)
    chosen = ls.AutoSearch().choose(toy.generator, toy.constraint, ls.Run(evaluations=budget))
    assert isinstance(chosen, ls.ExhaustiveSearch) == (budget >= 32)
    result = ls.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=budget))
    assert (result.evaluations > 0).all()
    if budget >= 32:
        assert {status.name for status in result.status} == {"OPTIMAL"}


def test_without_a_limit_it_ends_with_certificates():
    """Few swaps and many grids: sets of swaps must know their end."""
    with training.initialised(0):
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(15, 32), torch.nn.Tanh()).eval()
    noise = ls.Noise.from_seed(0)
    generator = ls.CodebookGenerator(net, noise.fold(1).normal(6, 3)[0], (5,))
    constraint = ls.Matches(noise.fold(2).normal(4, 32)[0])
    result = ls.search(generator, constraint, seed=0, run=ls.Run(evaluations=None, steps=2000))
    assert {status.name for status in result.status} == {"OPTIMAL"}


@pytest.mark.parametrize(
    "generator",
    [
        ls.CodebookGenerator(lambda e: torch.as_tensor(e.detach().numpy()).flatten(1), torch.eye(9), (7,)),
        ls.ContinuousGenerator(lambda z: torch.as_tensor(z.detach().numpy()), (4,)),
    ],
    ids=["codes", "continuous"],
)
def test_a_decoder_without_a_gradient_is_refused_and_told_what_takes_it(generator):
    constraint = ls.Matches(generator.decode(generator.prior.sample(ls.Noise.from_seed(0, 2))))
    with pytest.raises(
        ls.Unsupported, match=r"EvolutionSearch\(\) on codes and ls.CMAESSearch\(\) on continuous latents"
    ):
        ls.search(generator, constraint, seed=0)


def test_where_there_are_rounds_all_answers_are_local_optima_or_stalled():
    toy = toys.codes(problems=6, shape=(4, 4), codebook_size=16)
    run = ls.Run(evaluations=3400)
    chosen = ls.AutoSearch().choose(toy.generator, toy.constraint, run)
    assert isinstance(chosen, ls.Then) and any(stage.only == "unproven" for stage in chosen.stages)
    result = ls.search(toy.generator, toy.constraint, seed=0, run=run)
    assert {status.name for status in result.status} <= {"STALLED", "OPTIMAL"}


@pytest.mark.parametrize("budget", [8, 11, 23])
def test_a_handful_of_evaluations_is_not_spent_for_nothing(budget):
    toy = toys.codes(problems=4, shape=(7, 7), codebook_size=64)
    init = toy.generator.prior.sample(ls.Noise.from_seed(0, 4))
    result = ls.search(toy.generator, toy.constraint, init=init, seed=0, run=ls.Run(evaluations=budget))
    assert (result.evaluations <= budget).all() and (result.score.loss < result.trace.loss[0]).any()


def test_a_class_of_codes_is_asked_of_many_particles_and_more_is_not():
    generator = ls.wrap(zoo.load("mnist-vqvae-512"))
    prior, images = ls.LogPrior(generator.prior), zoo.images()[0][:1]
    seven = ls.Classified(zoo.load("mnist-classifier"), 7)

    def chosen(goal, budget):
        return ls.AutoSearch().choose(generator, goal, ls.Run(evaluations=budget))

    few, many = chosen(seven + prior, 1000), chosen(seven + prior, 4000)
    assert isinstance(few, ls.SMCSearch) and (few.particles, few.restarts) == (4, 1)
    assert isinstance(many, ls.SMCSearch) and (many.particles, many.restarts) == (8, 2)
    assert isinstance(chosen(seven + prior, None), ls.SMCSearch)
    assert isinstance(chosen(seven + prior, 300), ls.GibbsSearch)  # which pays for no pass
    assert isinstance(chosen(seven + ls.Matches(images, noise="decoder") + prior, 1000), ls.GibbsSearch)
    result = ls.search(generator, seven + prior, seed=0, run=ls.Run(evaluations=1000))
    assert isinstance(few, ls.SMCSearch) and (result.evaluations <= 1000).all()
    assert torch.equal(result.latent, few.search(generator, seven + prior, seed=0, run=ls.Run(evaluations=1000)).latent)
