"""Priors: torch distributions, histograms, and what a search makes of one with conditionals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    AffineTransform,
    Beta,
    Categorical,
    Dirichlet,
    Distribution,
    Exponential,
    ExpTransform,
    Gamma,
    Gumbel,
    HalfNormal,
    Independent,
    Laplace,
    LogNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Pareto,
    Poisson,
    SigmoidTransform,
    TanhTransform,
    TransformedDistribution,
    Uniform,
)

import latentsearch as ls
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.priors import DistributionPrior, HistogramPrior, StandardNormal, UniformCodes
from latentsearch.testing import check_prior, toys

ZERO, ONE = torch.zeros(3), torch.ones(3)
MEANS = torch.tensor([[-3.0, 0.0, 3.0], [3.0, 0.0, -3.0]])
TANH = TransformedDistribution(Independent(Normal(ZERO, ONE), 1), [TanhTransform()])
CONTINUOUS: dict[str, Distribution] = {
    "by inversion": Independent(Laplace(ZERO, ONE), 1),
    "of correlated elements": MultivariateNormal(ZERO, torch.eye(3) + 0.5),
    "mixture": MixtureSameFamily(Categorical(torch.ones(2)), Independent(Normal(MEANS, torch.ones(2, 3)), 1)),
    "with a transform": TANH,
    "on the simplex": Dirichlet(ONE),
    "of one number": Normal(torch.tensor(0.0), torch.tensor(1.0)),
    "of a image": Independent(Normal(torch.zeros(1, 4, 4), torch.ones(1, 4, 4)), 3),
}


# -- torch distributions -----------------------------------------------------------------------------


@pytest.mark.parametrize("distribution", CONTINUOUS.values(), ids=CONTINUOUS)
def test_a_row_of_a_distribution_is_drawn_by_its_own_key(distribution: Distribution) -> None:
    prior, noise = DistributionPrior(distribution), Noise.from_seed(0, 6)
    before = torch.get_rng_state()
    z = prior.sample(noise)
    assert prior.space == ls.Continuous(tuple(distribution.event_shape)) and prior.space.contains(z)
    assert len({tuple(row.flatten().tolist()) for row in z}) == 6
    assert all(torch.equal(prior.sample(noise[n : n + 1])[0], z[n]) for n in range(6))
    assert torch.equal(prior.log_prob(z), distribution.log_prob(z))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["by inversion", "of correlated elements"])
def test_draws_have_the_distributions_moments(name: str) -> None:
    z = DistributionPrior(CONTINUOUS[name]).sample(Noise.from_seed(1, 4000))
    assert z.mean(0).abs().max() < 0.1
    torch.testing.assert_close(z.var(0), CONTINUOUS[name].variance, rtol=0.15, atol=0)


class Bare(Distribution):
    """A density written by hand, as those of flows are: it knows no support, and its base looks at arguments."""

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__(torch.Size(), torch.Size((3,)))
        self.base = Independent(Normal(ZERO, ONE, validate_args=True), 1, validate_args=True)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base.sample(sample_shape).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        density: Tensor = self.base.log_prob(value.log())
        return density - value.log().sum(-1)


def boxes() -> Distribution:
    """Two components, each with a support of its own."""
    low = torch.stack([ZERO, 2 * ONE])
    parts = Independent(Uniform(low, low + 1, validate_args=False), 1, validate_args=False)
    return MixtureSameFamily(Categorical(ONE[:2]), parts, validate_args=False)


# A distribution, and a number that its latents never hold; none is known where every number may be.
SUPPORTS: dict[str, tuple[Callable[[], Distribution], float | None]] = {
    "normal": (lambda: Independent(Normal(ZERO, ONE), 1), None),
    "laplace": (lambda: Independent(Laplace(ZERO, ONE), 1), None),
    "log-normal": (lambda: Independent(LogNormal(ZERO, ONE), 1), -1.0),
    "beta": (lambda: Independent(Beta(2 * ONE, 2 * ONE), 1), 1.5),
    "exponential": (lambda: Independent(Exponential(ONE), 1), -1.0),
    "gamma": (lambda: Independent(Gamma(2 * ONE, ONE), 1), -1.0),
    "gamma with a pole": (lambda: Independent(Gamma(ONE / 2, ONE), 1), -1.0),
    "uniform": (lambda: Independent(Uniform(ZERO, ONE), 1), 2.0),
    "half-normal": (lambda: Independent(HalfNormal(ONE), 1), -1.0),
    "pareto": (lambda: Independent(Pareto(ONE, ONE), 1), 0.5),
    "gumbel": (lambda: Independent(Gumbel(ZERO, ONE), 1), None),
    "simplex": (lambda: Dirichlet(2 * ONE), 0.9),
    "correlated": (lambda: MultivariateNormal(ZERO, torch.eye(3) + 0.5), None),
    "sigmoid": (lambda: TransformedDistribution(Independent(Normal(ZERO, ONE), 1), [SigmoidTransform()]), 1.5),
    "tanh": (lambda: TANH, 1.0),
    "exponentiated": (lambda: TransformedDistribution(Independent(Normal(ZERO, ONE), 1), [ExpTransform()]), -1.0),
    "shifted": (
        lambda: TransformedDistribution(Independent(Exponential(ONE), 1), [AffineTransform(5.0, 1.0)]), 4.0,
    ),
    "shifted after a transform": (
        lambda: TransformedDistribution(Independent(Normal(ZERO, ONE), 1), [ExpTransform(), AffineTransform(5.0, 1.0)]),
        4.0,
    ),
    "mixture": (lambda: CONTINUOUS["mixture"], None),
    "mixture of numbers": (lambda: MixtureSameFamily(Categorical(ONE), Normal(ZERO, ONE)), None),
    "mixture of boxes": (boxes, 1.5),
    "bare": (Bare, -1.0),
}  # fmt: skip


@pytest.mark.parametrize(("make", "never"), SUPPORTS.values(), ids=SUPPORTS)
def test_distributions_of_all_supports_keep_the_laws(make: Callable[[], Distribution], never: float | None) -> None:
    check_prior(DistributionPrior(make()))


@pytest.mark.parametrize(("make", "never"), SUPPORTS.values(), ids=SUPPORTS)
def test_beyond_the_support_the_density_is_0(make: Callable[[], Distribution], never: float | None) -> None:
    distribution = make()
    prior = DistributionPrior(distribution)
    inside = prior.sample(Noise.from_seed(3, 2))
    outside = inside[:1].clone().view(-1)
    outside[0] = math.inf if never is None else never
    z = torch.cat([inside, outside.view_as(inside[:1]), inside[:1] * math.nan]).requires_grad_()
    value = prior.log_prob(z)
    assert torch.equal(value[:2], distribution.log_prob(inside)) and value[2] == -math.inf
    assert value[3].isnan()  # as of any other prior: no latent at all
    (gradient,) = torch.autograd.grad(value[:3].sum(), z)
    assert gradient.isfinite().all() and gradient[2].view(-1)[0] == 0
    alone = inside.clone().requires_grad_()
    (expected,) = torch.autograd.grad(distribution.log_prob(alone).sum() + 0 * alone.sum(), alone)
    assert torch.equal(gradient[:2], expected)


def test_a_mixture_is_as_dense_as_the_components_that_reach_a_latent() -> None:
    z = torch.tensor([[0.5, 0.5, 0.5], [2.5, 2.5, 2.5], [0.5, 0.5, 2.5]])
    value = DistributionPrior(boxes()).log_prob(z)
    torch.testing.assert_close(value, torch.tensor([0.5, 0.5, 0.0]).log())


def test_draws_on_a_wide_simplex_lie_in_the_support() -> None:
    prior = DistributionPrior(Dirichlet(torch.ones(2000)))
    assert prior.log_prob(prior.sample(Noise.from_seed(0, 64))).isfinite().all()


def test_the_users_distribution_goes_on_checking() -> None:
    distribution = Independent(Uniform(ZERO, ONE, validate_args=True), 1, validate_args=True)
    assert DistributionPrior(distribution).log_prob(torch.full((1, 3), 2.0)).tolist() == [-math.inf]
    assert distribution._validate_args and distribution.base_dist._validate_args


def test_a_distribution_over_codes_is_a_histogram() -> None:
    prior = DistributionPrior(Independent(Categorical(logits=MEANS), 1))
    assert prior.space == ls.Discrete((2,), 3) and not isinstance(prior, ls.ConditionalPrior)
    grids = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    assert float(prior.log_prob(grids).exp().sum()) == pytest.approx(1)
    soft = torch.full((1, 2, 3), 1 / 3)
    assert float(prior.log_prob(soft)) == pytest.approx(float(prior.log_prob(grids).mean()))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a batch": (lambda: Normal(ZERO, ONE), r"batch_shape \(3,\) and event_shape \(\).*Independent\(distribution, 1\)"),
    "a batch of vectors": (
        lambda: MultivariateNormal(torch.zeros(2, 3), torch.eye(3)), r"batch_shape \(2,\) and event_shape \(3,\)",
    ),
    "one code": (lambda: Categorical(ONE), r"a Categorical of event_shape \(\).*logits\[None\]"),
    "counts": (lambda: Independent(Poisson(ONE), 1), "a discrete Independent, expected a continuous"),
    "a class": (lambda: Normal, "got the class Normal, expected a torch distribution"),
    "a prior": (lambda: StandardNormal((3,)), "got a StandardNormal.*is a prior as it is"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_other_distributions_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        DistributionPrior(make())


def test_a_bare_distribution_is_no_prior() -> None:
    distribution: Any = Independent(Normal(ZERO, ONE), 1)
    assert not isinstance(distribution, ls.Prior)
    for use in (
        ls.LogPrior,
        lambda prior: ls.ContinuousGenerator(lambda z: z.sin(), (3,), prior=prior),
        check_prior,
    ):
        with pytest.raises(InvalidArgument, match=r"got Independent, expected .* space; wrap it: .*DistributionPrior"):
            use(distribution)


def test_what_only_lacks_a_space_is_told_so() -> None:
    class Old:
        sample, log_prob = StandardNormal.sample, StandardNormal.log_prob

    with pytest.raises(InvalidArgument, match=r"got Old.*; space says what it is a distribution over"):
        ls.LogPrior(Old())  # type: ignore[arg-type]


def test_a_search_starts_and_ends_by_a_distribution() -> None:
    prior = DistributionPrior(CONTINUOUS["mixture"])
    generator = ls.ContinuousGenerator(lambda z: z.sin(), (3,), prior=prior)
    result = ls.GradientSearch().search(generator, ls.LogPrior(prior), seed=0, run=ls.Run(evaluations=400))
    torch.testing.assert_close(result.latent.abs(), MEANS[:1].abs(), atol=0.05, rtol=0)


# -- histograms --------------------------------------------------------------------------------------


def test_a_histogram_counts_codes() -> None:
    prior = HistogramPrior.from_codes(torch.tensor([[0, 2], [0, 1], [1, 1]]), 3, smoothing=0.0)
    expected = torch.tensor([[2.0, 1, 0], [0, 2, 1]]) / 3
    torch.testing.assert_close(prior.logits.exp(), expected)
    soft = prior.space.one_hot(torch.tensor([[0, 1]]), torch.float32)
    assert float(prior.log_prob(soft)) == pytest.approx(math.log(4 / 9))
    smooth = HistogramPrior.from_codes(torch.tensor([[0, 2]]), 3, smoothing=1.0)
    torch.testing.assert_close(smooth.logits.exp(), torch.tensor([[2.0, 1, 1], [1, 1, 2]]) / 4)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (torch.zeros(3), r"expected floating logits \(\*S, K\); for one code"),
        (torch.zeros(2, 3, dtype=torch.int64), "int64"),
        ([[0.0]], "got list"),
        (torch.tensor([[0.0, 1.0], [-math.inf, -math.inf]]), "no code ever occurs"),
    ],
)
def test_other_logits_are_refused(logits: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        HistogramPrior(logits)


def test_uniform_conditionals_leave_out_what_is_not_drawn() -> None:
    prior = UniformCodes(ls.Discrete((2,), 4), used=torch.tensor([True, False, True, False]))
    z = torch.zeros(3, 2, dtype=torch.int64)
    found = prior.conditionals(z, torch.zeros_like(z, dtype=torch.bool))
    torch.testing.assert_close(found.exp(), torch.tensor([0.5, 0, 0.5, 0]).expand(3, 2, 4))
    assert isinstance(prior, ls.ConditionalPrior) and prior.cost == 0


# -- moving ------------------------------------------------------------------------------------------


class Network(nn.Module):
    """A prior that is a module."""

    space = ls.Continuous((3,))

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def sample(self, noise: Noise) -> Tensor:
        return noise.normal(3).to(self.weight.device)

    def log_prob(self, z: Tensor) -> Tensor:
        return -(self.weight * z).square().sum(1)


def test_a_prior_moves_with_its_constraint_and_the_users_stays() -> None:
    network = Network()
    constraint = ls.LogPrior(network)
    there = constraint.to("meta")
    assert there.prior.weight.device.type == "meta" and network.weight.device.type == "cpu"  # type: ignore[attr-defined]
    assert constraint.to("cpu").prior is network
    histogram = ls.LogPrior(HistogramPrior(torch.zeros(2, 3))).to("meta").prior
    assert histogram.logits.device.type == "meta"  # type: ignore[attr-defined]
    plain = StandardNormal((3,))
    assert ls.LogPrior(plain).to("meta").prior is plain


# -- what a search is charged ------------------------------------------------------------------------


class Styles:
    """A mixture of histograms: each grid is of one of a few styles, so its codes say much of each other.

    It counts the rows that it is asked for.
    """

    def __init__(self, space: ls.Discrete, styles: int = 4, cost: float = 0.25, sure: float = 0.9) -> None:
        self.space, self.cost, self.asked = space, cost, 0
        favourite = Noise.from_seed(11, styles).integers(space.codebook_size, space.positions)
        rest = math.log((1 - sure) / (space.codebook_size - 1))
        self.logits = torch.full((styles, space.positions, space.codebook_size), rest)
        self.logits.scatter_(2, favourite[..., None], math.log(sure))

    def sample(self, noise: Noise) -> Tensor:
        self.asked += len(noise)
        return self._drawn(torch.zeros(len(noise), len(self.logits)), noise)

    def log_prob(self, z: Tensor) -> Tensor:
        each = self._each(z)
        return each.sum(2).logsumexp(1) - math.log(len(self.logits))

    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        self.asked += len(z)
        each = torch.where(known.flatten(1)[:, None], self._each(z), 0)  # (N, styles, P)
        found = (each.sum(2).log_softmax(1)[..., None, None] + self.logits).logsumexp(1)
        own = torch.where(self.space.one_hot(z, torch.float32) > 0, 0.0, -torch.inf)
        return torch.where(known[..., None], own, found.view_as(own))

    def passes(self, mask: Tensor) -> Tensor:
        return mask.flatten(1).any(1).long()

    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        self.asked += len(z)
        each = torch.where(mask.flatten(1)[:, None], 0, self._each(z))
        return torch.where(mask, self._drawn(each.sum(2), noise), z)

    def _drawn(self, weight: Tensor, noise: Noise) -> Tensor:
        style = noise.fold(1).categorical(weight)
        return noise.fold(2).categorical(self.logits[style]).view(-1, *self.space.shape)

    def _each(self, z: Tensor) -> Tensor:
        """``(N, styles, P)``: how likely each code is under each style."""
        soft = z if z.is_floating_point() else self.space.one_hot(z, self.logits.dtype)
        return torch.einsum("npk,spk->nsp", soft.flatten(1, -2), self.logits)


class WithoutConditionals:
    """The same prior, of which only draws can be had."""

    def __init__(self, prior: Styles) -> None:
        self.space, self.sample, self.log_prob = prior.space, prior.sample, prior.log_prob


GRID = ls.Discrete((4, 4), 8)


@pytest.mark.parametrize("space", [ls.Discrete((2, 2), 2), ls.Discrete((3,), 4), GRID], ids=str)
def test_a_prior_with_conditionals_keeps_its_laws(space: ls.Discrete) -> None:
    check_prior(Styles(space))


SEARCHES = {
    "random": ls.RandomSearch(batch=5),
    "evolution": ls.EvolutionSearch(),
    "several": ls.EvolutionSearch(population=3, children=6, restarts=2),
    "one child": ls.EvolutionSearch(children=1),
    "stages": ls.Then(ls.RandomSearch(batch=3), ls.EvolutionSearch()),
}


class Images(toys.CodeGenerator):
    """With a channel, as images have."""

    def decode_embedding(self, e: Tensor) -> Tensor:
        return super().decode_embedding(e)[:, None]


@pytest.mark.parametrize("cost", [0.0, 0.3, 7.0])
@pytest.mark.parametrize("searcher", SEARCHES.values(), ids=SEARCHES)
def test_passes_of_the_prior_are_charged_and_budgets_kept(searcher: ls.Searcher, cost: float) -> None:
    prior, decoded = Styles(ls.Discrete((3, 3), 6), cost=cost), 0

    class Counted(toys.CodeGenerator):
        def decode(self, z: Tensor) -> Tensor:
            nonlocal decoded
            decoded += len(z)
            return super().decode(z)

    generator = Counted((3, 3), 6)
    generator.prior = prior
    goal = ls.Matches(torch.full((1, 3, 3), 2.0))
    prior.asked = 0
    result = searcher.search(generator, goal, seed=0, run=ls.Run(evaluations=100))
    spent = float(result.evaluations[0])
    assert 0 < spent <= 100 or cost == 7.0
    # A few decodes and draws are made outside the budget: where a search starts, the preflight check and the report.
    free = 8 * (2 if isinstance(searcher, ls.Then) else 1)
    assert 0 <= decoded + cost * prior.asked - spent <= free * (1 + cost)


def test_a_prior_that_does_not_say_its_cost_is_asked_for_nothing() -> None:
    generator = toys.CodeGenerator((3, 3), 6)
    generator.prior = WithoutConditionals(Styles(generator.space))  # type: ignore[assignment]
    result = ls.RandomSearch(batch=4).search(generator, ls.Matches(torch.zeros(1, 3, 3)), run=ls.Run(evaluations=40))
    assert float(result.evaluations[0]) == 40


# -- mutations by what the others say ----------------------------------------------------------------


def likely_share(prior: Any) -> float:
    """Of answers that match the given half, which part is as likely as one grid in ten of the prior's own."""
    generator = Images(GRID.shape, GRID.codebook_size)
    generator.prior = prior
    truth = prior.sample(Noise.from_seed(5, 64))
    given = (torch.arange(4) < 2).float().expand(1, 1, 4, 4)
    goal = ls.Matches(generator.decode(truth), mask=given)
    result = ls.EvolutionSearch().search(generator, goal, seed=0, run=ls.Run(evaluations=400))
    assert float(result.score.loss.mean()) < 0.01
    typical = prior.log_prob(prior.sample(Noise.from_seed(6, 500))).quantile(0.1)
    return float((prior.log_prob(result.latent) >= typical).float().mean())


def test_mutations_by_conditionals_leave_likelier_answers() -> None:
    plain, conditional = likely_share(WithoutConditionals(Styles(GRID))), likely_share(Styles(GRID))
    assert conditional > plain + 0.1, (plain, conditional)


def test_codes_are_drawn_by_their_probabilities() -> None:
    from latentsearch._codes import code_draws

    logits = torch.tensor([[[0.0, 0.5, 0.5], [0.2, 0.0, 0.8]]]).log()
    draws = code_draws(logits, 9000, Noise.from_seed(0))
    assert draws.shape == (1, 9000, 2)
    share = torch.stack([(draws == code).float().mean((0, 1)) for code in range(3)], -1)
    torch.testing.assert_close(share, logits[0].exp(), atol=0.02, rtol=0)
    assert share[0, 0] == 0 and share[1, 1] == 0
