"""Each law catches the fake that breaks it, and no other law does: so each of them is needed, and works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import Noise, Run, Score, Status, Unsupported
from latentsearch.algebra import Sum, Weighted
from latentsearch.errors import BrokenLaw
from latentsearch.priors import HistogramPrior, StandardNormal, UniformCodes
from latentsearch.relaxations import SoftmaxRelaxation
from latentsearch.relaxations.estimator import Loss
from latentsearch.testing import checks, constraints, estimators, generators, priors, searchers, toys

KINDS = (generators, priors, constraints, estimators, searchers)
DTYPE = torch.float64  # finite differences are taken in float64 only

# -- generators --------------------------------------------------------------------------------------


class PriorOfAnotherShape(toys.ElementwiseGenerator):
    def __init__(self) -> None:
        super().__init__(dtype=DTYPE)
        self.prior = StandardNormal((3,), DTYPE)


class OutputsWithoutDimensions(toys.ElementwiseGenerator):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z).sum(1)


class Drifting(toys.ElementwiseGenerator):
    """Each call gives a trifle more: too little for any law that allows for rounding."""

    calls = 0

    def decode(self, z: Tensor) -> Tensor:
        self.calls += 1
        return super().decode(z) + 1e-12 * self.calls


class CountingRows(toys.ElementwiseGenerator):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z) + 0.1 * len(z)


class RunningStatistics(toys.ElementwiseGenerator):
    def __init__(self) -> None:
        super().__init__(dtype=DTYPE)
        self.norm = nn.BatchNorm1d(4)

    def decode(self, z: Tensor) -> Tensor:
        self.norm.num_batches_tracked += 1
        return super().decode(z)


class PullingOnOtherRows(toys.ElementwiseGenerator):
    """The value is untouched, and a row alone has its own gradient."""

    def decode(self, z: Tensor) -> Tensor:
        others = z.sum(0) - z
        return super().decode(z) + (others - others.detach())


class DoubledGradient(toys.ElementwiseGenerator):
    def decode(self, z: Tensor) -> Tensor:
        output = super().decode(z)
        return 2 * output - output.detach()


class OtherWhenSoft(toys.CodeGenerator):
    def embed(self, z: Tensor) -> Tensor:
        return super().embed(z) + 0.1 * z.is_floating_point()


class TwoWaysToDecode(toys.CodeGenerator):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z) + 1


class ForgettingTheChange(toys.CodeGenerator):
    redecode_share = 0.25

    def redecode(self, z: Tensor, position: Tensor, output: Tensor) -> Tensor:
        return output


class StandingForOthers(toys.CodeGenerator):
    """Codes that stand for others which decode otherwise."""

    def canonical(self, z: Tensor) -> Tensor:
        return z.flip(-1) if z.is_floating_point() else self.space.codebook_size - 1 - z


class EncodingOutside(toys.CodeGenerator):
    def encode(self, output: Tensor) -> Tensor:
        return super().encode(output) + self.space.codebook_size


GENERATORS = {
    generators.prior_samples_lie_in_space: PriorOfAnotherShape(),
    generators.outputs_have_one_row_a_latent: OutputsWithoutDimensions(dtype=DTYPE),
    generators.decoding_is_deterministic: Drifting(dtype=DTYPE),
    generators.rows_are_independent: CountingRows(dtype=DTYPE),
    generators.weights_are_left_alone: RunningStatistics(),
    generators.gradients_stay_in_their_row: PullingOnOtherRows(dtype=DTYPE),
    generators.gradients_match_finite_differences: DoubledGradient(dtype=DTYPE),
    generators.hard_codes_equal_one_hot_codes: OtherWhenSoft(dtype=DTYPE),
    generators.embeddings_decode_to_the_same: TwoWaysToDecode(dtype=DTYPE),
    generators.changed_codes_redecode_to_the_same: ForgettingTheChange(dtype=DTYPE),
    generators.codes_decode_as_those_they_stand_for: StandingForOthers(dtype=DTYPE),
    generators.encodings_lie_in_space: EncodingOutside(dtype=DTYPE),
}

# -- priors ------------------------------------------------------------------------------------------


class SamplesTooNarrow(StandardNormal):
    def sample(self, noise: Noise) -> Tensor:
        return super().sample(noise)[:, 1:]


class DrawingFromTorch(StandardNormal):
    def sample(self, noise: Noise) -> Tensor:
        torch.rand(1)
        return super().sample(noise)


class SamplesCountingRows(StandardNormal):
    def sample(self, noise: Noise) -> Tensor:
        return super().sample(noise) + len(noise)


class LogProbInAColumn(StandardNormal):
    def log_prob(self, z: Tensor) -> Tensor:
        return super().log_prob(z)[:, None]


class LogProbCountingRows(StandardNormal):
    def log_prob(self, z: Tensor) -> Tensor:
        return super().log_prob(z) + len(z)


class LogProbWithoutGraph(StandardNormal):
    def log_prob(self, z: Tensor) -> Tensor:
        return super().log_prob(z.detach())


class LikelierWhenSoft(UniformCodes):
    def log_prob(self, z: Tensor) -> Tensor:
        return super().log_prob(z) + z.is_floating_point()


class NeverTheLastCode(UniformCodes):
    def sample(self, noise: Noise) -> Tensor:
        return super().sample(noise).clamp(max=self.space.codebook_size - 2)

    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        return torch.where(mask, super().sample(noise), z)


class FreeOfCharge(HistogramPrior):
    cost = -1.0


class NotNormalised(HistogramPrior):
    def conditionals(self, z: Tensor, known: Tensor | None = None) -> Tensor:
        return super().conditionals(z, known) + 0.1


class GoingByItself(HistogramPrior):
    def conditionals(self, z: Tensor, known: Tensor | None = None) -> Tensor:
        return (super().conditionals(z, known) + self.space.one_hot(z, self.logits.dtype)).log_softmax(-1)


class ConditionalsCountingRows(HistogramPrior):
    def conditionals(self, z: Tensor, known: Tensor | None = None) -> Tensor:
        return (super().conditionals(z, known) / len(z)).log_softmax(-1)


class FlatConditionals(HistogramPrior):
    def conditionals(self, z: Tensor, known: Tensor | None = None) -> Tensor:
        return torch.zeros_like(super().conditionals(z, known)).log_softmax(-1)


class DrawingAllAnew(HistogramPrior):
    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        return self.sample(noise)


class ResamplingCountingRows(HistogramPrior):
    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        return torch.where(mask, (self.sample(noise) + len(z)) % self.space.codebook_size, z)


class ResamplingUniformly(HistogramPrior):
    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        return torch.where(mask, noise.integers(self.space.codebook_size, *self.space.shape), z)


GRID = ls.Discrete((2,), 3)
FREQUENCIES = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], dtype=DTYPE).log()
# More grids than can be counted.
MANY = Noise.from_seed(4).normal(3, 5, dtype=DTYPE)[0]

PRIORS = {
    priors.samples_lie_in_space: SamplesTooNarrow((4,)),
    priors.samples_are_pure: DrawingFromTorch((4,)),
    priors.samples_belong_to_rows: SamplesCountingRows((4,)),
    priors.log_prob_has_one_value_a_row: LogProbInAColumn((4,)),
    priors.log_prob_rows_are_independent: LogProbCountingRows((4,)),
    priors.one_hot_codes_are_as_likely_as_hard_ones: LikelierWhenSoft(GRID),
    priors.log_prob_has_a_gradient: LogProbWithoutGraph((4,)),
    priors.samples_follow_log_prob: NeverTheLastCode(GRID),
    priors.cost_is_a_share: FreeOfCharge(FREQUENCIES),
    priors.conditionals_are_normalised: NotNormalised(FREQUENCIES),
    priors.conditionals_go_by_what_is_known: GoingByItself(MANY),
    priors.conditionals_rows_are_independent: ConditionalsCountingRows(MANY),
    priors.conditionals_agree_with_log_prob: FlatConditionals(FREQUENCIES),
    priors.resampling_keeps_the_rest: DrawingAllAnew(MANY),
    priors.resampling_belongs_to_rows: ResamplingCountingRows(MANY),
    priors.resampling_follows_the_conditional_law: ResamplingUniformly(FREQUENCIES),
}

# -- constraints -------------------------------------------------------------------------------------


class LossInAColumn(ls.Matches):
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss, satisfied = super().__call__(output, latent)
        return Score(loss[:, None], satisfied[:, None])


class SelectingInOrder(ls.Matches):
    def select(self, index: Tensor) -> ls.Constraint:
        return super().select(index.sort().values)


class OtherWhenAlone(ls.Matches):
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss, satisfied = super().__call__(output, latent)
        return Score(loss + (len(loss) == 1), satisfied)


class Overweight(ls.Matches):
    def __rmul__(self, weight: object) -> ls.Constraint:
        return Weighted(self, 3.0)


class AddingTwice(ls.Matches):
    def __add__(self, other: object) -> ls.Constraint:
        return Sum((self, self, self))


class TermsOfTheirOwn(ls.Matches):
    def terms(self, output: Tensor, latent: Tensor) -> dict[str, Score]:
        return super().terms(output, latent) | {"more": self(output, latent)}


class HalfAResidual(ls.Matches):
    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        return 0.5 * super().residuals(output, latent)


class LeftWhereItIs(ls.Within):
    def project(self, latent: Tensor, favour: Tensor | None = None) -> Tensor:
        return latent


class PleasedWithoutJudging(ls.Matches):
    """A sum would overrule it, so it makes its own."""

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss, satisfied = super().__call__(output, latent)
        return Score(loss, ~satisfied)

    def __add__(self, other: object) -> ls.Constraint:
        return 2 * self


class ReadingTheLatent(ls.Matches):
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss, satisfied = super().__call__(output, latent)
        return Score(loss + latent.sum(1), satisfied)


class WithoutGraph(ls.Matches):
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        return super().__call__(output.detach(), latent)


class NearerWhenHard(ls.Near):
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss, satisfied = super().__call__(output, latent)
        return Score(loss + latent.is_floating_point(), satisfied)


class MapOfTheSum(ls.Matches):
    def loss_map(self, output: Tensor) -> Tensor:
        return super().loss_map(output) * output[0].numel()


BOWL, CODES = toys.bowl(problems=3), toys.codes(problems=3)


def matching(kind: type[ls.Matches]) -> tuple[ls.Constraint, ls.Generator]:
    # No sum of squares: a fake that meddles with the loss would break the law of residuals, too.
    return kind(BOWL.constraint.target, distance="huber"), BOWL.generator  # type: ignore[attr-defined]


CONSTRAINTS = {
    constraints.scores_have_one_value_a_row: matching(LossInAColumn),
    constraints.select_picks_problems: matching(SelectingInOrder),
    constraints.rows_are_scored_independently: matching(OtherWhenAlone),
    constraints.weights_scale_the_loss: matching(Overweight),
    constraints.sums_add_losses: matching(AddingTwice),
    constraints.terms_add_up: matching(TermsOfTheirOwn),
    constraints.only_judges_are_satisfied: matching(PleasedWithoutJudging),
    constraints.reads_only_what_it_says: matching(ReadingTheLatent),
    constraints.gradients_are_finite: matching(WithoutGraph),
    constraints.soft_codes_agree_with_hard_ones: (NearerWhenHard(CODES.solution), CODES.generator),
    constraints.residuals_square_to_the_loss: (HalfAResidual(BOWL.constraint.target), BOWL.generator),  # type: ignore[attr-defined]
    constraints.limits_put_back_within: (LeftWhereItIs(CODES.solution, 1), CODES.generator),
    constraints.loss_maps_sum_to_the_loss: (MapOfTheSum(CODES.constraint.target), CODES.generator),  # type: ignore[attr-defined]
}

# -- estimators --------------------------------------------------------------------------------------


class SurrogatesInAColumn(SoftmaxRelaxation):
    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        return super().__call__(logits, f, noise)[:, None]


class HushingUp(SoftmaxRelaxation):
    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        logits = 1 * logits
        logits.register_hook(torch.nan_to_num)
        return super().__call__(logits, f, noise)


class ValuesTooHigh(SoftmaxRelaxation):
    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        return 1.1 * super().__call__(logits, f, noise)


class LogitsCutOff(SoftmaxRelaxation):
    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        return super().__call__(logits.detach() + 0 * logits, f, noise)


class EstimatingFromTorch(SoftmaxRelaxation):
    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        torch.rand(1)
        return super().__call__(logits, f, noise)


class GradientCountingRows(SoftmaxRelaxation):
    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        return super().__call__(logits.detach() + len(logits) * (logits - logits.detach()), f, noise)


class LeakingIntoParameters(SoftmaxRelaxation):
    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        return 3

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        leak = super().__call__(logits.detach(), f, noise)
        return super().__call__(logits, f, noise) + (leak - leak.detach())


class DecodingMoreThanItSays(SoftmaxRelaxation):
    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        with torch.no_grad():
            super().__call__(logits, f, noise)
        return super().__call__(logits, f, noise)


class ClaimingToBeUnbiased(SoftmaxRelaxation):
    unbiased = True


ESTIMATORS = {
    estimators.surrogates_have_one_value_a_row: SurrogatesInAColumn(),
    estimators.values_are_losses_of_a_sample: ValuesTooHigh(),
    estimators.gradients_reach_the_logits: LogitsCutOff(),
    estimators.losses_that_are_no_numbers_are_passed_on: HushingUp(),
    estimators.estimates_are_pure: EstimatingFromTorch(),
    estimators.estimates_belong_to_rows: GradientCountingRows(),
    estimators.parameters_get_the_gradient_of_the_value: LeakingIntoParameters(),
    estimators.evaluations_are_as_declared: DecodingMoreThanItSays(),
    estimators.unbiased_estimators_are_unbiased: ClaimingToBeUnbiased(),
}

# -- searchers ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """What a searcher is asked for."""

    generator: ls.Generator
    constraint: ls.Constraint
    init: Tensor | None
    seed: Any
    run: Run


class GoodSearch:
    """A searcher that keeps all laws; fakes meddle with what it is asked for or with what it found."""

    def search(
        self,
        generator: ls.Generator,
        constraint: ls.Constraint,
        *,
        init: Tensor | None = None,
        seed: Any = None,
        run: Run = Run(),
    ) -> ls.SearchResult:
        asked = self.asked(Request(generator, constraint, init, seed, run))
        good = ls.RandomSearch(batch=12)
        found = good.search(asked.generator, asked.constraint, init=asked.init, seed=asked.seed, run=asked.run)
        return self.found(found)

    def asked(self, request: Request) -> Request:
        return request

    def found(self, result: ls.SearchResult) -> ls.SearchResult:
        return result


class TryingBeforeRefusing(GoodSearch):
    def asked(self, request: Request) -> Request:
        if isinstance(request.generator.space, ls.Continuous):
            request.generator.decode(torch.zeros(1, *request.generator.space.shape))
            raise Unsupported("this search", got="a continuous space", expected="codes")
        return request


class OutputsOfSomethingElse(GoodSearch):
    def found(self, result: ls.SearchResult) -> ls.SearchResult:
        return replace(result, output=result.output + 1)


class ForgettingInit(GoodSearch):
    def asked(self, request: Request) -> Request:
        return replace(request, init=None)


class TimeBackwards(GoodSearch):
    def found(self, result: ls.SearchResult) -> ls.SearchResult:
        return replace(result, trace=replace(result.trace, seconds=-result.trace.seconds))


class DecodingUncharged(GoodSearch):
    def asked(self, request: Request) -> Request:
        request.generator.decode(request.generator.prior.sample(Noise.from_seed(0, 8)))
        return request


class SearchingWithTorch(GoodSearch):
    def asked(self, request: Request) -> Request:
        torch.rand(1)
        return request


class LuckierAlone(GoodSearch):
    def asked(self, request: Request) -> Request:
        return replace(request, seed=0) if request.constraint.problems == 1 else request


class UpsetByNaN(GoodSearch):
    def found(self, result: ls.SearchResult) -> ls.SearchResult:
        return replace(result, latent=result.latent.roll(1, 0)) if Status.NONFINITE in result.status else result


class ResumingElsewhere(GoodSearch):
    def asked(self, request: Request) -> Request:
        path = request.run.checkpoint
        if path is not None and Path(path).exists():
            return replace(request, seed=0, run=replace(request.run, checkpoint=None))
        return request


class NeverSatisfied(GoodSearch):
    def found(self, result: ls.SearchResult) -> ls.SearchResult:
        renamed = {Status.SATISFIED: Status.STALLED}
        return replace(result, status=tuple(renamed.get(status, status) for status in result.status))


class LookingAtEachStep(GoodSearch):
    def asked(self, request: Request) -> Request:
        def look(step: ls.Step) -> bool:
            return float(step.best_loss.min()) < -1e9

        return replace(request, run=replace(request.run, callbacks=[*request.run.callbacks, look]))


class LeavingTheBall(GoodSearch):
    def asked(self, request: Request) -> Request:
        if request.constraint.limit is None:
            return request
        assert isinstance(request.constraint, Sum)
        return replace(request, constraint=request.constraint.parts[0])


SEARCHERS = {
    searchers.hard_limits_are_kept: LeavingTheBall(),
    searchers.unsupported_spaces_raise_before_decoding: TryingBeforeRefusing(),
    searchers.scores_are_those_of_the_latents: OutputsOfSomethingElse(),
    searchers.results_are_never_worse_than_init: ForgettingInit(),
    searchers.traces_are_monotone: TimeBackwards(),
    searchers.budgets_are_kept: DecodingUncharged(),
    searchers.seeds_decide_everything: SearchingWithTorch(),
    searchers.problems_together_equal_each_alone: LuckierAlone(),
    searchers.broken_rows_leave_others_intact: UpsetByNaN(),
    searchers.killed_and_resumed_equals_uninterrupted: ResumingElsewhere(),
    searchers.satisfied_problems_stop: NeverSatisfied(),
    searchers.steps_do_not_wait_for_the_device: LookingAtEachStep(),
}

# -- the laws of the laws ----------------------------------------------------------------------------

FAKES: Mapping[Callable[..., None], Any] = GENERATORS | PRIORS | CONSTRAINTS | ESTIMATORS | SEARCHERS
HONEST = (
    BOWL.generator,
    CODES.generator,
    (BOWL.constraint, BOWL.generator),
    (toys.bowl(problems=2).constraint, BOWL.generator),
    StandardNormal((4,)),
    UniformCodes(GRID),
    HistogramPrior(FREQUENCIES),
    SoftmaxRelaxation(),
    GoodSearch(),
)


def broken_laws(subject: Any) -> set[str]:
    """The names of all laws that a subject breaks; any error but BrokenLaw goes through."""
    broken = set()
    for check in checks(subject):
        try:
            check()
        except BrokenLaw as error:
            assert error.law == check.law
            broken.add(error.law)
    return broken


@pytest.fixture(autouse=True)
def _global_state_is_put_back() -> Any:
    """Some fakes draw from torch's own generator."""
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.mark.parametrize("law", FAKES, ids=lambda law: law.__name__)
def test_a_fake_breaks_its_own_law_and_no_other(law: Callable[..., None]) -> None:
    assert broken_laws(FAKES[law]) == {law.__name__}


@pytest.mark.parametrize("subject", HONEST, ids=lambda subject: type(subject).__name__)
def test_what_the_fakes_are_made_of_breaks_none(subject: Any) -> None:
    assert broken_laws(subject) == set()


def test_every_law_has_a_fake() -> None:
    laws = {law for kind in KINDS for law in kind.LAWS}
    assert laws - set(FAKES) == set(), "a law that nothing is seen to break may be no law"


def test_errors_name_the_law_and_the_class() -> None:
    with pytest.raises(BrokenLaw, match="CountingRows breaks the law 'rows_are_independent': 1 \\+ 3 rows differ"):
        generators.check_generator(CountingRows())
