"""Wrapping a decoder: what it makes of it, and what it says of one that cannot be searched."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import Run, training
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.noise import Noise
from latentsearch.priors import StandardNormal, UniformCodes


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with training.initialised(0):
        return make().eval()


def book(*shape: int, seed: int = 0) -> Tensor:
    return Noise.from_seed(seed).normal(*shape)[0]


def mlp(*extra: nn.Module) -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(4, 8), *extra, nn.Tanh(), nn.Linear(8, 6)))


def conv() -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.ConvTranspose2d(3, 2, 2, stride=2), nn.Tanh()))


@dataclass
class Decoded:
    """What a decoder of another library may return."""

    sample: Tensor


CODEBOOK = book(5, 3)
over_vectors = partial(ls.ContinuousGenerator, shape=(4,))
over_codes = partial(ls.CodebookGenerator, codebook=CODEBOOK, shape=(4, 4))


def noisy(z: Tensor) -> Tensor:
    noisy.calls += 1  # type: ignore[attr-defined]
    return z.flatten(1) + 0.1 * noisy.calls  # type: ignore[attr-defined]


noisy.calls = 0  # type: ignore[attr-defined]

# -- what is named on wrapping -----------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "batch norm in train mode": (
        lambda **k: over_vectors(mlp(nn.BatchNorm1d(8)).train(), **k),
        r"decoder: got BatchNorm1d in train mode, expected a frozen decoder; call .eval\(\) first",
    ),
    "dropout in train mode": (
        lambda **k: over_codes(conv().append(nn.Dropout()).train(), **k),  # type: ignore[operator]
        r"CodebookGenerator.decoder: got Dropout in train.*\.eval\(\)",
    ),
    "batch norm in train mode inside": (
        lambda **k: over_vectors(partly_training(), **k), r"BatchNorm1d in train mode, expected a frozen decoder",
    ),
    "wrong layout": (lambda **k: over_codes(conv(), layout="channels_last", **k), "it takes layout='channels_first'"),
    "another wrong layout": (
        lambda **k: over_codes(seeded(lambda: nn.Linear(3, 2)), **k), "it takes layout='channels_last'",
    ),
    "wrong width of codes": (
        lambda **k: ls.CodebookGenerator(conv(), book(5, 7), (4, 4), **k),
        r"fails on embeddings \[\(2, 7, 4, 4\)\] \(channels_first\).*codebook's width.*or give project=",
    ),
    "wrong width of a vector": (
        lambda **k: ls.ContinuousGenerator(mlp(), (5,), **k), r"fails on latents \(2, 5\) with RuntimeError.*shape=",
    ),
    "another range": (
        lambda **k: over_vectors(lambda z: (5 * z).tanh(), output_range=(0, 1), **k),
        r"outputs in \[-1, .*expected \(0, 1\); a decoder onto \[-1, 1\] needs .*lambda x: \(x \+ 1\) / 2",
    ),
    "bytes": (
        lambda **k: over_vectors(lambda z: 255 * z.sigmoid(), output_range=(0, 1), **k), r"lambda x: x / 255",
    ),
    "logits": (lambda **k: over_vectors(lambda z: 9 * z, output_range=(0, 1), **k), r"one of logits torch.sigmoid"),
    "some other range": (
        lambda **k: over_vectors(lambda z: z + 9, output_range=(-1, 1), **k), "expected .*; check output_transform",
    ),
    "noise in the decoder": (lambda **k: over_vectors(noisy, **k), r"by up to 0\.1.*deterministic.*sampled noise"),
    "rows mixed": (
        lambda **k: over_vectors(lambda z: z - z.mean(0), **k), "rows whose output depends on the other rows",
    ),
    "NaN": (lambda **k: over_vectors(lambda z: (z - 9).log(), **k), "outputs with NaN or infinity"),
    "whole numbers": (lambda **k: over_vectors(lambda z: z.long(), **k), "int64.*expected floating outputs"),
    "one number a row": (lambda **k: over_vectors(lambda z: z.sum(1), **k), r"expected floating outputs \(4, \*O\)"),
    "one output for all rows": (lambda **k: over_vectors(lambda z: z[:1], **k), r"\(1, 4\) .* for 4 latents"),
    "tuple": (lambda **k: over_vectors(lambda z: (z, z), **k), "got a tuple, expected a tensor.*pick it in a lambda"),
    "dataclass": (lambda **k: over_codes(lambda e: Decoded(e), **k), r"got a Decoded.*net\(z\)\.sample"),
    "another device": (lambda **k: over_vectors(lambda z: z.to("meta"), **k), "on meta, expected outputs on the lat"),
    "no prior": (lambda **k: over_vectors(mlp(), prior="normal", **k), "prior: got str, expected an object with"),
    "prior over other vectors": (
        lambda **k: over_vectors(mlp(), prior=StandardNormal((9,)), **k), r"prior over Continuous.*\(9,\).*\(4,\)",
    ),
    "prior over more codes": (
        lambda **k: over_codes(conv(), prior=UniformCodes(ls.Discrete((4, 4), 99)), **k), r"=99\).*codebook_size=5",
    ),
    "encoder that fails": (
        lambda **k: over_vectors(mlp(), encode=nn.Linear(7, 4), **k), r"encode: got a function that fails.*range",
    ),
    "encoder to another space": (
        lambda **k: over_vectors(mlp(), encode=nn.Linear(6, 3), **k), r"encode.*expected floating latents of shape",
    ),
    "encoder to codes out of range": (
        lambda **k: over_codes(conv(), encode=lambda x: torch.full((len(x), 4, 4), 9), **k), r"codes 9 to 9.*\[0, 5\)",
    ),
    "encoder to embeddings of another width": (
        lambda **k: over_codes(conv(), encode=lambda x: torch.zeros(len(x), 2, 4, 4), **k), "embeddings of width 3",
    ),
    "encoder to too many grids": (
        lambda **k: over_codes(conv(), encode=lambda x: [x, x], **k), "encode: got 2 grids, expected 1",
    ),
}  # fmt: skip


def partly_training() -> nn.Module:
    """Frozen, but for a batch norm that somebody left behind."""
    net = mlp(nn.BatchNorm1d(8))
    net[1].train()  # type: ignore[index]
    return net


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_wrapping_names_what_is_wrong(make: Callable[..., Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


@pytest.mark.parametrize("make", [make for make, _ in REFUSED.values()], ids=REFUSED)
def test_without_the_check_everything_passes(make: Callable[..., Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = make(check=False)
    # Built as it was told, wrong width included.
    vectors, codes = (ls.Continuous((4,)), ls.Continuous((5,))), ls.Discrete((4, 4), 5)
    assert made.space == codes if isinstance(made, ls.CodebookGenerator) else made.space in vectors


# These cannot be built at all, checked or not.
IMPOSSIBLE: dict[str, tuple[Callable[..., Any], str]] = {
    "no decoder": (lambda **k: over_vectors("net.pt", **k), "decoder: got 'net.pt', expected a module"),
    "weights for a decoder": (lambda **k: over_codes(conv().state_dict(), **k), "decoder: got an OrderedDict"),
    "layout": (lambda **k: over_codes(conv(), layout="NCHW", **k), "layout: got 'NCHW', expected 'channels_first' or"),
    "codebook of rank 1": (lambda **k: ls.CodebookGenerator(conv(), book(5), (4, 4), **k), r"floating \(K, D\), or"),
    "codebook of rank 3": (lambda **k: ls.CodebookGenerator(conv(), book(4, 5, 3), (4, 4), **k), r"floating \(K, D\)"),
    "codebook of whole numbers": (
        lambda **k: ls.CodebookGenerator(conv(), CODEBOOK.long(), (4, 4), **k), "got an int64.*expected a floating",
    ),
    "embedding module for a codebook": (
        lambda **k: ls.CodebookGenerator(conv(), nn.Embedding(5, 3), (4, 4), **k), "got Embedding.*give its .weight",
    ),
    "codebook with NaN": (
        lambda **k: ls.CodebookGenerator(conv(), CODEBOOK * torch.nan, (4, 4), **k), "codebook: got NaN or infinity",
    ),
    "shape as a number": (lambda **k: ls.CodebookGenerator(conv(), CODEBOOK, 16, **k), "shape: got 16, expected a tup"),
    "shape of nothing": (lambda **k: ls.CodebookGenerator(conv(), CODEBOOK, (4, 0), **k), r"shape: got \(4, 0\)"),
    "vector shape as a number": (lambda **k: ls.ContinuousGenerator(mlp(), 4, **k), r"Continuous.shape: got 4"),
    "too few shapes": (
        lambda **k: ls.CodebookGenerator(conv(), [CODEBOOK, CODEBOOK], [(4, 4)], **k), "got 1 shapes.*each of 2 cod",
    ),
    "one shape for a list": (
        lambda **k: ls.CodebookGenerator(conv(), [CODEBOOK], (4, 4), **k), r"shape: got \(4, 4\).*list of shapes",
    ),
    "no grids": (lambda **k: ls.CodebookGenerator(conv(), [], [], **k), "got 0 shapes"),
    "projection that fails": (
        lambda **k: over_codes(conv(), project=nn.Linear(4, 3), **k), "project: got a function that fails",
    ),
    "no model": (lambda **k: ls.wrap(mlp(), **k), "wrap.model: got a Sequential.*name its parts"),
}  # fmt: skip


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(("make", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_built_is_refused(make: Callable[..., Any], message: str, check: bool) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make(check=check)


def test_a_codebook_elsewhere_is_named() -> None:
    # An offloaded model runs elsewhere than its weights are; one that was never loaded nowhere.
    with pytest.raises(InvalidArgument, match=r"weights are on meta: load them first"):
        over_codes(conv().to("meta"))
    with pytest.raises(InvalidArgument, match="on meta, expected vectors that are loaded"):
        ls.CodebookGenerator(conv(), CODEBOOK.to("meta"), (4, 4))


def test_an_encoder_whose_codes_do_not_return_is_warned_of() -> None:
    net = conv()
    generator = over_codes(net)
    grids = generator.prior.sample(Noise.from_seed(0, 4))
    with pytest.warns(ls.WrapWarning, match=r"decode\(encode\(x\)\) does not return.*order of the codes"):
        # Each row gets the code of the row before, as if the order were lost.
        over_codes(net, encode=lambda x: grids.roll(1, 0)[: len(x)])


def to_codes(output: Tensor) -> Tensor:
    return (output.movedim(1, -1)[..., None, :] / 2 - CODEBOOK).square().sum(-1).argmin(-1)


@pytest.mark.parametrize("encode", [to_codes, lambda x: x / 2], ids=["to codes", "to embeddings"])
@pytest.mark.parametrize("in_a_list", [True, False])
def test_a_good_encoder_passes_silently(encode: Callable[[Tensor], Tensor], in_a_list: bool) -> None:
    codebook, shape = ([CODEBOOK], [(4, 4)]) if in_a_list else (CODEBOOK, (4, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generator = ls.CodebookGenerator(lambda e: 2 * e, codebook, shape, encode=encode)
    z = generator.prior.sample(Noise.from_seed(1, 3))
    assert torch.equal(generator.encode(generator.decode(z)), z)


def test_without_an_encoder_there_is_no_encoding() -> None:
    for generator in (over_vectors(mlp()), over_codes(conv())):
        with pytest.raises(Unsupported, match="got no encoder, expected encode= on wrapping"):
            generator.encode(torch.zeros(1, 6))


# -- what wrapping makes -----------------------------------------------------------------------------


def test_weights_are_left_as_they_are() -> None:
    net = conv()
    net[0].bias.requires_grad_(False)  # type: ignore[index]
    before = {name: (p.detach().clone(), p.requires_grad) for name, p in net.named_parameters()}
    generator = over_codes(net)
    goal = ls.Matches(torch.zeros(1, 2, 8, 8)) + ls.LogPrior(generator.prior)
    for searcher in (ls.RandomSearch(), ls.StraightThroughSearch(), ls.RelaxedSearch(steps=4)):
        searcher.search(generator, goal, seed=0, run=Run(evaluations=40))
    for name, parameter in net.named_parameters():
        value, expected_gradient = before[name]
        assert torch.equal(parameter, value) and parameter.requires_grad == expected_gradient and parameter.grad is None
    assert not net.training


def test_device_and_dtype_are_those_of_the_weights() -> None:
    assert over_vectors(mlp().double()).dtype == torch.float64
    assert over_vectors(lambda z: z).dtype == torch.get_default_dtype()
    assert over_vectors(lambda z: z, dtype=torch.float64).prior.sample(Noise.from_seed(0)).dtype == torch.float64
    assert over_vectors(mlp().to("meta"), check=False, device="meta").device.type == "meta"
    assert ls.CodebookGenerator(conv().double(), CODEBOOK.double(), (4, 4)).dtype == torch.float64


def test_outputs_are_transformed() -> None:
    net = mlp()
    generator = over_vectors(net, output_transform=lambda x: (x + 1) / 2)
    z = generator.prior.sample(Noise.from_seed(0, 2))
    assert torch.equal(generator.decode(z), (net(z) + 1) / 2)


def test_a_decoder_of_ones_own_needs_few_lines() -> None:
    net = conv()
    generator = ls.CodebookGenerator(net, CODEBOOK, shape=(4, 4))
    target = net(torch.zeros(1, 3, 4, 4)).detach()
    result = ls.StraightThroughSearch(lr=20.0).search(generator, ls.Matches(target), seed=0)
    assert result.score.loss < result.trace.loss[0] and generator.space.contains(result.latent)


def test_a_vector_decoder_of_ones_own_needs_few_lines() -> None:
    net = mlp()
    generator = ls.ContinuousGenerator(net, shape=(4,))
    result = ls.GradientSearch().search(generator, ls.Matches(net(torch.ones(1, 4)).detach()), seed=0)
    assert result.score.loss < 1e-4


# -- grids -------------------------------------------------------------------------------------------


def several() -> ls.CodebookGenerator:
    """Two grids whose codebooks differ in size and in width."""

    def decoder(coarse: Tensor, fine: Tensor) -> Tensor:
        return torch.cat([coarse.flatten(1), fine.flatten(1)], 1)

    return ls.CodebookGenerator(decoder, [book(3, 2), book(5, 4, seed=1)], [(2, 1), (2, 2)], layout="channels_last")


def test_several_grids_are_one_flat_grid() -> None:
    generator = several()
    assert generator.space == ls.Discrete((6,), 5)
    z = torch.tensor([[0, 2, 4, 3, 2, 1]])
    coarse, fine = generator.split(z)
    assert (coarse.tolist(), fine.tolist()) == ([[[0], [2]]], [[[4, 3], [2, 1]]])
    want = torch.cat([book(3, 2)[coarse].flatten(1), book(5, 4, seed=1)[fine].flatten(1)], 1)
    assert torch.equal(generator.decode(z), want)


def test_codes_beyond_a_smaller_codebook_are_its_last() -> None:
    generator = several()
    beyond, last = torch.tensor([[4, 3, 0, 0, 0, 0]]), torch.tensor([[2, 2, 0, 0, 0, 0]])
    assert torch.equal(generator.decode(beyond), generator.decode(last))
    assert generator.split(beyond)[0].flatten().tolist() == [2, 2]
    # So what split gives is always what was decoded.
    z = generator.prior.sample(Noise.from_seed(0, 8))
    joined = torch.cat([part.flatten(1) for part in generator.split(z)], 1)
    assert torch.equal(generator.decode(joined), generator.decode(z))


def test_grids_that_are_alike_hold_their_codebooks_once() -> None:
    net, books = nn.Conv1d(3, 1, 3, padding=1).eval(), [book(5, 3), book(5, 3) + 1]
    alike = ls.CodebookGenerator(lambda *e: net(sum(e)), books, [(6,), (6,)])
    assert alike.space.shape == (2, 6) and alike.codebook.numel() == 2 * 5 * 3
    z = alike.prior.sample(Noise.from_seed(0, 3))
    expected = net((books[0][z[:, 0]] + books[1][z[:, 1]]).mT)
    assert torch.allclose(alike.decode(z), expected, atol=1e-6)
    assert torch.allclose(alike.decode(alike.space.one_hot(z, torch.float32)), expected, atol=1e-6)
    assert [part.shape for part in alike.split(z)] == [(3, 6), (3, 6)]
    result = ls.CoordinateSearch(batch=4).search(alike, ls.Matches(expected[:1]), seed=0, run=ls.Run(evaluations=100))
    assert torch.equal(result.output, alike.decode(result.latent))
    # One tensor of all codebooks is the same.
    stacked = ls.CodebookGenerator(lambda *e: net(sum(e)), torch.stack(books), [(6,), (6,)])
    assert torch.equal(stacked.decode(z), alike.decode(z))


def test_codes_that_some_grid_never_used() -> None:
    net, books = nn.Conv1d(3, 1, 3, padding=1).eval(), [book(5, 3), book(5, 3) + 1]
    books[1][2] = torch.nan
    used = [None, books[1].isfinite().all(-1)]
    alike = ls.CodebookGenerator(lambda *e: net(sum(e)), books, [(6,), (6,)], used=used)
    z = alike.canonical(torch.full((1, 2, 6), 2))
    assert (z[:, 0] == 2).all() and (z[:, 1] != 2).all() and alike.decode(z).isfinite().all()
    with pytest.raises(InvalidArgument, match=r"NaN or infinity in 1 codes.*used=codebook.isfinite"):
        ls.CodebookGenerator(lambda *e: net(sum(e)), books, [(6,), (6,)])


@pytest.mark.parametrize(
    ("codebook", "shape", "message"),
    [
        ((4, 5, 3), (12,), r"expected \(12, K, D\), one codebook a position, or \(K, D\) for all; shape=\(4,\)"),
        ((8, 8, 5, 3), (7, 7), r"expected \(7, 7, K, D\)"),
        ((1, 5, 3), (4,), r"codebook\[0\] is one for all positions"),
    ],
)
def test_codebooks_of_other_positions_are_refused(codebook, shape, message) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ls.CodebookGenerator(nn.Flatten(), torch.randn(codebook), shape)


def test_a_projection_with_a_bias_is_not_summed() -> None:
    net, out = nn.Conv1d(2, 1, 3, padding=1).eval(), nn.Linear(3, 2).eval()
    with pytest.raises(InvalidArgument, match=r"a bias, of 2 grids .*decoder=lambda \*e: net\(project\(sum\(e\)\)\)"):
        ls.CodebookGenerator(lambda *e: net(sum(e)), book(2, 5, 3), [(6,), (6,)], project=out)


@pytest.mark.parametrize("as_codes", [True, False], ids=["codes", "embeddings"])
def test_several_grids_encode_to_a_list(as_codes: bool) -> None:
    books = [book(3, 2), book(5, 4, seed=1)]

    def encode(x: Tensor) -> list[Tensor]:
        parts = x[:, :4].view(-1, 2, 1, 2), x[:, 4:].view(-1, 2, 2, 4)
        pairs = zip(parts, books, strict=True)
        return [torch.cdist(e.flatten(0, 2), b).argmin(1).view(e.shape[:-1]) if as_codes else e for e, b in pairs]

    inner = several()
    generator = ls.CodebookGenerator(inner.decoder, books, [(2, 1), (2, 2)], layout="channels_last", encode=encode)
    z = torch.tensor([[0, 2, 4, 3, 2, 1], [1, 1, 0, 0, 4, 4]])
    assert torch.equal(generator.encode(generator.decode(z)), z)


def test_a_single_grid_in_a_list_is_flat_too() -> None:
    generator = ls.CodebookGenerator(conv(), [CODEBOOK], [(4, 4)])
    plain = ls.CodebookGenerator(conv(), CODEBOOK, (4, 4))
    z = plain.prior.sample(Noise.from_seed(0, 2))
    assert generator.space.shape == (16,)
    assert torch.equal(generator.decode(z.flatten(1)), plain.decode(z))
    assert torch.equal(generator.split(z.flatten(1))[0], z) and torch.equal(plain.split(z)[0], z)


def test_projecting_the_codebook_is_projecting_each_code() -> None:
    small, project, net = book(5, 2), seeded(lambda: nn.Linear(2, 3)), conv()
    generator = ls.CodebookGenerator(net, small, (4, 4), project=project)
    z = generator.prior.sample(Noise.from_seed(0, 3))
    assert torch.allclose(generator.decode(z), net(project(small[z]).movedim(-1, 1)), atol=1e-6)
    assert torch.allclose(generator.codebook, project(small)) and not generator.codebook.requires_grad


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_positions_with_codebooks_of_their_own(shape: tuple[int, ...]) -> None:
    books = book(*shape, 4, 2)
    settings = {"layout": "channels_last", "encode": lambda x: x.view(-1, *shape, 2)}
    generator = ls.CodebookGenerator(lambda e: e.flatten(1), books, shape, **settings)  # type: ignore[arg-type]
    z = generator.prior.sample(Noise.from_seed(0, 5))
    e = generator.embed(z)
    soft = generator.embed(generator.space.one_hot(z, torch.float32))
    for n, position in itertools.product(range(5), itertools.product(*map(range, shape))):
        want = books[position][z[(n, *position)]]
        assert torch.equal(e[(n, *position)], want) and torch.equal(soft[(n, *position)], want)
    # Each position looks for the nearest code among its own.
    assert torch.equal(generator.encode(generator.decode(z)), z)
