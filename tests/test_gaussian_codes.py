"""Standard normals onto codes: exact both ways, and a gradient that leads somewhere."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch._normal import gumbel_of_normal, log_ndtri
from latentsearch.adapters import CodeMap, GumbelMax, Quantiles, fiedler_order, principal_order
from latentsearch.noise import Noise
from latentsearch.priors import HistogramPrior, StandardNormal, UniformCodes
from latentsearch.testing import Check, checks, parametrize_with_checks, toys
from latentsearch.testing._statistics import FALSE_ALARM, chance_of_counts

MANY = 20_000


class MaskedLinear:
    """An autoregressive prior whose logits are linear in the codes before."""

    def __init__(self, space: ls.Discrete, dtype: torch.dtype = torch.float64, strength: float = 1.5) -> None:
        self.space = space
        positions, size = space.positions, space.codebook_size
        noise = Noise.from_seed(3)
        self.bias = noise.normal(positions, size, dtype=dtype)[0]
        weight = noise.fold(1).normal(positions, size, positions, size, dtype=dtype)[0] * strength
        before = torch.ones(positions, positions, dtype=dtype).tril(-1)
        self.weight = weight * before[:, None, :, None]
        self.passes = 0

    def causal_logits(self, z: Tensor) -> Tensor:
        self.passes += 1
        soft = z if z.is_floating_point() else self.space.one_hot(z, self.bias.dtype)
        logits = torch.einsum("nqj,pkqj->npk", soft.flatten(1, -2).to(self.bias.dtype), self.weight) + self.bias
        return logits.log_softmax(-1).view(len(z), *self.space.shape, -1)

    def log_prob(self, z: Tensor) -> Tensor:
        soft = z if z.is_floating_point() else self.space.one_hot(z, self.bias.dtype)
        return (self.causal_logits(z) * soft).flatten(1).sum(1)

    def sample(self, noise: Noise) -> Tensor:
        z = torch.zeros(len(noise), self.space.positions, dtype=torch.int64)
        for position in range(self.space.positions):
            logits = self.causal_logits(z.view(-1, *self.space.shape)).flatten(1, -2)[:, position]
            z[:, position] = noise.fold(position).categorical(logits)
        return z.view(-1, *self.space.shape)


def made(
    shape: tuple[int, ...] = (2, 2), size: int = 3, dtype: torch.dtype = torch.float64, by: CodeMap | None = None
) -> ls.GaussianCodes:
    toy = toys.CodeGenerator(shape, size, dtype)
    return ls.GaussianCodes(toy, MaskedLinear(toy.space), by=by)


LINE = Quantiles(torch.tensor([1, 2, 0]))
BOTH = pytest.mark.parametrize("by", [GumbelMax(), LINE], ids=["gumbel-max", "quantiles"])


def test_the_test_double_is_a_prior() -> None:
    for check in checks(MaskedLinear(ls.Discrete((2, 2), 2))):
        check()


# -- exact both ways ---------------------------------------------------------------------------------


@BOTH
def test_codes_of_normals_follow_the_prior(by: CodeMap) -> None:
    generator = made(by=by)
    codes = generator.codes(generator.prior.sample(Noise.from_seed(0, MANY)))
    grids = torch.cartesian_prod(*[torch.arange(3)] * 4).view(-1, 2, 2)
    expected = generator.code_prior.log_prob(grids).exp()
    counts = (codes.flatten(1) * torch.tensor([27, 9, 3, 1])).sum(1).bincount(minlength=81)
    assert float(expected.sum()) == pytest.approx(1)
    assert chance_of_counts(counts.double(), expected) > FALSE_ALARM


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_inverse_leads_back(by: CodeMap, dtype: torch.dtype) -> None:
    generator = made(by=by, dtype=dtype)
    codes = Noise.from_seed(5, 2000).integers(3, 2, 2)  # whether or not they are likely
    eps = generator.to_gaussian(codes, Noise.from_seed(6, 2000))
    assert eps.dtype == dtype and generator.space.contains(eps) and eps.isfinite().all()
    assert torch.equal(generator.codes(eps), codes)


@BOTH
def test_normals_behind_codes_of_the_prior_are_standard(by: CodeMap) -> None:
    generator = made(by=by)
    codes = generator.code_prior.sample(Noise.from_seed(7, MANY))
    eps = generator.to_gaussian(codes, Noise.from_seed(8, MANY)).flatten(1)
    error = 1 / math.sqrt(MANY)
    assert eps.mean(0).abs().max() < 4.5 * error
    assert (eps.var(0) - 1).abs().max() < 4.5 * math.sqrt(2) * error
    assert (eps.pow(3).mean(0)).abs().max() < 4.5 * math.sqrt(15) * error
    assert (eps.pow(4).mean(0) - 3).abs().max() < 4.5 * math.sqrt(96) * error
    off_diagonal = torch.corrcoef(eps.T) - torch.eye(eps.shape[1])
    assert off_diagonal.abs().max() < 4.5 * error
    squares = torch.corrcoef(eps.square().T) - torch.eye(eps.shape[1])
    assert squares.abs().max() < 4.5 * error


@pytest.mark.parametrize("by", [GumbelMax(), Quantiles(torch.arange(512))], ids=["gumbel-max", "quantiles"])
def test_unlikely_codes_of_a_large_grid_come_back_in_float32(by: CodeMap) -> None:
    generator = toys.CodeGenerator((7, 7), 512)
    logits = Noise.from_seed(1).normal(7, 7, 512)[0] * 3
    gaussian = ls.GaussianCodes(generator, HistogramPrior(logits), by)
    codes = Noise.from_seed(2, 8).integers(512, 7, 7)
    codes[0] = logits.argmin(-1)
    eps = gaussian.to_gaussian(codes, Noise.from_seed(3, 8))
    assert eps.dtype == torch.float32 and eps.isfinite().all()
    back = gaussian.codes(eps)
    likely = HistogramPrior(logits).logits.expand(8, 7, 7, 512).gather(-1, codes[..., None])[..., 0] > math.log(1e-6)
    assert torch.equal(back[likely], codes[likely])
    assert isinstance(by, Quantiles) or torch.equal(back, codes)


@pytest.mark.parametrize("nats", [20.0, 80.0, 600.0])
def test_codes_of_next_to_no_probability_come_back(nats: float) -> None:
    toy = toys.CodeGenerator((1,), 3, torch.float64)
    prior = HistogramPrior(torch.tensor([[0.0, -nats, 0.0]], dtype=torch.float64))
    for by in (GumbelMax(), Quantiles(torch.tensor([0, 2, 1]))):
        gaussian = ls.GaussianCodes(toy, prior, by)
        codes = torch.ones(50, 1, dtype=torch.int64)
        assert torch.equal(gaussian.codes(gaussian.to_gaussian(codes, Noise.from_seed(0, 50))), codes)


def test_far_tails_are_exact() -> None:
    eps = torch.tensor([-60.0, -36.0, -8.0, -1.0, 0.0, 1.0, 8.0, 36.0], dtype=torch.float64)
    log_mass = torch.special.log_ndtr(eps).requires_grad_()
    again = log_ndtri(log_mass)
    torch.testing.assert_close(again, eps, rtol=1e-9, atol=1e-12)
    (slope,) = torch.autograd.grad(again.sum(), log_mass)
    assert slope.isfinite().all() and torch.autograd.gradcheck(log_ndtri, log_mass[2:6])
    assert float(gumbel_of_normal(torch.tensor(8.0))) == pytest.approx(35.0, abs=0.1)


def test_priors_of_independent_codes_are_autoregressive() -> None:
    for prior in (HistogramPrior(Noise.from_seed(1).normal(2, 2, 3)[0]), UniformCodes(ls.Discrete((2, 2), 3))):
        z = Noise.from_seed(0, 5).integers(3, 2, 2)
        assert isinstance(prior, ls.AutoregressivePrior)
        hard, soft = prior.causal_logits(z), prior.causal_logits(prior.space.one_hot(z, torch.float32))
        torch.testing.assert_close(hard.gather(-1, z[..., None]).flatten(1).sum(1), prior.log_prob(z))
        assert torch.equal(hard, soft)


@BOTH
def test_each_position_costs_at_most_one_pass(by: CodeMap) -> None:
    generator = made(by=by)
    prior = generator.code_prior
    assert isinstance(prior, MaskedLinear)
    generator.codes(generator.prior.sample(Noise.from_seed(1, 50)))
    assert prior.passes <= 4


# -- starting from images ----------------------------------------------------------------------------


@BOTH
def test_an_encoded_output_decodes_to_itself(by: CodeMap) -> None:
    generator = made(by=by)
    output = generator.generator.decode(Noise.from_seed(4, 6).integers(3, 2, 2))
    for noise in (None, Noise.from_seed(9, 6)):
        torch.testing.assert_close(generator.decode(generator.encode(output, noise)), output)
    whole = generator.encode(output)
    assert torch.equal(whole[2:3], generator.encode(output[2:3]))


def test_codes_that_stand_for_others_are_not_returned() -> None:
    net = nn.Conv2d(3, 1, 1).double().eval()
    used = torch.tensor([True, False, True, True])
    generator = ls.CodebookGenerator(
        net, Noise.from_seed(0).normal(4, 3, dtype=torch.float64)[0], (2, 2), used=used,
        prior=HistogramPrior(torch.zeros(2, 2, 4, dtype=torch.float64)),
    )  # fmt: skip
    gaussian = ls.GaussianCodes(generator)
    eps = gaussian.prior.sample(Noise.from_seed(1, 100))
    codes = gaussian.codes(eps)
    assert not bool((codes == 1).any())
    torch.testing.assert_close(generator.decode(codes), gaussian.decode(eps))
    assert torch.equal(gaussian.codes(gaussian.to_gaussian(codes)), codes)


# -- gradients ---------------------------------------------------------------------------------------


@BOTH
def test_relaxed_codes_have_the_gradient_of_finite_differences(by: CodeMap) -> None:
    """Of the normals of the last position, after which nothing comes that hard contexts could hide."""
    generator = made(by=by)
    eps = generator.prior.sample(Noise.from_seed(2, 1)).double()
    weights = Noise.from_seed(3).normal(2, 2, 3, dtype=torch.float64)
    last = torch.zeros_like(eps)
    last[:, 1, 1] = Noise.from_seed(4).normal(*eps[0, 1, 1].shape, dtype=torch.float64)

    def value(at: Tensor) -> Tensor:
        return (generator.relaxed(at) * weights).sum()

    leaf = eps.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(leaf), leaf)
    step = 1e-5
    numeric = (value(eps + step * last) - value(eps - step * last)) / (2 * step)
    assert float((gradient * last).sum()) == pytest.approx(float(numeric), rel=1e-5)


def test_relaxed_codes_are_means_over_nearby_normals() -> None:
    log_p = Noise.from_seed(1).normal(1, 3, dtype=torch.float64).log_softmax(-1)
    eps = torch.tensor([[0.4]], dtype=torch.float64)
    near = eps + LINE.temperature * Noise.from_seed(2, 40_000).normal(1, dtype=torch.float64)
    codes = LINE.choose(near, log_p.expand(40_000, 1, 3)).flatten()
    frequencies = codes.bincount(minlength=3) / 40_000
    torch.testing.assert_close(LINE.soften(eps, log_p)[0, 0], frequencies.double(), atol=0.01, rtol=0)


@BOTH
def test_gradients_reach_normals_of_earlier_positions(by: CodeMap) -> None:
    generator = made(by=by)
    eps = generator.prior.sample(Noise.from_seed(2, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(generator.relaxed(eps)[:, 1, 1, 0].sum(), eps)
    assert gradient.isfinite().all() and gradient[:, 0, 0].abs().sum() > 0


@BOTH
def test_what_is_decoded_with_a_gradient_is_what_is_decoded_without(by: CodeMap) -> None:
    generator = made((3, 2), by=by)
    eps = generator.prior.sample(Noise.from_seed(2, 40))
    assert torch.equal(generator.decode(eps.requires_grad_()).detach(), generator.decode(eps.detach()))


@parametrize_with_checks(
    [made(by=by) for by in (GumbelMax(), LINE)],
    expected_failures={"gradients_match_finite_differences": "hard codes are constant between jumps: straight-through"},
)
def test_laws_in_float64(check: Check) -> None:
    check()


@BOTH
@pytest.mark.parametrize("method", [ls.GradientSearch(restarts=4), ls.CMAESSearch()], ids=["adam", "cma-es"])
def test_continuous_methods_find_planted_codes(by: CodeMap, method: ls.Searcher) -> None:
    generator = made(by=by, dtype=torch.float32)
    target = generator.generator.decode(generator.code_prior.sample(Noise.from_seed(11, 3)))
    result = method.search(generator, ls.Matches(target), seed=0, run=ls.Run(evaluations=400))
    assert (result.score.loss < 0.01).sum() >= 2  # of 0.25 or so for another code
    torch.testing.assert_close(generator.generator.decode(generator.codes(result.latent)), result.output)


# -- lines of codes ----------------------------------------------------------------------------------


LINES = (fiedler_order, principal_order)


def test_orders_follow_the_codebook() -> None:
    place = torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    book = place[:, None] * torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    expected = place.argsort()
    expected = expected if expected[0] < expected[-1] else expected.flip(0)
    assert torch.equal(principal_order(book), expected)
    assert torch.equal(principal_order(book.expand(4, 40, 3)), expected.expand(4, 40))
    angle = 5 * place  # almost a circle, whose first axis folds it over
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    off = [
        (order.argsort() - expected.argsort()).abs().max() for order in (fiedler_order(circle), principal_order(circle))
    ]
    assert off[0] <= 1 and off[1] > 10


# -- bad input ---------------------------------------------------------------------------------------


def test_what_cannot_work_is_refused() -> None:
    toy = toys.CodeGenerator((2, 2), 3)
    with pytest.raises(ls.Unsupported, match="searched as they are"):
        ls.GaussianCodes(toys.ElementwiseGenerator())
    with pytest.raises(ls.Unsupported, match="causal_logits"):
        ls.GaussianCodes(toy, StandardNormal((4,)))
    with pytest.raises(ls.InvalidArgument, match=r"expected one over Discrete\(shape=\(2, 2\)"):
        ls.GaussianCodes(toy, UniformCodes(ls.Discrete((4,), 3)))
    with pytest.raises(ls.InvalidArgument, match="each code once"):
        Quantiles(torch.tensor([0, 0, 1]))
    never = HistogramPrior(torch.tensor([0.0, 0.0, -math.inf]).expand(2, 2, 3))
    codes = torch.zeros(2, 2, 2, dtype=torch.int64)
    codes[1, 0, 1] = 2
    with pytest.raises(ls.InvalidArgument, match=r"rules out, in rows \[1\]"):
        ls.GaussianCodes(toy, never).to_gaussian(codes)
