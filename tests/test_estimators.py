"""Gradient estimators against exact enumeration, their variances, and the Gumbel-softmax density."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import integrate
from torch import Tensor, nn

from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.noise import Noise
from latentsearch.relaxations import (
    Annealed,
    DirectArgmax,
    Estimator,
    GumbelRao,
    GumbelSoftmax,
    GumbelSoftmaxDistribution,
    LocalExpectation,
    Loss,
    Rebar,
    Reinforce,
    ReinMax,
    Relax,
    Rloo,
    SoftmaxRelaxation,
    StraightThrough,
    require_estimator,
    resolve_estimator,
)  # fmt: skip
from latentsearch.relaxations._gumbel import perturbed_given
from latentsearch.relaxations.estimator import neighbourhood
from latentsearch.training import initialised

POSITIONS, CODES = 2, 3
TABLE = Noise.from_seed(3, 1).normal(POSITIONS, CODES, dtype=torch.float64)[0]
PAIRS = Noise.from_seed(4, 1).normal(CODES, CODES, dtype=torch.float64)[0]
LOGITS = Noise.from_seed(5, 1).normal(POSITIONS, CODES, dtype=torch.float64)
DRAWS = 60_000


def soft(z: Tensor) -> Tensor:
    return z if z.is_floating_point() else nn.functional.one_hot(z, CODES).double()


def linear(z: Tensor, row: Tensor) -> Tensor:
    return (soft(z) * TABLE).sum((1, 2))


def coupled(z: Tensor, row: Tensor) -> Tensor:
    """Neither linear nor a sum over positions."""
    y = soft(z)
    return 2 * (torch.einsum("ni,ij,nj->n", y[:, 0], PAIRS, y[:, 1]) + (y * TABLE).sum((1, 2))).tanh()


def exact(f: Loss, logits: Tensor = LOGITS) -> Tensor:
    leaf = logits[0].clone().requires_grad_()
    log_q = leaf.log_softmax(-1)
    grids = torch.tensor(list(itertools.product(range(CODES), repeat=POSITIONS)))
    chance = (log_q[0, grids[:, 0]] + log_q[1, grids[:, 1]]).exp()
    (gradient,) = torch.autograd.grad((chance * f(grids, torch.zeros(len(grids)).long())).sum(), leaf)
    return gradient


def samples(estimator: Estimator, f: Loss, draws: int = DRAWS) -> Tensor:
    logits = LOGITS.expand(draws, -1, -1).clone().requires_grad_()
    (found,) = torch.autograd.grad(estimator(logits, f, Noise.from_seed(6, draws)).sum(), logits)
    return found


def bias(estimator: Estimator, f: Loss) -> float:
    """Relative to the exact gradient."""
    return float((samples(estimator, f).mean(0) - exact(f)).norm() / exact(f).norm())


def spread(estimator: Estimator, f: Loss) -> float:
    return float(samples(estimator, f).std(0).norm() / exact(f).norm())


# -- bias ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [StraightThrough(), ReinMax(), LocalExpectation(), Rloo(), Rebar()])
def test_linear_losses_leave_no_bias(estimator):
    assert bias(estimator, linear) < 0.03


def test_reinmax_is_exact_for_quadratic_losses_of_one_position_and_straight_through_is_not():
    def quadratic(z, row):
        return (soft(z)[:, 0] * TABLE[0]).sum(1).square()

    assert bias(ReinMax(), quadratic) < 0.02
    assert bias(StraightThrough(), quadratic) > 0.1


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("joint", [False, True])
def test_direct_argmax_points_the_same_way_with_either_sign_and_tends_to_the_gradient(sign, joint):
    """A wrong sign would give a relative bias of 2; that of a large width is seen at the other end."""
    wide, narrow = (bias(DirectArgmax(sign * epsilon, joint=joint), coupled) for epsilon in (4.0, 0.1))
    assert narrow < 0.2 and narrow < 0.5 * wide


def test_direct_argmax_from_both_sides_has_less_bias_and_no_more_spread():
    one, both = DirectArgmax(-0.3), DirectArgmax(0.3, two_sided=True)
    assert bias(both, coupled) < 0.5 * bias(one, coupled)
    assert spread(both, coupled) < 1.1 * spread(one, coupled)


def test_direct_argmax_of_one_position_is_the_same_jointly_and_by_position():
    logits = LOGITS[:, :1].expand(500, -1, -1)
    noise = Noise.from_seed(8, 500)

    def estimate(joint):
        leaf = logits.clone().requires_grad_()
        f = lambda z, row: TABLE[0, z[:, 0]]  # noqa: E731
        return torch.autograd.grad(DirectArgmax(-0.7, joint=joint)(leaf, f, noise).sum(), leaf)[0]

    assert torch.equal(estimate(False), estimate(True))


@pytest.mark.parametrize("estimator", [DirectArgmax(-0.1, top=2), DirectArgmax(0.1, two_sided=True, top=2)])
def test_one_unlikely_code_leaves_no_more_bias_than_none(estimator):
    """Moves to it are never seen, and those from it stand for them; without that the bias is above one half."""
    assert bias(estimator, coupled) < 0.2


@pytest.mark.parametrize("width", [2, 3])
def test_all_codes_as_the_likeliest_are_all_codes(width):
    full, some = samples(DirectArgmax(-1.0), coupled, 2000), samples(DirectArgmax(-1.0, top=width), coupled, 2000)
    assert torch.equal(full, some) == (width == CODES)


# -- variance: what the papers promise of one another ----------------------------------------------------


def test_variances_come_in_the_order_that_theory_promises():
    found = {
        "reinforce": spread(Reinforce(), coupled),
        "rloo": spread(Rloo(2), coupled),
        "rloo 6": spread(Rloo(6), coupled),
        "local": spread(LocalExpectation(), coupled),
        "likeliest two": spread(LocalExpectation(top=2), coupled),
        "likeliest": spread(LocalExpectation(top=1), coupled),
        "hard": spread(GumbelSoftmax(0.5, hard=True), coupled),
        "rao": spread(GumbelRao(0.5, samples=32), coupled),
    }
    assert found["local"] < found["likeliest two"] < found["likeliest"] < found["reinforce"]
    assert found["rloo 6"] < found["rloo"] < found["reinforce"] and found["rao"] < found["hard"]


def test_rao_blackwellising_leaves_the_mean():
    hard, rao = samples(GumbelSoftmax(0.5, hard=True), coupled), samples(GumbelRao(0.5, samples=8), coupled)
    assert (hard.mean(0) - rao.mean(0)).abs().max() < 6 * hard.std(0).max() / DRAWS**0.5


@pytest.mark.parametrize("relax", [False, True])
def test_control_variates_learn_to_lower_the_variance(relax):
    with initialised(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(POSITIONS * CODES, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    estimator = Relax(network, 2.0, eta=0.1, learn=True) if relax else Rebar(2.0, eta=0.1, learn=True)
    before = spread(estimator, coupled)
    optimizer = torch.optim.Adam(estimator.parameters(), lr=0.03)
    for step in range(150):
        optimizer.zero_grad()
        logits = LOGITS.expand(256, -1, -1).clone().requires_grad_()
        estimator(logits, coupled, Noise.from_seed(step, 256)).mean().backward()
        optimizer.step()
    assert spread(estimator, coupled) < 0.8 * before
    assert bias(estimator, coupled) < 0.05


# -- perturbations -----------------------------------------------------------------------------------------


def test_noise_given_a_draw_is_noise_with_that_draw():
    logits = LOGITS.expand(DRAWS, -1, -1)
    free = Noise.from_seed(1, DRAWS).perturbed(logits)
    z = free.argmax(-1)
    given = perturbed_given(logits, z, Noise.from_seed(2, DRAWS))
    assert torch.equal(given.argmax(-1), z)
    # Over all draws, both are the same distribution: means, spreads and a quantile.
    for moment in (lambda x: x.mean(0), lambda x: x.std(0), lambda x: x.quantile(0.9, 0)):
        assert (moment(free) - moment(given)).abs().max() < 0.05


def test_neighbourhoods_are_the_losses_of_single_swaps():
    z = torch.tensor([[0, 2], [1, 1]])
    loss = neighbourhood(coupled, z, CODES)
    for n, p, j in itertools.product(range(2), range(POSITIONS), range(CODES)):
        grid = z[n].clone()
        grid[p] = j
        assert loss[n, p, j] == coupled(grid[None], torch.zeros(1).long())
    some = neighbourhood(coupled, z, CODES, torch.tensor([2, 0]).expand(2, POSITIONS, 2))
    assert torch.equal(some, loss[..., [2, 0]])


# -- the density ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_density_integrates_to_one(temperature):
    gumbel = GumbelSoftmaxDistribution(LOGITS[0, :1, :2], temperature)

    def density(u: float) -> float:
        """In the log-odds u of two codes, where the density has no poles; dy = y (1 - y) du."""
        log_y = torch.tensor([[u, 0.0]], dtype=torch.float64).log_softmax(-1)
        return math.exp(float(gumbel.log_prob_log(log_y)) + float(log_y.sum()))

    assert integrate.quad(density, -60, 60, points=[0.0], limit=200)[0] == pytest.approx(1, abs=1e-6)


def test_three_codes_at_a_low_temperature_integrate_to_one_in_logarithms():
    gumbel = GumbelSoftmaxDistribution(LOGITS[0, 0], 0.1)
    side = torch.linspace(-120, 120, 1201, dtype=torch.float64)
    u, v = torch.meshgrid(side, side, indexing="ij")
    log_y = torch.stack([u, v, torch.zeros_like(u)], -1).log_softmax(-1)
    density = (gumbel.log_prob_log(log_y) + log_y.sum(-1)).exp()
    total = torch.trapezoid(torch.trapezoid(density, side, dim=1), side)
    assert float(total) == pytest.approx(1, abs=1e-3)


def test_the_density_is_that_of_torch_where_torch_has_it():
    gumbel = GumbelSoftmaxDistribution(LOGITS[0], 0.7)
    y = gumbel.rsample((5,), Noise.from_seed(0))
    torchs = torch.distributions.RelaxedOneHotCategorical(torch.tensor(0.7).double(), logits=LOGITS[0])
    assert y.shape == (5, POSITIONS, CODES)
    assert torch.allclose(gumbel.log_prob(y), torchs.log_prob(y))


def test_low_temperatures_stay_finite_and_arg_max_is_drawn_from_the_logits():
    gumbel = GumbelSoftmaxDistribution(LOGITS[0].float(), 0.1)
    log_y = gumbel.rsample_log(Noise.from_seed(0, 20_000))
    assert log_y.isfinite().all() and gumbel.log_prob_log(log_y).isfinite().all()
    share = nn.functional.one_hot(log_y.argmax(-1), CODES).float().mean(0)
    assert torch.allclose(share, LOGITS[0].softmax(-1).float(), atol=0.02)
    assert torch.equal(gumbel.mode_code, LOGITS[0].argmax(-1))


def test_a_temperature_that_is_a_tensor_gets_its_gradient():
    tau = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    y = GumbelSoftmaxDistribution(LOGITS[0], 0.7).rsample((5,), Noise.from_seed(0))
    f = lambda tau: GumbelSoftmaxDistribution(LOGITS[0], tau).log_prob(y).sum()  # noqa: E731
    assert torch.autograd.gradcheck(f, tau)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_distribution_takes_its_own_draws(dtype):
    logits = LOGITS[0].to(dtype)
    gumbel = GumbelSoftmaxDistribution(logits, 0.5)
    y = gumbel.rsample((50,), Noise.from_seed(0))
    # In float64 it would find that rounded draws do not sum to one.
    unlimited = GumbelSoftmaxDistribution(logits.double(), 0.5, validate_args=False)
    found, want = gumbel.log_prob(y), unlimited.log_prob(y.double())
    assert found.shape == (50, POSITIONS) and found.isfinite().all()
    # What is rounded to zero or to a denormal has lost its logarithm.
    whole = y.amin(-1) > torch.finfo(dtype).tiny
    slack = 20 * torch.finfo(dtype).eps * float(want[whole].abs().max())
    assert whole.double().mean() > 0.9 and ((found - want)[whole].abs() < slack).all()


def test_expanded_distributions_are_the_same_in_each_part():
    gumbel = GumbelSoftmaxDistribution(LOGITS[0], 0.5)
    many = gumbel.expand((4, POSITIONS))
    y = many.rsample(noise=Noise.from_seed(0))
    assert many.batch_shape == (4, POSITIONS) and torch.equal(many.log_prob(y), gumbel.log_prob(y))


def test_many_rows_of_noise_for_one_stream_of_draws_are_refused():
    with pytest.raises(InvalidArgument, match="one row"):
        GumbelSoftmaxDistribution(LOGITS[0]).rsample((5,), Noise.from_seed(0, 5))


# -- schedules and bad settings ------------------------------------------------------------------------------


def test_the_schedule_is_a_staircase_with_a_floor():
    schedule = Annealed(first=2.0, rate=1e-3, every=100, least=0.5)
    assert schedule(0) == schedule(99) == 2.0
    assert schedule(100) == pytest.approx(2 * math.exp(-0.1)) and schedule(10**5) == 0.5


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: GumbelSoftmax(0.0), "GumbelSoftmax.temperature"),
        (lambda: StraightThrough(-1.0), "StraightThrough.temperature"),
        (lambda: ReinMax(math.inf), "ReinMax.temperature"),
        (lambda: GumbelRao(samples=0), "GumbelRao.samples"),
        (lambda: DirectArgmax(0.0), "DirectArgmax.epsilon"),
        (lambda: DirectArgmax(math.nan), "DirectArgmax.epsilon"),
        (lambda: DirectArgmax("wide"), "DirectArgmax.epsilon"),  # type: ignore[arg-type]
        (lambda: DirectArgmax(top=0), "DirectArgmax.top"),
        (lambda: Rloo(1), "Rloo.samples"),
        (lambda: Rloo(None), "Rloo.samples"),  # type: ignore[arg-type]
        (lambda: GumbelRao(samples=None), "GumbelRao.samples"),  # type: ignore[arg-type]
        (lambda: Annealed(every=None), "Annealed.every"),  # type: ignore[arg-type]
        (lambda: Rebar(eta=math.nan), "Rebar.eta"),
        (lambda: Reinforce(baseline="mean"), "Reinforce.baseline"),  # type: ignore[arg-type]
        (lambda: GumbelSoftmax("warm"), "GumbelSoftmax.temperature"),  # type: ignore[arg-type]
        (lambda: GumbelSoftmaxDistribution(LOGITS, torch.ones(2)), "GumbelSoftmaxDistribution.temperature"),
        (lambda: LocalExpectation(top=2.5), "LocalExpectation.top"),  # type: ignore[arg-type]
        (lambda: Rebar(-0.5), "Rebar.temperature"),
        (lambda: Annealed(rate=-1.0), "Annealed.rate"),
        (lambda: GumbelSoftmaxDistribution(LOGITS, 0.0), "GumbelSoftmaxDistribution.temperature"),
    ],
)
def test_bad_settings_say_what_is_expected(make, expected):
    with pytest.raises(InvalidArgument, match=expected):
        make()


def test_too_many_grids_for_the_joint_estimator_are_refused():
    with pytest.raises(InvalidArgument, match="4096 grids"):
        DirectArgmax(joint=True)(torch.zeros(1, 8, 8), lambda z, row: z.sum(1).float(), Noise.from_seed(0, 1))


@pytest.mark.parametrize("estimator", [Rebar(), GumbelRao(0.5, samples=4)])
@pytest.mark.parametrize("shift", [-90.0, 0.0, 200.0])
def test_sure_encoders_and_shifted_logits_leave_gradients_as_they_are(estimator, shift):
    weight = torch.tensor([0.0, 1.0, 5.0])

    def loss(z: Tensor, row: Tensor) -> Tensor:
        soft = z if z.is_floating_point() else torch.nn.functional.one_hot(z, 3).to(weight.dtype)
        return (soft * weight).sum((1, 2))

    def gradient(logits: list[float]) -> Tensor:
        rows = torch.tensor(logits).expand(500, 1, 3).clone().requires_grad_()
        (found,) = torch.autograd.grad(estimator(rows, loss, Noise.from_seed(0, 500)).sum(), rows)
        return found.mean(0)

    sure = gradient([shift, shift, shift - 60.0])
    torch.testing.assert_close(sure, gradient([0.0, 0.0, -60.0]), atol=1e-5, rtol=1e-4)
    assert sure[0, 0] == pytest.approx(-0.25, abs=0.06)


# -- what is asked of the loss, the noise and the logits --------------------------------------------------------

ALL = {
    "direct": DirectArgmax(-0.5),
    "direct, likeliest": DirectArgmax(-0.5, top=1),
    "direct, jointly": DirectArgmax(-0.5, joint=True),
    "gumbel-softmax": GumbelSoftmax(0.5),
    "gumbel-softmax, hard": GumbelSoftmax(0.5, hard=True),
    "gumbel-rao": GumbelRao(0.5, samples=2),
    "local": LocalExpectation(),
    "local, likeliest": LocalExpectation(top=1),
    "rebar": Rebar(),
    "reinforce": Reinforce(),
    "reinmax": ReinMax(),
    "rloo": Rloo(3),
    "straight-through": StraightThrough(),
}
every_estimator = pytest.mark.parametrize("estimator", ALL.values(), ids=ALL)


@every_estimator
@pytest.mark.parametrize("wrong", [lambda loss: loss[:, None], lambda loss: loss.mean(), lambda loss: loss.tolist()])
def test_losses_of_another_shape_are_refused(estimator, wrong):
    """They would be broadcast, into gradients of other rows' losses."""
    logits = LOGITS.expand(4, -1, -1).clone().requires_grad_()
    with pytest.raises(InvalidArgument, match="one loss for each of"):
        estimator(logits, lambda z, row: wrong(linear(z, row)), Noise.from_seed(0, 4))


DIFFERENTIATING = ("gumbel-softmax", "gumbel-softmax, hard", "gumbel-rao", "rebar", "reinmax", "straight-through")


@pytest.mark.parametrize("name", DIFFERENTIATING)
def test_a_loss_without_a_gradient_is_refused_by_those_that_need_one(name):
    with pytest.raises(Unsupported, match=r"LocalExpectation\(top=1\) or Rloo\(4\)"):
        ALL[name](LOGITS.clone().requires_grad_(), lambda z, row: linear(z.detach(), row), Noise.from_seed(0, 1))


@pytest.mark.parametrize("name", sorted(set(ALL) - set(DIFFERENTIATING)))
@pytest.mark.parametrize("kind", [torch.int64, torch.bool])
def test_counts_and_truths_are_losses_too(name, kind):
    def gradient(dtype):
        logits = LOGITS.expand(300, -1, -1).clone().requires_grad_()
        ALL[name](logits, lambda z, row: (z.sum(1) > 1).to(dtype), Noise.from_seed(0, 300)).sum().backward()
        return logits.grad

    found = gradient(kind)
    assert found.abs().max() > 0 and torch.allclose(found, gradient(torch.float64), atol=1e-6)


@pytest.mark.parametrize("make", [GumbelSoftmax, GumbelRao, ReinMax, StraightThrough, SoftmaxRelaxation, DirectArgmax])
@pytest.mark.parametrize("shape", [(3,), (2, 1), (4, 1), (4, 2, 1)])
def test_settings_of_rows_are_not_spread_over_positions_or_codes(make, shape):
    logits = LOGITS.expand(4, -1, -1).clone().requires_grad_()
    with pytest.raises(InvalidArgument, match=r"a tensor of shape \(4, 1, 1\)"):
        make(torch.ones(shape, dtype=torch.float64))(logits, linear, Noise.from_seed(0, 4))


@pytest.mark.parametrize("relax", [False, True])
def test_what_learns_its_temperature_learns_with_codes_ruled_out(relax):
    network = nn.Sequential(nn.Flatten(), nn.Linear(POSITIONS * CODES, 1)).double()
    estimator = Relax(network, learn=True) if relax else Rebar(learn=True)
    logits = LOGITS.expand(50, -1, -1).clone()
    logits[..., 1] = -torch.inf
    logits.requires_grad_()
    estimator(logits, coupled, Noise.from_seed(0, 50)).sum().backward()
    assert logits.grad.isfinite().all() and not logits.grad[..., 1].any() and logits.grad[..., 0].any()
    assert all(parameter.grad.isfinite().all() for parameter in estimator.parameters())
    # It learns: what is fitted is pulled somewhere.
    assert any(parameter.grad.abs().max() > 0 for parameter in estimator.parameters())


@every_estimator
def test_one_row_of_noise_for_many_is_refused(estimator):
    with pytest.raises(InvalidArgument, match="rows for logits of"):
        estimator(LOGITS.expand(4, -1, -1).clone().requires_grad_(), linear, Noise.from_seed(0, 1))


@every_estimator
def test_codes_that_are_ruled_out_are_never_drawn_and_get_no_gradient(estimator):
    logits = LOGITS.expand(500, -1, -1).clone()
    logits[..., 1] = -torch.inf
    logits.requires_grad_()
    surrogate = estimator(logits, coupled, Noise.from_seed(0, 500))
    (gradient,) = torch.autograd.grad(surrogate.sum(), logits)
    assert surrogate.isfinite().all() and gradient.isfinite().all() and gradient.abs().max() > 0
    assert (gradient[..., 1] == 0).all()


@every_estimator
def test_a_grid_may_be_one_variable_without_dimensions(estimator):
    def loss(z, row):
        return (soft(z) * TABLE[0]).sum(-1)

    flat = LOGITS[:, 0].expand(6, -1).clone().requires_grad_()
    one = LOGITS[:, :1].expand(6, -1, -1).clone().requires_grad_()
    noise = Noise.from_seed(0, 6)
    (found,) = torch.autograd.grad(estimator(flat, loss, noise).sum(), flat)
    (same,) = torch.autograd.grad(estimator(one, lambda z, row: loss(z[:, 0], row), noise).sum(), one)
    torch.testing.assert_close(found, same[:, 0])


@every_estimator
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_finite(estimator, dtype):
    logits = LOGITS.expand(2000, -1, -1).to(dtype).requires_grad_()
    f = lambda z, row: (soft(z).to(dtype) * TABLE.to(dtype)).sum((1, 2))  # noqa: E731
    (gradient,) = torch.autograd.grad(estimator(logits, f, Noise.from_seed(0, 2000)).sum(), logits)
    assert gradient.dtype == dtype and gradient.isfinite().all()


def test_relax_without_a_relaxed_loss_asks_for_hard_codes_alone():
    with initialised(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(POSITIONS * CODES, 1))
    estimator = Relax(network, eta=0.0)

    def hard(z, row):
        assert not z.is_floating_point()
        return linear(z, row)

    assert estimator.evaluations((POSITIONS,), CODES) == 1 and bias(estimator, hard) < 0.05


# -- factories ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (None, "got None, expected an Estimator"),
        (Reinforce, "Reinforce, which makes none of 0.5"),
        (Rloo, r"write Rloo\(\) with its own settings"),
        (lambda tau: tau, "makes float"),
        (lambda tau: Rebar(tau, learn=True), "would be new in every step"),
    ],
)
def test_what_is_no_factory_of_estimators_is_refused(estimator, expected):
    with pytest.raises(InvalidArgument, match=expected):
        require_estimator("estimator", estimator, 0.5)


def test_an_estimator_may_stand_in_the_place_of_its_factory():
    assert resolve_estimator(ReinMax(), 0.5) == ReinMax()
    assert resolve_estimator(GumbelSoftmax, 0.5) == GumbelSoftmax(0.5)
    learning = Rebar(learn=True)
    assert require_estimator("estimator", learning, 1.0) is learning
