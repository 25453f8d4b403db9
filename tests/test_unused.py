"""Codes never used in training: no search reports one, however good its own embedding would be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from test_laws import ONE_OF_EACH
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import Run, models, training
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.noise import Noise
from latentsearch.objective import ChargedPrior, EmbeddingView, Ledger, Objective, draws_of
from latentsearch.priors import UniformCodes
from latentsearch.searchers.gibbs._blocks import blocks
from latentsearch.searchers.gibbs._infill import infill
from latentsearch.testing import toys
from latentsearch.testing._synchronisations import Synchronisations


def book(*shape: int, seed: int = 0) -> Tensor:
    return Noise.from_seed(seed).normal(*shape, dtype=torch.float64)[0]


with training.initialised(0):
    DECODER = nn.Sequential(nn.Flatten(), nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 6)).double().eval()
CODEBOOK = book(6, 3)
USED = torch.tensor([True, False, True, True, False, True])
BEST = torch.tensor([[1, 0, 4], [4, 4, 2]])  # were codes 1 and 4 what they say they are
TARGET = DECODER(CODEBOOK[BEST].mT).detach()
wrapped = partial(ls.CodebookGenerator, DECODER, CODEBOOK, (3,))


def raw(z: Tensor) -> Tensor:
    """What the user's own decoder and codebook make of codes."""
    with torch.no_grad():
        return DECODER(CODEBOOK[z].mT)  # type: ignore[no-any-return]


def sound(z: Tensor) -> bool:
    return bool(USED[z].all())


CONSTRAINTS: dict[str, Callable[[ls.CodebookGenerator], ls.Constraint]] = {
    "match": lambda g: ls.Matches(TARGET),
    "match and prior": lambda g: ls.Matches(TARGET) + 0.1 * ls.LogPrior(g.prior) + 0.01 * ls.Near(g.canonical(BEST)),
    "edit": lambda g: ls.Matches(TARGET) + ls.Within(torch.tensor([[0, 2, 5], [3, 3, 0]]), 1),
}


@pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS)
@pytest.mark.parametrize("searcher", ONE_OF_EACH, ids=lambda searcher: type(searcher).__name__)
def test_no_search_reports_an_unused_code(
    searcher: Any, constraint: Callable[[ls.CodebookGenerator], ls.Constraint]
) -> None:
    generator = wrapped(used=USED)
    seen: list[bool] = []

    def look(step: ls.Step) -> None:
        seen.append(sound(step.best_latent) and (step.latent is None or sound(step.latent)))

    goal, run = constraint(generator), Run(evaluations=300, callbacks=(look,))
    try:
        result = searcher.search(generator, goal, seed=0, run=run)
    except Unsupported as refusal:
        pytest.skip(str(refusal))
    assert sound(result.latent) and sound(result.candidates.latent) and all(seen)
    assert torch.equal(result.output, raw(result.latent))
    # The score is that of the codes reported, not of what stood for them.
    score = goal(result.output, result.latent)
    assert torch.allclose(result.score.loss, score.loss) and bool(score.loss.isfinite().all())
    # A trace is of the best seen, which the last state of a chain need not be.
    assert getattr(searcher, "samples", False) or torch.allclose(result.trace.loss[-1], score.loss)


def test_without_the_mask_they_would_win() -> None:
    found = ls.ExhaustiveSearch().search(wrapped(), ls.Matches(TARGET), seed=0)
    assert torch.equal(found.latent, BEST)
    grids = torch.cartesian_prod(*[USED.nonzero()[:, 0]] * 3)
    best = (raw(grids)[:, None] - TARGET).square().mean(2).amin(0)
    found = ls.ExhaustiveSearch().search(wrapped(used=USED), ls.Matches(TARGET), seed=0)
    assert torch.allclose(found.score.loss, best)


def test_an_unused_code_stands_for_the_nearest_used_one() -> None:
    generator = wrapped(used=USED)
    kept = USED.nonzero()[:, 0]
    want = torch.tensor([int(kept[(CODEBOOK[kept] - vector).square().sum(1).argmin()]) for vector in CODEBOOK])
    codes = torch.arange(6).view(2, 3)
    assert torch.equal(generator.canonical(codes), want[codes])
    assert torch.equal(generator.codebook, CODEBOOK[want])
    assert torch.equal(generator.decode(BEST), raw(want[BEST]))
    soft = Noise.from_seed(3, 2).uniform(3, 6, dtype=torch.float64).softmax(-1).requires_grad_()
    mixed = generator.canonical(soft)
    assert bool((mixed[..., ~USED] == 0).all()) and torch.allclose(mixed.sum(-1), soft.sum(-1))
    assert torch.autograd.gradcheck(generator.canonical, soft)


def test_where_all_codes_are_used_nothing_changes() -> None:
    plain, told = wrapped(), wrapped(used=torch.ones(6, dtype=torch.bool))
    noise = Noise.from_seed(0, 9)
    z = plain.prior.sample(noise)
    assert torch.equal(told.prior.sample(noise), z) and told.canonical(z) is z
    assert torch.equal(told.codebook, CODEBOOK)


# -- priors, encoders, starts, limits ----------------------------------------------------------------


def test_the_uniform_prior_draws_used_codes_evenly() -> None:
    prior = wrapped(used=USED).prior
    counts = prior.sample(Noise.from_seed(0, 4000)).flatten().bincount(minlength=6)
    assert torch.equal(counts > 0, USED)
    assert bool(((counts[USED] - 3000).abs() < 6 * (12000 * 0.25 * 0.75) ** 0.5).all())
    grids = torch.tensor([[0, 2, 3], [1, 1, 4]])
    soft = ls.Discrete((3,), 6).one_hot(grids, torch.float64)
    for z in (grids, soft):
        assert torch.allclose(prior.log_prob(z).exp(), torch.full((2,), 1 / 64, dtype=torch.float64))


def test_positions_draw_from_codes_of_their_own() -> None:
    used = torch.tensor([[True, False, True], [False, False, True]])
    z = UniformCodes(ls.Discrete((2,), 3), used=used).sample(Noise.from_seed(0, 200))
    assert set(z[:, 0].tolist()) == {0, 2} and set(z[:, 1].tolist()) == {2}


class AnyCode(UniformCodes):
    """A prior of one's own, which knows nothing of unused codes."""


def test_a_prior_that_draws_unused_codes_does_no_harm() -> None:
    generator = wrapped(used=USED, prior=AnyCode(ls.Discrete((3,), 6), torch.float64))
    for searcher in (ls.RandomSearch(restarts=2), ls.EvolutionSearch()):
        result = searcher.search(generator, ls.Matches(TARGET), seed=0, run=Run(evaluations=100))
        assert sound(result.latent) and sound(result.candidates.latent)


@pytest.mark.parametrize("as_codes", [True, False], ids=["codes", "embeddings"])
def test_encoders_return_used_codes(as_codes: bool) -> None:
    def encode(x: Tensor) -> Tensor:
        return BEST if as_codes else CODEBOOK[BEST].mT

    generator = wrapped(used=USED, encode=encode, check=False)
    assert torch.equal(generator.encode(TARGET), generator.canonical(BEST)) and sound(generator.encode(TARGET))


def test_an_encoder_out_of_range_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"encode.*codes 9 to 9"):
        wrapped(used=USED, encode=lambda x: torch.full((len(x), 3), 9))


def test_a_start_with_unused_codes_is_put_on_used_ones() -> None:
    generator = wrapped(used=USED)
    result = ls.RandomSearch().search(generator, ls.Matches(TARGET), init=BEST, seed=0, run=Run(steps=0))
    assert torch.equal(result.latent, generator.canonical(BEST))


def test_a_limit_around_unused_codes_is_refused() -> None:
    generator = wrapped(used=USED)
    with pytest.raises(InvalidArgument, match=r"Within's centre: got 4 codes that stand for.*generator.canonical"):
        ls.RandomSearch().search(generator, ls.Matches(TARGET) + ls.Within(BEST, 1), seed=0)
    with pytest.raises(InvalidArgument, match=r"Near.latent: got 4 codes that stand for.*generator.canonical"):
        ls.RandomSearch().search(generator, ls.Matches(TARGET) + 2 * ls.Near(BEST), seed=0)


def test_what_stands_for_the_centre_is_no_change() -> None:
    generator = wrapped(used=USED)
    source = generator.canonical(BEST)
    assert not torch.equal(source, BEST)
    goal = ls.Within(source, 1) + ls.Near(source)
    objective = Objective(generator, goal, Run(), Ledger(2))
    soft = generator.space.one_hot(BEST, torch.float64)
    assert objective(BEST).loss.tolist() == [0, 0] and objective(soft).loss.tolist() == [0, 0]
    assert torch.equal(objective.project(BEST), source) and bool(objective.movable(BEST).all())
    table = objective.linearise(BEST).table
    assert table is not None
    alias = generator.canonical(torch.arange(6)[:, None].expand(6, 3))[:, 0]
    assert torch.equal(table[..., alias], table)


@pytest.mark.parametrize(
    "searcher", [ls.RandomSearch(), ls.CoordinateSearch(), ls.LangevinSearch(steps=9), ls.EvolutionSearch()]
)
def test_problems_together_are_found_as_alone(searcher: Any) -> None:
    generator, goal, run = wrapped(used=USED), ls.Matches(TARGET), Run(evaluations=150)
    together = searcher.search(generator, goal, seed=[4, 5], run=run)
    for problem in range(2):
        alone = searcher.search(generator, goal.select(torch.tensor([problem])), seed=[4 + problem], run=run)
        assert torch.equal(alone.latent[0], together.latent[problem])


# -- several grids -----------------------------------------------------------------------------------

BOOKS = [book(3, 2), book(5, 4, seed=1)]


def several(**settings: Any) -> ls.CodebookGenerator:
    """Two grids whose codebooks differ in size and in width."""

    def decoder(coarse: Tensor, fine: Tensor) -> Tensor:
        return torch.cat([coarse.flatten(1), fine.flatten(1)], 1)

    return ls.CodebookGenerator(decoder, BOOKS, [(2, 1), (2, 2)], layout="channels_last", **settings)


MASKS = {
    "all": None,
    "some": [torch.tensor([True, True, False]), torch.tensor([False, True, True, False, True])],
    "of one": [None, torch.tensor([False, True, True, False, True])],
}


@pytest.mark.parametrize("used", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize(
    "searcher", [ls.RandomSearch(), ls.CoordinateSearch(), ls.JacobiSearch(), ls.EvolutionSearch()]
)
def test_several_grids_keep_to_their_codebooks(searcher: Any, used: list[Tensor | None] | None) -> None:
    generator = several(used=used)
    target = 3 * book(2, 20, seed=2)
    result = searcher.search(generator, ls.Matches(target), seed=0, run=Run(evaluations=400))
    parts = result.latent.split([2, 4], 1)
    for part, codebook, mask in zip(parts, BOOKS, used or [None, None], strict=True):
        allowed = torch.ones(len(codebook), dtype=torch.bool) if mask is None else mask
        assert int(part.max()) < len(codebook) and bool(allowed[part].all())
    assert all(torch.equal(a.flatten(1), b) for a, b in zip(generator.split(result.latent), parts, strict=True))
    again = torch.cat([codebook[part].flatten(1) for part, codebook in zip(parts, BOOKS, strict=True)], 1)
    assert torch.equal(again, result.output)


def test_positions_have_unused_codes_of_their_own() -> None:
    books, used = book(2, 3, 4, 2), Noise.from_seed(5).uniform(2, 3, 4)[0] > 0.5
    used[..., 0] |= ~used.any(-1)
    generator = ls.CodebookGenerator(lambda e: e.flatten(1), books, (2, 3), layout="channels_last", used=used)
    z = generator.space.one_hot(generator.prior.sample(Noise.from_seed(0, 500)), torch.float64).amax(0)
    assert torch.equal(z.bool(), used)
    for code in range(4):
        stands = generator.canonical(torch.full((1, 2, 3), code))[0]
        assert bool(used.gather(-1, stands[..., None]).all())
        distance = (books - books[..., code, :][..., None, :]).square().sum(-1).masked_fill(~used, torch.inf)
        assert torch.equal(stands, distance.argmin(-1))


# -- codes that some positions may hold --------------------------------------------------------------

# One code is left at the first position, two at the second, five at the third.
ALLOWED = torch.tensor([[0, 0, 1, 0, 0, 0], [1, 0, 0, 1, 0, 0], [1, 1, 1, 1, 0, 1]]).bool()


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=CONSTRAINTS)
@pytest.mark.parametrize("searcher", ONE_OF_EACH, ids=lambda searcher: type(searcher).__name__)
def test_one_codebook_does_what_one_a_position_does(searcher: Any, constraint: str) -> None:
    shared = wrapped(used=ALLOWED)
    apart = ls.CodebookGenerator(DECODER, CODEBOOK.expand(3, 6, 3), (3,), used=ALLOWED)
    found = []
    for generator in (shared, apart):
        goal = CONSTRAINTS[constraint](generator)
        if constraint == "edit":
            goal = ls.Matches(TARGET) + ls.Within(torch.tensor([[2, 3, 5], [2, 3, 0]]), 1)
        try:
            found.append(searcher.search(generator, goal, seed=0, run=Run(evaluations=150)))
        except Unsupported as refusal:
            pytest.skip(str(refusal))
    one, other = found
    # What a step down the gradient is long, and where a prior points, these guess from all vectors that are held.
    if not isinstance(searcher, (ls.StraightThroughSearch, ls.SinglePositionSearch)):
        assert torch.equal(one.latent, other.latent) and torch.allclose(one.score.loss, other.score.loss)
    assert bool(ALLOWED.expand(2, 3, 6).gather(-1, one.latent[..., None]).all())
    assert torch.equal(one.output, raw(one.latent))


def test_one_codebook_is_held_once() -> None:
    vectors, used = book(64, 8), Noise.from_seed(1).uniform(4, 4, 64)[0] > 0.5
    generator = ls.CodebookGenerator(lambda e: e.flatten(1), vectors, (4, 4), used=used, check=False)
    assert generator.codebook.shape == (64, 8)
    expanded = ls.CodebookGenerator(lambda e: e.flatten(1), vectors.expand(4, 4, 64, 8), (4, 4), used=used, check=False)
    noise = Noise.from_seed(2, 5)
    z, any_codes = generator.prior.sample(noise), noise.fold(1).integers(64, 4, 4)
    assert torch.equal(z, expanded.prior.sample(noise))
    soft = noise.fold(2).uniform(4, 4, 64, dtype=torch.float64).softmax(-1)
    for codes in (any_codes, soft):
        assert torch.equal(generator.canonical(codes), expanded.canonical(codes))
        assert torch.allclose(generator.decode(codes), expanded.decode(codes))
    v = noise.fold(3).normal(4, 4, 8, dtype=torch.float64)
    one, other = (EmbeddingView(each).codebook for each in (generator, expanded))
    for method in ("products", "excess"):
        assert torch.allclose(getattr(one, method)(v), getattr(other, method)(v))
    assert torch.allclose(one.squares, other.squares) and torch.equal(one.each((4, 4)), other.each((4, 4)))
    assert bool(used.expand(5, 4, 4, 64).gather(-1, generator.canonical(one.nearest(v))[..., None]).all())


@pytest.mark.parametrize("width", [2, 4], ids=["alike", "of two widths"])
def test_positions_of_several_grids_are_allowed_codes_of_their_own(width: int) -> None:
    books, first = [book(5, 2), book(5, width, seed=1)], torch.tensor([[1, 0, 0, 0, 0], [0, 1, 1, 0, 0]]).bool()

    def decoder(*grids: Tensor) -> Tensor:
        return torch.cat([grid.flatten(1) for grid in grids], 1)

    def encode(x: Tensor) -> list[Tensor]:
        return [x[:, :4].unflatten(1, (2, 2)), x[:, 4:].unflatten(1, (2, width))]

    generator = ls.CodebookGenerator(
        decoder, books, [(2,), (2,)], layout="channels_last", used=[first, None], encode=encode, check=False
    )
    target = 3 * book(4, 4 + 2 * width, seed=2)
    encoded = generator.encode(target)
    result = ls.CoordinateSearch().search(generator, ls.Matches(target), seed=0, run=Run(evaluations=400))
    for z in (encoded, result.latent):
        one, other = generator.split(z)
        assert bool(first.expand(4, 2, 5).gather(-1, one[..., None]).all())
        distance = torch.cdist(target[:, 2:4], books[0])[:, 1:3]
        assert torch.equal(one[:, 1], 1 + distance.argmin(1))
        assert torch.equal(other, torch.cdist(encode(target)[1], books[1]).argmin(-1))


def test_a_code_that_no_position_may_hold_is_never_looked_at() -> None:
    vectors = CODEBOOK.clone()
    vectors[4] = torch.nan  # the only one that is allowed nowhere
    with pytest.raises(InvalidArgument, match="NaN or infinity in 1 codes"):
        ls.CodebookGenerator(DECODER, vectors, (3,))
    generator = ls.CodebookGenerator(DECODER, vectors, (3,), used=ALLOWED)
    z = torch.tensor([[1, 0, 3], [5, 5, 2]])
    assert torch.equal(generator.decode(z), wrapped(used=ALLOWED).decode(z))
    soft = generator.space.one_hot(z, torch.float64)
    assert torch.allclose(generator.decode(soft), generator.decode(z))


def test_no_method_tries_a_code_that_stands_for_another() -> None:
    generator, goal = wrapped(used=ALLOWED), ls.Matches(TARGET[:1])
    # 10 grids and the first one again; a proof that no swap is better: 1 + 4 swaps.
    every = ls.ExhaustiveSearch(batch=1).search(generator, goal, seed=0)
    assert every.status == (ls.Status.OPTIMAL,) and int(every.evaluations[0]) == 11
    chosen = ls.search(generator, goal, seed=0)
    assert chosen.status == every.status and torch.equal(chosen.latent, every.latent)
    tried: set[tuple[int, ...]] = set()

    def look(output: Tensor, latent: Tensor) -> Tensor:
        tried.update(map(tuple, (latent.argmax(-1) if latent.is_floating_point() else latent).tolist()))
        return (output - TARGET[:1]).square().mean(1)

    bounded = ls.BranchAndBoundSearch().search(generator, goal, seed=0)
    assert bounded.status == every.status and torch.equal(bounded.latent, every.latent)
    swapped = ls.CoordinateSearch().search(generator, ls.Satisfies(look, of="both"), seed=0)
    assert ALLOWED[0, [z[0] for z in tried]].all() and ALLOWED[1, [z[1] for z in tried]].all()
    assert swapped.score.loss >= every.score.loss - 1e-9


@pytest.mark.parametrize("used", [USED, ALLOWED[:, :6]], ids=["everywhere", "each position"])
@pytest.mark.parametrize("searcher", [ls.CoordinateSearch(patience=None), ls.BanditSearch(patience=None)], ids=type)
def test_where_no_allowed_swap_is_better_a_grid_is_optimal(searcher: Any, used: Tensor) -> None:
    found = searcher.search(wrapped(used=used), ls.Matches(TARGET[:1]), seed=0, run=Run(evaluations=2000))
    assert found.status == (ls.Status.OPTIMAL,)


def test_the_nearest_grid_is_one_of_codes_that_are_allowed() -> None:
    generator, seen = wrapped(used=ALLOWED), []
    masked = ls.StraightThroughSearch(lr=None, on_repeat="mask")
    run = Run(evaluations=200, callbacks=[lambda step: seen.append(step.state.z)])
    masked.search(generator, ls.Matches(TARGET[:1]), seed=0, run=run)
    assert all(torch.equal(generator.canonical(z), z) for z in seen)
    assert len(torch.cat(seen).unique(dim=0)) == len(seen) - 1  # the last one says that it was visited


@pytest.mark.parametrize("per_position", [False, True])
def test_a_list_of_one_grid_encodes_embeddings(per_position: bool) -> None:
    book, used = torch.eye(5), torch.tensor([1, 0, 1, 1, 0]).bool()
    generator = ls.CodebookGenerator(
        nn.Flatten(), [book], [(2, 2)], layout="channels_last", encode=lambda x: [x.view(-1, 2, 2, 5)],
        used=[used.expand(2, 2, 5) if per_position else used],
    )  # fmt: skip
    z = torch.tensor([[0, 2, 3, 2]]).view(1, *generator.space.shape)
    assert torch.equal(generator.encode(generator.decode(z)), z)


def test_a_chain_does_not_count_codes_that_stand_for_others() -> None:
    # Two codes at one position, of which four others stand for the second: half of a flat posterior each.
    vectors = torch.tensor([[0.0], [5.0], [5.1], [5.2], [5.3], [5.4]]).double()
    generator = ls.CodebookGenerator(
        lambda e: e.flatten(1), vectors, (1,), used=torch.tensor([1, 1, 0, 0, 0, 0]).bool(), check=False
    )
    flat = ls.Satisfies(lambda x: 0 * x.sum(1), name="flat")
    chain = ls.LangevinSearch(restarts=400, temperature=(1.0, 1.0), steps=30)
    drawn = chain.search(generator, flat, seed=0).candidates.latent.flatten()
    assert abs(float((drawn == 0).double().mean()) - 0.5) < 4 * (0.25 / 400) ** 0.5


SETS = {
    "both ends fixed": {0: [2], 3: [2]},
    "other sets": {0: [1, 2], 1: [0, 2], 2: [1, 2], 3: [0, 2]},
    "one fixed, two sets": {0: [2], 2: [0, 1], 3: [1, 2]},
}
SAMPLERS = [
    (ls.GibbsSearch(), 500),
    (ls.SplitGibbsSearch(), 2000),
    (ls.SMCSearch(particles=32, reveals=4, transitions=1), None),
    (ls.ImportanceResampling(transitions=3), None),
]


# Codes mostly repeat their neighbour's, so what is fixed at one end is felt at the other.
SAME = torch.full((3, 3), 0.1).fill_diagonal_(0.8)
REPEATS = toys.ListedPrior(torch.einsum("ab,bc,cd->abcd", SAME, SAME, SAME).log(), (4,), cost=0.5)


def allowing(allowed: dict[int, list[int]]) -> ls.CodebookGenerator:
    used = torch.ones(4, 3, dtype=torch.bool)
    for position, codes in allowed.items():
        used[position] = torch.tensor([code in codes for code in range(3)])
    return ls.CodebookGenerator(nn.Flatten(), book(3, 2).float(), (4,), used=used)


@pytest.mark.parametrize("allowed", SETS.values(), ids=SETS)
@pytest.mark.parametrize(("sampler", "evaluations"), SAMPLERS, ids=[type(each).__name__ for each, _ in SAMPLERS])
def test_samplers_draw_from_the_prior_given_what_is_allowed(
    sampler: Any, evaluations: int | None, allowed: dict[int, list[int]]
) -> None:
    generator, flat = allowing(allowed), ls.Matches(torch.zeros(400, 8), noise=100.0) + ls.LogPrior(REPEATS)
    found = sampler.search(generator, flat, seed=0, run=Run(evaluations=evaluations)).latent
    right = (generator.canonical(REPEATS.grids) == REPEATS.grids).all(1)
    law = torch.where(right, REPEATS.log_probs, -torch.inf).softmax(0)
    shares = (found[:, None] == REPEATS.grids).all(2).double().mean(0)
    assert 0.5 * float((shares - law).abs().sum()) < 0.12


def test_draws_are_given_the_codes_that_are_fixed() -> None:
    drawn = draws_of(REPEATS, EmbeddingView(allowing({0: [2], 3: [2]})), Noise.from_seed(0, 1000))
    assert bool((drawn[:, [0, 3]] == 2).all())
    middle = REPEATS.log_prob(torch.tensor([[2, 2, 2, 2]])) - REPEATS.log_probs[
        (REPEATS.grids[:, [0, 3]] == 2).all(1)
    ].logsumexp(0)
    assert float((drawn == 2).all(1).double().mean()) == pytest.approx(float(middle.exp()), abs=0.04)


def test_what_is_filled_in_is_as_likely_as_the_prior_says() -> None:
    ledger = Ledger(5)
    charged = ChargedPrior(REPEATS, ledger, EmbeddingView(allowing(SETS["other sets"])))
    z = torch.tensor([1, 0, 1, 0]).expand(5, 4)
    found = infill(charged, z, torch.ones_like(z, dtype=torch.bool), None, 6, 4, Noise.from_seed(0, 5))
    assert torch.allclose(found.prior.flatten(), REPEATS.log_prob(found.z.flatten(0, 1)))
    assert not torch.allclose(found.prior, found.proposal)


def test_a_sweep_has_turns_for_what_is_free() -> None:
    assert blocks((2, 2), 2, frozenset({1, 2})) == [[1], [2]]
    assert blocks((4,), 2, frozenset({0, 2, 3})) == [[0, 2], [3]]
    assert blocks((2,), 1, frozenset()) == [[0, 1]]


def test_independent_codes_are_drawn_from_those_allowed() -> None:
    used = torch.tensor([[True, True, False], [False, True, True]])
    generator = ls.CodebookGenerator(nn.Flatten(), book(3, 2).float(), (2,), used=used)
    prior = ls.priors.HistogramPrior(torch.tensor([[0.2, 0.2, 0.6], [0.7, 0.2, 0.1]]).log())
    drawn = draws_of(prior, EmbeddingView(generator), Noise.from_seed(0, 2000))
    first, second = ((drawn[:, place] == 1).double().mean() for place in (0, 1))
    assert generator.canonical(drawn).equal(drawn)
    assert float(first) == pytest.approx(1 / 2, abs=0.04) and float(second) == pytest.approx(2 / 3, abs=0.04)


@pytest.mark.parametrize("per_position", [False, True])
def test_nothing_waits_for_the_device(per_position: bool) -> None:
    generator = several(used=MASKS["some"]) if per_position else wrapped(used=USED)
    assert isinstance(generator.space, ls.Discrete)
    noise = Noise.from_seed(0, 3)
    soft = generator.space.one_hot(generator.prior.sample(noise), generator.dtype)
    with Synchronisations() as watch:
        z = generator.prior.sample(noise)
        generator.canonical(z)
        generator.canonical(soft)
        generator.prior.log_prob(z)
    assert watch.seen == []


# -- VQ-VAEs -----------------------------------------------------------------------------------------


def test_a_vqvae_tells_which_codes_died() -> None:
    with training.initialised(0):
        model = models.VQVAE((1, 8, 8), codebook_size=6, width=3, channels=8, residual_blocks=1).eval()
    assert bool(model.used_codes.all())
    model.codes.counts[2] = 0.0
    assert model.used_codes.tolist() == [True, True, False, True, True, True]
    two = torch.full((1, 2, 2), 2)
    for generator in (ls.wrap(model), ls.wrap(model, used=model.used_codes)):
        assert isinstance(generator, ls.CodebookGenerator) and int((generator.canonical(two) == 2).sum()) == 0
    everything = ls.wrap(model, used=None)
    assert isinstance(everything, ls.CodebookGenerator) and torch.equal(everything.canonical(two), two)


# -- errors ------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "none used": (lambda: wrapped(used=torch.zeros(6, dtype=torch.bool)), "no code is used.*at least one True"),
    "counts": (lambda: wrapped(used=torch.ones(6)), r"got a float32.*expected a bool \(6,\).*counts > 0"),
    "wrong shape": (lambda: wrapped(used=USED[1:]), r"expected a bool \(6,\)"),
    "masks of another grid": (
        lambda: wrapped(used=USED.expand(4, 6)), r"expected a bool \(6,\), or for each position \(3, 6\)"
    ),
    "codes first": (lambda: wrapped(used=ALLOWED.mT), r"got a bool tensor of shape \(6, 3\).*used.movedim\(0, -1\)"),
    "positions without": (lambda: wrapped(used=torch.eye(3, 6) > 2), r"3 positions without.*position \(0,\) is one"),
    "one position without": (
        lambda: wrapped(used=torch.arange(6) < torch.tensor([[0], [1], [6]])), r"1 position without.*\(0,\) is the one"
    ),
    "positions in a row": (lambda: wrapped(used=ALLOWED[None]), r"used.view\(3, 6\)"),
    "a mask a problem": (lambda: wrapped(used=ALLOWED.expand(2, 3, 6)), "serves all problems: make a generator"),
    "an array": (lambda: wrapped(used=ALLOWED.numpy()), r"got ndarray.*torch.from_numpy\(used\)"),
    "codes": (lambda: wrapped(used=torch.tensor([1, 0, 2])), r"torch.zeros\(\(3, 6\), dtype=torch.bool\).scatter"),
    "a list for one grid": (lambda: wrapped(used=[USED]), r"used: got list, expected a bool \(6,\)"),
    "one mask for two grids": (lambda: several(used=USED[1:]), "list of masks, one for each of 2"),
    "too few masks": (lambda: several(used=[None]), "got 1 masks, expected a list of masks, one for each of 2"),
    "no mask": (lambda: several(used=[None, "all"]), r"got str, expected a bool \(5,\)"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_masks_are_looked_over(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()
