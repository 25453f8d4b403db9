"""Bounds are below the loss of every grid of a set, whatever the decoder, the term and the set."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import models, training
from latentsearch.bounds import Bounded, IntervalBound, LinearBound
from latentsearch.bounds._first import FirstLayer, extremes
from latentsearch.objective import Ledger, Objective
from latentsearch.testing import toys

DOUBLE = torch.float64


def draw(seed: int, *shape: int, dtype: torch.dtype = DOUBLE) -> Tensor:
    return ls.Noise.from_seed(seed).normal(*shape, dtype=dtype)[0]


def generator_of(
    net: nn.Module, shape: tuple[int, ...], codes: int = 3, width: int = 2, dtype: torch.dtype = DOUBLE, **settings
) -> ls.CodebookGenerator:
    return ls.CodebookGenerator(net.to(dtype).eval(), draw(8, codes, width, dtype=dtype), shape, **settings)


def norm(channels: int) -> nn.Module:
    layer = nn.BatchNorm2d(channels)
    layer.running_mean.copy_(draw(3, channels))
    layer.running_var.copy_(draw(4, channels).exp())
    with torch.no_grad():
        layer.weight.copy_(draw(5, channels))  # of both signs
    return layer


GRID, ROW = (2, 2), (4,)
DECODERS = {
    "linear": lambda: (nn.Sequential(nn.Flatten(), nn.Linear(8, 5)), ROW, {}),
    "mlp": lambda: (nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5), nn.Tanh()), GRID, {}),
    "channels last": lambda: (
        nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Flatten(), nn.Linear(12, 5)),
        ROW,
        {"layout": "channels_last"},
    ),
    "flat channels last": lambda: (
        nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(8, 4), nn.SiLU()),
        GRID,
        {"layout": "channels_last"},
    ),
    "conv1d": lambda: (nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv1d(3, 1, 2)), ROW, {}),
    "transposed1d": lambda: (nn.ConvTranspose1d(2, 2, 4, stride=2, padding=1, output_padding=1), ROW, {}),
    "conv2d": lambda: (
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            norm(4),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(4, 1, 1),
        ),
        GRID,
        {"output_transform": torch.sigmoid},
    ),
    "transposed2d": lambda: (
        nn.Sequential(nn.ConvTranspose2d(2, 4, 3, stride=2), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(4, 1, (1, 2))),
        GRID,
        {},
    ),
    "groups": lambda: (nn.Sequential(nn.Conv2d(2, 4, 2, padding=1, groups=2), nn.Softplus()), GRID, {}),
    "residual": lambda: (models.VQVAE((1, 4, 4), width=2, channels=8, residual_blocks=1, halvings=1).decoder, GRID, {}),
}


@pytest.fixture(scope="module", params=DECODERS)
def generator(request: pytest.FixtureRequest) -> ls.CodebookGenerator:
    with training.initialised(1), torch.no_grad():
        net, shape, extra = DECODERS[request.param]()
        return generator_of(net, shape, **extra)


def all_grids(generator: ls.CodebookGenerator) -> Tensor:
    space = generator.space
    codes = itertools.product(range(space.codebook_size), repeat=space.positions)
    return torch.tensor(list(codes)).view(-1, *space.shape)


BOUNDS = [IntervalBound(), LinearBound(), LinearBound(directions=4)]


def bounded(generator: ls.CodebookGenerator, constraint: ls.Constraint, allowed: Tensor, bound=BOUNDS[0]) -> Bounded:
    objective = Objective(generator, constraint, ls.Run(), Ledger(1))
    bound.check(generator, constraint)
    return bound(objective, allowed, torch.zeros(len(allowed), dtype=torch.int64))


def constraints(generator: ls.CodebookGenerator, grids: Tensor, seed: int) -> list[ls.Constraint]:
    output = generator.decode(grids[seed % len(grids)][None])
    target = output + 0.3 * draw(seed, *output.shape)
    mask = (draw(seed + 1, *output.shape) > 0).double()
    mask.view(-1)[0] = 1.0
    prior, near = ls.LogPrior(generator.prior), ls.Near(grids[-1:])
    found = [
        ls.Matches(target),
        ls.Matches(target, distance="l1", mask=mask) + 0.1 * near,
        (2.0 * ls.Matches(target, distance="huber") + 0.01 * prior).below(0.1),
        ls.Matches(target) + -0.2 * ls.Matches(target + 1.0) + -0.1 * near,
    ]
    if output.ndim == 4 and output.shape[2] % 2 == 0 == output.shape[3] % 2:
        found.append(ls.Downscales(target[..., ::2, ::2], 2, mode="area"))
    return found


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0.2, 1.0))
def test_no_grid_of_a_set_is_below_its_bound(generator: ls.CodebookGenerator, seed: int, share: float) -> None:
    grids, space = all_grids(generator), generator.space
    noise = ls.Noise.from_seed(seed)
    kept = noise.uniform(6, space.positions, space.codebook_size)[0] < share
    one = noise.fold(1).integers(space.codebook_size, 6, space.positions)[0]
    allowed = kept.scatter(2, one[..., None], True)
    allowed[0] = True
    inside = allowed[:, torch.arange(space.positions), grids.flatten(1)].all(2)  # (6, G)
    for constraint in constraints(generator, grids, seed):
        loss = constraint(generator.decode(grids), grids).loss
        least = torch.where(inside, loss, torch.inf).amin(1)
        for bound in BOUNDS:
            lower, spread = bounded(generator, constraint, allowed, bound)
            assert (lower <= least).all()
        assert (lower >= bounded(generator, constraint, allowed).lower).all()
        assert spread.shape == (6, space.positions) and (spread >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_of_a_single_grid_the_bound_is_the_loss_up_to_rounding(
    generator: ls.CodebookGenerator, dtype: torch.dtype
) -> None:
    decoder, book = copy.deepcopy(generator.decoder).to(dtype), generator.codebook.to(dtype)
    transform = generator.output_transform
    own = ls.CodebookGenerator(
        decoder, book, generator.space.shape, layout=generator.layout, output_transform=transform
    )
    grids = all_grids(own)
    constraint = ls.Matches(own.decode(grids[:1]) + 1)
    allowed = nn.functional.one_hot(grids.flatten(1), own.space.codebook_size).bool()
    loss = constraint(own.decode(grids), grids).loss
    tolerance = 1000 * torch.finfo(dtype).eps
    for bound in BOUNDS:
        lower, _ = bounded(own, constraint, allowed, bound)
        assert (lower <= loss).all()
        torch.testing.assert_close(lower, loss, rtol=tolerance, atol=tolerance)


def test_a_linear_decoder_is_bounded_exactly_at_each_output() -> None:
    with training.initialised(1):
        generator = generator_of(nn.Sequential(nn.Flatten(), nn.Linear(8, 5)), ROW)
    output = generator.decode(all_grids(generator))
    first_layer = FirstLayer(list(generator.decoder), generator.codebook.expand(4, -1, -1), ROW, True)
    (low, high), rest = first_layer.enter(extremes(first_layer.table(), torch.ones(1, 4, 3, dtype=torch.bool)))
    assert rest == []
    torch.testing.assert_close(low[0], output.amin(0))
    torch.testing.assert_close(high[0], output.amax(0))


def test_a_position_that_no_target_sees_has_no_spread() -> None:
    net = nn.ConvTranspose1d(2, 1, 2, stride=2)
    generator = generator_of(net, ROW)
    mask = torch.tensor([[[1.0, 1, 0, 0, 1, 1, 0, 0]]])
    constraint = ls.Matches(torch.zeros(1, 1, 8, dtype=DOUBLE), mask=mask)
    _, spread = bounded(generator, constraint, torch.ones(1, 4, 3, dtype=torch.bool))
    assert ((spread > 0) == torch.tensor([True, False, True, False])).all()


class Doubled(nn.ReLU):
    """A layer whose class says ReLU and which does something else."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("net", "extra", "names"),
    [
        (nn.Sequential(nn.Conv2d(2, 4, 1), nn.GroupNorm(2, 4)), {}, "the layer GroupNorm"),
        (nn.Sequential(nn.Conv2d(2, 1, 1), Doubled()), {}, "the layer Doubled"),
        (nn.Conv2d(2, 1, 3, padding=1, padding_mode="circular"), {}, "the layer Conv2d"),
        (nn.Conv2d(2, 1, 1), {"output_transform": lambda x: x / 2}, "<lambda>, which cannot be looked into"),
    ],
)
def test_what_cannot_be_bounded_is_named(net: nn.Module, extra: dict, names: str) -> None:
    generator = generator_of(net, GRID, **extra)
    with pytest.raises(ls.Unsupported, match=names):
        IntervalBound().check(generator, ls.Matches(torch.zeros(1, 1, 2, 2)))


def test_constraints_and_generators_that_cannot_be_bounded_are_named() -> None:
    generator = generator_of(nn.Conv2d(2, 1, 1), GRID)
    for constraint in (
        ls.Satisfies(lambda x: x.mean((1, 2, 3)), name="dark"),
        ls.Downscales(torch.zeros(1, 1, 1, 1), 2),
    ):
        with pytest.raises(ls.Unsupported, match=constraint.name):
            IntervalBound().check(generator, ls.Matches(torch.zeros(1, 1, 2, 2)) + 2 * constraint)
    toy = toys.codes()
    with pytest.raises(ls.Unsupported, match="a CodeGenerator"):
        IntervalBound().check(toy.generator, toy.constraint)
    several = ls.CodebookGenerator(lambda *e: sum(e), [draw(1, 3, 2), draw(2, 3, 2)], [(4,), (4,)])
    with pytest.raises(ls.Unsupported, match="a decoder of several grids"):
        IntervalBound().check(several, toy.constraint)
