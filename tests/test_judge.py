"""The ruler against what is known: closed forms, exchangeable draws, and posteriors that can be listed."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from scipy import linalg, stats
from torch import Tensor

import latentsearch as ls
from latentsearch import judge
from latentsearch.priors import HistogramPrior, StandardNormal
from latentsearch.testing import toys


def normal(rows: int, *shape: int, seed: int = 0, stream: int = 0) -> Tensor:
    return ls.Noise.from_seed(seed, rows).fold(stream).normal(*shape, dtype=torch.float64)


# -- likelihood ----------------------------------------------------------------------------------------


def test_band_has_two_ends_and_the_mode_is_below_it() -> None:
    prior = StandardNormal((50,))
    data = prior.sample(ls.Noise.from_seed(0, 2000))
    band = judge.likelihood_band(-prior.log_prob(data))
    others = -prior.log_prob(prior.sample(ls.Noise.from_seed(1, 2000)))
    assert band.share(others) == pytest.approx(0.9, abs=0.02)
    mode, far = torch.zeros(1, 50), torch.full((1, 50), 3.0)
    assert not band.contains(-prior.log_prob(torch.cat([mode, far]))).any()
    assert band.share(-prior.log_prob(mode)) == 0 and -prior.log_prob(mode) < band.low


def test_band_of_numbers_that_are_none() -> None:
    band = judge.likelihood_band(torch.arange(101.0), low=0.1, high=0.8)
    assert (band.low, band.high) == (10, 80)
    assert band.contains(torch.tensor([10.0, 80.0, math.nan, math.inf])).tolist() == [True, True, False, False]
    for bad in (torch.tensor([1.0, math.inf]), torch.zeros(1)):
        with pytest.raises(ls.InvalidArgument):
            judge.likelihood_band(bad)
    with pytest.raises(ls.InvalidArgument, match="low < high"):
        judge.likelihood_band(torch.arange(9.0), low=0.9, high=0.1)


def test_kolmogorov_distance_is_scipys() -> None:
    a, b = normal(300), normal(170, seed=1) * 1.3 + 0.1
    assert judge.kolmogorov_distance(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic, abs=1e-12)
    assert judge.kolmogorov_distance(a, a.flip(0)) == 0
    assert judge.kolmogorov_distance(a, torch.tensor([math.inf])) == 1
    with pytest.raises(ls.InvalidArgument, match="NaN"):
        judge.kolmogorov_distance(a, torch.tensor([math.nan]))


# -- distances between samples -------------------------------------------------------------------------


def by_covariances(a: Tensor, b: Tensor) -> float:
    """The Fréchet distance as its formula is written."""
    first, second = a.T.cov().reshape(a.shape[1], -1), b.T.cov().reshape(a.shape[1], -1)
    root = torch.from_numpy(linalg.sqrtm((first @ second).numpy()).real)
    return float((a.mean(0) - b.mean(0)).square().sum() + torch.trace(first + second - 2 * root))


def test_frechet_distance_is_the_formula() -> None:
    mix = normal(5, 5, seed=3)
    a, b = normal(400, 5) @ mix, normal(300, 5, seed=1) * 2 + 0.5
    assert judge.frechet_distance(a, b) == pytest.approx(by_covariances(a, b), rel=1e-9)
    assert judge.frechet_distance(a, a) == pytest.approx(0, abs=1e-12)
    assert judge.frechet_distance(a, a + 2) == pytest.approx(5 * 4, rel=1e-9)
    one = normal(50, 1)
    assert judge.frechet_distance(one, 3 * one) == pytest.approx(
        float((2 * one.mean()) ** 2 + (2 * one.std()) ** 2), rel=1e-9
    )


def test_frechet_distance_with_fewer_rows_than_features() -> None:
    a, b = normal(6, 20), normal(9, 20, seed=1)
    # tr (AB)^(1/2) from eigenvalues: the root of a singular product is beyond sqrtm.
    first, second = a.T.cov(), b.T.cov()
    cross = torch.linalg.eigvals(first @ second).real.clamp(min=0).sqrt().sum()
    expected = (a.mean(0) - b.mean(0)).square().sum() + first.trace() + second.trace() - 2 * cross
    assert judge.frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-5)


def test_frechet_floor_falls_as_one_over_n() -> None:
    features = normal(8000, 8)
    floors = [sum(judge.frechet_floor(features, seed, size=n) for seed in range(8)) for n in (250, 1000, 4000)]
    assert floors[0] / floors[1] == pytest.approx(4, rel=0.3)
    assert floors[1] / floors[2] == pytest.approx(4, rel=0.3)
    assert judge.frechet_floor(features, 1, size=250) == judge.frechet_floor(features, 1, size=250)


def test_kernel_distance_is_unbiased_and_its_error_is_one() -> None:
    found = [judge.kernel_distance(normal(200, 3, seed=s), normal(200, 3, seed=s, stream=1), s) for s in range(40)]
    scores = torch.tensor([mean / error for mean, error in found])
    assert abs(scores.mean()) < 3 / math.sqrt(40)
    # Student's t with 9 degrees of freedom has a standard deviation of 1.13.
    assert 0.8 < scores.std() < 1.6
    assert judge.kernel_distance(normal(200, 3), normal(200, 3, seed=1) * 1.5).mean > 0.5


def test_kernel_distance_of_two_subsets_by_hand() -> None:
    a, b = normal(4, 2), normal(6, 2, seed=1)

    def kernel(x: Tensor, y: Tensor) -> float:
        return float((x @ y / 2 + 1) ** 3)

    # All ways to split into halves: the mean over subsets is among them.
    found = judge.kernel_distance(a, b, subsets=2)
    values = {}
    for i, j in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        for triple in torch.combinations(torch.arange(6), 3).tolist():
            within = kernel(a[i], a[j]) + sum(kernel(b[p], b[q]) for p in triple for q in triple if p != q) / 6
            across = sum(kernel(a[p], b[q]) for p in (i, j) for q in triple) / 6
            values[(i, j, *triple)] = within - 2 * across
    complement = {key: (*sorted(set(range(4)) - set(key[:2])), *sorted(set(range(6)) - set(key[2:]))) for key in values}
    means = torch.tensor([(values[key] + values[complement[key]]) / 2 for key in values])
    assert (means - found.mean).abs().min() < 1e-6 * means.abs().max()
    with pytest.raises(ls.InvalidArgument, match="2 rows for each"):
        judge.kernel_distance(a, b)


def test_density_and_coverage_of_one_law() -> None:
    n, m, k = 150, 100, 5
    found = [judge.density_coverage(normal(n, 4, seed=s), normal(m, 4, seed=s, stream=1), k) for s in range(40)]
    expected = 1 - math.prod((n - 1 - i) / (n + m - 1 - i) for i in range(k))
    assert sum(f.coverage for f in found) / 40 == pytest.approx(expected, abs=0.01)
    assert sum(f.density for f in found) / 40 == pytest.approx(1, abs=0.04)


def test_density_tells_outliers_and_coverage_tells_collapse() -> None:
    real = normal(200, 4)
    assert judge.density_coverage(real, normal(200, 4, seed=1) + 20) == (0, 0)
    collapsed = judge.density_coverage(real, real[:1].repeat(200, 1))
    assert collapsed.coverage < 0.1
    # No point is its own neighbour, copies apart.
    assert judge.density_coverage(torch.tensor([[0.0], [0.0], [5.0], [6.0]]), torch.tensor([[0.0]]), k=1).density == 2
    with pytest.raises(ls.InvalidArgument, match="fewer than"):
        judge.density_coverage(real[:5], real)


def test_memorisation_finds_copies_whatever_the_offset() -> None:
    training, test = 1000 + normal(300, 6), 1000 + normal(100, 6, seed=1)
    assert judge.memorisation(training[:20].clone(), training, test) == 0
    assert judge.memorisation(1000 + normal(200, 6, seed=2), training, test) == pytest.approx(1, abs=0.15)
    brute = torch.cdist(test, training, compute_mode="donot_use_mm_for_euclid_dist").amin(1).median()
    assert judge.memorisation(test + 100, training, test) == pytest.approx(
        float(torch.cdist(test + 100, training).amin(1).median() / brute), rel=1e-6
    )
    with pytest.raises(ls.InvalidArgument, match="copies"):
        judge.memorisation(test, training, training)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(90, 3), normal(70, 3, seed=1)
    whole = judge.density_coverage(real, fake), judge.memorisation(fake, real, fake + 1)
    monkeypatch.setattr("latentsearch.judge._neighbours._CELLS", 700)
    assert (judge.density_coverage(real, fake), judge.memorisation(fake, real, fake + 1)) == whole


def test_classifier_two_sample_test() -> None:
    for seed in range(2):
        a, b = normal(250, 5, seed=seed), normal(300, 5, seed=seed, stream=1)
        null = judge.c2st(a, b, seed)
        assert null.low - 0.02 < null.accuracy < null.high + 0.02
        assert judge.c2st(a, b * 1.8, seed).accuracy > null.high  # a difference that no linear classifier sees
    assert judge.c2st(a, b + 6).accuracy > 0.99
    assert null.high - null.low == pytest.approx(1.96 / math.sqrt(500))


def test_a_critics_curve_has_half_its_area_under_it_for_one_law_and_all_for_two_far_apart() -> None:
    a, b = normal(400, 3), normal(400, 3, seed=1)
    assert 0.42 < judge.critic_auc(a, b) < 0.58
    assert 0.6 < judge.critic_auc(a, b * 1.8) < 0.9
    assert judge.critic_auc(a, b + 6) > 0.999
    # A difference by which nothing is ranked is a tie, which counts half.
    assert judge.critic_auc(torch.zeros(40, 2), torch.zeros(40, 2)) == 0.5
    with pytest.raises(ls.InvalidArgument, match=r"critic_auc: got 3 and 3 rows, expected at least 5 of each"):
        judge.critic_auc(a[:3], b[:3])


def test_c2st_leaves_the_global_state_alone_and_works_where_nothing_can_be_trained() -> None:
    a, b = normal(40, 2), normal(40, 2, seed=1)
    before = torch.get_rng_state()
    plain = judge.c2st(a, b)
    with torch.inference_mode():
        assert judge.c2st(a + 0, b + 0) == plain
    assert torch.equal(torch.get_rng_state(), before)


# -- calibration ---------------------------------------------------------------------------------------


def test_ranks_of_exchangeable_draws_are_uniform_and_others_are_not() -> None:
    noise, draws = ls.Noise.from_seed(0, 800), normal(800, 32)
    samples, truth = draws[:, :31], draws[:, 31]
    assert judge.uniformity(judge.sbc_ranks(samples, truth, noise), 31) > 0.01
    for wrong in (samples + 0.3, samples * 1.5, samples * 0.7):
        assert judge.uniformity(judge.sbc_ranks(wrong, truth, noise), 31) < 1e-3


def test_ties_are_broken_by_each_rows_randomness() -> None:
    noise = ls.Noise.from_seed(0, 4000)
    samples, truth = torch.zeros(4000, 7), torch.zeros(4000)
    ranks = judge.sbc_ranks(samples, truth, noise)
    assert judge.uniformity(ranks, 7) > 0.01 and ranks.min() == 0 and ranks.max() == 7
    assert torch.equal(judge.sbc_ranks(samples[5:9], truth[5:9], noise[5:9]), ranks[5:9])


def test_uniformity_is_scipys_chi_square_with_uneven_bins_too() -> None:
    ranks = ls.Noise.from_seed(0).integers(30, 500)[0]
    for bins in (8, 10, 30):
        place = torch.arange(30) * bins // 30
        expected = stats.chisquare(place[ranks].bincount(minlength=bins), place.bincount().double() * 500 / 30).pvalue
        assert judge.uniformity(ranks, 29, bins) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ls.InvalidArgument, match="from 0 to 20"):
        judge.uniformity(ranks, 20)
    with pytest.raises(ls.InvalidArgument, match="at most"):
        judge.uniformity(ranks, 29, bins=31)


def test_coverage_of_exact_narrow_and_wide_posteriors() -> None:
    noise = ls.Noise.from_seed(0, 1000)
    centre = 3 * normal(1000, 4, stream=1)
    truth, references = centre + normal(1000, 4, stream=2), 3 * normal(1000, 4, stream=3)
    p_values = []
    for width in (1.0, 0.5, 2.0):
        samples = centre[:, None] + width * normal(1000, 15, 4, stream=4)
        found = judge.tarp_coverage(samples, truth, references, noise)
        assert found.coverage[-1] == 1 and found.level[-1] == 1
        p_values.append(judge.uniformity(found.ranks, 15))
    assert p_values[0] > 0.01 and max(p_values[1:]) < 1e-3


def test_coverage_breaks_ties() -> None:
    truth = normal(600, 2, 3)
    found = judge.tarp_coverage(truth[:, None].repeat(1, 7, 1, 1), truth, truth * 0, ls.Noise.from_seed(0, 600))
    assert judge.uniformity(found.ranks, 7) > 0.01


@pytest.mark.parametrize("answers", [2, 8])
def test_posterior_spread_of_gaussian_posteriors(answers: int) -> None:
    centre = normal(3000, 4)
    truth = centre + normal(3000, 4, stream=1)
    for width in (0.0, 0.5, 1.0, 2.0):
        samples = centre[:, None] + width * normal(3000, answers, 4, stream=2)
        expected = (1 + width**2) * (1 + 1 / answers) / (1 + width**2 / answers)
        found = judge.posterior_spread(samples, truth)
        assert found.low <= found.ratio <= found.high
        assert found.ratio == pytest.approx(expected, rel=0.05)
    with pytest.raises(ls.InvalidArgument, match="R >= 2"):
        judge.posterior_spread(samples[:, :1], truth)


def test_bootstrap_of_a_mean() -> None:
    values = normal(400)
    low, high = judge.bootstrap(values, seed=3)
    assert high - low == pytest.approx(2 * 1.96 * float(values.std()) / 20, rel=0.1)
    assert judge.bootstrap(values, seed=3) == (low, high) != judge.bootstrap(values, seed=4)
    assert judge.bootstrap(values, torch.amax, seed=3).high == values.max()
    # All that was seen of a problem is drawn together.
    same = torch.stack([values, 2 * values], 1)
    assert judge.bootstrap(same, lambda v: v[:, 1].sum() / v[:, 0].sum()) == pytest.approx((2, 2))
    with pytest.raises(ls.InvalidArgument):
        judge.bootstrap(torch.tensor([1.0]))


# -- what can be listed --------------------------------------------------------------------------------


def test_distances_of_distributions() -> None:
    p, q = torch.tensor([[0.5, 0.25], [0.25, 0.0]]), torch.tensor([[0.25, 0.25], [0.25, 0.25]])
    assert judge.total_variation(p, q) == 0.25
    assert judge.total_variation(torch.tensor([[2, 1], [1, 0]]), q) == 0.25
    assert judge.hellinger(p, q) == pytest.approx(math.sqrt(1 - math.sqrt(0.125) - 0.5), abs=1e-9)
    assert judge.hellinger(p, p) == 0 and judge.total_variation(p, p) == 0
    apart = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert judge.hellinger(*apart) == judge.total_variation(*apart) == 1
    with pytest.raises(ls.InvalidArgument, match="integer dtype"):
        judge.total_variation(torch.tensor([2.0, 1.0]), torch.tensor([0.5, 0.5]))
    with pytest.raises(ls.InvalidArgument, match="the same shape"):
        judge.hellinger(p, q.flatten())


@pytest.mark.parametrize("draws", [1, 10, 1000])
def test_floor_of_counts_is_the_mean_over_all_counts(draws: int) -> None:
    p = torch.tensor([0.55, 0.3, 0.15, 0.0], dtype=torch.float64)
    count = torch.arange(draws + 1).double()
    law = torch.from_numpy(stats.binom.pmf(count[:, None].numpy(), draws, p.numpy()))
    expected = (law * (count[:, None] / draws - p).abs()).sum() / 2
    assert judge.total_variation_floor(p, draws) == pytest.approx(float(expected), rel=1e-9)


def test_diversity_is_the_mean_over_pairs() -> None:
    codes = ls.Noise.from_seed(0, 3).integers(4, 5, 2, 3)
    outputs = normal(3, 5, 2, 3)
    positions, region = torch.tensor([[True, False, True], [False, False, True]]), torch.rand(3, 2, 1).double() + 0.1
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    hamming = torch.stack([(codes[:, i] != codes[:, j])[:, positions].double().mean(1) for i, j in pairs]).mean(0)
    assert torch.allclose(judge.code_diversity(codes, positions), hamming)
    weight = region.expand(3, 2, 3)
    apart = torch.stack([(outputs[:, i] - outputs[:, j]).square() for i, j in pairs]).mean(0)
    expected = (apart * weight).sum((1, 2)) / weight.sum((1, 2))
    assert torch.allclose(judge.pixel_diversity(outputs, region), expected)
    assert judge.code_diversity(codes[:, :1].repeat(1, 3, 1, 1)).max() == 0
    with pytest.raises(ls.InvalidArgument, match="restarts="):
        judge.code_diversity(codes[:, :1])
    with pytest.raises(ls.InvalidArgument, match="broadcasts to"):
        judge.pixel_diversity(outputs, torch.ones(4, 4))
    with pytest.raises(ls.InvalidArgument, match="nothing counts"):
        judge.pixel_diversity(outputs, torch.zeros(2, 3))


# -- the report ----------------------------------------------------------------------------------------

SIGMA = 0.15
GENERATOR = toys.CodeGenerator((2, 3), codebook_size=4)
PRIOR = HistogramPrior(torch.special.ndtri(ls.Noise.from_seed(5).uniform(2, 3, 4)[0]) * 0.8)
GRIDS = torch.cartesian_prod(*[torch.arange(4)] * 6).view(-1, 2, 3)  # all 4,096


def features(outputs: Tensor) -> Tensor:
    return outputs.flatten(1)


def classifier(outputs: Tensor) -> Tensor:
    mean = outputs.flatten(1).mean(1)
    return torch.stack([0.5 - mean, mean - 0.5], 1)


@pytest.fixture(scope="module")
def planted() -> tuple[ls.Goal, Tensor, Tensor]:
    """120 problems whose truth is drawn from the prior; the goal, the truth, and 8 exact answers to each."""
    noise = ls.Noise.from_seed(0, 120)
    truth = GENERATOR.decode(PRIOR.sample(noise.fold(1)))
    target = truth + SIGMA * noise.fold(2).normal(2, 3)
    mask = torch.tensor([[[1.0, 1.0, 0.0]]])
    goal = (ls.Matches(target, mask=mask, noise=SIGMA) + ls.LogPrior(PRIOR)).goal
    outputs = GENERATOR.decode(GRIDS)
    misfit = (outputs[None] - target[:, None]).square() * mask
    posterior = PRIOR.log_prob(GRIDS) - misfit.flatten(2).sum(2) / (2 * SIGMA**2)
    chosen = noise.fold(3).split(8).categorical(posterior.repeat_interleave(8, 0))
    return goal, truth, GRIDS[chosen].unflatten(0, (120, 8))


@pytest.fixture(scope="module")
def reference() -> judge.Reference:
    images = GENERATOR.decode(PRIOR.sample(ls.Noise.from_seed(9, 1000)))
    return judge.Reference(GENERATOR, images, prior=PRIOR, features=features, classifier=classifier)


def test_exact_samples_pass_every_test(planted: tuple[ls.Goal, Tensor, Tensor], reference: judge.Reference) -> None:
    goal, truth, samples = planted
    labels = classifier(truth).argmax(1)
    found = judge.report(samples, reference, goal, truth=truth, labels=labels)
    assert list(found) == [
        *("loss", "within tolerance", "bits per code", "in band", "both", "read right", "likelihood distance"),
        *("Fréchet distance", "kernel distance", "density", "coverage"),
        *("code diversity", "classes read", "pixel diversity", "error ratio"),
    ]
    ratio = found["error ratio"]
    assert ratio.interval is not None and ratio.interval.low < 2 < ratio.interval.high and ratio.data == 2
    for name in ("bits per code", "in band"):
        measure = found[name]
        assert measure.interval is not None and measure.data is not None
        assert measure.interval.low - 0.03 < measure.data < measure.interval.high + 0.03, name
    for name in ("likelihood distance", "Fréchet distance"):
        assert found[name].answers < 2 * (found[name].data or 0) + 0.02, name
    kinds = [len(set(classifier(GENERATOR.decode(each)).argmax(1).tolist())) for each in samples]
    assert found["classes read"].answers == pytest.approx(sum(kinds) / 120)
    kernel = found["kernel distance"]
    assert kernel.interval is not None and kernel.interval.low < 0 < kernel.interval.high
    assert found["both"].answers <= min(found["in band"].answers, found["within tolerance"].answers)
    # They are calibrated, too.
    nll = -PRIOR.log_prob(samples[:, :7].flatten(0, 1)).view(120, 7)
    ranks = judge.sbc_ranks(nll, -PRIOR.log_prob(GENERATOR.encode(truth)), ls.Noise.from_seed(1, 120))
    assert judge.uniformity(ranks, 7, bins=4) > 0.01


def test_most_likely_answers_fail_where_they_should(
    planted: tuple[ls.Goal, Tensor, Tensor], reference: judge.Reference
) -> None:
    goal, truth, _ = planted
    mode = PRIOR.logits.argmax(-1).expand(120, 8, 2, 3)
    found = judge.report(mode, reference, goal, truth=truth)
    assert found["in band"].answers == found["both"].answers == found["code diversity"].answers == 0
    assert found["coverage"].answers < 0.5 * (found["coverage"].data or 0)
    assert found["likelihood distance"].answers > 0.9
    assert "read right" not in found  # there were no labels


def test_pieces_that_were_not_given_are_absent(planted: tuple[ls.Goal, Tensor, Tensor]) -> None:
    goal, truth, samples = planted
    bare = judge.Reference(GENERATOR, truth)
    assert list(judge.report(samples[:, :1], bare)) == []
    assert list(judge.report(samples, bare)) == ["code diversity", "pixel diversity"]
    assert list(judge.report(samples[:, :1], bare, goal)) == ["loss"]
    one = judge.report(samples[:1], bare, ls.Matches(truth[:1]), truth=truth[:1])
    assert one["loss"].interval is None and "error ratio" not in one
    assert one["loss"].data == pytest.approx(0, abs=1e-12)


def test_a_result_has_its_best_apart(reference: judge.Reference) -> None:
    truth = reference.images[:3]
    goal = ls.Matches(truth)
    result = ls.RandomSearch(restarts=4).search(GENERATOR, goal, seed=0, run=ls.Run(evaluations=80))
    found = judge.report(result, reference, goal, truth=truth, tolerance=0.05)
    assert found["loss"].best == pytest.approx(float(result.score.loss.mean()))
    assert found["loss"].answers == pytest.approx(float(result.candidates.score.loss.mean()))
    assert found.answers == 4 and found.problems == 3
    # A sampler answers with its first chain, which need not be the best.
    first = replace(result, latent=result.candidates.latent[:, 0])
    assert judge.report(first, reference, goal, truth=truth)["loss"].best == found["loss"].best
    within = (result.candidates.score.loss <= 0.05).double().mean()
    assert found["within tolerance"].answers == pytest.approx(float(within))


def test_terms_that_read_latents_are_no_measurement(
    planted: tuple[ls.Goal, Tensor, Tensor], reference: judge.Reference
) -> None:
    goal, truth, samples = planted
    plain = judge.report(samples, reference, ls.Goal(goal.terms[:1]), truth=truth)
    assert judge.report(samples, reference, goal, truth=truth)["loss"] == plain["loss"]
    with pytest.raises(ls.InvalidArgument, match="reads outputs"):
        judge.report(samples, reference, ls.LogPrior(PRIOR))


def test_hidden_pixels_are_what_diversity_is_about(
    planted: tuple[ls.Goal, Tensor, Tensor], reference: judge.Reference
) -> None:
    goal, truth, samples = planted
    hidden = torch.tensor([[[0.0, 0.0, 1.0]]])
    found = judge.report(samples, reference, goal, truth=truth, hidden=hidden)
    everywhere = judge.report(samples, reference, goal, truth=truth)
    assert found["pixel diversity"].answers > everywhere["pixel diversity"].answers
    outputs = GENERATOR.decode(samples.flatten(0, 1)).unflatten(0, (120, 8))
    expected = judge.posterior_spread(outputs[..., 2], truth[..., 2])
    assert found["error ratio"].answers == pytest.approx(expected.ratio)


def test_answers_that_are_the_truth_have_no_spread(reference: judge.Reference) -> None:
    codes = reference.encode(reference.images[:4])
    assert codes is not None
    found = judge.report(codes[:, None].repeat(1, 3, 1, 1), reference, truth=reference.decode(codes))
    assert found["pixel diversity"].answers == 0 and "error ratio" not in found


def test_continuous_latents_have_nats() -> None:
    generator = toys.ElementwiseGenerator((4,))
    latents = generator.prior.sample(ls.Noise.from_seed(0, 3000))
    data = judge.Reference(generator, generator.decode(latents), prior=generator.prior, latents=latents)
    fresh = generator.prior.sample(ls.Noise.from_seed(1, 300)).view(100, 3, 4)
    found = judge.report(fresh, data)
    assert list(found) == ["nats per dimension", "in band", "likelihood distance", "pixel diversity"]
    assert found["in band"].answers == pytest.approx(0.9, abs=0.06) and found["in band"].data == pytest.approx(0.9)


def test_the_table_and_the_log_hold_the_same(
    planted: tuple[ls.Goal, Tensor, Tensor], reference: judge.Reference
) -> None:
    goal, truth, samples = planted
    found = judge.report(samples, reference, goal, truth=truth)
    text = str(found)
    assert text.splitlines()[0] == "120 problems, 8 answers each"
    assert "95th percentile" in text and "data: encodings of the truth" in text.splitlines()[-1]
    assert "best of" not in text  # nobody chose
    logged = json.loads(json.dumps(found.figures()))
    assert logged["in band"]["answers"] == found["in band"].answers and "best" not in logged["in band"]
    assert f"{100 * found['in band'].answers:.1f} %" in text
    assert found.get("read right") is None
    assert str(judge.report(samples, reference, goal, truth=truth)) == text


def test_what_does_not_fit_is_told(planted: tuple[ls.Goal, Tensor, Tensor], reference: judge.Reference) -> None:
    goal, truth, samples = planted
    for arguments, text in (
        ((samples[:, 0], reference), r"z\[:, None\]"),
        ((samples.float(), reference), "int64 codes"),
        ((samples[:7], reference, goal), "one about the 7 problems"),
    ):
        with pytest.raises(ls.InvalidArgument, match=text):
            judge.report(*arguments)
    for named, text in (
        ({"truth": truth[:5]}, "one image for each"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "int64 classes"),
        ({"tolerance": torch.zeros(7)}, "one number, or one for each"),
    ):
        with pytest.raises(ls.InvalidArgument, match=text):
            judge.report(samples, reference, goal, **named)  # type: ignore[arg-type]
    with pytest.raises(ls.InvalidArgument, match="weights that broadcast"):
        judge.report(samples, reference, goal, hidden=torch.ones(5))
    with pytest.raises(ls.InvalidArgument, match="one over"):
        judge.Reference(GENERATOR, truth, prior=StandardNormal((3,)))
    with pytest.raises(ls.InvalidArgument, match="one an image"):
        judge.Reference(GENERATOR, truth, latents=samples[:3, 0])
