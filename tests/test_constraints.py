"""Constraints against values worked out by hand, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import constraint
from latentsearch.errors import InvalidArgument
from latentsearch.priors import StandardNormal, UniformCodes

NO_LATENT = torch.zeros(1, 1)
NO_OUTPUT = torch.zeros(1, 1)


def losses(constraint: ls.Constraint, output: Tensor = NO_OUTPUT, latent: Tensor = NO_LATENT) -> list[float]:
    return constraint(output, latent.expand(len(output), -1) if latent is NO_LATENT else latent).loss.tolist()


def verdicts(constraint: ls.Constraint, output: Tensor = NO_OUTPUT, latent: Tensor = NO_LATENT) -> list[bool]:
    return constraint(output, latent).passed.tolist()


def approximately(*values: float) -> Any:
    return pytest.approx(list(values), rel=1e-5)


# -- Matches -----------------------------------------------------------------------------------------

TARGET = torch.tensor([[0.0, 0.0, 0.0, 0.0]])
OUTPUT = torch.tensor([[0.05, -0.5, 1.0, 2.0]])


@pytest.mark.parametrize(
    ("distance", "mean"),
    [
        ("l2", (0.0025 + 0.25 + 1 + 4) / 4),
        ("l1", (0.05 + 0.5 + 1 + 2) / 4),
        # Quadratic to 0.1, then a line of gradient 0.1.
        ("huber", (0.05**2 / 2 + 0.1 * 0.45 + 0.1 * 0.95 + 0.1 * 1.95) / 4),
    ],
)
def test_matches_is_a_mean_distance(distance: Any, mean: float) -> None:
    assert losses(ls.Matches(TARGET, distance=distance), OUTPUT) == approximately(mean)


@pytest.mark.parametrize(
    ("mask", "mean"),
    [
        ([[1, 0, 0, 0]], 0.0025),
        ([[0, 1, 1, 0]], 1.25 / 2),
        ([[0.5, 0, 0.25, 0]], (0.5 * 0.0025 + 0.25 * 1) / 0.75),
    ],
)
def test_masks_of_different_sizes_compare(mask: list[list[float]], mean: float) -> None:
    assert losses(ls.Matches(TARGET, mask=torch.tensor(mask)), OUTPUT) == approximately(mean)


def test_each_problem_has_its_own_mask_and_its_own_mean() -> None:
    target, mask = torch.zeros(2, 3), torch.tensor([[1.0, 0, 0], [1, 1, 1]])
    constraint = ls.Matches(target, mask=mask)
    assert losses(constraint, torch.tensor([[3.0, 9, 9], [0, 0, 3]])) == approximately(9, 3)


def test_one_target_with_several_masks_is_several_problems() -> None:
    constraint = ls.Matches(torch.zeros(1, 2), mask=torch.eye(2))
    assert constraint.problems == 2
    assert losses(constraint, torch.tensor([[1.0, 2.0], [1.0, 2.0]])) == approximately(1, 4)


def test_one_mask_serves_all_channels() -> None:
    mask = torch.zeros(1, 1, 2, 2)
    mask[..., 0, 0] = 1
    output = torch.zeros(1, 3, 2, 2)
    output[0, :, 0, 0] = torch.tensor([1.0, 2.0, 3.0])
    output[0, :, 1, 1] = 100
    assert losses(ls.Matches(torch.zeros(1, 3, 2, 2), mask=mask), output) == approximately(14 / 3)


def test_a_mask_of_bools_or_bytes_is_a_mask() -> None:
    for mask in (torch.tensor([[True, False, False, False]]), torch.tensor([[1, 0, 0, 0]], dtype=torch.uint8)):
        assert losses(ls.Matches(TARGET, mask=mask), OUTPUT) == approximately(0.0025)


def test_nan_in_the_target_can_be_masked() -> None:
    target = torch.tensor([[0.0, torch.nan]])
    with pytest.raises(InvalidArgument, match=r"Matches.target: got NaN in rows \[0\], expected finite numbers; put 0"):
        ls.Matches(target)


# -- Downscales --------------------------------------------------------------------------------------


def test_area_downscaling_takes_means_of_blocks() -> None:
    output = torch.arange(16.0).view(1, 1, 4, 4)
    means = torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]])
    assert losses(ls.Downscales(means, 2, mode="area"), output) == approximately(0)
    assert losses(ls.Downscales(means + 2, 2, mode="area"), output) == approximately(4)
    assert torch.equal(ls.Downscales(means, 2, mode="area").shrink(output), means)


def test_bicubic_downscaling_keeps_constants_and_slopes() -> None:
    flat = torch.full((1, 3, 8, 8), 0.3)
    assert losses(ls.Downscales(torch.full((1, 3, 2, 2), 0.3), 4), flat) == pytest.approx([0], abs=1e-12)
    ramp = torch.arange(32.0).expand(1, 1, 32, 32)
    small = ls.Downscales(torch.zeros(1, 1, 8, 8), 4).shrink(ramp)[0, 0, 0]
    assert small[2:6].tolist() == approximately(9.5, 13.5, 17.5, 21.5)  # the middles of blocks; edges differ


@pytest.mark.parametrize(("most", "satisfied"), [(0.0, False), (0.24, False), (0.25, True)])
def test_a_threshold_is_the_largest_loss_that_satisfies(most: float, satisfied: bool) -> None:
    goal = ls.Downscales(torch.full((1, 1, 1, 1), 0.5), 2, mode="area").below(most)
    assert verdicts(goal, torch.zeros(1, 1, 2, 2)) == [satisfied]


# -- Classified --------------------------------------------------------------------------------------

LOGITS = torch.tensor([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])


def identity(logits: Tensor) -> Tensor:
    return logits


@pytest.mark.parametrize(
    ("loss", "label", "want"),
    [
        ("probability", 0, (math.log(3), math.log(1 + 2 * math.exp(-4)))),
        ("probability", torch.tensor([0, 1]), (math.log(3), 4 + math.log(1 + 2 * math.exp(-4)))),
        ("logit", 0, (0, -4)),
        ("logit", torch.tensor([2, 2], dtype=torch.uint8), (0, 0)),
    ],
)
def test_classified_losses(loss: Any, label: Any, want: tuple[float, float]) -> None:
    assert losses(ls.Classified(identity, label, loss=loss), LOGITS) == approximately(*want)


@pytest.mark.parametrize(("threshold", "want"), [(0.3, [True, True]), (0.9, [False, True]), (0.99, [False, False])])
@pytest.mark.parametrize("loss", ["probability", "logit"])
def test_the_threshold_is_a_probability_whatever_the_loss(threshold: float, want: list[bool], loss: Any) -> None:
    assert verdicts(ls.Classified(identity, 0, loss=loss, threshold=threshold), LOGITS) == want


def test_log_probabilities_serve_as_logits() -> None:
    raw, normalised = (ls.Classified(f, 0) for f in (identity, lambda x: x.log_softmax(1)))
    assert losses(normalised, LOGITS) == approximately(*losses(raw, LOGITS))


# -- Near and LogPrior -------------------------------------------------------------------------------

HERE, THERE = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 3.0]])


def test_near_in_continuous_spaces() -> None:
    assert losses(ls.Near(HERE), latent=THERE) == approximately(10)
    assert losses(ls.Near(HERE, metric="log"), latent=THERE) == approximately((math.log(2) + math.log(10)) / 2)
    scaled = ls.Near(HERE.expand(2, 2), metric="log", scale=torch.tensor([0.5, 2.0]))
    assert losses(scaled, latent=THERE.expand(2, 2)) == approximately(math.log(20), math.log(20) / 4)


def test_near_counts_codes_that_differ() -> None:
    constraint = ls.Near(torch.tensor([[[0, 1], [2, 3]], [[0, 0], [0, 0]]]))
    latent = torch.tensor([[[0, 1], [3, 2]], [[0, 0], [0, 1]]])
    assert losses(constraint, latent=latent) == approximately(2, 1)


def test_near_of_soft_codes_is_an_expectation() -> None:
    constraint, soft = ls.Near(torch.tensor([[0, 1]])), torch.tensor([[[0.7, 0.3], [0.25, 0.75]]])
    assert losses(constraint, latent=soft) == approximately(0.3 + 0.25)


def test_log_prior_is_the_negative_log_probability() -> None:
    want = 0.5 * 10 + math.log(2 * math.pi)
    assert losses(ls.LogPrior(StandardNormal((2,))), latent=THERE) == approximately(want)
    codes = ls.LogPrior(UniformCodes(ls.Discrete((3,), 4)))
    assert losses(codes, latent=torch.tensor([[0, 1, 2]])) == approximately(3 * math.log(4))


# -- Satisfies ---------------------------------------------------------------------------------------


def test_the_decorator_works_with_and_without_settings() -> None:
    @constraint
    def bright(output: Tensor) -> Tensor:
        return -output.mean(1)

    @constraint(of="latent", boolean=True, name="second is even")
    def even(latent: Tensor) -> Tensor:
        return latent[:, 1] % 2 == 0

    assert isinstance(bright, ls.Satisfies) and bright.name == "bright" and not bright.boolean
    assert losses(bright, torch.tensor([[1.0, 3.0]])) == [-2]
    assert even.name == "second is even" and even.boolean and not even.differentiable and even.reads == "latent"
    codes = torch.tensor([[1, 2], [2, 1]])
    assert (losses(even, latent=codes), verdicts(even, latent=codes)) == ([0, 1], [True, False])


def test_functions_get_what_they_ask_for() -> None:
    output, latent, targets = torch.tensor([[1.0], [2.0]]), torch.tensor([[10], [20]]), torch.tensor([100, 200])
    both = ls.Satisfies(lambda x, z, t: x[:, 0] + z[:, 0] + t, of="both", targets=targets)
    assert both.problems == 2 and both.reads == "both"
    assert losses(both, output, latent) == [111, 222]
    assert losses(both.select(torch.tensor([1, 1])), output, latent) == [211, 222]
    of_latent = ls.Satisfies(lambda z: z[:, 0].float(), of="latent")
    assert of_latent.reads == "latent" and losses(of_latent, output, latent) == [10, 20]


def test_given_replaces_the_targets_of_a_copy() -> None:
    constraint = ls.Satisfies(lambda x, t: (x - t).abs().sum(1), targets=torch.zeros(1, 2), name="near")
    other = constraint.with_targets(torch.tensor([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]]))
    assert (constraint.problems, other.problems, other.name) == (1, 3, "near")
    assert losses(constraint, torch.ones(2, 2)) == [2, 2]
    assert losses(other, torch.ones(3, 2)) == [0, 2, 2]


# -- sums of squares ---------------------------------------------------------------------------------


def test_residuals_of_a_match_are_its_differences_over_the_root_of_their_number() -> None:
    constraint = ls.Matches(TARGET)
    assert constraint.goal.least_squares
    assert constraint.residuals(OUTPUT, NO_LATENT)[0].tolist() == approximately(0.025, -0.25, 0.5, 1.0)


def test_residuals_of_a_masked_match_are_0_where_it_does_not_look() -> None:
    constraint = ls.Matches(TARGET, mask=torch.tensor([[0.25, 0, 1, 0]]))
    root = math.sqrt(1.25)
    assert constraint.residuals(OUTPUT, NO_LATENT)[0].tolist() == approximately(0.5 * 0.05 / root, 0, 1 / root, 0)


@pytest.mark.parametrize("mode", ["area", "bicubic"])
def test_residuals_of_a_downscaled_image_are_those_of_the_small_one(mode: Any) -> None:
    output = torch.arange(16.0).view(1, 1, 4, 4)
    constraint = ls.Downscales(torch.zeros(1, 1, 2, 2), 2, mode=mode).below(0.1)
    assert constraint.goal.least_squares
    assert torch.allclose(
        constraint.goal.residuals(output, NO_LATENT), constraint.goal.constraints[0].shrink(output).flatten(1) / 2
    )


def test_residuals_follow_selected_problems() -> None:
    constraint = ls.Matches(torch.tensor([[1.0], [3.0]]), mask=torch.ones(1, 1))
    chosen = constraint.select(torch.tensor([1, 0, 1]))
    assert chosen.residuals(torch.zeros(3, 1), NO_LATENT)[:, 0].tolist() == [-3, -1, -3]


@pytest.mark.parametrize(
    "constraint",
    [
        ls.Matches(TARGET, distance="l1"),
        ls.Matches(TARGET, distance="huber"),
        ls.Classified(identity, 0),
        ls.Near(HERE),
        ls.LogPrior(StandardNormal((2,))),
        ls.Satisfies(lambda x: x.mean(1)),
    ],
    ids=lambda constraint: constraint.name,
)
def test_what_is_no_sum_of_squares_has_no_residuals(constraint: ls.Constraint) -> None:
    assert not constraint.goal.least_squares
    assert not isinstance(constraint, ls.LeastSquares)
    with pytest.raises(ls.Unsupported, match=rf"residuals: got {constraint.name}, whose loss is no sum of squares"):
        constraint.goal.residuals(OUTPUT, NO_LATENT)


# -- what is refused ---------------------------------------------------------------------------------

IMAGES = torch.zeros(2, 1, 4, 4)

REFUSED = {
    "target is no tensor": (lambda: ls.Matches([[0.0]]), "Matches.target: got list, expected a tensor"),  # type: ignore[arg-type]
    "target without problems": (lambda: ls.Matches(torch.tensor(1.0)), r"Matches.target.*x\[None\] adds the row"),
    "no target": (lambda: ls.Matches(torch.zeros(0, 3)), "Matches.target.*one row a problem"),
    "bytes": (lambda: ls.Matches(IMAGES.byte()), r"Matches.target: got a uint8 .*x.float\(\) / 255"),
    "distance": (lambda: ls.Matches(IMAGES, distance="l3"), "Matches.distance: got 'l3', expected 'l2' or 'l1' or"),  # type: ignore[arg-type]
    "mask's range": (lambda: ls.Matches(IMAGES, mask=IMAGES + 2), r"mask: got values from 2 to 2.*\[0, 1\]"),
    "mask hides all": (lambda: ls.Matches(IMAGES, mask=IMAGES), "Matches.mask: got a mask that hides everything"),
    "mask of another shape": (lambda: ls.Matches(IMAGES, mask=torch.ones(2, 1, 3, 4)), "mask that broadcasts to"),
    "mask with fewer dimensions": (lambda: ls.Matches(IMAGES, mask=torch.ones(4, 4)), "as many dimensions"),
    "mask with NaN": (lambda: ls.Matches(IMAGES, mask=IMAGES + torch.nan), "Matches.mask: got NaN"),
    "masks of other problems": (
        lambda: ls.Matches(IMAGES, mask=torch.ones(3, 1, 4, 4)),
        "target for 2 problems and mask for 3",
    ),
    "small is no image": (lambda: ls.Downscales(torch.zeros(1, 4), 2), r"Downscales.small.*images \(B, C, h, w\)"),
    "factor": (lambda: ls.Downscales(IMAGES, 1), "Downscales.factor: got 1, expected a whole number of at least 2"),
    "broken factor": (lambda: ls.Downscales(IMAGES, 2.0), "Downscales.factor: got 2.0"),  # type: ignore[arg-type]
    "mode": (lambda: ls.Downscales(IMAGES, 2, mode="nearest"), "Downscales.mode: got 'nearest'"),  # type: ignore[arg-type]
    "train mode": (
        lambda: ls.Classified(nn.Sequential(nn.Linear(4, 2), nn.Dropout()), 0),
        r"module with Dropout in train mode.*classifier.eval\(\)",
    ),
    "no classifier": (lambda: ls.Classified("resnet", 0), "Classified.classifier: got 'resnet'"),  # type: ignore[arg-type]
    "negative label": (lambda: ls.Classified(identity, -1), "Classified.label: got -1, expected the index"),
    "broken label": (lambda: ls.Classified(identity, 0.5), "Classified.label: got 0.5, expected the index"),  # type: ignore[arg-type]
    "no labels": (lambda: ls.Classified(identity, torch.zeros(0, dtype=torch.int64)), "Classified.label"),
    "certainty": (lambda: ls.Classified(identity, 0, threshold=1.0), r"threshold: got 1.0.*\(0, 1\)"),
    "loss": (lambda: ls.Classified(identity, 0, loss="margin"), "Classified.loss: got 'margin'"),  # type: ignore[arg-type]
    "metric": (lambda: ls.Near(HERE, metric="cosine"), "Near.metric: got 'cosine'"),  # type: ignore[arg-type]
    "metric of codes": (lambda: ls.Near(HERE, metric="hamming"), "Near.latent.*int64 codes for the metric 'hamming'"),
    "metric of vectors": (lambda: ls.Near(HERE.long(), metric="l2"), "Near.latent.*continuous latent for the metric"),
    "scale of codes": (lambda: ls.Near(HERE.long(), scale=2), r"Near.scale.*none for 'hamming'.*0.5 \* Near"),
    "scale": (lambda: ls.Near(HERE, metric="log", scale=0), "Near.scale: got values from 0 to 0, expected positive"),
    "scales": (
        lambda: ls.Near(HERE, metric="log", scale=torch.ones(3)),
        "Near.scale: got a float32 tensor of shape",
    ),
    "no prior": (lambda: ls.LogPrior(nn.Linear(1, 1)), "LogPrior.prior: got Linear, expected an object with sample"),  # type: ignore[arg-type]
    "no function": (lambda: ls.Satisfies(3), "Satisfies.function: got 3, expected a function"),  # type: ignore[arg-type]
    "of what": (lambda: ls.Satisfies(identity, of="input"), "Satisfies.of: got 'input'"),  # type: ignore[arg-type]
    "targets": (lambda: ls.Satisfies(identity, targets=[1]), "Satisfies.targets: got list, expected a tensor"),  # type: ignore[arg-type]
    "with targets": (
        lambda: ls.Satisfies(identity).with_targets(torch.tensor(1)),
        "Satisfies.targets.*one row a problem",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_constructors_refuse_what_cannot_work(make: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


def test_typical_latents_are_neither_less_nor_more_likely_than_data() -> None:
    prior = StandardNormal((50,))
    data = prior.sample(ls.Noise.from_seed(0, 4000))
    term = ls.Typical.of(prior, data)
    others = prior.sample(ls.Noise.from_seed(1, 4000))
    assert float(term(others, others).satisfied.float().mean()) == pytest.approx(0.9, abs=0.03)
    ends = torch.stack([torch.zeros(50), 3 * torch.ones(50)])
    assert not term(ends, ends).satisfied.any()
    # The mode matches as well as it can be; with the term the answer is as long as data are.
    generator = ls.ContinuousGenerator(lambda z: z[:, :1], (50,))
    goal = ls.Matches(torch.zeros(1, 1)) + term
    result = ls.GradientSearch().search(generator, goal, init=torch.zeros(1, 50) + 1e-3, seed=0)
    assert bool(term(result.latent, result.latent).satisfied.all())


def test_a_band_is_a_pair_in_order() -> None:
    prior = StandardNormal((2,))
    for band in ((2.0, 1.0), (math.nan, 1.0), (1.0, 2.0, 3.0)):
        with pytest.raises(InvalidArgument, match=r"Typical.band: got .*, expected two numbers in order"):
            ls.Typical(prior, band)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="a number in"):
        ls.Typical.of(prior, torch.zeros(3, 2), share=1.0)


# -- HasAttributes, and classifiers of latents ---------------------------------------------------------


def signs(latent: Tensor) -> Tensor:
    """A critic of two attributes: whether each number of a latent is positive."""
    return 4 * latent


def test_the_loss_of_attributes_is_minus_the_log_probability_of_what_is_asked() -> None:
    term = ls.HasAttributes(signs, {0: True, 1: False}, threshold=0.6)
    z = torch.tensor([[0.5, -0.25], [0.5, 0.25]])
    probability = torch.sigmoid(torch.tensor([2.0, 2.0])) * torch.sigmoid(torch.tensor([1.0, -1.0]))
    loss, satisfied = term(z, z)
    assert torch.allclose(loss, -probability.log())
    assert satisfied.tolist() == (probability >= 0.6).tolist() == [True, False]
    assert term.satisfied_at == pytest.approx(-math.log(0.6)) and term.reads == "latent"


def test_attributes_that_are_not_asked_for_are_free() -> None:
    z = torch.tensor([[0.5, -0.25], [-3.0, 0.25]])
    of_one = ls.HasAttributes(signs, {1: True}, threshold=None)(z, z).loss
    by_tensor = ls.HasAttributes(signs, torch.tensor([[torch.nan, 1.0]] * 2), threshold=None)(z, z).loss
    assert torch.allclose(of_one, by_tensor)
    assert torch.allclose(of_one, -torch.sigmoid(4 * z[:, 1]).log())
    # A critic of one logit approves, or not.
    approved = ls.HasAttributes(lambda z: z.sum(1), threshold=None)(z, z).loss
    assert torch.allclose(approved, -torch.sigmoid(z.sum(1)).log())


def test_each_problem_has_attributes_of_its_own() -> None:
    wanted = torch.tensor([[1.0, 0.0], [0.0, torch.nan]])
    term, z = ls.HasAttributes(signs, wanted), torch.tensor([[0.5, -0.5], [0.5, -0.5]])
    alone = [ls.HasAttributes(signs, row)(z[:1], z[:1]).loss for row in wanted]
    assert torch.allclose(term(z, z).loss, torch.cat(alone))
    picked = term.select(torch.tensor([1, 1]))
    assert torch.equal(picked(z, z).loss, term(z, z).loss[[1, 1]])


def test_a_classifier_of_latents_does_not_need_the_decoder() -> None:
    decoded: list[int] = []

    def decode(z: Tensor) -> Tensor:
        decoded.append(len(z))
        return z

    generator = ls.ContinuousGenerator(decode, (2,), check=False)
    goal = ls.Classified(lambda z: torch.stack([z.sum(1), -z.sum(1)], 1), 0, threshold=0.9, of="latent")
    result = ls.GradientSearch().search(generator, goal, init=-torch.ones(1, 2), seed=0, run=ls.Run(evaluations=200))
    assert result.score.satisfied.all() and result.evaluations > 10
    # Two latents before the run, and the answer.
    assert sum(decoded) <= 2 + 1


REFUSED_CRITICS: dict[str, tuple[Any, str]] = {
    "nothing asked": (lambda: ls.HasAttributes(signs, {}), "HasAttributes.wanted: got {}"),
    "a number": (lambda: ls.HasAttributes(signs, 1), "HasAttributes.wanted: got 1, expected True, {number"),
    "other values": (lambda: ls.HasAttributes(signs, torch.tensor([0.5, 1.0])), "HasAttributes.wanted"),
    "all free": (lambda: ls.HasAttributes(signs, torch.tensor([torch.nan, torch.nan])), "HasAttributes.wanted"),
    "threshold": (lambda: ls.HasAttributes(signs, threshold=1.0), "HasAttributes.threshold: got 1.0"),
    "of": (lambda: ls.Classified(signs, 0, of="code"), "Classified.of: got 'code'"),
    "train mode": (lambda: ls.HasAttributes(torch.nn.Dropout().train()), r"critic.eval\(\)"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED_CRITICS.values(), ids=REFUSED_CRITICS)
def test_critics_that_cannot_work_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (torch.ones(3), r"got 3 attributes, expected attributes of a critic with 2 logits.*\{number: True\}"),
        ({4: True}, "got attribute 4, expected attributes of a critic with 2 logits"),
        (True, "got 1 attributes, expected attributes of a critic with 2 logits"),
    ],
)
def test_attributes_that_a_critic_does_not_have_are_refused(wanted: Any, message: str) -> None:
    generator = ls.ContinuousGenerator(lambda z: z, (2,))
    with pytest.raises(InvalidArgument, match=message):
        ls.RandomSearch().search(generator, ls.HasAttributes(signs, wanted), seed=0)


class SigmoidInverse(torch.autograd.Function):
    """What a user may call it."""

    @staticmethod
    def forward(context, p):
        return p.logit()

    @staticmethod
    def backward(context, *gradients):
        return gradients[0]


@pytest.mark.parametrize(
    "last",
    [
        lambda x: x,
        lambda x: x.sigmoid().logit(),
        lambda x: 10 * x.sigmoid() - 5,
        lambda x: x * x.sigmoid(),
        torch.tanh,
        torch.nn.functional.silu,
        torch.nn.functional.logsigmoid,
        lambda x: SigmoidInverse.apply(x.sigmoid()),
    ],
)
def test_what_ends_in_no_probability_is_taken(last):
    generator = ls.ContinuousGenerator(lambda z: z, (3,))
    for shaped in (lambda x: last(x)[:, :1], lambda x: last(x)[:, 0]):
        goal = ls.HasAttributes(shaped, True, of="output")
        assert ls.search(generator, goal, seed=0, run=ls.Run(evaluations=4)).evaluations.max() > 0


@pytest.mark.parametrize("squash", [torch.sigmoid, torch.nn.functional.hardsigmoid, lambda x: x.softmax(1)])
@pytest.mark.parametrize(
    "shaped",
    [
        lambda p: p[:, :1],
        lambda p: p[:, 0],
        lambda p: p[:, :1].squeeze(1),
        lambda p: p[:, :1].reshape(-1),
        lambda p: p.T[0],
        lambda p: p[:, 0].clamp(1e-6, 1 - 1e-6),
        lambda p: p.double()[:, :1].float(),
        lambda p: p[:, :1].clone(),
    ],
)
def test_probabilities_are_found_behind_shapes_casts_and_limits(squash, shaped):
    generator = ls.ContinuousGenerator(lambda z: z, (3,))
    with pytest.raises(ls.InvalidArgument, match=r"got probabilities: its last step is a .*expected logits"):
        ls.search(generator, ls.HasAttributes(lambda x: shaped(squash(x)), True, of="output"), seed=0)
