"""Decoding again what one changed code reaches: what is found of a decoder, and that nothing else changes by it."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import latentsearch as ls
from latentsearch import models, training
from latentsearch.adapters.patches import find_patches
from latentsearch.loop import IterativeSearcher, Proposal, improves
from latentsearch.models._blocks import ResidualBlock, decoder_stack
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Objective
from latentsearch.testing import toys
from latentsearch.testing._synchronisations import Synchronisations

K, D = 7, 4


def book(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return Noise.from_seed(0).normal(*shape, K, D, dtype=dtype)[0]


def net(*make: Callable[[], nn.Module]) -> nn.Module:
    with training.initialised(3):
        return nn.Sequential(*(part() for part in make)).eval().requires_grad_(False)


def conv(size: int, channels_in: int = D, channels: int = D, **settings: Any) -> Callable[[], nn.Module]:
    return partial(nn.Conv2d, channels_in, channels, size, padding=size // 2, **settings)


def conv1(size: int, channels: int = D, dilation: int = 1) -> Callable[[], nn.Module]:
    return partial(nn.Conv1d, D, channels, size, padding=dilation * (size - 1) // 2, dilation=dilation)


def transposed1(size: int, stride: int, padding: int = 0) -> Callable[[], nn.Module]:
    return partial(nn.ConvTranspose1d, D, D, size, stride, padding)


def transposed(size: int, stride: int, padding: int = 0) -> Callable[[], nn.Module]:
    return partial(nn.ConvTranspose2d, D, D, size, stride, padding)


def swapped(generator: ls.Generator, rows: int, position: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Grids, the same with one code changed, and where."""
    noise, space = Noise.from_seed(1, rows), generator.space
    z = noise.integers(K, *space.shape)
    position = noise.fold(1).integers(space.positions)[:] if position is None else position
    at = position[:, None]
    changed = z.flatten(1).scatter(1, at, (z.flatten(1).gather(1, at) + 1 + noise.fold(2).integers(K - 1, 1)) % K)
    return z, changed.view_as(z), position


# -- decoders that are local -------------------------------------------------------------------------


class Normalised(nn.BatchNorm2d):
    """Frozen, with statistics that it has seen."""

    def __init__(self) -> None:
        super().__init__(D)
        noise = Noise.from_seed(5)
        self.running_mean.copy_(noise.normal(D)[0])
        self.running_var.copy_(noise.fold(1).uniform(D)[0] + 0.1)


class Causal(nn.Module):
    """Reaches to the right and below alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(D, D, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (2, 0, 2, 0)))


class Causal1(nn.Module):
    """Reaches later steps alone, four apart."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(D, D, 3, dilation=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (8, 0)))


class Last(nn.Module):
    """Logits over a vocabulary at every step, ``(N, T, V)``."""

    def forward(self, x: Tensor) -> Tensor:
        return x.movedim(1, -1).log_softmax(-1)


class Dead(nn.Module):
    """Passes nothing but a rare spike on, so that values show no reach where there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(D, D, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.conv(x) - 2.5)


LOCAL: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "pointwise": (lambda: net(conv(1)), (5, 6)),
    "odd kernels": (lambda: net(conv(5), nn.Tanh, conv(3)), (22, 21)),
    "dilated": (lambda: net(partial(nn.Conv2d, D, D, 3, padding=2, dilation=2)), (15, 15)),
    "transposed, 2 outputs a cell": (lambda: net(transposed(4, 2, 1), nn.Tanh, conv(3)), (18, 19)),
    "transposed, kernel as stride": (lambda: net(transposed(4, 4)), (6, 5)),
    "transposed, 3 outputs a cell": (lambda: net(conv(3), transposed(5, 3, 1)), (14, 14)),
    "nearest": (lambda: net(conv(3), partial(nn.Upsample, scale_factor=2), nn.ReLU, conv(3)), (16, 15)),
    "bilinear": (lambda: net(partial(nn.Upsample, scale_factor=2, mode="bilinear"), nn.Tanh, conv(3)), (16, 15)),
    "pixel shuffle": (lambda: net(conv(3, D, 4 * D), partial(nn.PixelShuffle, 2), nn.Tanh, conv(3)), (15, 15)),
    "residual": (lambda: net(conv(3), *[partial(ResidualBlock, D)] * 2), (24, 22)),
    "the VQ-VAE's": (lambda: net(partial(decoder_stack, D, 8, 3, 1)), (23, 24)),
    "batch norm": (lambda: net(conv(3), Normalised, nn.ReLU, conv(3)), (16, 16)),
    "reflected padding": (lambda: net(conv(3, padding_mode="reflect"), nn.Tanh, conv(3)), (16, 16)),
    "causal": (lambda: net(Causal, nn.Tanh, conv(1)), (12, 13)),
    "almost dead": (lambda: net(Dead), (20, 20)),
    "one axis": (lambda: net(partial(nn.Conv1d, D, 5, 5, padding=2), partial(nn.ConvTranspose1d, 5, 1, 8, 8)), (24,)),
    "signals, dilated": (lambda: net(conv1(3), nn.Tanh, conv1(3, dilation=3), nn.GELU, conv1(1)), (35,)),
    "signals, 8 outputs a cell": (lambda: net(conv1(3), transposed1(8, 4, 2), nn.Tanh, transposed1(4, 2, 1)), (33,)),
    "signals, causal": (lambda: net(Causal1, nn.Tanh, conv1(1)), (40,)),
    "tokens": (lambda: net(conv1(5), nn.Tanh, transposed1(5, 3, 1), conv1(1, 9), Last), (24,)),
    "tokens, small steps": (lambda: net(conv1(3), nn.ReLU, conv1(1, 9), Last), (12,)),
    "three axes": (lambda: net(partial(nn.Conv3d, D, 2, 3, padding=1)), (8, 9, 8)),
    "one cell wide": (lambda: net(conv(3), nn.Tanh, conv(3)), (1, 24)),
    "small along one axis": (lambda: net(conv(3), nn.Tanh, conv(3)), (4, 24)),
    "channel norm": (lambda: net(conv(3), ChannelNorm, conv(3)), (16, 16)),
    "mixing columns": (lambda: net(conv(3), MixingColumns), (9, 14)),
}  # fmt: skip


class ChannelNorm(nn.Module):
    """Over the channels of each position alone."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.movedim(1, -1), x.shape[1:2]).movedim(-1, 1)


class MixingColumns(nn.Module):
    """Global along the first axis, local along the second."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.square().mean(2, keepdim=True)


def generator_of(name: str, **settings: Any) -> ls.CodebookGenerator:
    make, shape = LOCAL[name]
    return ls.CodebookGenerator(make(), book(), shape, **settings)


@pytest.mark.parametrize("name", LOCAL)
def test_a_patch_decodes_to_the_same_everywhere(name: str) -> None:
    generator = generator_of(name)
    assert generator.patches.why == "" and generator.redecode_share <= 0.5
    everywhere = torch.arange(generator.space.positions)
    for position in everywhere.split(64):
        z, changed, position = swapped(generator, len(position), position)
        again = generator.redecode(changed, position, generator.decode(z))
        whole = generator.decode(changed)
        torch.testing.assert_close(again, whole, rtol=0, atol=3e-5 * float(whole.abs().max()))
    assert generator.patches.error < 3e-5


def test_the_reach_is_that_of_the_kernels() -> None:
    one, two = generator_of("odd kernels").patches.axes
    # 5 and then 3 wide reach 3 to each side, and what is reached depends on 3 more.
    assert (one.before, one.after, one.crop, one.scale) == (3, 3, 13, 1) and two.crop == 13
    causal = generator_of("causal").patches.axes[0]
    assert (causal.before, causal.after, causal.crop) == (0, 2, 5)
    assert generator_of("transposed, kernel as stride").patches.crop == (1, 1)


@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (3, 1), (7, 1), (3, 2), (5, 3), (3, 8)])
def test_the_reach_along_one_axis_is_that_of_kernel_and_dilation(size: int, dilation: int) -> None:
    make = net(conv1(size, dilation=dilation), nn.Tanh, Last)
    (axis,) = ls.CodebookGenerator(make, book(), (80,)).patches.axes
    reach = dilation * (size - 1) // 2
    assert (axis.scale, axis.before, axis.after, axis.crop) == (1, reach, reach, 4 * reach + 1)
    assert (axis.grid, axis.output) == (0, 0)  # not the vocabulary


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (4, 2), (6, 2), (5, 3), (8, 4), (16, 8)])
def test_the_reach_along_one_axis_is_that_of_kernel_and_stride(size: int, stride: int) -> None:
    padding = (size - stride) // 2
    (axis,) = ls.CodebookGenerator(net(transposed1(size, stride, padding)), book(), (30,)).patches.axes
    assert (axis.scale, axis.before, axis.after) == (stride, padding, size - 1 - padding)
    # Two steps to each side before it, which are as many strides of outputs.
    behind = ls.CodebookGenerator(net(conv1(5), nn.Tanh, transposed1(size, stride, padding)), book(), (50,))
    (axis,) = behind.patches.axes
    assert (axis.before, axis.after) == (padding + 2 * stride, size - 1 - padding + 2 * stride)
    assert axis.output == 1  # not the channels


def test_a_recurrent_decoder_of_sequences_is_given_up() -> None:
    with training.initialised(3):
        recurrent = nn.LSTM(D, 5, batch_first=True, bidirectional=True).eval()
    generator = ls.CodebookGenerator(lambda e: recurrent(e)[0], book(), (24,), layout="channels_last")
    assert "from border to border" in generator.patches.why
    last = ls.CodebookGenerator(lambda e: recurrent(e)[0][:, -1], book(), (24,), layout="channels_last")
    assert "outputs do not go with cells" in last.patches.why


def test_what_no_sample_shows_is_found_all_the_same() -> None:
    generator = generator_of("almost dead")
    z, changed, _ = swapped(generator, 64, torch.full((64,), 210))
    moved = (generator.decode(z) != generator.decode(changed)).any(0).any(0).nonzero()
    seen = int((moved.amax(0) - moved.amin(0)).max()) + 1
    assert seen < generator.patches.axes[0].window == 7


def test_an_axis_that_is_mixed_is_decoded_whole() -> None:
    patches = generator_of("mixing columns").patches
    assert [axis.grid for axis in patches.axes] == [1] and patches.crop == (9, 5)
    assert generator_of("small along one axis").patches.crop == (4, 9)
    assert generator_of("one cell wide").patches.crop == (1, 9)


def test_the_share_is_that_of_the_multiply_adds() -> None:
    generator = generator_of("the VQ-VAE's")
    share = generator.redecode_share
    z, changed, position = swapped(generator, 3)
    output = generator.decode(z)
    with FlopCounterMode(display=False) as whole:
        generator.decode(changed)
    with FlopCounterMode(display=False) as patch:
        generator.redecode(changed, position, output)
    assert patch.get_total_flops() / whole.get_total_flops() == pytest.approx(share, rel=1e-9)


# -- other shapes of everything ----------------------------------------------------------------------


def same(generator: ls.CodebookGenerator, rows: int = 40) -> None:
    assert generator.patches.why == ""
    z, changed, position = swapped(generator, rows)
    again, whole = generator.redecode(changed, position, generator.decode(z)), generator.decode(changed)
    torch.testing.assert_close(again, whole, rtol=0, atol=3e-5 * float(whole.abs().max()))


def test_layouts_do_not_matter() -> None:
    inner, last = LOCAL["nearest"][0](), book()
    same(ls.CodebookGenerator(lambda e: inner(e.movedim(-1, 1)), last, (16, 15), layout="channels_last"))
    same(ls.CodebookGenerator(lambda e: inner(e).movedim(1, -1), last, (16, 15)))
    same(ls.CodebookGenerator(lambda e: inner(e).mT, last, (16, 15)))
    same(ls.CodebookGenerator(lambda e: inner(e)[:, 0], last, (16, 15)))
    same(ls.CodebookGenerator(lambda e: inner(e)[:, :, None].contiguous(), last, (16, 15)))


def test_positions_with_codebooks_of_their_own() -> None:
    same(ls.CodebookGenerator(LOCAL["nearest"][0](), book(16, 15), (16, 15)))


def test_outputs_are_transformed_in_patches_too() -> None:
    same(generator_of("nearest", output_transform=lambda x: (x + 1) / 2))


def test_half_the_precision_is_enough() -> None:
    decoder = LOCAL["nearest"][0]().bfloat16()
    generator = ls.CodebookGenerator(decoder, book(dtype=torch.bfloat16), (16, 15))
    assert generator.patches.crop == generator_of("nearest").patches.crop


def test_double_precision_is_kept() -> None:
    generator = ls.CodebookGenerator(LOCAL["nearest"][0]().double(), book(dtype=torch.float64), (16, 15))
    z, changed, position = swapped(generator, 20)
    again = generator.redecode(changed, position, generator.decode(z))
    torch.testing.assert_close(again, generator.decode(changed), rtol=0, atol=1e-13)


def test_other_outputs_are_left_as_they_were() -> None:
    generator = generator_of("pointwise")
    z, changed, position = swapped(generator, 4)
    output = torch.zeros_like(generator.decode(z))
    again = generator.redecode(changed, position, output)
    touched = (again != 0).any(1).flatten(1)
    assert touched.sum(1).tolist() == [1] * 4 and torch.equal(touched.int().argmax(1), position)


def test_rows_do_not_depend_on_each_other() -> None:
    generator = generator_of("nearest")
    z, changed, position = swapped(generator, 6)
    output = generator.decode(z)
    together = generator.redecode(changed, position, output.clone())
    for row in range(6):
        one = slice(row, row + 1)
        torch.testing.assert_close(generator.redecode(changed[one], position[one], output[one].clone()), together[one])


def test_it_is_found_once_and_late_and_the_same_each_time() -> None:
    calls: list[int] = []
    inner = LOCAL["nearest"][0]()

    def decoder(e: Tensor) -> Tensor:
        calls.append(len(e))
        return inner(e)  # type: ignore[no-any-return]

    generator = ls.CodebookGenerator(decoder, book(), (16, 15), check=False)
    state = torch.get_rng_state()
    assert not calls
    found = generator.patches
    # Decodes of a grid, crops included: few, and never again.
    assert sum(calls) < 60 and generator.patches is found
    assert found == find_patches(generator) and torch.equal(state, torch.get_rng_state())
    assert pickle.loads(pickle.dumps(found)) == found == copy.deepcopy(found)


# -- decoders that are not ---------------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(D, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2).mT
        return x + self.attend(flat, flat, flat)[0].mT.view_as(x)


class Positions(nn.Module):
    """Adds what was learnt of each position, cut to the grid it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(D, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.table[:, : x.shape[2], : x.shape[3]]


class FixedPositions(Positions):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.table


class ByTwos(nn.Module):
    """Halves the grid and doubles it again: local, but only two cells at a time."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(F.avg_pool2d(x, 2, ceil_mode=True), x.shape[2:])


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] < 10:
            raise ValueError("too small a grid")
        return x


GLOBAL: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "attention": (lambda: net(conv(3), Attention), "from border to border"),
    "group norm": (lambda: net(conv(3), partial(nn.GroupNorm, 2, D), conv(3)), "from border to border"),
    "instance norm": (lambda: net(partial(nn.InstanceNorm2d, D)), "from border to border"),
    "fully connected": (
        lambda: net(nn.Flatten, partial(nn.Linear, D * 256, 9)), "made for 16 x 16, fails on a grid 15 x 16 with Run",
    ),
    "adaptive pooling": (lambda: net(partial(nn.AdaptiveAvgPool2d, 8)), "do not go with cells: grids 16 x 16 and 15 x"),
    "pooling to a vector": (lambda: net(partial(nn.AdaptiveAvgPool2d, 1), nn.Flatten), "outputs do not go with cells"),
    "valid convolutions": (lambda: net(partial(nn.Conv2d, D, D, 3)), "16 x 16 and 15 x 16 decode to 4 x 14 x 14 and"),
    "flattened outputs": (lambda: net(conv(3), nn.Flatten), "several axes of the grid share one of the outputs 1024"),
    "embeddings of the position": (lambda: net(Positions), r"crop 1 x 1 around cell \[.*does more than what is near"),
    "fixed embeddings of the position": (lambda: net(FixedPositions), "fails on a grid 15 x 16 with RuntimeError"),
    "circular padding": (lambda: net(conv(3, padding_mode="circular")), "decodes to something else than the"),
    "two cells at a time": (lambda: net(ByTwos), "decodes to something else than the whole grid"),
    "a long reach": (lambda: net(conv(7), conv(7)), "from border to border"),
    "half of the grid": (lambda: net(conv(5), conv(3)), "13 x 13 of 16 x 16 cells would be decoded again"),
    "failing crops": (lambda: net(Failing), "fails on a grid 1 x 1 with ValueError: too small a grid"),
    "deaf": (lambda: net(Deaf), "no output answers to a change of a code"),
}  # fmt: skip


class Deaf(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)


@pytest.mark.parametrize(("make", "why"), GLOBAL.values(), ids=GLOBAL)
def test_what_is_not_local_is_given_up_with_a_reason(make: Callable[[], nn.Module], why: str) -> None:
    generator = ls.CodebookGenerator(make(), book(), (16, 16))
    assert re.search(why, generator.patches.why)
    assert generator.redecode_share == 1 and generator.patches.crop == (16, 16)
    # What is given up still decodes.
    z, changed, position = swapped(generator, 3)
    assert torch.equal(generator.redecode(changed, position, generator.decode(z)), generator.decode(changed))


def test_several_grids_are_given_up() -> None:
    generator = ls.CodebookGenerator(lambda *e: sum(e), [book()] * 2, [(8, 8)] * 2)
    assert generator.patches.why == "several grids are searched as one" and generator.redecode_share == 1


def test_a_decoder_that_looks_for_nan_is_given_up() -> None:
    generator = ls.CodebookGenerator(checking, book(), (9, 9))
    assert generator.patches.why.endswith("fails on NaN with FloatingPointError: not a number")


def checking(e: Tensor) -> Tensor:
    if bool(e.isnan().any()):
        raise FloatingPointError("not a number")
    return 2 * e


def test_the_zoo_sized_vqvae_is_given_up_on_small_grids_alone() -> None:
    with training.initialised(0):
        decoder = models.VQVAE((1, 28, 28), width=D, channels=16).eval().decoder
    for side, local in ((7, False), (16, False), (32, True)):
        patches = ls.CodebookGenerator(decoder, book(), (side, side)).patches
        assert (patches.why == "") == local and (patches.share < 1) == local


# -- the objective -----------------------------------------------------------------------------------


def problem(name: str = "nearest", dtype: torch.dtype = torch.float32, problems: int = 2) -> Any:
    """A generator and a constraint for some of its outputs."""
    make, shape = LOCAL[name]
    generator = ls.CodebookGenerator(make().to(dtype), book(dtype=dtype), shape)
    target = generator.decode(Noise.from_seed(9, problems).integers(K, *shape))
    return generator, ls.Matches(target.detach())


def charged(generator: ls.CodebookGenerator) -> float:
    """The share, as the nearest binary fraction above."""
    return math.ceil(generator.redecode_share * 2**20) / 2**20


def spent(objective: Objective) -> list[float]:
    """Of the rows held."""
    return list(objective.ledger.of_held(objective.ledger.spent).tolist())


def swaps(generator: ls.Generator, goal: ls.Constraint, run: ls.Run, count: int = 20) -> tuple[Objective, ls.Score]:
    ledger = Ledger(2, restarts=2)
    ledger.hold(torch.tensor([1, 2, 3]))
    objective = Objective(generator, goal, run, ledger)
    noise = Noise.from_seed(2, 3)
    z = noise.integers(K, *generator.space.shape)
    position, code = noise.fold(1).integers(generator.space.positions, count), noise.fold(2).integers(K, count)
    return objective, objective.swaps(z, position, code)


CONSTRAINTS: dict[str, Callable[[ls.CodebookGenerator, ls.Constraint], ls.Constraint]] = {
    "separable": lambda generator, goal: goal,
    "threshold": lambda generator, goal: goal.below(1.0),
    "global": lambda generator, goal: goal + ls.Satisfies(lambda x: x.flatten(1).amax(1)),
    "reading the latent": lambda _, goal: goal + ls.Satisfies(lambda x, z: x.amax((1, 2, 3)) * z[:, 0, 0], of="both"),
}  # fmt: skip


@pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS)
@pytest.mark.parametrize("chunk_rows", [None, 7])
def test_swaps_score_the_same_by_patches(constraint: Any, chunk_rows: int | None) -> None:
    generator, goal = problem()
    goal = constraint(generator, goal)
    held, score = swaps(generator, goal, ls.Run(chunk_rows=chunk_rows))
    whole, expected = swaps(generator, goal, ls.Run(patches=False))
    torch.testing.assert_close(score.loss, expected.loss, rtol=1e-5, atol=1e-5)
    assert torch.equal(score.satisfied, expected.satisfied)
    assert spent(held) == [1 + 20 * charged(generator)] * 3 and spent(whole) == [20] * 3


def test_few_outputs_are_pasted_into_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, goal = problem()
    _, expected = swaps(generator, goal, ls.Run())
    seen: list[int] = []
    redecode = generator.redecode

    def watched(z: Tensor, position: Tensor, output: Tensor) -> Tensor:
        seen.append(len(z))
        return redecode(z, position, output)

    monkeypatch.setattr(generator, "redecode", watched)
    monkeypatch.setattr("latentsearch.objective.objective._PASTED", {"cpu": 9 * expected_size(generator)})
    _, score = swaps(generator, goal, ls.Run())
    assert seen == [9] * 6 + [6]
    torch.testing.assert_close(score.loss, expected.loss)


def expected_size(generator: ls.Generator) -> int:
    return generator.decode(torch.zeros(1, *generator.space.shape, dtype=torch.int64)).numel()


def test_swaps_do_not_wait_for_the_device() -> None:
    generator, goal = problem()
    assert not generator.patches.why
    with Synchronisations() as mode:
        swaps(generator, goal, ls.Run())
    assert mode.seen == []


def test_patches_are_not_used_where_they_cost_more() -> None:
    generator, goal = problem()
    held, _ = swaps(generator, goal, ls.Run(), count=1)
    assert spent(held) == [1] * 3
    held, _ = swaps(generator, ls.LogPrior(generator.prior), ls.Run())
    assert spent(held) == [20] * 3  # nothing is decoded, patch or not
    given_up = ls.CodebookGenerator(GLOBAL["group norm"][0](), book(), (16, 16))
    held, _ = swaps(given_up, ls.Satisfies(lambda x: x.mean((1, 2, 3))), ls.Run())
    assert spent(held) == [20] * 3


def test_ended_rows_are_not_charged_for_patches() -> None:
    generator, goal = problem()
    held = Objective(generator, goal, ls.Run(), Ledger(2))
    held.ledger.end(torch.tensor([False, True]), ls.Status.BUDGET)
    held.swaps(torch.zeros(2, *generator.space.shape, dtype=torch.int64), *torch.ones(2, 2, 9, dtype=torch.int64))
    assert spent(held) == [1 + 9 * charged(generator), 0]


class Thirds(toys.CodeGenerator):
    """A generator of one's own, whose patches cost a third of a decode: no binary fraction."""

    redecode_share = 1 / 3

    def redecode(self, z: Tensor, position: Tensor, output: Tensor) -> Tensor:
        at = position[:, None]
        new = self.decode_embedding(self.embed(z.flatten(1).gather(1, at)))
        return output.flatten(1).scatter(1, at, new).view_as(output)


def test_shares_are_charged_in_binary_fractions() -> None:
    # Sums of them are exact in any order, so what a problem spends cannot depend on its company.
    generator = Thirds((3, 3), K)
    held, _ = swaps(generator, ls.Matches(torch.zeros(2, 3, 3)), ls.Run(), count=4)
    third = (held.ledger.spent[1].item() - 1) / 4
    assert (third * 2**20).is_integer() and 0 <= third - 1 / 3 < 2**-20


def test_autocast_and_compilation_take_patches_too() -> None:
    generator, goal = problem()
    _, expected = swaps(generator, goal, ls.Run(patches=False))
    held, score = swaps(generator, goal, ls.Run(compile="eager"))
    torch.testing.assert_close(score.loss, expected.loss)
    assert held.ledger.spent[1] < 20
    _, score = swaps(generator, goal, ls.Run(autocast=torch.bfloat16))
    assert score.loss.dtype == torch.float32
    torch.testing.assert_close(score.loss, expected.loss, rtol=0.05, atol=0.05)


# -- a search ----------------------------------------------------------------------------------------


@dataclass
class SwapState:
    z: Tensor
    loss: Tensor


@dataclass(frozen=True)
class SwapSearch(IterativeSearcher):
    """Takes the best of a few random swaps where it is better."""

    batch: int = 16

    spaces: ClassVar[tuple[type, ...]] = (ls.Discrete,)
    needs_gradient: ClassVar[bool] = False

    def step_cost(self, space: ls.Discrete) -> int:
        return self.batch

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> SwapState:
        return SwapState(z, torch.full((len(z),), torch.inf, dtype=objective.generator.dtype))

    def step(self, objective: Objective, state: SwapState, noise: Noise) -> tuple[SwapState, Proposal]:
        flat, space = state.z.flatten(1), objective.generator.space
        position = noise.fold(1).integers(space.positions, self.batch)
        code = noise.fold(2).integers(space.codebook_size, self.batch)
        code[:, 0] = flat.gather(1, position[:, :1])[:, 0]  # the grid as it is
        score = objective.swaps(state.z, position, code)
        best = score.loss.argmin(1, keepdim=True)
        z = flat.scatter(1, position.gather(1, best), code.gather(1, best)).view_as(state.z)
        loss, satisfied = score.loss.gather(1, best)[:, 0], score.satisfied.gather(1, best)[:, 0]
        better = improves(loss, state.loss)
        grids = torch.where(better.view(-1, *(1,) * (z.ndim - 1)), z, state.z)
        return SwapState(grids, torch.where(better, loss, state.loss)), Proposal(z, ls.Score(loss, satisfied))


def test_a_search_finds_the_same_with_and_without() -> None:
    generator, goal = problem(dtype=torch.float64)
    run = ls.Run(evaluations=None, steps=30)
    search = partial(SwapSearch(restarts=2).search, generator, goal, seed=4)
    with_patches, without = search(run=run), search(run=replace(run, patches=False))
    assert torch.equal(with_patches.latent, without.latent)
    torch.testing.assert_close(with_patches.trace.loss, without.trace.loss, rtol=1e-12, atol=0)
    assert without.evaluations.tolist() == [30 * 16 * 2] * 2
    assert with_patches.evaluations.tolist() == [30 * 2 * (1 + 16 * charged(generator))] * 2
    assert torch.equal(with_patches.trace.evaluations[-1], with_patches.evaluations)


@pytest.mark.parametrize("rows", [0, 15, 16, 40, [17, 33.5]])
def test_budgets_hold_to_the_fraction(rows: Any) -> None:
    generator, goal = problem()
    result = SwapSearch(restarts=2).search(generator, goal, seed=0, run=ls.Run(evaluations=rows))
    limit = torch.tensor(rows, dtype=torch.float64)
    assert (result.evaluations <= limit).all()
    # A step begins while all of it could be paid for in whole decodes.
    assert (result.evaluations > limit - 2 * 16).all()


def test_a_budget_goes_farther_by_patches() -> None:
    generator, goal = problem()
    search = partial(SwapSearch().search, generator, goal, seed=0)
    assert search(run=ls.Run(evaluations=100)).steps > 2 * search(run=ls.Run(evaluations=100, patches=False)).steps


def test_what_a_problem_spends_does_not_depend_on_its_company() -> None:
    generator = Thirds((3, 3), K)
    goal = ls.Matches(generator.decode(Noise.from_seed(0, 3).integers(K, 3, 3))).below(0.01)
    seeds = ls.problem_seeds(1, 3)
    search = partial(SwapSearch(restarts=3, batch=5).search, generator, run=ls.Run(evaluations=200))
    together = search(goal, seed=seeds)
    for b in range(3):
        alone = search(goal.select(torch.tensor([b])), seed=[seeds[b]])
        assert torch.equal(alone.evaluations[0], together.evaluations[b]) and torch.equal(
            alone.latent[0], together.latent[b]
        )
        assert alone.status[0] == together.status[b]


def test_a_resumed_search_has_spent_the_same(tmp_path: Any) -> None:
    generator = Thirds((3, 3), K)
    goal = ls.Matches(generator.decode(Noise.from_seed(0, 3).integers(K, 3, 3))).below(0.01)
    search = partial(SwapSearch(restarts=2, batch=5).search, generator, goal, seed=1)
    whole = search(run=ls.Run(evaluations=[30, 60, 90]))
    saved = ls.Run(evaluations=[30, 60, 90], checkpoint=tmp_path / "run", checkpoint_every=1)
    search(run=replace(saved, callbacks=[lambda step: step.number == 4]))
    resumed = search(run=saved)
    assert torch.equal(resumed.evaluations, whole.evaluations) and torch.equal(
        resumed.trace.evaluations, whole.trace.evaluations
    )
    assert torch.equal(resumed.latent, whole.latent)


def test_fractions_are_saved_and_read_well(tmp_path: Any) -> None:
    generator, goal = problem()
    result = SwapSearch().search(generator, goal, seed=0, run=ls.Run(evaluations=40))
    result.save(tmp_path / "result")
    loaded = ls.SearchResult.load(tmp_path / "result")
    assert loaded.evaluations.dtype == torch.float64 and torch.equal(loaded.evaluations, result.evaluations)
    assert torch.equal(loaded.trace.evaluations, result.trace.evaluations) and repr(loaded) == repr(result)
    whole = replace(result, evaluations=torch.tensor([1234567.0, 12.34375], dtype=torch.float64))
    assert "1234567 evaluations" in repr(whole) and "12.34 evaluations" in repr(whole)
    assert torch.equal(result.trace.loss_at(result.evaluations[0].item()), result.trace.loss[-1])


def test_corners_and_edges_are_all_there() -> None:
    # The crop never leaves the grid, and holds the cell it is for.
    patches = generator_of("nearest").patches
    rows, columns = patches.shape
    for cell in itertools.product((0, 1, 7, rows - 1), (0, 2, 7, columns - 1)):
        position = torch.tensor([cell[0] * columns + cell[1]])
        cells = patches.cells(position)
        assert cells.unique().numel() == cells.numel() and 0 <= int(cells.min()) <= int(cells.max()) < rows * columns
        assert bool((cells == position).any())
