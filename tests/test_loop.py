"""The loop: budgets, stopping, interruption, failure, memory, resuming."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import _checkpoint, training
from latentsearch._memory import Chunks
from latentsearch.objective import Ledger, Objective
from latentsearch.testing import toys


def counted(decode, seen):
    def decoding(z: Tensor) -> Tensor:
        seen.append(len(z))
        return decode(z)

    return decoding


def test_solved_problems_stop_costing_evaluations():
    toy = toys.bowl(problems=4)
    rows: list[int] = []
    toy.generator.decode = counted(toy.generator.decode, rows)
    # Problem 0 starts solved; the others never are.
    init = torch.cat([toy.solution[:1], torch.full((3, 4), 8.0)])
    result = ls.GradientSearch().search(
        toy.generator, toy.constraint.below(1e-6), init=init, seed=0, run=ls.Run(evaluations=20)
    )
    assert [s.name for s in result.status] == ["SATISFIED", "BUDGET", "BUDGET", "BUDGET"]
    assert result.evaluations.tolist() == [2, 20, 20, 20]
    assert rows.count(3) >= 9 and rows.count(4) <= 2


def test_a_solved_restart_solves_its_problem():
    toy = toys.bowl(problems=2)
    init = torch.full((2, 3, 4), 9.0)
    init[:, 2] = toy.solution
    result = ls.GradientSearch(restarts=3).search(toy.generator, toy.constraint.below(1e-6), init=init, seed=0)
    assert result.evaluations.tolist() == [6, 6]
    assert [s.name for s in result.status] == ["SATISFIED", "SATISFIED"]
    assert torch.equal(result.latent, toy.solution)
    assert result.candidates.latent.shape == (2, 3, 4)


def test_satisfied_beats_a_lower_loss():
    """The constraint is satisfied at a higher loss than the first latent has: the satisfied one is returned."""
    generator = ls.ContinuousGenerator(lambda z: z, (1,))
    rule = ls.Satisfies(lambda x: x[:, 0] < 0, boolean=True, name="negative")
    goal = ls.Matches(torch.full((1, 1), 5.0)) + 0.0 * rule
    result = ls.RandomSearch(batch=1).search(generator, goal, init=torch.tensor([[5.0]]), seed=0)
    assert result.status[0] == ls.Status.SATISFIED
    assert float(result.latent) < 0 and float(result.score.loss) > 0


@pytest.mark.parametrize("restarts", [1, 3])
def test_budgets_one_a_problem(restarts):
    toy = toys.bowl(problems=3)
    result = ls.GradientSearch(restarts=restarts).search(
        toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=[6, 13, 0])
    )
    assert result.evaluations.tolist() == [6, 12, 0]
    assert all(s == ls.Status.BUDGET for s in result.status)
    assert result.trace.loss.isinf()[:, 2].all()


def test_step_and_time_budgets():
    toy = toys.bowl(problems=2)
    result = ls.GradientSearch().search(
        toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=None, steps=[3, 5])
    )
    assert result.evaluations.tolist() == [6, 10]
    after: list[float] = []
    run = ls.Run(evaluations=None, seconds=0.05, callbacks=[lambda step: after.append(step.seconds)])
    result = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    # However slow the machine: no step begins after the time is up.
    assert result.seconds >= 0.05 and all(seconds < 0.05 for seconds in after[:-1])
    assert set(result.status) == {ls.Status.BUDGET}


def test_a_restart_that_ends_leaves_its_share_to_the_others():
    toy = toys.bowl(problems=1)
    init = torch.stack([toy.solution[0], torch.full((4,), 5.0)])[None]
    descent = ls.GradientSearch(optimizer=partial(torch.optim.SGD, lr=0.01), tolerance=1e-9, restarts=2)
    result = descent.search(toy.generator, toy.constraint, init=init, seed=0, run=ls.Run(evaluations=100))
    # The first restart stands still and ends after two steps (4 rows): 96 are left to the second.
    assert result.candidates.status.tolist() == [[ls.Status.STALLED, ls.Status.BUDGET]]
    assert result.evaluations.tolist() == [100]


def test_ctrl_c_keeps_the_best():
    toy = toys.bowl()

    def interrupt(step: ls.Step) -> None:
        if step.number == 7:
            raise KeyboardInterrupt

    result = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(callbacks=[interrupt]))
    assert [s.name for s in result.status] == ["INTERRUPTED"] * 2
    assert result.steps == 7 and (result.score.loss < result.trace.loss[0]).all()


def test_a_callback_stops_by_returning_true():
    toy = toys.codes()
    result = ls.RandomSearch().search(
        toy.generator, toy.constraint, seed=0, run=ls.Run(callbacks=[lambda step: step.number == 2])
    )
    assert result.steps == 2 and result.status[0] == ls.Status.INTERRUPTED


def test_an_error_in_user_code_carries_the_best_so_far():
    toy = toys.bowl()
    calls = []

    def failing(z: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) > 20:
            raise OSError("the disk is gone")
        return z

    generator = ls.ContinuousGenerator(failing, (4,), check=False)
    with pytest.raises(ls.SearchFailed, match=r"OSError after \d+ steps: the disk is gone") as caught:
        ls.GradientSearch().search(generator, toy.constraint, seed=0)
    assert caught.value.latent.shape == (2, 4) and caught.value.loss.isfinite().all()
    assert isinstance(caught.value.__cause__, OSError)


def test_nan_rows_are_quarantined_and_keep_their_best():
    generator = ls.ContinuousGenerator(lambda z: z, (1,), check=False)

    def cliff(x: Tensor) -> Tensor:
        return torch.where(x[:, 0] < 1, torch.nan, x[:, 0])

    result = ls.GradientSearch(optimizer=partial(torch.optim.SGD, lr=0.5)).search(
        generator, ls.Satisfies(cliff), init=torch.tensor([[3.2]]), seed=0
    )
    assert result.status[0] == ls.Status.NONFINITE
    assert 1 <= float(result.latent) < 1.5 and torch.isfinite(result.score.loss).all()


def test_progress_goes_to_stderr_and_not_to_stdout(capsys):
    toy = toys.bowl()
    ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=40, progress=True))
    captured = capsys.readouterr()
    assert "GradientSearch" in captured.err and captured.out == ""


# -- memory ------------------------------------------------------------------------------------------


def test_chunks_halve_when_memory_runs_out_and_results_stay():
    toy = toys.bowl(problems=11)
    whole = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=40))
    sizes: list[int] = []
    decode = toy.generator.decode

    def small_memory(z: Tensor) -> Tensor:
        if len(z) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        sizes.append(len(z))
        return decode(z)

    toy.generator.decode = small_memory
    chunked = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=40))
    assert max(sizes) == 2  # 11 -> 5 -> 2
    assert torch.equal(chunked.latent, whole.latent) and torch.equal(chunked.trace.loss, whole.trace.loss)
    assert torch.equal(chunked.evaluations, whole.evaluations)


def test_out_of_memory_with_one_row_is_an_error():
    def never(z: slice) -> tuple[Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        Chunks(None).run(never, 8)


def test_chunk_rows_bounds_the_batch():
    toy = toys.codes(problems=5)
    rows: list[int] = []
    toy.generator.decode_embedding = counted(toy.generator.decode_embedding, rows)
    for method in (ls.RandomSearch(batch=4), ls.RelaxedSearch(steps=12), ls.StraightThroughSearch(lr=0.5)):
        method.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=40, chunk_rows=3))
    assert max(rows) <= 3


# -- the objective -------------------------------------------------------------------------------------


def test_a_second_derivative_raises_rather_than_be_wrong():
    toy = toys.bowl(problems=2)
    objective = Objective(toy.generator, toy.constraint, ls.Run(), Ledger(2))
    z = torch.ones(2, 4, requires_grad=True)
    (first,) = torch.autograd.grad(objective(z).loss.sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        torch.autograd.grad(first.sum(), z)


def test_many_latents_a_row_are_charged_to_their_row():
    toy = toys.bowl(problems=2)
    objective = Objective(toy.generator, toy.constraint, ls.Run(), Ledger(2))
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    row = torch.tensor([0, 0, 0, 1, 1])
    loss = objective(z, row).loss
    assert objective.ledger.spent.tolist() == [3, 2]
    expected = toy.constraint.select(row)(toy.generator.decode(z), z).loss
    assert torch.equal(loss, expected)


def test_terms_without_the_decoder_do_not_run_it():
    toy = toys.bowl(problems=1)
    rows: list[int] = []
    toy.generator.decode = counted(toy.generator.decode, rows)
    goal = ls.Near(toy.solution) + ls.LogPrior(toy.generator.prior)
    ls.GradientSearch().search(toy.generator, goal, seed=0, run=ls.Run(evaluations=20))
    assert len(rows) == 2  # the check before the run, and the answer


def test_priors_pull_straight_through_searches():
    """Alone, a term on the codes has no gradient in embedding space; its best linear fit must still win."""
    toy = toys.codes(problems=3)
    near = ls.Near(toy.solution)
    result = ls.StraightThroughSearch(lr=0.05).search(toy.generator, 0.0 * toy.constraint + near, seed=0)
    start = ls.RandomSearch(batch=1).search(toy.generator, near, seed=0, run=ls.Run(evaluations=1))
    assert (result.score.loss <= start.score.loss).all() and (result.score.loss < start.score.loss).any()


def test_autocast_decodes_in_low_precision_and_scores_in_full():
    with training.initialised(0):
        net = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 8)).eval()
    generator = ls.ContinuousGenerator(net, (4,))
    goal = ls.Matches(generator.decode(torch.ones(1, 4)).detach())
    full = ls.GradientSearch().search(generator, goal, seed=0, run=ls.Run(evaluations=100))
    low = ls.GradientSearch().search(generator, goal, seed=0, run=ls.Run(evaluations=100, autocast=torch.bfloat16))
    assert low.score.loss.dtype == torch.float32
    assert not torch.equal(low.latent, full.latent)
    assert low.score.loss < 0.05


def test_compiled_searches_find_the_same():
    toy = toys.bowl(problems=3)
    goal = toy.constraint.below(1e-4)
    plain = ls.GradientSearch().search(toy.generator, goal, seed=0)
    compiled = ls.GradientSearch().search(toy.generator, goal, seed=0, run=ls.Run(compile="aot_eager"))
    assert [s.name for s in compiled.status] == [s.name for s in plain.status]
    assert torch.allclose(compiled.latent, plain.latent, atol=1e-4)
    assert torch.equal(compiled.evaluations, plain.evaluations)  # rows kept as padding are charged to nobody


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_follows_the_dtype_of_the_latents(dtype):
    for toy, method in ((toys.bowl(dtype=dtype), ls.GradientSearch()), (toys.codes(dtype=dtype), ls.RelaxedSearch())):
        constraint = ls.Matches(toy.generator.decode(toy.solution).float())  # a target of another dtype is cast
        result = method.search(toy.generator, constraint, seed=0, run=ls.Run(evaluations=30))
        assert result.score.loss.dtype == result.output.dtype == dtype


# -- results ---------------------------------------------------------------------------------------------


def test_results_survive_saving(tmp_path):
    toy = toys.codes(problems=2)
    goal = toy.constraint + 0.1 * ls.LogPrior(toy.generator.prior)
    result = ls.RandomSearch(restarts=2).search(toy.generator, goal, seed=0)
    result.save(tmp_path / "deep" / "result.safetensors")
    loaded = ls.SearchResult.load(tmp_path / "deep" / "result.safetensors")
    assert torch.equal(loaded.latent, result.latent) and torch.equal(loaded.trace.evaluations, result.trace.evaluations)
    assert loaded.status == result.status and list(loaded.terms) == ["Matches", "LogPrior"]
    assert torch.equal(loaded.terms["LogPrior"].loss, result.terms["LogPrior"].loss)
    assert repr(loaded) == repr(result)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["result.safetensors"]


def test_a_torn_or_foreign_file_says_so(tmp_path):
    path = tmp_path / "x.safetensors"
    toy = toys.codes(problems=1)
    ls.RandomSearch().search(toy.generator, toy.constraint, seed=0).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ls.BrokenFile, match="not a whole safetensors file"):
        ls.SearchResult.load(path)
    run = ls.Run(checkpoint=path)
    ls.RandomSearch().search(toy.generator, toy.constraint, seed=0, run=replace(run, checkpoint=tmp_path / "run"))
    with pytest.raises(ls.BrokenFile, match="'search', and a 'result' was expected"):
        ls.SearchResult.load(tmp_path / "run")


def test_a_byte_that_changed_is_found_wherever_it_is(tmp_path):
    path, toy = tmp_path / "x.safetensors", toys.codes(problems=1)
    result = ls.RandomSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=4))
    result.save(path)
    data, accepted = path.read_bytes(), []
    for place in range(len(data)):
        for bit in (0, 3, 6):
            path.write_bytes(data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :])
            try:
                loaded = ls.SearchResult.load(path)
            except ls.BrokenFile:
                continue
            accepted.append(place)
            assert torch.equal(loaded.latent, result.latent) and repr(loaded) == repr(result), (place, bit)
    # In the name of the checksum, or in blanks, a change changes nothing.
    assert len(accepted) < 0.05 * 3 * len(data)


def test_a_tensor_that_lacks_or_another_header_is_a_broken_file(tmp_path):
    path, toy = tmp_path / "x.safetensors", toys.codes(problems=1)
    ls.RandomSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=4)).save(path)
    tensors, header = _checkpoint.load(path, kind="result")
    _checkpoint.save(path, {name: value for name, value in tensors.items() if name != "latent"}, header)
    with pytest.raises(ls.BrokenFile, match="has no 'latent'"):
        ls.SearchResult.load(path)
    _checkpoint.save(path, tensors, {"kind": "result"})
    with pytest.raises(ls.BrokenFile, match="has no 'terms'"):
        ls.SearchResult.load(path)
    for metadata in ({"latentsearch": "[" * 100_000}, {"latentsearch": "7"}, {}):
        save_file(dict(tensors), path, metadata=metadata)
        with pytest.raises(ls.BrokenFile):
            ls.SearchResult.load(path)


def test_what_was_loaded_is_a_copy_of_the_file(tmp_path):
    path, toy = tmp_path / "x.safetensors", toys.codes(problems=1)
    result = ls.RandomSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=4))
    result.save(path)
    loaded = ls.SearchResult.load(path)
    path.write_bytes(b"")
    assert torch.equal(loaded.latent, result.latent) and torch.equal(loaded.output, result.output)
    loaded.output.zero_()


def test_a_tilde_is_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    toy = toys.codes(problems=1)
    run = ls.Run(evaluations=4, checkpoint="~/run.safetensors")
    result = ls.RandomSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    result.save("~/result.safetensors")
    assert torch.equal(ls.SearchResult.load("~/result.safetensors").latent, result.latent)
    assert {"run.safetensors", "result.safetensors"} <= {path.name for path in tmp_path.iterdir()}


def test_loss_at_reads_the_trace():
    trace = ls.Trace(torch.tensor([[3.0], [2.0], [1.0]]), torch.tensor([[2], [4], [6]]), torch.zeros(3))
    assert [float(trace.loss_at(rows)) for rows in (1, 2, 5, 100)] == [float("inf"), 3.0, 2.0, 1.0]


# -- resuming ----------------------------------------------------------------------------------------------

SCRIPT = """
import os, signal, sys, torch
import torch._dynamo  # once and not in each child: torch's optimisers import it
import latentsearch as ls
from latentsearch import models, training
torch.set_num_threads(1)
with training.initialised(0):
    model = models.VQVAE((1, 28, 28), codebook_size=32, width=8, channels=16).eval()
    vae = models.VAE((1, 28, 28), width=6, channels=16).eval()
target = ls.Noise.from_seed(3, 4).uniform(1, 28, 28)
method, folder = sys.argv[1:]
os.chdir(folder)

def search(checkpoint, kill_at, out):
    # In a process of its own, which knows nothing of the others.
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        return
    def kill(step):
        if step.number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    generator = ls.wrap(vae if method == "GradientSearch" else model, check=False)
    goal = ls.Matches(target).below(0.02)
    run = ls.Run(evaluations=60, checkpoint=checkpoint, checkpoint_every=3, callbacks=[kill])
    settings = {"lr": 0.1} if method == "SinglePositionSearch" else {}
    result = getattr(ls, method)(restarts=2, **settings).search(generator, goal, seed=1, run=run)
    result.save(out)
    os._exit(0)

search(None, -1, "whole")
search("checkpoint", 5, "killed")
search("checkpoint", -1, "resumed")
"""


@pytest.mark.parametrize("method", ["GradientSearch", "RelaxedSearch", "SinglePositionSearch"])
def test_kill_dash_nine_then_resume_is_bit_identical(method, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", SCRIPT, method, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["0", str(-signal.SIGKILL), "0"], done.stderr
    whole, resumed = (ls.SearchResult.load(tmp_path / name) for name in ("whole", "resumed"))
    assert torch.equal(resumed.candidates.latent, whole.candidates.latent)
    assert torch.equal(resumed.candidates.score.loss, whole.candidates.score.loss)
    assert torch.equal(resumed.trace.loss, whole.trace.loss) and torch.equal(
        resumed.trace.evaluations, whole.trace.evaluations
    )
    assert resumed.status == whole.status


def test_a_finished_search_is_not_searched_again(tmp_path):
    toy = toys.bowl()
    run = ls.Run(evaluations=20, checkpoint=tmp_path / "run")
    first = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    again = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    assert torch.equal(first.latent, again.latent) and again.steps == first.steps


def test_a_larger_budget_goes_on_where_the_smaller_ended(tmp_path):
    toy = toys.bowl()
    run = ls.Run(evaluations=20, checkpoint=tmp_path / "run")
    ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    longer = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=replace(run, evaluations=50))
    whole = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=50))
    assert torch.equal(longer.latent, whole.latent) and longer.evaluations.tolist() == [50, 50]


def test_the_checkpoint_of_another_search_is_refused(tmp_path):
    toy = toys.bowl()
    run = ls.Run(evaluations=20, checkpoint=tmp_path / "run")
    ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    for search, words in (
        (lambda: ls.GradientSearch().search(toy.generator, toy.constraint, seed=1, run=run), "seeds"),
        (lambda: ls.GradientSearch(tolerance=1.0).search(toy.generator, toy.constraint, seed=0, run=run), "searcher"),
        (lambda: ls.GradientSearch().search(toy.generator, 2 * toy.constraint, seed=0, run=run), "goal"),
    ):
        with pytest.raises(ls.BrokenFile, match=f"of another search: its {words} differ"):
            search()
