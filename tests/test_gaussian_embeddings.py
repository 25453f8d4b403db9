"""A flow from standard normals onto embeddings of codes, and decoders behind it."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import priors, training
from latentsearch._codebook import Codebook
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.noise import Noise
from latentsearch.priors import CategoricalFlow, HistogramPrior, RectifiedFlow, StandardNormal
from latentsearch.testing import toys
from latentsearch.testing._statistics import FALSE_ALARM, chance_of_counts

GRID = ls.Discrete((2, 2), 4)
BOOK = Noise.from_seed(0).normal(4, 3)[0]
FREQUENCIES = Noise.from_seed(1).normal(2, 2, 4)[0]


def independent(steps: int = 12, dtype: torch.dtype = torch.float32) -> CategoricalFlow:
    """An untrained flow, which is that of independent codes."""
    with training.initialised(0):
        flow = CategoricalFlow(GRID, BOOK, histogram=FREQUENCIES, channels=4, blocks=1, spread=0.1, steps=steps)
    return flow.to(dtype).eval().requires_grad_(False)


def codes_of(flow: CategoricalFlow, z: Tensor) -> Tensor:
    return Codebook(BOOK.to(z.dtype)).nearest(z)


def embedded(codes: Tensor, flow: CategoricalFlow) -> Tensor:
    """Draws of what the flow gives about the embeddings of codes."""
    noise = Noise.from_seed(2, len(codes)).normal(*flow.space.shape, dtype=flow.table.dtype)
    return BOOK.to(noise.dtype)[codes] + flow.spread * noise


# -- the flow ----------------------------------------------------------------------------------------


def test_before_training_draws_are_those_of_independent_codes() -> None:
    flow = independent()
    codes = codes_of(flow, flow.sample(Noise.from_seed(3, 2000))).flatten(1)
    expected = FREQUENCIES.flatten(0, 1).double().softmax(-1)
    for position in range(4):
        counts = codes[:, position].bincount(minlength=4).double()
        assert chance_of_counts(counts, expected[position]) > FALSE_ALARM


def test_what_it_gives_lies_about_the_embeddings_with_its_spread() -> None:
    flow = independent(24)
    z = flow.sample(Noise.from_seed(3, 500))
    left = (z - BOOK[codes_of(flow, z)]) / flow.spread
    torch.testing.assert_close(left.std(), torch.tensor(1.0), rtol=0, atol=0.05)
    torch.testing.assert_close(left.mean(), torch.tensor(0.0), rtol=0, atol=0.05)


def test_its_density_is_that_of_the_mixture() -> None:
    flow = independent(steps=50, dtype=torch.float64)
    z = embedded(Noise.from_seed(4, 10).integers(4, 2, 2), flow)
    distance = (z[..., None, :] - BOOK.double()).square().sum(-1) / flow.spread**2
    each = (flow.frequencies - distance / 2).logsumexp(-1) - 1.5 * math.log(2 * math.pi * flow.spread**2)
    torch.testing.assert_close(flow.log_prob(z), each.flatten(1).sum(1), rtol=0, atol=0.05)


def test_codes_come_back_and_their_normals_are_standard() -> None:
    flow = independent(steps=24)
    codes = codes_of(flow, flow.sample(Noise.from_seed(3, 1000)))
    base = flow.encode(embedded(codes, flow))
    assert torch.equal(codes_of(flow, flow.decode(base)), codes)
    torch.testing.assert_close(base.flatten(1).T.cov(), torch.eye(12), rtol=0, atol=0.2)


def test_the_probe_of_the_divergence_is_right_on_average() -> None:
    with training.initialised(0):
        flow = CategoricalFlow(ls.Discrete((11, 2), 4), BOOK, channels=4, blocks=1)
    flow = flow.double().eval().requires_grad_(False)
    y = Noise.from_seed(5, 2).normal(11, 2, 3, dtype=torch.float64)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: flow._mean(row[None], 1.5)[0].flatten()))(y)
    exact = jacobian.flatten(2).diagonal(dim1=1, dim2=2).sum(1)
    found = torch.stack([flow._divergence(y, 1.5, step)[1] for step in range(200)])
    assert ((found.mean(0) - exact).abs() <= 4 * found.std(0) / 200**0.5 + 1e-9).all()


def test_it_learns_what_goes_with_what() -> None:
    """All four codes of a grid are the same one, which no independent codes are."""
    codes = Noise.from_seed(6).integers(4, 400)[0][:, None, None].expand(400, 2, 2).contiguous()
    with training.initialised(0):
        flow = CategoricalFlow(GRID, BOOK, channels=16, blocks=1, dropout=0.0, spread=0.1, steps=12)
    ls.fit(flow, (codes,), ls.Fit(150, average=0.9, optimizer=partial(torch.optim.Adam, lr=1e-2)))
    drawn = codes_of(flow, flow.sample(Noise.from_seed(7, 200))).flatten(1)
    assert float((drawn == drawn[:, :1]).all(1).float().mean()) > 0.08  # one in 64 by chance
    assert (drawn[:, 0].bincount(minlength=4) > 20).all()


def test_it_comes_back_from_a_file(tmp_path: Path) -> None:
    flow = independent()
    priors.save(priors.fitted(flow, torch.zeros(0), {}), tmp_path / "flow")
    again, base = priors.load(tmp_path / "flow").prior, Noise.from_seed(0, 2).normal(2, 2, 3)
    assert isinstance(again, CategoricalFlow)
    assert torch.equal(again.decode(base), flow.decode(base))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"codebook": BOOK[:3]},
            r"CategoricalFlow.codebook: got .*, expected a tensor, one codebook for all .*\(4, D\)",
        ),
        ({"histogram": FREQUENCIES[0]}, r"CategoricalFlow.histogram: .* expected log-frequencies \(2, 2, 4\)"),
        ({"spread": 0.0}, r"CategoricalFlow.spread: got 0.0, expected a positive number"),
        ({"steps": 0}, r"CategoricalFlow.steps: got 0"),
        ({"trunk": "mlp"}, r"CategoricalFlow.trunk: got 'mlp'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        CategoricalFlow(**({"grids": GRID, "codebook": BOOK} | settings))  # type: ignore[arg-type]


# -- the generator -----------------------------------------------------------------------------------


def decoder(**settings: object) -> ls.CodebookGenerator:
    with training.initialised(1):
        net = nn.Sequential(nn.ConvTranspose2d(3, 4, 2, stride=2), nn.Tanh(), nn.Conv2d(4, 1, 1)).eval()
    return ls.CodebookGenerator(net, BOOK, (2, 2), **settings)  # type: ignore[arg-type]


def route(steps: int = 8, **settings: object) -> ls.GaussianEmbeddings:
    flow = independent(steps)
    return ls.GaussianEmbeddings(decoder(**settings), flow, spread=flow.spread)


def test_what_is_decoded_are_hard_codes_with_a_gradient_and_without() -> None:
    generator, z = route(), Noise.from_seed(0, 5).normal(2, 2, 3)
    expected = generator.generator.decode(generator.codes(z))
    assert torch.equal(generator.decode(z), expected)
    assert torch.equal(generator.decode(z.requires_grad_()), expected)


def test_gradients_go_straight_through_to_the_flow() -> None:
    generator, z = route(), Noise.from_seed(0, 2).normal(2, 2, 3).requires_grad_()
    inner = generator.generator
    (found,) = torch.autograd.grad(generator.decode(z).square().sum(), z)
    e = inner.embed(generator.codes(z)).requires_grad_()
    (slope,) = torch.autograd.grad(inner.decode_embedding(e).square().sum(), e)
    (expected,) = torch.autograd.grad(generator.flow.decode(z), z, slope)  # type: ignore[attr-defined]
    torch.testing.assert_close(found, expected)
    assert found.abs().max() > 0


def test_an_image_goes_to_normals_and_back() -> None:
    codes = Noise.from_seed(0, 50).integers(4, 2, 2)
    generator = route(24, encode=lambda x: x[:, 0, ::2, ::2].long(), check=False)
    output = codes.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None].float()
    eps = generator.encode(output)
    assert torch.equal(generator.codes(eps), codes)
    # Other noise: other normals of the same codes. None given: the same ones wherever a row is.
    other = generator.encode(output, Noise.from_seed(1, 50))
    assert torch.equal(generator.codes(other), codes)
    assert not torch.equal(other, eps)
    torch.testing.assert_close(generator.encode(output[7:9]), eps[7:9])


def test_codes_that_stand_for_others_are_not_returned() -> None:
    generator = route(used=torch.arange(4) != 2)
    eps = generator.prior.sample(Noise.from_seed(0, 500))
    assert 2 not in generator.codes(eps)
    assert 2 not in generator.codes(generator.to_gaussian(Noise.from_seed(0, 20).integers(4, 2, 2)))


def test_a_search_on_the_sphere_finds_planted_codes() -> None:
    generator = route(steps=4)
    planted = generator.codes(generator.prior.sample(Noise.from_seed(9, 4)))
    goal = ls.Matches(generator.generator.decode(planted))
    result = ls.SphericalSearch(restarts=4).search(generator, goal, seed=0, run=ls.Run(evaluations=160))
    assert torch.equal(generator.generator.decode(generator.codes(result.latent)), result.output)
    start = generator.decode(generator.prior.sample(Noise.from_seed(0, 4)))
    assert (result.score.loss < goal(start, start).loss / 2).all()


def test_any_flow_over_the_embeddings_will_do() -> None:
    with training.initialised(0):
        flow = RectifiedFlow((2, 2, 3), width=8, depth=1, steps=2)
    flow = flow.calibrated(BOOK[Noise.from_seed(0, 50).integers(4, 2, 2)]).eval()
    generator = ls.GaussianEmbeddings(decoder(), flow.requires_grad_(False), spread=0.1)
    codes = Noise.from_seed(1, 20).integers(4, 2, 2)
    assert torch.equal(generator.codes(generator.to_gaussian(codes)), codes)


def test_what_cannot_work_is_refused() -> None:
    flow = independent()
    with pytest.raises(Unsupported, match=r"GaussianEmbeddings.generator: got one of Continuous"):
        ls.GaussianEmbeddings(toys.ElementwiseGenerator((2, 3)), flow)
    with pytest.raises(Unsupported, match=r"GaussianEmbeddings.flow: got HistogramPrior, .*GaussianCodes"):
        ls.GaussianEmbeddings(decoder(), HistogramPrior(FREQUENCIES))
    with pytest.raises(Unsupported, match=r"GaussianEmbeddings.flow: got StandardNormal"):
        ls.GaussianEmbeddings(decoder(), StandardNormal((2, 2, 3)))
    with pytest.raises(InvalidArgument, match=r"expected one over the embeddings, Continuous\(shape=\(2, 2, 3\)\)"):
        ls.GaussianEmbeddings(decoder(), RectifiedFlow((2, 2, 2)))
    with pytest.raises(InvalidArgument, match=r"GaussianEmbeddings.flow: got one in train mode, .*flow.eval\(\)"):
        ls.GaussianEmbeddings(decoder(), RectifiedFlow((2, 2, 3)))
    with pytest.raises(InvalidArgument, match=r"GaussianEmbeddings.spread: got -1.0"):
        ls.GaussianEmbeddings(decoder(), flow, spread=-1.0)
    with pytest.raises(Unsupported, match=r"encode= on wrapping"):
        ls.GaussianEmbeddings(decoder(), flow).encode(torch.zeros(1, 1, 4, 4))


def test_a_flow_is_of_the_generators_dtype() -> None:
    with pytest.raises(InvalidArgument, match=r"one in torch.float64.*flow.to\(torch.float32\)"):
        ls.GaussianEmbeddings(decoder(), independent(dtype=torch.float64))
