"""One test for each fault that was found by trying to break a promise."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import training
from latentsearch._identity import describe_settings
from latentsearch.errors import BrokenLaw
from latentsearch.loop import improves
from latentsearch.testing import toys


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: (x - 0.5).square(), lambda x: (x - 2.5).square()),
        (lambda x: torch.sin(x), lambda x: torch.cos(x)),
        (torch.square, torch.abs),
        ({1}, {2}),
        (nn.Sequential(nn.Tanh()), nn.Sequential(nn.Sigmoid())),
    ],
    ids=["constants", "names", "builtins", "sets", "modules"],
)
def test_what_differs_is_described_differently(one, other):
    assert describe_settings(one) != describe_settings(other)


ELSEWHERE = """
from functools import partial
import torch
from torch import nn
import latentsearch as ls
from latentsearch._identity import describe_settings
for settings in (
    lambda x: torch.sin(x) + 0.5, torch.square, {"a", "b", "c"}, frozenset({1, 2}), partial(torch.optim.SGD, lr=0.1),
    nn.Sequential(nn.Tanh()), ls.GradientSearch(), ls.Matches(torch.zeros(2, 3)), torch.arange(3.0),
):
    print(describe_settings(settings))
"""


def test_descriptions_are_the_same_in_every_process():
    def described(hash_seed):
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", ELSEWHERE], env=environment, check=True, capture_output=True
        ).stdout

    # What is hashed stands in another order, and what is made lies at another address.
    first = described("1")
    assert len(first.splitlines()) >= 9 and first == described("2")


def test_a_resume_with_another_rule_is_refused(tmp_path):
    toy = toys.bowl()
    run = ls.Run(evaluations=20, checkpoint=tmp_path / "run")
    ls.GradientSearch().search(toy.generator, ls.Satisfies(lambda x: (x - 0.5).square().sum(1)), seed=0, run=run)
    with pytest.raises(ls.BrokenFile, match="goal"):
        ls.GradientSearch().search(toy.generator, ls.Satisfies(lambda x: (x - 2.5).square().sum(1)), seed=0, run=run)


def test_a_limit_after_none_counts_what_was_spent(tmp_path):
    toy = toys.bowl()
    stalling = ls.GradientSearch(optimizer=partial(torch.optim.SGD, lr=0.1), tolerance=1e-3, restarts=3)
    run = ls.Run(evaluations=None, steps=30, checkpoint=tmp_path / "run")
    first = stalling.search(toy.generator, toy.constraint, seed=0, run=run)
    limit = int(first.evaluations.max()) + 5
    then = stalling.search(toy.generator, toy.constraint, seed=0, run=replace(run, evaluations=limit, steps=None))
    assert (then.evaluations <= limit).all()


def test_a_resume_after_ctrl_c_keeps_the_budgets(tmp_path):
    toy = toys.bowl(problems=3)
    calls = []

    def interrupt(step: ls.Step) -> None:
        calls.append(step)
        if step.number == 5:
            raise KeyboardInterrupt

    run = ls.Run(evaluations=[10, 60, 60], checkpoint=tmp_path / "run", checkpoint_every=1, compact_every=50)
    ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=replace(run, callbacks=[interrupt]))
    resumed = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    assert resumed.evaluations.tolist() == [10, 60, 60]


def test_ctrl_c_while_rows_are_dropped_gives_a_result(tmp_path, monkeypatch):
    from latentsearch.objective import Ledger

    toy = toys.bowl(problems=3)
    hold = Ledger.hold

    def interrupted(self: Ledger, index: Tensor) -> None:
        hold(self, index)
        raise KeyboardInterrupt

    run = ls.Run(evaluations=[6, 40, 40], checkpoint=tmp_path / "run", checkpoint_every=1)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "hold", interrupted)
        result = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    assert [s.name for s in result.status] == ["BUDGET", "INTERRUPTED", "INTERRUPTED"]
    resumed = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    whole = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=replace(run, checkpoint=None))
    assert torch.equal(resumed.latent, whole.latent) and resumed.evaluations.tolist() == [6, 40, 40]


def test_half_precision_keeps_its_best():
    assert improves(torch.tensor(1.08, dtype=torch.bfloat16), torch.tensor(1.55, dtype=torch.bfloat16))
    assert not improves(torch.tensor(1.0 - 1e-7), torch.tensor(1.0))


def test_an_error_while_the_answer_is_decoded_keeps_the_best():
    toy = toys.bowl()
    decode = toy.generator.decode
    calls = []

    def failing(z: Tensor) -> Tensor:
        calls.append(len(z))
        if len(calls) > 13:  # two looks before the run, ten steps, and then the answer
            raise ValueError("gone")
        return decode(z)

    toy.generator.decode = failing
    with pytest.raises(ls.SearchFailed, match="gone") as caught:
        ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=24))
    assert caught.value.loss.isfinite().all()


def test_a_checkpoint_that_cannot_be_written_is_known_before_the_run(tmp_path):
    toy = toys.bowl()
    (tmp_path / "file").write_text("")
    with pytest.raises(ls.InvalidArgument, match="below the file"):
        ls.GradientSearch().search(
            toy.generator, toy.constraint, seed=0, run=ls.Run(checkpoint=tmp_path / "file" / "run")
        )


def test_several_grids_are_drawn_uniformly_each():
    codebooks = [torch.randn(4, 2), torch.randn(64, 2)]
    generator = ls.CodebookGenerator(lambda a, b: a.flatten(1) + b.flatten(1), codebooks, shape=[(3,), (3,)])
    z = generator.prior.sample(ls.Noise.from_seed(0, 4000))
    assert int(z[:, :3].max()) == 3 and int(z[:, 3:].max()) == 63
    assert (z[:, :3].flatten().bincount() - 3000).abs().max() < 300  # six standard deviations


def test_a_satisfied_nan_does_not_win():
    generator = ls.ContinuousGenerator(lambda z: z, (1,))

    class Odd(ls.Constraint):
        def __call__(self, output: Tensor, latent: Tensor) -> ls.Score:
            loss = torch.where(output[:, 0] > 5, torch.nan, output[:, 0].abs() + 1)
            return ls.Score(loss, torch.ones_like(loss, dtype=torch.bool))

    result = ls.GradientSearch(restarts=2).search(generator, Odd(), init=torch.tensor([[[9.0], [0.4]]]), seed=0)
    assert float(result.score.loss) == pytest.approx(1.4)


def test_a_resume_may_ask_for_smaller_chunks(tmp_path):
    toy = toys.bowl(problems=8)
    run = ls.Run(evaluations=20, checkpoint=tmp_path / "run")
    ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    sizes: list[int] = []
    decode = toy.generator.decode
    toy.generator.decode = lambda z: (sizes.append(len(z)), decode(z))[1]
    ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=replace(run, evaluations=40, chunk_rows=1))
    assert set(sizes[2:]) == {1}  # after the looks before the run


def test_a_decoder_that_cuts_the_graph_is_told_even_if_its_weights_want_gradients():
    net = nn.Linear(4, 4)  # its parameters require gradients
    generator = ls.ContinuousGenerator(lambda z: net(z.detach()), (4,), check=False)
    with pytest.raises(ls.Unsupported, match="no gradient flows"):
        ls.GradientSearch().search(generator, ls.Matches(torch.zeros(1, 4)), seed=0)


@pytest.mark.parametrize(
    "error",
    [
        ls.InvalidArgument("a", got="b", expected="c", hint="d"),
        ls.SearchFailed("x", latent=torch.ones(1), loss=torch.zeros(1)),
        BrokenLaw("law", object(), "detail"),
    ],
    ids=["InvalidArgument", "SearchFailed", "BrokenLaw"],
)
def test_errors_can_be_pickled(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and vars(again).keys() == vars(error).keys()


def test_batch_norm_named_in_a_function_is_found_before_it_moves():
    net = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4))
    before = net[1].running_mean.clone()
    with pytest.raises(ls.InvalidArgument, match=r"\.eval\(\)"):
        ls.ContinuousGenerator(lambda z: net(z), shape=(8,))
    assert torch.equal(net[1].running_mean, before)


def test_a_resume_with_another_decoder_is_refused(tmp_path):
    toy = toys.bowl()
    run = ls.Run(evaluations=20, checkpoint=tmp_path / "run")
    ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    decode = toy.generator.decode
    toy.generator.decode = lambda z: 2 * decode(z)
    with pytest.raises(ls.BrokenFile, match="another decoder"):
        ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)


def test_ctrl_c_while_the_result_is_made_loses_nothing():
    toy = toys.codes()
    ended: list[int] = []

    def interrupting(output: Tensor) -> Tensor:
        if ended and ended.pop():
            raise KeyboardInterrupt
        return torch.zeros(len(output))

    constraint = toy.constraint + ls.Satisfies(interrupting)
    run = ls.Run(evaluations=32, callbacks=[lambda step: ended.append(1) if step.number == 2 else None])
    result = ls.RandomSearch(batch=16).search(toy.generator, constraint, seed=0, run=run)
    plain = ls.RandomSearch(batch=16).search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=32))
    assert not ended and torch.equal(result.latent, plain.latent)


def squares(positions: int, codes: int, problems: int = 4) -> tuple[ls.CodebookGenerator, ls.Constraint]:
    """A small grid behind a layer, and targets that no grid reaches."""
    noise = ls.Noise.from_seed(positions * 10 + codes)
    with training.initialised(positions):
        net = nn.Sequential(nn.Flatten(), nn.Linear(3 * positions, 32), nn.Unflatten(1, (2, 4, 4)), nn.Tanh()).eval()
    generator = ls.CodebookGenerator(net, noise.fold(1).normal(codes, 3)[0], (positions,))
    return generator, ls.Matches(noise.fold(2).normal(problems, 2, 4, 4)[0])


@pytest.mark.parametrize("codes", range(2, 7))
@pytest.mark.parametrize("positions", [1, 2, 5, 9])
def test_a_search_by_sets_of_swaps_ends_by_itself_on_small_grids(positions, codes):
    """All swaps are known from earlier grids soon; with no rows to run out of, nothing else would end it."""
    generator, constraint = squares(positions, codes)
    endless = ls.Run(evaluations=None, steps=200)
    for method in (ls.PursuitSearch(), ls.PursuitSearch(batch=3), ls.PursuitSearch(batch=64, patience=None)):
        result = method.search(generator, constraint, seed=0, run=endless)
        assert {status.name for status in result.status} == {"STALLED"}, result.steps
    found = ls.Then(ls.Stage(ls.PursuitSearch(), share=1), ls.CoordinateSearch(patience=None))
    result = found.search(generator, constraint, seed=0, run=ls.Run(evaluations=None, steps=400))
    assert {status.name for status in result.status} == {"OPTIMAL"}


@pytest.mark.parametrize("searcher", [ls.CoordinateSearch(), ls.BanditSearch(), ls.PursuitSearch()])
def test_swaps_without_a_gradient_end_a_search(searcher):
    """A root's derivative at 0 is no number: no swap is promising from the first step on."""

    class Root(ls.Constraint):
        def __call__(self, output: Tensor, latent: Tensor) -> ls.Score:
            loss = output.flatten(1).square().sum(1) + 0 * output.flatten(1).sub(output.flatten(1)).sqrt().sum(1)
            return ls.Score(loss)

        def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
            return output.flatten(1)

    generator, _ = squares(3, 4)
    result = searcher.search(generator, Root(), seed=0, run=ls.Run(evaluations=None, steps=50))
    assert {status.name for status in result.status} == {"STALLED"}


MEAN_CODE = ls.Satisfies(lambda z: z.float().flatten(1).mean(1), of="latent", name="mean code")


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (MEAN_CODE, r"mean code: got losses \[.*as one-hot vectors.*F.one_hot"),
        (0.1 * MEAN_CODE, "mean code: got losses"),
        (
            ls.Satisfies(lambda x, z: x.flatten(1).sum(1) + z.flatten(1).sum(1), of="both", name="both"),
            "both: got losses",
        ),
        (
            ls.Satisfies(lambda z: z.float().mean((1, 2)), of="latent", name="no axis"),
            r"no axis: got .*shape \(2, 5\)",
        ),
        (
            ls.Satisfies(lambda z: torch.ones(5)[z].mean((1, 2)), of="latent", name="a table"),
            "a table: got IndexError for soft codes",
        ),
    ],
    ids=["mean", "weighted", "both", "no axis", "table"],
)
@pytest.mark.parametrize(
    "searcher", [ls.RelaxedSearch(), ls.CoordinateSearch(), ls.Then(ls.RelaxedSearch(), ls.JacobiSearch())]
)
def test_a_constraint_that_means_something_else_of_soft_codes_is_refused(constraint, message, searcher):
    """One-hot vectors all have the same mean: the gradient would be nothing, and nobody would say so."""
    toy = toys.codes()
    with pytest.raises(ls.Unsupported, match=message):
        searcher.search(toy.generator, toy.constraint + constraint, seed=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_constraints_that_read_soft_codes_rightly_are_taken(dtype):
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8)).to(dtype).eval()
    generator = ls.CodebookGenerator(net, torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).to(dtype), (4,))
    source = torch.tensor([[0, 1, 2, 3], [4, 3, 2, 1]])

    def mean_code(z: Tensor) -> Tensor:
        value = z @ torch.arange(5, dtype=z.dtype) if z.is_floating_point() else z.to(dtype)
        return torch.where(value.mean(1) > 9, torch.nan, value.mean(1))

    soft = ls.Satisfies(mean_code, of="latent") + ls.Near(source) + ls.LogPrior(generator.prior)
    match = ls.Matches(torch.zeros(1, 8, dtype=dtype))
    for constraint in (soft, soft + ls.Within(source, 1), 2 * soft.below(0.1)):
        result = ls.RelaxedSearch().search(generator, constraint + match, seed=0, run=ls.Run(evaluations=20))
        assert len(result.status) == 2


def test_a_loss_that_is_no_number_is_no_difference():
    toy = toys.codes()
    endless = ls.Satisfies(lambda z: 0 * (z.flatten(1)[:, 0] + 1).float().log() + torch.inf, of="latent")
    result = ls.CoordinateSearch().search(toy.generator, toy.constraint + endless, seed=0, run=ls.Run(evaluations=200))
    # Nothing is better than anything else: what comes back is a grid and its loss, and no error of curvatures.
    assert not result.score.loss.isfinite().any() and (result.evaluations <= 200).all()


def test_a_grid_of_one_dimension_may_decode_to_one():
    class Wave(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose1d(3, 1, 4, stride=4)

        def forward(self, e: Tensor) -> Tensor:
            return self.up(e)[:, 0]

    with training.initialised(0):
        generator = ls.CodebookGenerator(Wave().eval(), torch.randn(64, 3), (16,))
    assert generator.patches is not None
    result = ls.search(generator, ls.Matches(torch.zeros(1, 64)), seed=0, run=ls.Run(evaluations=300))
    assert (result.score.loss < result.trace.loss[0]).all()


@pytest.mark.parametrize("search", [ls.CoordinateSearch(), ls.BanditSearch()], ids=lambda s: type(s).__name__)
def test_a_constraint_with_targets_on_one_position(search):
    """No merge is made of one position's swaps: a batch of no rows has targets all the same."""
    generator = ls.CodebookGenerator(
        nn.Sequential(nn.Flatten(), nn.Tanh()).eval(), ls.Noise.from_seed(0).normal(6, 3)[0], (1,)
    )
    constraint = ls.Satisfies(lambda x, t: (x - t).abs().sum(1), targets=torch.zeros(2, 3), name="near")
    result = search.search(generator, constraint, seed=0)
    best = ls.ExhaustiveSearch().search(generator, constraint, seed=0)
    assert torch.equal(result.latent, best.latent) and {status.name for status in result.status} == {"OPTIMAL"}


def test_half_precision_searches_logits_to_the_end():
    """Adam's epsilon of 1e-20 is 0 in half precision, and 0 / 0 ended every row at once."""
    toy = toys.codes(shape=(3, 3), dtype=torch.float16)
    result = ls.RelaxedSearch().search(toy.generator, toy.constraint, seed=0)
    assert {status.name for status in result.status} == {"FINISHED"}
    assert (result.score.loss <= result.trace.loss[0]).all() and (result.score.loss < 1e-3).all()


def test_curvatures_that_overflow_half_precision_leave_swaps_to_try():
    weight = ls.Noise.from_seed(0).normal(12, 6)[0]

    def decode(e: Tensor) -> Tensor:
        return torch.tanh(e.flatten(1).float() @ weight * 100).to(e.dtype)

    codebook = (ls.Noise.from_seed(1).normal(40, 3)[0] * 0.003).half()
    generator = ls.CodebookGenerator(decode, codebook, (4,))
    constraint = ls.Matches(generator.decode(torch.tensor([[1, 2, 3, 4]])))
    result = ls.CoordinateSearch(patience=None).search(generator, constraint, seed=0, run=ls.Run(evaluations=5000))
    assert [status.name for status in result.status] == ["OPTIMAL"]
