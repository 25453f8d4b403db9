"""The noise is splitmix64, looks random, and belongs to rows.

Seeds are fixed, so a test passes always or never. Each statistical test accepts at
p > 1e-6: with another seed it would raise a false alarm once in a million.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats
from torch import Tensor

from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise, mix_, mix_int, problem_seeds

GAMMA = 0x9E3779B97F4A7C15
FALSE_ALARM = 1e-6
FLOATS = (torch.float32, torch.float64)
int64s = some.integers(-(2**63), 2**63 - 1)


def signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


def plausible(p_value: float) -> bool:
    return p_value > FALSE_ALARM


def independent(a: Tensor, b: Tensor) -> bool:
    """No correlation between draws and none between their distances from the middle."""
    pairs = ((a, b), ((a - a.mean()).abs(), (b - b.mean()).abs()))
    return all(plausible(stats.pearsonr(x.flatten().numpy(), y.flatten().numpy()).pvalue) for x, y in pairs)


# -- the generator itself ----------------------------------------------------------------------------


def test_mix_is_splitmix64() -> None:
    # The first three outputs of the reference implementation, seeded with 0.
    reference = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    assert tuple(mix_int(n * GAMMA) for n in (1, 2, 3)) == tuple(map(signed, reference))


@given(some.lists(int64s, min_size=1))
def test_tensors_are_mixed_as_integers_are(words: list[int]) -> None:
    assert mix_(torch.tensor(words)).tolist() == [mix_int(word) for word in words]


@given(int64s, some.integers(1, 5))
def test_words_of_a_stream_are_a_counter_mixed(key: int, count: int) -> None:
    words = Noise(torch.tensor([key])).bits(count)
    assert words.tolist() == [[mix_int(key + (i + 1) * GAMMA) for i in range(count)]]


def test_words_do_not_depend_on_the_block_they_are_mixed_in() -> None:
    noise, wide = Noise.from_seed(3, 2), 40_000  # more than one block
    assert torch.equal(noise.bits(wide)[1, -3:], noise[1:].bits(wide)[0, -3:])
    assert noise.bits(wide)[1, -1] == mix_int(int(noise.keys[1]) + wide * GAMMA)


# -- uniform -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("word", [0, -1, 1, 2**63 - 1, -(2**63), 0x7FFFFFFF, 0xFFFFFFFF])
def test_uniform_stays_inside_at_extreme_bit_patterns(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, word: int
) -> None:
    monkeypatch.setattr(Noise, "bits", lambda self, count: torch.full((len(self), count), word))
    noise = Noise.from_seed(0)
    draw = noise.uniform(4, dtype=dtype)
    assert ((draw > 0) & (draw < 1)).all()
    assert noise.normal(4, dtype=dtype).isfinite().all()
    assert noise.gumbel(4, dtype=dtype).isfinite().all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_is_uniform(dtype: torch.dtype) -> None:
    draw = Noise.from_seed(1, 10).uniform(100_000, dtype=dtype)
    assert draw.dtype == dtype and draw.min() > 0 and draw.max() < 1
    counts = np.histogram(draw.numpy(), bins=1000, range=(0, 1))[0]
    assert plausible(stats.chisquare(counts).pvalue)
    assert plausible(stats.kstest(draw.flatten().double().numpy(), "uniform").pvalue)


def test_every_bit_is_fair() -> None:
    words = Noise.from_seed(2).bits(100_000)[0]
    ones = torch.stack([(words >> bit) & 1 for bit in range(64)]).sum(1)
    assert plausible(float(stats.binomtest(int(ones.sum()), 6_400_000).pvalue))
    # 64 tests at once, so each may ask for less.
    assert min(stats.binomtest(int(count), len(words)).pvalue for count in ones) > FALSE_ALARM / 64


# -- independence ------------------------------------------------------------------------------------


def streams() -> dict[str, tuple[Tensor, Tensor]]:
    """Pairs of draws that should have nothing to do with each other."""
    size = 50_000
    noise = Noise.from_seed(5, 3, restarts=2)
    base = noise.uniform(size)
    neighbours = Noise(torch.arange(4)).uniform(size)  # keys that differ in the last bits
    split = noise.split(3).uniform(size).view(6, 3, size)
    return {
        "keys": (base[0], base[3]),
        "restarts": (base[0], base[1]),
        "neighbouring keys": (neighbours[0], neighbours[1]),
        "even and odd draws": (base[:, ::2], base[:, 1::2]),
        "successive draws": (base[:, 1:], base[:, :-1]),
        "folds": (noise.fold(0).uniform(size), noise.fold(1).uniform(size)),
        "a fold and its parent": (noise.fold(0).uniform(size), base),
        "folds in another order": (noise.fold(1).fold(2).uniform(size), noise.fold(2).fold(1).uniform(size)),
        "a fold applied twice": (noise.fold(1).fold(1).uniform(size), base),
        "splits": (split[:, 0], split[:, 1]),
        "a split and its parent": (split[:, 0], base),
        "seeds": (base, Noise.from_seed(6, 3, restarts=2).uniform(size)),
    }


@pytest.mark.parametrize(("name", "pair"), streams().items(), ids=lambda value: value if isinstance(value, str) else "")
def test_streams_are_independent(name: str, pair: tuple[Tensor, Tensor]) -> None:
    assert independent(*pair)


def test_draws_of_a_step_and_of_the_next_fill_the_square_evenly() -> None:
    first, second = (Noise.from_seed(7, 100).fold(step).uniform(1000).flatten().numpy() for step in (3, 4))
    counts = np.histogram2d(first, second, bins=20, range=[[0, 1], [0, 1]])[0]
    assert plausible(stats.chisquare(counts.flatten()).pvalue)


def test_keys_do_not_clash() -> None:
    noise = Noise.from_seed(0, 1000, restarts=20)
    for others in ([noise.split(5).keys], [noise.fold(constant).keys for constant in range(5)]):
        everything = torch.cat([noise.keys, *others])
        assert len(everything.unique()) == len(everything)


def test_splits_do_not_clash_with_folds() -> None:
    noise = Noise.from_seed(0)
    assert noise.fold(1).keys[0] != noise.split(3).keys[1]


# -- distributions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("draw", "law"), [(Noise.normal, "norm"), (Noise.gumbel, "gumbel_r")], ids=["norm", "gumbel"])
def test_draws_follow_their_distribution(draw: Callable[..., Tensor], law: str, dtype: torch.dtype) -> None:
    draws = draw(Noise.from_seed(8, 20), 10_000, dtype=dtype)
    assert draws.dtype == dtype and draws.shape == (20, 10_000)
    assert plausible(stats.kstest(draws.flatten().double().numpy(), law).pvalue)


@pytest.mark.parametrize("draw", [Noise.uniform, Noise.normal, Noise.gumbel])
def test_half_precision_is_finite(draw: Callable[..., Tensor]) -> None:
    draws = draw(Noise.from_seed(0, 10), 1000, dtype=torch.bfloat16)
    assert draws.dtype == torch.bfloat16 and draws.isfinite().all()


def test_categorical_draws_follow_their_logits() -> None:
    logits = torch.tensor([[0.0, 1.0, -2.0, 0.5], [3.0, -torch.inf, 0.0, 0.0]])
    rows = 50_000
    draws = Noise.from_seed(9, rows).categorical(logits.expand(rows, 2, 4))
    for position, chance in enumerate(logits.double().softmax(-1)):
        counts, possible = draws[:, position].bincount(minlength=4), chance > 0
        assert not counts[~possible].any()
        expected = (rows * chance[possible]).numpy()
        assert plausible(stats.chisquare(counts[possible].numpy(), expected).pvalue)


@pytest.mark.parametrize("high", [1, 2, 7, 512, 2**31])
def test_integers_are_uniform_below_a_bound(high: int) -> None:
    draws = Noise.from_seed(10, 10).integers(high, 100, 50)
    assert draws.shape == (10, 100, 50) and draws.dtype == torch.int64
    assert draws.min() >= 0 and draws.max() < high
    if high > 1:
        bins = min(high, 64)
        counts = torch.div(draws * bins, high, rounding_mode="floor").flatten().bincount(minlength=bins)
        cells = (torch.arange(high) * bins // high).bincount() if high <= 512 else torch.ones(bins)
        expected = cells.double() / cells.sum() * draws.numel()
        assert plausible(stats.chisquare(counts.numpy(), expected.numpy()).pvalue)


def test_integers_reach_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noise, "bits", lambda self, count: torch.tensor([[0, -1]]))
    assert Noise.from_seed(0).integers(2**31, 2).tolist() == [[0, 2**31 - 1]]


# -- rows --------------------------------------------------------------------------------------------

DRAWS: dict[str, Callable[[Noise], Tensor]] = {
    "bits": lambda noise: noise.bits(3),
    "uniform": lambda noise: noise.uniform(3, 2),
    "float64": lambda noise: noise.uniform(3, dtype=torch.float64),
    "normal": lambda noise: noise.normal(5),
    "gumbel": lambda noise: noise.gumbel(2),
    "integers": lambda noise: noise.integers(9, 2, 2),
    "categorical": lambda noise: noise.categorical(torch.zeros(len(noise), 2, 5)),
    "fold": lambda noise: noise.fold(4).keys,
    "split": lambda noise: noise.split(3).keys.view(-1, 3),
    "nothing": lambda noise: noise.uniform(0),
    "one number": lambda noise: noise.uniform(),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@settings(max_examples=25)
@given(seed=int64s, index=some.lists(some.integers(0, 5), max_size=8))
def test_a_row_draws_the_same_wherever_it_stands(draw: Callable[[Noise], Tensor], seed: int, index: list[int]) -> None:
    noise, rows = Noise.from_seed(seed, 3, restarts=2), torch.tensor(index, dtype=torch.int64)
    assert torch.equal(draw(noise[rows]), draw(noise)[rows])
    assert torch.equal(draw(noise), draw(noise))


def test_a_slice_of_noise_is_its_rows() -> None:
    noise = Noise.from_seed(0, 4)
    assert torch.equal(noise[1:3].keys, noise.keys[1:3]) and len(noise[1:3]) == 2


# -- seeds -------------------------------------------------------------------------------------------


@given(int64s, some.integers(1, 6))
def test_one_seed_is_spread_over_problems(seed: int, problems: int) -> None:
    seeds = problem_seeds(seed, problems)
    assert len(set(seeds)) == problems
    # A problem's seed, given to it alone, and the number of problems before it decide its randomness.
    assert problem_seeds(seed, problems + 1)[:problems] == seeds
    alone = [Noise.from_seed([one], restarts=2).keys for one in seeds]
    assert torch.equal(torch.cat(alone), Noise.from_seed(seed, problems, restarts=2).keys)


def test_several_seeds_are_taken_as_they_are() -> None:
    assert problem_seeds([4, 4, -9], 3) == (4, 4, -9)
    assert torch.equal(*Noise.from_seed([4, 4], 2).keys)


def test_no_seed_is_fresh_entropy() -> None:
    assert problem_seeds(None, 2) != problem_seeds(None, 2)


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ([1, 2], r"seed: got 2 seeds, expected one integer, or one for each of 3 problems"),
        ("abc", r"seed: got 'abc', expected an integer or one per problem"),
        ([1.0, 2.0, 3.0], r"seed: got \[1.0, 2.0, 3.0\], expected an integer"),
        (1.5, r"seed: got 1.5, expected an integer or one per problem"),
        (torch.zeros(3), r"seed: got .*, expected an integer or one per problem"),
    ],
    ids=["length", "text", "list of floats", "float", "tensor"],
)
def test_bad_seeds(seed: object, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        problem_seeds(seed, 3)  # type: ignore[arg-type]


def test_seeds_of_numpy_are_seeds() -> None:
    assert problem_seeds(np.int64(7), 2) == problem_seeds(7, 2)  # type: ignore[arg-type]
    assert problem_seeds(list(np.arange(2)), 2) == (0, 1)


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    noise = Noise.from_seed(None, 2)
    for draw in DRAWS.values():
        draw(noise)
    assert torch.equal(before, torch.get_rng_state())
