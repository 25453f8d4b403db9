"""Everything in the package keeps the laws of its kind, in float32 and in float64."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Laplace, MultivariateNormal
from typing_extensions import is_protocol

import latentsearch as ls
from latentsearch import adapters, goal, models, relaxations, testing, training
from latentsearch.bounds import Bounded
from latentsearch.critics import Actor
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.priors import (
    CategoricalFlow,
    Concrete,
    DistributionPrior,
    Fingerprint,
    GaussianMixture,
    HistogramPrior,
    InnovationMixture,
    MaskedDiffusion,
    NoiseContrastivePrior,
    PatchMixture,
    PixelCNN,
    RealNVP,
    RectifiedFlow,
    StandardNormal,
    StickBreakingNormal,
    UniformCodes,
    fitted,
)
from latentsearch.testing import Check, TestProblem, checks, parametrize_with_checks, toys
from latentsearch.training import initialised

DTYPES = (torch.float32, torch.float64)
IMAGE = (1, 8, 8)


def draw(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Standard normal draws of a shape, the same in every run."""
    return Noise.from_seed(seed).normal(*shape, dtype=dtype)[0]


def frozen(dtype: torch.dtype, *layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers).to(dtype).eval()


# -- generators --------------------------------------------------------------------------------------


class TwoLevels(nn.Module):
    """The decoder of a small VQ-VAE-2: the coarse grid is unfolded over the fine one."""

    def __init__(self) -> None:
        super().__init__()
        self.unfold = nn.ConvTranspose2d(3, 4, 2, stride=2)
        self.merge = nn.ConvTranspose2d(6, 1, 2, stride=2)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return self.merge(torch.cat([self.unfold(coarse).tanh(), fine], 1))


def continuous_generators(dtype: torch.dtype) -> Iterator[ls.ContinuousGenerator]:
    mlp = frozen(dtype, nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 64), nn.Unflatten(1, IMAGE))
    halves = frozen(dtype, nn.Linear(3, 5), nn.Tanh()), frozen(dtype, nn.Linear(5, 3))
    yield ls.ContinuousGenerator(mlp, (6,), output_transform=torch.sigmoid, output_range=(0, 1))
    yield ls.ContinuousGenerator(halves[0], (2, 3), encode=lambda x: halves[1](x.atanh()), check=False)
    yield ls.wrap(models.VAE(IMAGE, width=3, channels=8, residual_blocks=1).to(dtype).eval())
    yield ls.wrap(models.DenseVAE(IMAGE, width=3, hidden=8).to(dtype).eval())
    yield ls.wrap(models.MelodyVAE(8, bars=2, states=7, latent=3, width=5, embedding=4).to(dtype).eval(), check=False)


def codebook_generators(dtype: torch.dtype) -> Iterator[ls.CodebookGenerator]:
    book = partial(draw, dtype=dtype)
    channels_first = frozen(dtype, nn.ConvTranspose2d(3, 2, 2, stride=2), nn.SiLU(), nn.Conv2d(2, 1, 3, padding=1))
    to_codes = frozen(dtype, nn.Conv2d(1, 7, 2, stride=2))
    to_embeddings = frozen(dtype, nn.Conv2d(1, 3, 2, stride=2))
    channels_last = frozen(dtype, nn.Linear(3, 4), nn.Flatten(), nn.Linear(24, 5))
    local = frozen(dtype, nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Upsample(scale_factor=2), nn.Conv2d(4, 1, 1))
    position_by_position = frozen(dtype, nn.Conv1d(3, 2, 1), nn.Tanh())
    two_levels = TwoLevels().to(dtype).eval()
    over_time = frozen(dtype, nn.Conv1d(3, 4, 3, padding=1), nn.Tanh(), nn.ConvTranspose1d(4, 2, 2, stride=2))

    wrapped = partial(ls.CodebookGenerator, channels_first, book(7, 3), (4, 4))
    yield wrapped(encode=lambda x: to_codes(x).argmax(1), check=False)
    yield wrapped(encode=to_embeddings, check=False)
    yield ls.CodebookGenerator(channels_last, book(5, 3), (2, 3), layout="channels_last", output_transform=torch.tanh)
    yield ls.CodebookGenerator(local, book(5, 3), (8, 9))
    yield ls.CodebookGenerator(position_by_position, book(4, 5, 3), (4,))
    yield ls.CodebookGenerator(over_time, book(5, 3), (12,))
    yield ls.CodebookGenerator(over_time, book(5, 3), (12,), output_transform=lambda x: x.mT)
    yield ls.CodebookGenerator(local, book(7, 3), (8, 9), used=torch.arange(7) % 3 > 0)
    yield ls.CodebookGenerator(position_by_position, book(4, 5, 3), (4,), used=torch.arange(20).view(4, 5) % 3 > 0)
    yield ls.CodebookGenerator(channels_first, book(6, 2), (4, 4), project=frozen(dtype, nn.Linear(2, 3)))
    yield ls.CodebookGenerator(two_levels, [book(5, 3), book(7, 2)], [(2, 2), (4, 4)])
    yield ls.CodebookGenerator(lambda *e: channels_first(sum(e)), [book(5, 3), book(7, 3)], [(4, 4), (4, 4)])
    yield ls.CodebookGenerator(lambda *e: channels_first(sum(e)), book(2, 5, 3), [(4, 4), (4, 4)])
    yield ls.wrap(models.VQVAE(IMAGE, codebook_size=6, width=3, channels=8, residual_blocks=1).to(dtype).eval())


def gaussian_codes(dtype: torch.dtype) -> Iterator[ls.GaussianCodes]:
    toy = toys.CodeGenerator((3, 2), 4, dtype)
    yield ls.GaussianCodes(toy, HistogramPrior(draw(3, 2, 4, dtype=dtype)))
    yield ls.GaussianCodes(toy, by=adapters.Quantiles.of(toy.codebook))


def gaussian_embeddings(dtype: torch.dtype) -> Iterator[ls.GaussianEmbeddings]:
    toy = toys.CodeGenerator((3, 2), 4, dtype)
    flow = CategoricalFlow(toy.space, toy.codebook, channels=8, blocks=1, steps=3).to(dtype).eval()
    yield ls.GaussianEmbeddings(toy, flow, spread=flow.spread)


def generators(dtype: torch.dtype) -> Iterator[ls.Generator]:
    yield toys.ElementwiseGenerator((2, 3), dtype)
    yield toys.CodeGenerator((3, 2), 4, dtype)
    with training.initialised(0):
        yield from continuous_generators(dtype)
        yield from codebook_generators(dtype)
    if dtype == torch.float32:
        # In float64 there would be a law that they break for a reason: see test_gaussian_codes.py.
        yield from gaussian_codes(dtype)
        with training.initialised(0):
            yield from gaussian_embeddings(dtype)


# -- priors ------------------------------------------------------------------------------------------


def priors(dtype: torch.dtype) -> Iterator[ls.Prior]:
    yield StandardNormal((2, 3), dtype)
    mean, spread = draw(2, 3, dtype=dtype), draw(2, 3, dtype=dtype, seed=1).exp()
    yield DistributionPrior(Independent(Laplace(mean, spread), 2))
    yield DistributionPrior(MultivariateNormal(mean[0], torch.diag(spread[0])))
    yield DistributionPrior(Independent(Categorical(logits=mean), 1))
    yield GaussianMixture(
        mean[:, 0], torch.stack([mean, spread]), (spread[0, 0] * torch.eye(6).to(dtype)).expand(2, 6, 6)
    )
    patches = GaussianMixture(mean[:, 0], draw(2, 5, 2, dtype=dtype), torch.eye(10, dtype=dtype).expand(2, 10, 10))
    yield PatchMixture(patches, (2, 3, 5), reach=1)
    factor = torch.eye(30, dtype=dtype) + 0.1 * draw(30, 30, dtype=dtype).tril(-1)
    yield InnovationMixture(draw(30, dtype=dtype), factor, PatchMixture(patches, (2, 3, 5), reach=1))
    yield from flows(dtype)
    yield from critics(dtype)
    yield from code_networks(dtype)
    yield toys.ListedPrior(draw(3, 3, 3, dtype=dtype), (3,), cost=0.5)
    yield HistogramPrior(mean)
    yield fitted(HistogramPrior(mean), torch.zeros(0), {})
    yield fitted(StandardNormal((3,), dtype), torch.zeros(0), {})
    yield HistogramPrior(draw(3, 2, 9, dtype=dtype))
    yield Concrete(draw(2, 4, dtype=dtype), 0.1)
    yield Concrete(draw(2, 4, dtype=dtype), 0.1).gaussian()
    yield StickBreakingNormal(mean, spread)
    # Few enough grids that frequencies can be counted, and too many.
    for space in (ls.Discrete((2, 2), 2), ls.Discrete((3,), 4), ls.Discrete((7, 7), 512)):
        yield UniformCodes(space, dtype)


def flows(dtype: torch.dtype) -> Iterator[ls.Prior]:
    """They are the identity until they are trained: the last layers get weights."""
    with training.initialised(0):
        found = [RectifiedFlow((2, 3), width=16, depth=1, steps=3), RectifiedFlow((65,), width=8, depth=1, steps=2)]
        found += [RealNVP((2, 3), blocks=4, width=16), RealNVP((5,), blocks=3, width=8)]
        for flow in found:
            flow = flow.to(dtype).eval()
            flow.calibrated(3 + draw(50, *flow.space.shape, dtype=dtype).exp())
            for parameter in flow.parameters():
                nn.init.normal_(parameter, 0, 0.2)
            yield flow
        for grids in (ls.Discrete((2, 2), 3), ls.Discrete((6, 4), 5)):
            book = draw(grids.codebook_size, 3, dtype=torch.float32)
            onto_codes = CategoricalFlow(grids, book, channels=8, blocks=1, steps=2)
            trained_by_chance(onto_codes)
            yield onto_codes.to(dtype).eval()


def code_networks(dtype: torch.dtype) -> Iterator[ls.Prior]:
    """Untrained ones are histograms, of which all orders agree; what a PixelCNN knows has one order alone."""
    few, line, many = ls.Discrete((2, 2), 2), ls.Discrete((3,), 4), ls.Discrete((3, 4), 5)
    book = draw(5, 3, dtype=torch.float32)
    with training.initialised(0):
        masked = [MaskedDiffusion(few, channels=8, blocks=1, histogram=draw(2, 2, 2, dtype=torch.float32))]
        masked += [MaskedDiffusion(line, channels=8, blocks=1, trunk="transformer", steps=2)]
        masked += [MaskedDiffusion(many, channels=8, blocks=1, codebook=book, cost=0.3)]
        causal = [PixelCNN(few, channels=8, blocks=2, classes=2), PixelCNN(line, channels=8, blocks=2)]
        causal += [PixelCNN(many, channels=8, blocks=2, codebook=book)]
        for network in (*masked, *causal):
            if isinstance(network, PixelCNN):
                trained_by_chance(network)
            yield network.to(dtype).eval()
        yield causal[0].given(1)


def trained_by_chance(network: nn.Module) -> None:
    """Weights as if it had been trained, to nothing in particular."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.5)


def critics(dtype: torch.dtype) -> Iterator[ls.Prior]:
    mixture = GaussianMixture(draw(2, dtype=dtype), draw(2, 3, dtype=dtype), torch.eye(3, dtype=dtype).expand(2, 3, 3))
    codes = UniformCodes(ls.Discrete((2, 2), 2), dtype), HistogramPrior(draw(3, 9, dtype=dtype))
    with training.initialised(0):
        for base in (StandardNormal((2, 3), dtype), mixture, *codes):
            critic = NoiseContrastivePrior(base, width=16, depth=2, draws=16).to(dtype).eval()
            nn.init.normal_(critic.network.last.weight, 0, 0.2)
            yield critic


# -- constraints -------------------------------------------------------------------------------------


def image_constraints(dtype: torch.dtype, problems: int) -> Iterator[ls.Constraint]:
    """Constraints about images ``(N, *IMAGE)``."""
    target = draw(problems, *IMAGE, dtype=dtype, seed=1)
    hole = torch.ones(1, 1, 8, 8, dtype=dtype)
    hole[..., 2:5, 3:] = 0
    weights = draw(problems, 1, 8, 8, dtype=dtype, seed=2).sigmoid()
    for distance in ("l2", "l1", "huber"):
        yield ls.Matches(target, distance=distance)
    yield ls.Matches(target, mask=hole)
    yield ls.Matches(target, distance="huber", mask=weights)
    for mode in ("area", "bicubic"):
        yield ls.Downscales(target[..., ::4, ::4], 4, mode=mode)
        yield ls.Downscales(target[..., ::2, ::2], 2, mode=mode, noise=0.3).below(1.0)
    yield ls.Matches(target, mask=hole, noise=0.2)
    yield ls.Observed(
        target[..., ::2].flatten(1), lambda x: x[..., ::2].flatten(1), noise=draw(problems, dtype=dtype).exp()
    )
    with training.initialised(1):
        classifier = models.Classifier(IMAGE, classes=3, channels=4).to(dtype).eval()
    for loss in ("probability", "logit"):
        yield ls.Classified(classifier, 1, loss=loss, threshold=0.3)
        yield ls.Classified(classifier, torch.arange(problems) % 3, loss=loss, threshold=None)


def sequence_constraints(dtype: torch.dtype, problems: int) -> Iterator[ls.Constraint]:
    """Constraints about signals, or logits of 4 tokens over time, ``(N, 6, 4)``."""
    target = draw(problems, 6, 4, dtype=dtype, seed=1)
    tokens = target.argmax(-1)
    seen = torch.tensor([[True, True, False, True, False, True]])
    yield ls.Matches(target, mask=seen[..., None])
    yield ls.Matches(target, mask=draw(problems, 1, 4, dtype=dtype).sigmoid(), noise=0.3)
    yield ls.Downscales(target[..., ::2], 2, mode="area", noise=0.3)
    yield ls.Downscales(target[..., ::4], 4)
    yield ls.Observed(target.cumsum(-1), lambda x: x.cumsum(-1), noise=0.2)
    yield ls.MatchesTokens(tokens)
    yield ls.MatchesTokens(tokens, mask=seen).below(6.0)
    yield ls.MatchesTokens(tokens[:1], mask=draw(problems, 6, dtype=dtype).sigmoid())


def function_constraints(dtype: torch.dtype, problems: int) -> Iterator[ls.Constraint]:
    levels = draw(problems, dtype=dtype, seed=3)
    yield ls.Satisfies(lambda x: x.mean((1, 2, 3)), name="dark")
    yield ls.Satisfies(lambda z: z.square().sum(1), of="latent")
    yield ls.Satisfies(lambda x, z: x.mean((1, 2, 3)) * z.sum(1), of="both")
    yield ls.Satisfies(lambda x, level: x.mean((1, 2, 3)) - level, targets=levels)
    yield ls.Satisfies(lambda x, level: x.mean((1, 2, 3)) > level, targets=levels, boolean=True)
    yield ls.Satisfies(lambda x, level: (x - level).mean((1, 2, 3))).with_targets(levels[:, None, None, None])


def latent_constraints(prior: ls.Prior, latent: Tensor) -> Iterator[ls.Constraint]:
    yield ls.LogPrior(prior)
    yield ls.Typical(prior, (2.0, 5.0))
    yield ls.Near(latent)
    yield ls.Within(latent, 2)
    yield ls.Near(latent) + 2 * ls.Within(latent, torch.arange(1, len(latent) + 1))
    if latent.is_floating_point():
        yield ls.Shell()
        yield ls.Sphere()
        yield ls.Near(latent) + ls.Sphere(2.0)
        yield ls.Near(latent, metric="log", scale=0.3)
        yield ls.Near(latent, scale=draw(1, *latent.shape[1:], dtype=latent.dtype).exp())
        yield ls.HasAttributes(lambda z: z[:, :3], {0: True, 2: False}, threshold=0.5)
        yield ls.HasAttributes(lambda z: z[:, 0], threshold=None)
        yield ls.Classified(lambda z: z[:, :3], torch.arange(len(latent)) % 3, of="latent", threshold=0.4)
        yield ls.Near(latent).subject_to(ls.HasAttributes(lambda z: z[:, 0], threshold=0.5))
        yield ls.Near(latent, metric="log", scale=draw(len(latent), dtype=latent.dtype).exp())


def combined_constraints(dtype: torch.dtype, problems: int) -> Iterator[ls.Constraint]:
    match, shrunk, *_ = image_constraints(dtype, problems)
    prior = ls.LogPrior(StandardNormal((6,), dtype))
    yield 0.1 * match
    yield match + shrunk + 0.01 * prior
    yield match.below(2.0)
    yield 3 * (match + prior).below(20.0)
    yield match.below(2.0).below(1.0) + prior.below(12.0)
    yield (match + 0.5 * shrunk.below(1.0)).below(2.0) + ls.Within(draw(problems, 6, dtype=dtype, seed=5), 3.0)


def constraints(dtype: torch.dtype) -> Iterator[tuple[ls.Constraint, ls.Generator]]:
    with training.initialised(0):
        continuous = next(continuous_generators(dtype))
    layers = toys.ElementwiseGenerator((3, 2), dtype)
    codes, images = toys.CodeGenerator((3, 2), 4, dtype), toys.CodeGenerator(IMAGE, 3, dtype)
    # One problem broadcasts, several do not: each with one dtype will do.
    for problems in (3 if dtype == torch.float32 else 1,):
        families = (image_constraints, function_constraints, combined_constraints)
        found = [constraint for family in families for constraint in family(dtype, problems)]
        found += latent_constraints(continuous.prior, draw(problems, 6, dtype=dtype, seed=4))
        yield from ((constraint, continuous) for constraint in found)
        # Sets of outputs, over which losses are bounded, are those of grids of codes.
        bounded = (constraint for constraint in found if isinstance(constraint, ls.Matches | ls.Downscales))
        yield from ((constraint, images) for constraint in bounded)
        over_time = toys.CodeGenerator((6, 4), 3, dtype)
        yield from ((constraint, over_time) for constraint in sequence_constraints(dtype, problems))
        drawn = draw(problems, 3, 2, dtype=dtype, seed=6)
        yield from ((each, layers) for each in (ls.constraints.Geocross(), ls.Near(drawn) + ls.Sphere(2.0, dims=1)))
        yield from (
            (constraint, codes)
            for constraint in latent_constraints(codes.prior, toys.codes(problems, (3, 2), 4).solution)
        )


# -- searchers and estimators ------------------------------------------------------------------------


@dataclass(frozen=True)
class ToyBound:
    """Exact for the toys, whose positions do not depend on each other; other constraints are not below 0."""

    evaluations: int = 1

    def check(self, generator: ls.Generator, constraint: ls.Constraint) -> None:
        if not isinstance(generator, toys.CodeGenerator):
            raise ls.Unsupported("ToyBound", got=type(generator).__name__, expected="a CodeGenerator")

    def __call__(self, objective: Objective, allowed: Tensor, row: Tensor) -> Bounded:
        constraint = objective.goal.select(row).constraints[0]
        values = objective.codebook.vectors[:, 0] ** 3
        each = (values - constraint.target.flatten(1)[..., None]).square() / constraint.target[0].numel()
        low = torch.where(allowed, each, torch.inf).amin(2)
        high = torch.where(allowed, each, -torch.inf).amax(2)
        return Bounded(low.sum(1), high - low)


ADAM = partial(torch.optim.Adam, lr=0.2)

SEARCHERS = (
    ls.RandomSearch(),
    ls.RandomSearch(batch=5, restarts=2),
    ls.GradientSearch(),
    ls.GradientSearch(partial(torch.optim.SGD, lr=0.2, momentum=0.5), tolerance=1e-3, restarts=2),
    # Endings, optimisers and memories that a law could tell apart; what each does is tested elsewhere.
    ls.HalvingSearch(ADAM, draws=6, starts=4, reduction=2),
    ls.HalvingSearch(draws=9, starts=4, restarts=2),
    ls.HalvingSearch(),
    ls.SphericalSearch(),
    ls.SphericalSearch(ls.Sphere(1.5), lr=0.1, schedule=ls.searchers.one_cycle, steps=9, noise=0.2, restarts=2),
    ls.EllipticalSliceSearch(),
    ls.EllipticalSliceSearch(transitions=5, restarts=2),
    ls.ImportanceResampling(draws=5),
    ls.ImportanceResampling(draws=3, transitions=4, restarts=2),
    ls.StraightThroughSearch(lr=0.5),
    ls.StraightThroughSearch(optimizer=ADAM, patience=20, on_repeat="mask", restarts=2),
    ls.StraightThroughSearch(lr=None, snap=True, on_repeat="continue", patience=9),
    ls.SinglePositionSearch(lr=None),
    ls.SinglePositionSearch(lr=2.0, snap=True, on_repeat="mask", restarts=2),
    ls.BanditSearch(),
    ls.BanditSearch(arms=2, codes=3, patience=9, restarts=2),
    ls.BanditSearch(arms=3, codes=1, exploration=0.0, patience=None),
    ls.ColouredSearch(spacing=2),
    ls.ColouredSearch(spacing=2, codes=2, patience=None, restarts=2),
    ls.AutoSearch(),
    ls.ExhaustiveSearch(),
    ls.BranchAndBoundSearch(bound=ToyBound(), batch=4),
    ls.BranchAndBoundSearch(bound=ToyBound(), batch=1, restarts=2),
    ls.PursuitSearch(),
    ls.PursuitSearch(batch=3, patience=9, restarts=2),
    ls.Then(ls.RelaxedSearch(steps=8), ls.Stage(ls.CoordinateSearch(batch=4), start="prior", keep="better")),
    ls.Then(ls.RelaxedSearch(steps=8), ls.Stage(ls.CoordinateSearch(batch=4), only="unproven")),
    ls.Then(ls.CoordinateSearch(batch=4, patience=5), ls.Stage(ls.CoordinateSearch(patience=None), keep="better")),
    ls.JacobiSearch(),
    ls.JacobiSearch(restarts=2),
    ls.CoordinateSearch(),
    ls.CoordinateSearch(batch=4, patience=9, restarts=2),
    ls.CoordinateSearch(batch=3, patience=None),
    ls.RelaxedSearch(steps=12, check_every=5),
    ls.Then(ls.RandomSearch(batch=5), ls.RandomSearch(batch=3), ls.RandomSearch(batch=2)),
    ls.Then(ls.Stage(ls.RelaxedSearch(steps=8, restarts=2), share=0.6), ls.StraightThroughSearch(restarts=2)),
    ls.RelaxedSearch(steps=9, check_every=2, restarts=2, temperature=(2.0, 0.5), optimizer=ADAM),
    ls.EvolutionSearch(),
    ls.EvolutionSearch(population=5, children=3, restarts=2),
    ls.EvolutionSearch(population=1, children=1),
    ls.CMAESSearch(),
    ls.CMAESSearch(sigma=1.0, population=5, restarts=2),
    ls.CMAESSearch(population=7, separable=True),
    ls.LangevinSearch(steps=12),
    ls.LangevinSearch(steps=9, restarts=2, temperature=(0.5, 0.5), acceptance=0.3),
)


# The last of each class, for what is tried in a second way.
ONE_OF_EACH = tuple({type(searcher): searcher for searcher in SEARCHERS}.values())


def provable() -> TestProblem:
    """Bounds can be taken through the layers of a decoder, but not through the arithmetic of a toy."""
    with training.initialised(0):
        decoder = frozen(torch.float64, nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))
    generator = ls.CodebookGenerator(decoder, draw(4, 2, dtype=torch.float64), (3,))
    target = draw(3, 4, dtype=torch.float64, seed=1)
    return TestProblem(generator, ls.Matches(target))


def rounding(toy: toys.Toy) -> TestProblem:
    """A toy to a method whose own network rounds by batch."""
    return TestProblem(toy.generator, toy.constraint)


def requirements(toy: toys.Toy) -> TestProblem:
    """A toy whose outputs must be large on average."""
    large = ls.Satisfies(lambda x: 0.3 - x.flatten(1).mean(1), name="large").below(0)
    return TestProblem(toy.generator, toy.constraint.subject_to(large))


def posterior() -> TestProblem:
    """A measurement in nats and a prior."""
    toy = toys.bowl(3)
    return TestProblem(toy.generator, 50 * toy.constraint.goal + ls.LogPrior(toy.generator.prior))


def grids() -> list[TestProblem]:
    """Posteriors over grids of codes in nats, as toys: a prior that costs nothing, and one that does."""
    free, charged = (toys.codes(3, shape) for shape in ((3, 2), (2, 2)))
    known = ls.LogPrior(toys.ListedPrior(draw(5, 5, 5, 5, dtype=torch.float32), (2, 2), cost=0.4))
    return [
        replace(free, constraint=ls.Matches(free.constraint.goal.constraints[0].target, noise=0.3)),
        replace(
            charged,
            constraint=ls.Matches(charged.constraint.goal.constraints[0].target, noise=0.3) + known,
            optimum=torch.full((3,), -torch.inf),
        ),
    ]


def network() -> nn.Module:
    with initialised(0):
        return nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1)).double()


ESTIMATORS = (
    relaxations.SoftmaxRelaxation(),
    relaxations.SoftmaxRelaxation(temperature=0.3),
    relaxations.StraightThrough(),
    relaxations.StraightThrough(temperature=2.0),
    relaxations.GumbelSoftmax(temperature=0.5),
    relaxations.GumbelSoftmax(temperature=0.5, hard=True),
    relaxations.GumbelRao(temperature=0.5, samples=3),
    relaxations.ReinMax(),
    relaxations.ReinMax(temperature=1.3),
    relaxations.DirectArgmax(),
    relaxations.DirectArgmax(0.5, two_sided=True),
    relaxations.DirectArgmax(-0.5, top=1),
    relaxations.DirectArgmax(-0.5, joint=True),
    relaxations.LocalExpectation(),
    relaxations.LocalExpectation(top=1),
    relaxations.LocalExpectation(top=2),
    relaxations.Reinforce(),
    relaxations.Reinforce(baseline=3.0),
    relaxations.Rloo(),
    relaxations.Rloo(samples=4),
    relaxations.Rebar(),
    relaxations.Rebar(temperature=0.3, eta=0.5, learn=True),
    relaxations.Relax(network()),
    relaxations.Relax(network(), eta=0.5, learn=True),
)
NO_SEARCHERS = (ls.Stage, ls.searchers.Plan)
NO_GENERATORS = (adapters.GumbelMax, adapters.Quantiles)
NO_PRIORS = (Fingerprint,)
NO_ESTIMATORS = (relaxations.Annealed, relaxations.GumbelSoftmaxDistribution)

# -- the laws ----------------------------------------------------------------------------------------

SUBJECTS: list[Any] = [
    subject
    for dtype in DTYPES
    for family in (generators, priors, constraints)
    for subject in family(dtype)
]  # fmt: skip
SUBJECTS += SEARCHERS
SUBJECTS += [(ls.BranchAndBoundSearch(batch=4), provable()), (ls.CoordinateSearch(batch=4), provable())]
# Grids of one axis: sequences.
SUBJECTS += [(ls.ColouredSearch(spacing=2), toys.codes(3, (8,))), (ls.AutoSearch(), toys.codes(3, (7,)))]
# A posterior, which the toys of other searchers are not.
SUBJECTS += [(ls.MALASearch(burn_in=3, transitions=20), posterior())]
SUBJECTS += [
    (ls.GibbsSearch(explore=12, probes=2, reveals=3, candidates=2), grids()),
    (ls.GibbsSearch(explore=0, reveals=0, candidates=2, spacing=4, restarts=2), grids()),
    (ls.GibbsSearch(explore=0, probes=3, spacing=1, sweeps=3, temperature=(1.0, 0.0), trust=0.0), grids()),
    (ls.CoordinateSearch(batch=4), grids()[1]),
    (ls.LangevinSearch(steps=9), grids()[1]),
    (ls.SplitGibbsSearch(explore=12, probes=2, reveals=3, candidates=2, passes=2), grids()),
    (ls.SplitGibbsSearch(explore=0, probes=2, reveals=0, candidates=1, iterations=5, trust=0.0, restarts=2), grids()),
]
SUBJECTS += [
    (ls.SMCSearch(particles=4, reveals=2), grids()),
    (ls.SMCSearch(particles=3, trust=None, transitions=3, restarts=2), grids()),
]
with training.initialised(0):
    ACTOR, ASKED = (Actor(toys.bowl().generator.space, labels=labels, width=8).eval() for labels in (0, 2))
SUBJECTS += [
    (ls.AugmentedLagrangian(ls.GradientSearch(), rounds=2), requirements(toys.bowl(3))),
    (ls.AugmentedLagrangian(ls.GradientSearch(restarts=2), rounds=3), requirements(toys.bowl(3))),
    (ls.AugmentedLagrangian(ls.CoordinateSearch(), rounds=2), requirements(toys.codes(3))),
    (ls.ActorSearch(ACTOR, restarts=2), rounding(toys.bowl(3))),
    (ls.ActorSearch(ASKED, torch.tensor([1.0, 0.0])), rounding(toys.bowl(3))),
    (ls.AttributeVectorSearch(torch.tensor([[1.0, 0.5, 0.0, -1.0]]), steps=7), toys.bowl(3)),
]
SUBJECTS += ESTIMATORS

# What a dtype can change of a search; budgets, checkpoints and seeds it cannot.
LAWS_IN_FLOAT64 = {
    "scores_are_those_of_the_latents",
    "results_are_never_worse_than_init",
    "problems_together_equal_each_alone",
    "broken_rows_leave_others_intact",
}


def in_float64() -> Iterator[Check]:
    """One searcher of each class, on one toy of each kind that it takes."""
    *small, large = toys.several(dtype=torch.float64)
    for searcher in ONE_OF_EACH:
        found: list[Check] = []
        for on in (small, [large]):
            found = found or [check for check in checks((searcher, on)) if check.law in LAWS_IN_FLOAT64]
        yield from found


@parametrize_with_checks(SUBJECTS)
def test_laws(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", list(in_float64()), ids=str)
def test_laws_in_float64(check: Check) -> None:
    check()


def test_every_law_is_tried() -> None:
    """A question that is always answered with no would take a law away in silence."""
    kinds = (
        testing.generators, testing.priors, testing.constraints, testing.estimators, testing.searchers,
    )  # fmt: skip
    laws = {law.__name__ for kind in kinds for law in kind.LAWS}
    assert laws <= {check.law for subject in SUBJECTS for check in checks(subject)}


def public_classes() -> Iterator[type]:
    """What can be built of the parts and the searchers: no protocols, bases, records and warnings."""
    for unit in ("adapters", "constraints", "priors", "relaxations", "searchers"):
        module = importlib.import_module(f"latentsearch.{unit}")
        for found in (getattr(module, name) for name in module.__all__):
            buildable = inspect.isclass(found) and not inspect.isabstract(found) and not is_protocol(found)
            if buildable and not issubclass(
                found, (tuple, Warning, *NO_GENERATORS, *NO_PRIORS, *NO_SEARCHERS, *NO_ESTIMATORS)
            ):
                yield found


@pytest.mark.parametrize("kind", [*public_classes(), goal.Goal])
def test_every_public_class_is_held_to_the_laws(kind: type) -> None:
    parts = [part for subject in SUBJECTS for part in (subject if isinstance(subject, tuple) else (subject,))]
    assert any(type(part) is kind for part in parts), f"add a {kind.__name__} to the subjects of this file"
