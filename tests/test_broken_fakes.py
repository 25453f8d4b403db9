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
from latentsearch import Noise, Run, Score, Status, Unsupported, training
from latentsearch.constraints import SquaredMatches
from latentsearch.errors import BrokenLaw, InvalidArgument
from latentsearch.goal import Goal, Unlimited
from latentsearch.goal.limit import Priority
from latentsearch.priors import HistogramPrior, StandardNormal, UniformCodes
from latentsearch.relaxations import SoftmaxRelaxation
from latentsearch.relaxations.estimator import Loss
from latentsearch.testing import (
    Check,
    TestProblem,
    check_searcher,
    checks,
    constraints,
    estimators,
    generators,
    parametrize_with_checks,
    priors,
    require,
    searchers,
    toys,
)

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
    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        return super().conditionals(z, known) + torch.where(known, 0.0, 0.1)[..., None]


class GoingByItself(HistogramPrior):
    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        own = (self.logits + self.space.one_hot(z, self.logits.dtype)).log_softmax(-1)
        return torch.where(known[..., None], super().conditionals(z, known), own)


class ConditionalsCountingRows(HistogramPrior):
    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        return (super().conditionals(z, known) / len(z)).log_softmax(-1)


class FlatConditionals(HistogramPrior):
    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        flat = torch.zeros_like(self.logits).log_softmax(-1)
        return torch.where(known[..., None], super().conditionals(z, known), flat)


class OnePassForNothing(HistogramPrior):
    def passes(self, mask: Tensor) -> Tensor:
        return super().passes(mask) + 1


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
    priors.passes_are_counted: OnePassForNothing(FREQUENCIES),
    priors.resampling_keeps_the_rest: DrawingAllAnew(MANY),
    priors.resampling_belongs_to_rows: ResamplingCountingRows(MANY),
    priors.resampling_follows_the_conditional_law: ResamplingUniformly(FREQUENCIES),
}

# -- constraints -------------------------------------------------------------------------------------


class Resembles(ls.Constraint):
    """A constraint with no capability beside its score, so that meddling with that breaks one law."""

    tensors = ("target",)

    def __init__(self, target: Tensor) -> None:
        self.target, self.problems = target, len(target)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        return Score((output - self.target).abs().flatten(1).mean(1))


class LossInAColumn(Resembles):
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        return super().__call__(output, latent).map(lambda t: t[:, None])


class SelectingInOrder(Resembles):
    def select(self, index: Tensor) -> ls.Constraint:
        return super().select(index.sort().values)


class OtherWhenAlone(Resembles):
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss, satisfied = super().__call__(output, latent)
        return Score(loss + (len(loss) == 1), satisfied)


class Overweight(Resembles):
    def __rmul__(self, weight: object) -> ls.Goal:
        return self.goal.times(3.0)


class AddingTwice(Resembles):
    def __add__(self, other: object) -> ls.Goal:
        return sum([self.goal] * 3)  # type: ignore[return-value]


class ReportingTwice(Goal):
    def report(self, output: Tensor, latent: Tensor) -> dict[str, Score]:
        return super().report(output, latent) | {"more": self(output, latent)}


class TermsOfTheirOwn(Resembles):
    @property
    def goal(self) -> Goal:
        return ReportingTwice(((1.0, self),))


class HalfAResidual(SquaredMatches):
    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        return 0.5 * super().residuals(output, latent)


class LeftWhereItIs(ls.Within):
    def project(self, latent: Tensor, priority: Priority | None = None) -> Tensor:
        return latent


class ReadingTheLatent(Resembles):
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss, satisfied = super().__call__(output, latent)
        return Score(loss + latent.sum(1), satisfied)


class WithoutGraph(Resembles):
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        return super().__call__(output.detach(), latent)


class NearerWhenHard(ls.Near):
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss, satisfied = super().__call__(output, latent)
        return Score(loss + latent.is_floating_point(), satisfied)


class MapOfTheSum(ls.Matches):
    def loss_map(self, output: Tensor) -> Tensor:
        return super().loss_map(output) * output[0].numel()


class IntervalOfTheCorners(ls.Matches):
    """Takes for the least and the highest loss those at two corners, which they need not be."""

    def loss_interval(self, low: Tensor, high: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        ends = torch.stack([self(low, low).loss, self(high, high).loss])
        return ends.amin(0), ends.amax(0)


BOWL, CODES = toys.bowl(problems=3), toys.codes(problems=3)


def matching(kind: type[Resembles]) -> tuple[ls.Constraint, ls.Generator]:
    return kind(BOWL.constraint.target), BOWL.generator  # type: ignore[union-attr]


CONSTRAINTS = {
    constraints.scores_have_one_value_a_row: matching(LossInAColumn),
    constraints.select_picks_problems: matching(SelectingInOrder),
    constraints.rows_are_scored_independently: matching(OtherWhenAlone),
    constraints.weights_scale_the_loss: matching(Overweight),
    constraints.sums_add_losses: matching(AddingTwice),
    constraints.terms_add_up: matching(TermsOfTheirOwn),
    constraints.reads_only_what_it_says: matching(ReadingTheLatent),
    constraints.gradients_are_finite: matching(WithoutGraph),
    constraints.soft_codes_agree_with_hard_ones: (NearerWhenHard(CODES.solution), CODES.generator),
    constraints.residuals_square_to_the_loss: (HalfAResidual(BOWL.constraint.target), BOWL.generator),  # type: ignore[attr-defined]
    constraints.limits_project_onto_what_is_feasible: (LeftWhereItIs(CODES.solution, 1), CODES.generator),
    constraints.loss_maps_sum_to_the_loss: (MapOfTheSum(CODES.constraint.target), CODES.generator),  # type: ignore[attr-defined]
    constraints.loss_intervals_hold_the_loss: (IntervalOfTheCorners(CODES.constraint.target), CODES.generator),  # type: ignore[attr-defined]
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


class RefusingEverything(GoodSearch):
    def asked(self, request: Request) -> Request:
        raise Unsupported("this search", got="a problem", expected="none")


class OutputsOfSomethingElse(GoodSearch):
    def found(self, result: ls.SearchResult) -> ls.SearchResult:
        return replace(result, output=result.output + 1)


class ScoresOfSomethingElse(GoodSearch):
    """As where a step proposes what it had before, with the score of what it tried."""

    def found(self, result: ls.SearchResult) -> ls.SearchResult:
        score = result.candidates.score
        candidates = replace(result.candidates, score=score._replace(loss=score.loss - 0.5))
        return replace(result, candidates=candidates)


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


class OtherSeedAlone(GoodSearch):
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
        return replace(request, constraint=replace(request.constraint.goal, limit=Unlimited()))


SEARCHERS = {
    searchers.hard_limits_are_kept: LeavingTheBall(),
    searchers.some_problem_is_searched: RefusingEverything(),
    searchers.unsupported_spaces_raise_before_decoding: TryingBeforeRefusing(),
    searchers.scores_are_those_of_the_latents: OutputsOfSomethingElse(),
    searchers.results_are_never_worse_than_init: ForgettingInit(),
    searchers.traces_are_monotone: TimeBackwards(),
    searchers.budgets_are_kept: DecodingUncharged(),
    searchers.seeds_decide_everything: SearchingWithTorch(),
    searchers.problems_together_equal_each_alone: OtherSeedAlone(),
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
    (CODES.constraint, CODES.generator),
    (toys.bowl(problems=2).constraint, BOWL.generator),
    StandardNormal((4,)),
    UniformCodes(GRID),
    HistogramPrior(FREQUENCIES),
    SoftmaxRelaxation(),
    GoodSearch(),
    (GoodSearch(), toys.several(dtype=DTYPE)),
)


def broken_laws(subject: Any) -> set[str]:
    """The names of all laws that a subject breaks; any error but BrokenLaw goes through."""
    broken, refused = set(), False
    for check in checks(subject):
        try:
            check()
        except BrokenLaw as error:
            assert error.law == check.law
            broken.add(error.law)
        except InvalidArgument as error:
            # No goal is made of what does not give one value a row.
            refused = "value a row" in str(error)
            assert refused
    assert not refused or constraints.scores_have_one_value_a_row.__name__ in broken
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


class UpsetThoughItKnowsEveryTerm(UpsetByNaN):
    """Refuses a goal unless each of its terms has all capabilities."""

    def asked(self, request: Request) -> Request:
        goal = request.constraint.goal
        bounded = all(isinstance(constraint, ls.BoundedLoss) for constraint in goal.constraints)
        if goal.least_squares and goal.cell_axes == 2 and bounded:
            return request
        raise Unsupported("this search", got=f"{goal}", expected="terms with all capabilities")


def test_a_nan_reaches_searchers_that_need_a_capability() -> None:
    law = searchers.broken_rows_leave_others_intact.__name__
    assert broken_laws((UpsetThoughItKnowsEveryTerm(), CODES)) == {law}


def test_a_score_that_is_not_of_what_is_proposed_is_found() -> None:
    assert broken_laws(ScoresOfSomethingElse()) == {searchers.scores_are_those_of_the_latents.__name__}


def test_every_law_has_a_fake() -> None:
    laws = {law for kind in KINDS for law in kind.LAWS} | {searchers.some_problem_is_searched}
    assert laws - set(FAKES) == set(), "a law that nothing is seen to break may be no law"


def test_errors_name_the_law_and_the_class() -> None:
    with pytest.raises(BrokenLaw, match="CountingRows breaks the law 'rows_are_independent': 1 \\+ 3 rows differ"):
        generators.check_generator(CountingRows())


# -- laws that look at nothing -----------------------------------------------------------------------


def test_a_law_that_requires_nothing_is_broken() -> None:
    def looks_away() -> None:
        for _ in ():
            require(False, test_a_law_that_requires_nothing_is_broken, BOWL, "never")

    with pytest.raises(BrokenLaw, match=r"Toy breaks the law 'mine': it required nothing; a law calls .*require"):
        Check("mine", BOWL, looks_away)()
    Check("mine", BOWL, lambda: require(True, test_a_law_that_requires_nothing_is_broken, BOWL, ""))()


def test_laws_that_do_not_apply_are_left_out() -> None:
    names = {check.law for check in checks(toys.ElementwiseGenerator())}
    assert "rows_are_independent" in names
    assert not names & {"hard_codes_equal_one_hot_codes", "weights_are_left_alone", "encodings_lie_in_space"}
    assert "gradients_match_finite_differences" not in names
    assert "gradients_match_finite_differences" in {
        check.law for check in checks(toys.ElementwiseGenerator(dtype=DTYPE))
    }
    with pytest.raises(ValueError, match="no law that applies is named encodings_lie_in_space"):
        parametrize_with_checks([BOWL.generator], expected_failures={"encodings_lie_in_space": "it has no encoder"})


def test_a_loss_without_an_interval_for_its_settings_is_not_held_to_one() -> None:
    law, images = constraints.loss_intervals_hold_the_loss.__name__, toys.CodeGenerator((1, 4, 4), 3)
    for mode, applies in (("area", True), ("bicubic", False)):
        shrunk = ls.Downscales(torch.zeros(1, 1, 2, 2), 2, mode=mode)
        assert (law in {check.law for check in checks((shrunk, images))}) == applies
        # A sum is held to what those of its terms say that have an interval.
        near = ls.Near(torch.zeros(1, 1, 4, 4, dtype=torch.int64))
        assert law in {check.law for check in checks((shrunk + near, images))}


# -- problems of one's own ---------------------------------------------------------------------------


def decoder_of_ones_own(problems: int = 3) -> TestProblem:
    """A network, whose rows are rounded by batch, and of which nobody knows the optimum."""
    with training.initialised(0):
        layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 1))
    codebook = Noise.from_seed(0).normal(5, 3)[0]
    generator = ls.CodebookGenerator(layers.eval(), codebook, (5, 4))
    return TestProblem(generator, ls.Matches(Noise.from_seed(1, problems).normal(1, 5, 4)))


OWN = decoder_of_ones_own()


@dataclass(frozen=True)
class Choosy:
    """Searches grids of 5x4 codes, and nothing else."""

    searcher: Any

    def search(self, generator: ls.Generator, constraint: ls.Constraint, **settings: Any) -> ls.SearchResult:
        if generator.space.shape != (5, 4):
            raise Unsupported("Choosy", got=str(generator.space), expected="a grid of 5x4 codes")
        found: ls.SearchResult = self.searcher.search(generator, constraint, **settings)
        return found


def test_a_searcher_that_only_refuses_is_told_to_bring_a_problem() -> None:
    words = "Choosy breaks the law 'some_problem_is_searched': it refused each of the 3 .*5x4.*on=TestProblem"
    with pytest.raises(BrokenLaw, match=words):
        check_searcher(Choosy(GoodSearch()))
    with pytest.raises(BrokenLaw, match="refused each of the 1 problems"):
        check_searcher(RefusingEverything(), on=OWN)


@pytest.mark.parametrize(
    "searcher", [GoodSearch(), ls.CoordinateSearch(batch=4), ls.RelaxedSearch(steps=8)], ids=lambda s: type(s).__name__
)
def test_a_searcher_is_held_to_the_laws_on_a_problem_of_ones_own(searcher: Any) -> None:
    check_searcher(Choosy(searcher), on=OWN)
    assert {check.law for check in checks((Choosy(searcher), [OWN]))} == {
        law.__name__ for law in searchers.LAWS if law is not searchers.unsupported_spaces_raise_before_decoding
    }


REFUSALS = {searchers.some_problem_is_searched, searchers.unsupported_spaces_raise_before_decoding}
SEEN_ELSEWHERE = {law: fake for law, fake in SEARCHERS.items() if law not in REFUSALS}


@pytest.mark.parametrize("law", SEEN_ELSEWHERE, ids=lambda law: law.__name__)
def test_fakes_are_found_out_on_a_problem_of_ones_own(law: Callable[..., None]) -> None:
    assert broken_laws((SEEN_ELSEWHERE[law], OWN)) == {law.__name__}


def test_one_problem_has_no_neighbours() -> None:
    names = {check.law for check in checks((GoodSearch(), decoder_of_ones_own(problems=1)))}
    assert "budgets_are_kept" in names
    assert not names & {"problems_together_equal_each_alone", "broken_rows_leave_others_intact"}


def test_a_problem_with_a_threshold_and_a_limit_takes_no_others() -> None:
    source = torch.zeros(3, 5, 4, dtype=torch.int64)
    own = replace(OWN, constraint=OWN.constraint.below(0.1) + ls.Within(source, 3))
    names = {check.law for check in checks((GoodSearch(), own))}
    assert "results_are_never_worse_than_init" in names
    assert not names & {"satisfied_problems_stop", "hard_limits_are_kept"}


class Crashing(GoodSearch):
    def asked(self, request: Request) -> Request:
        raise RuntimeError("out of order")


def test_errors_of_a_searcher_are_those_of_its_laws_and_not_of_the_collection() -> None:
    found = checks((Crashing(), BOWL))
    assert len(found) > 5
    with pytest.raises(RuntimeError, match="out of order"):
        found[0]()


@pytest.mark.parametrize("on", [[], torch.float64, [BOWL, BOWL.generator]], ids=["nothing", "a dtype", "a generator"])
def test_what_is_no_problem_is_refused(on: Any) -> None:
    with pytest.raises(ls.InvalidArgument, match=r"on: got .*expected a TestProblem"):
        check_searcher(GoodSearch(), on=on)
    with pytest.raises(ls.InvalidArgument, match="TestProblem: got Toy and SquaredMatches, expected a Generator first"):
        TestProblem(BOWL, BOWL.constraint)  # type: ignore[arg-type]
