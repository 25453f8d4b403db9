"""Nothing is lost: files, locks, streams, interrupts, and checkpoints of other searches."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import latentsearch as ls
from latentsearch import _checkpoint
from latentsearch._context import kept
from latentsearch._rng import set_aside
from latentsearch.errors import BrokenFile, InvalidArgument
from latentsearch.loop.loop import Loop
from latentsearch.objective import Objective
from latentsearch.objective.evaluate import Form
from latentsearch.relaxations import GumbelSoftmax, SoftmaxRelaxation
from latentsearch.searchers.stages import _relay
from latentsearch.testing import toys

RATE = 0.1


def searched(toy, run, searcher=None):
    return (searcher or ls.GradientSearch()).search(toy.generator, toy.constraint, seed=0, run=run)


# -- files -------------------------------------------------------------------------------------------


def test_one_search_at_a_time_has_a_checkpoint(tmp_path):
    toy, run = toys.bowl(), ls.Run(evaluations=20, checkpoint=tmp_path / "search", checkpoint_every=1)
    refused = []

    def second(step: ls.Step) -> None:
        with pytest.raises(InvalidArgument, match="another search or fit is writing to") as error:
            searched(toy, run)
        refused.append(error)

    searched(toy, replace(run, callbacks=[second]))
    assert refused and sorted(path.name for path in tmp_path.iterdir()) == ["search"]
    # It is free again, also after an error.
    with pytest.raises(BrokenFile):
        searched(toys.codes(), run, ls.EvolutionSearch())
    assert searched(toy, replace(run, evaluations=40)).evaluations.max() > 20


def test_a_fit_has_its_checkpoint_alone(tmp_path):
    from latentsearch import models

    images, plan = torch.rand(16, 1, 8, 8), ls.Fit(steps=4, batch_size=8, log_every=2, checkpoint=tmp_path / "fit")

    def second(_):
        with pytest.raises(InvalidArgument, match=r"Fit.checkpoint: .* another search or fit"):
            ls.fit(models.VAE((1, 8, 8), width=2, channels=8), (images,), plan)

    ls.fit(models.VAE((1, 8, 8), width=2, channels=8), (images,), replace(plan, callbacks=[second]))
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]


def test_links_stay_links(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "search"
    link.symlink_to(tmp_path / "elsewhere" / "real")
    searched(toys.bowl(), ls.Run(evaluations=20, checkpoint=link))
    assert link.is_symlink() and (tmp_path / "elsewhere" / "real").is_file()


@pytest.mark.parametrize("path", [None, 3, True, "", "folder/"])
def test_what_is_no_path_of_a_file_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = searched(toys.bowl(), ls.Run(evaluations=4))
    for use in (result.save, ls.SearchResult.load):
        with pytest.raises(InvalidArgument, match="expected a path of a file"):
            use(path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_the_disk_does_not_take_is_refused(tmp_path):
    with pytest.raises(InvalidArgument, match=r"Run.checkpoint: got .* a path that can"):
        ls.Run(checkpoint=tmp_path / ("x" * 300))


def test_a_checkpoint_that_cannot_be_written_ends_nothing(tmp_path, monkeypatch, caplog):
    toy, save, calls = toys.bowl(), _checkpoint.save, [0]

    def full(*args):
        calls[0] += 1
        if calls[0] > 2:
            raise OSError(28, "No space left on device")
        save(*args)

    monkeypatch.setattr(_checkpoint, "save", full)
    result = searched(toy, ls.Run(evaluations=40, checkpoint=tmp_path / "search", checkpoint_every=1))
    assert result.evaluations.tolist() == [40, 40] and "could not be written" in caplog.text


# -- a checkpoint is of one search -------------------------------------------------------------------


def rate_of_the_module(parameters):
    return torch.optim.SGD(parameters, lr=RATE)


class Slots:
    __slots__ = ("__rate",)

    def __init__(self, rate):
        self.__rate = rate

    def __call__(self, parameters):
        return torch.optim.SGD(parameters, lr=self.__rate)


def test_other_precision_is_another_search(tmp_path):
    toy, run = toys.bowl(), ls.Run(evaluations=20, checkpoint=tmp_path / "search", autocast=torch.bfloat16)
    searched(toy, run)
    with pytest.raises(BrokenFile, match=r"its precision differs \(torch.bfloat16 then, None now\)"):
        searched(toy, replace(run, autocast=None))


def test_another_mask_of_codes_is_another_search(tmp_path):
    book, prior = torch.eye(6), ls.priors.HistogramPrior(torch.tensor([40.0, 0, 0, 0, 0, 0]).expand(3, 6))

    def generator(used):
        made = partial(ls.CodebookGenerator, nn.Flatten(), book, (3,), layout="channels_last")
        return made(used=used, prior=prior)

    goal, run = ls.Matches(book[[3, 4, 5]].view(1, 18)), ls.Run(evaluations=60, checkpoint=tmp_path / "search")
    ls.CoordinateSearch().search(generator(None), goal, seed=0, run=run)
    with pytest.raises(BrokenFile, match="its allowed codes differs"):
        two = (torch.arange(6) < 2).expand(3, 6)
        ls.CoordinateSearch().search(generator(two), goal, seed=0, run=replace(run, evaluations=300))


class Wordless:
    """It cannot be printed."""

    def __init__(self, patience):
        self.patience = patience

    def __repr__(self):
        raise RuntimeError

    def __call__(self, output):
        return output.square().flatten(1).mean(1)


def test_what_cannot_be_printed_is_searched_and_long_numbers_are_shown(tmp_path):
    run = ls.Run(evaluations=20, checkpoint=tmp_path / "search")
    ls.GradientSearch().search(toys.bowl().generator, ls.Satisfies(Wordless(10_000_000)), seed=0, run=run)
    with pytest.raises(BrokenFile, match="patience: 10000000 then, patience: 20000000 now"):
        ls.GradientSearch().search(toys.bowl().generator, ls.Satisfies(Wordless(20_000_000)), seed=0, run=run)


def test_what_differs_is_named(tmp_path):
    toy, run = toys.codes(), ls.Run(evaluations=100, checkpoint=tmp_path / "search")
    ls.CoordinateSearch(batch=4).search(toy.generator, 2 * toy.constraint, seed=0, run=run)
    for searcher, goal, message in (
        (ls.CoordinateSearch(batch=8), 2 * toy.constraint, r"its searcher differs \(batch: 4 then, batch: 8 now\)"),
        (ls.CoordinateSearch(batch=4), 3 * toy.constraint, r"its goal differs \(2.0 then, 3.0 now\)"),
        (ls.RandomSearch(), 2 * toy.constraint, r"its searcher differs \(CoordinateSearch then, RandomSearch now\)"),
        (
            ls.CoordinateSearch(batch=4),
            2 * ls.Matches(toy.solution.double() / 7),
            r"its goal differs \(in target\)",
        ),
    ):
        with pytest.raises(BrokenFile, match=message):
            searcher.search(toy.generator, goal, seed=0, run=run)


def test_another_rate_is_another_search(tmp_path, monkeypatch):
    toy, run = toys.bowl(), ls.Run(evaluations=20, checkpoint=tmp_path / "global")
    searched(toy, run, ls.GradientSearch(rate_of_the_module))
    monkeypatch.setitem(globals(), "RATE", 0.2)
    with pytest.raises(BrokenFile, match=r"its searcher differs \(RATE: '0.1' then, RATE: '0.2' now\)"):
        searched(toy, run, ls.GradientSearch(rate_of_the_module))
    run = ls.Run(evaluations=20, checkpoint=tmp_path / "slots")
    searched(toy, run, ls.GradientSearch(Slots(0.1)))
    with pytest.raises(BrokenFile, match="its searcher differs"):
        searched(toy, run, ls.GradientSearch(Slots(0.2)))


# -- streams -----------------------------------------------------------------------------------------


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("stream", [None, Broken()], ids=["none", "broken"])
@pytest.mark.parametrize("tqdm", [True, False], ids=["tqdm", "plain"])
def test_a_stream_that_goes_away_ends_nothing(stream, tqdm, monkeypatch):
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr("latentsearch._progress._EVERY", 0.0)
    monkeypatch.setattr(sys, "stderr", stream)
    toy = toys.bowl()
    result = searched(toy, ls.Run(evaluations=40, progress=True))
    assert result.evaluations.tolist() == [40, 40]


def test_a_line_says_how_far_it_is_and_goes_away(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr("latentsearch._progress._EVERY", 0.0)
    searched(toys.bowl(), ls.Run(evaluations=40, progress=True))
    said = capsys.readouterr().err.split("\r")
    assert said[1].startswith("GradientSearch: 2 of 40 evaluations, loss ") and "s left" in said[1]
    assert said[-1] == "" and said[-2].strip() == ""


# -- interrupts --------------------------------------------------------------------------------------

TWICE = """
import os, signal, sys, threading, time
import torch
import latentsearch as ls
from latentsearch.testing import toys

toy, decode = toys.bowl(), toys.bowl().generator.decode
first = [True]

def interrupt(number, frame):
    # What Python does, but for a search that has returned: it has no more to lose.
    while frame is not None:
        if frame.f_code.co_name == "search":
            raise KeyboardInterrupt
        frame = frame.f_back

signal.signal(signal.SIGINT, interrupt)

def slow(z):
    time.sleep(0.02)
    return decode(z)

toy.generator.decode = slow

def press(step):
    if step.number == 5 and first.pop():
        for delay in map(float, sys.argv[1:]):
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
        first.append(False)

run = ls.Run(evaluations=None, callbacks=[press], checkpoint=None)
try:
    result = ls.GradientSearch(tolerance=0.0).search(toy.generator, toy.constraint, seed=0, run=run)
    print("result", result.status[0].name, bool(result.score.loss.isfinite().all()))
except ls.SearchFailed as error:
    print("failed", bool(error.loss.isfinite().all()))
time.sleep(0.3)
"""


@contextmanager
def interrupted_at_the_end():
    yield
    raise KeyboardInterrupt


def test_ctrl_c_in_the_last_moment_loses_nothing():
    assert kept(interrupted_at_the_end(), lambda: "result") == "result"
    failed = ls.SearchFailed("over", latent=torch.zeros(1), loss=torch.zeros(1))

    def fails():
        raise failed

    @contextmanager
    def interrupted_in_an_error():
        try:
            yield
        finally:
            raise KeyboardInterrupt

    with pytest.raises(ls.SearchFailed) as caught:
        kept(interrupted_in_an_error(), fails)
    assert caught.value is failed

    def interrupts():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(nullcontext(), interrupts)


def test_ctrl_c_as_gradients_come_back_loses_nothing(monkeypatch):
    done, run, leave = [], Loop.run, torch.no_grad.__exit__

    def leaving(guard, *error):
        if done:
            done.clear()
            raise KeyboardInterrupt
        return leave(guard, *error)

    def searched_to_the_end(loop):
        found = run(loop)
        done.append(1)
        return found

    monkeypatch.setattr(Loop, "run", searched_to_the_end)
    monkeypatch.setattr(torch.no_grad, "__exit__", leaving)
    with torch.no_grad():
        assert searched(toys.bowl(), ls.Run(evaluations=20)).evaluations.tolist() == [20, 20]


def test_ctrl_c_as_two_stages_are_put_together_loses_nothing(monkeypatch):
    real, times = _relay.joined, []

    def interrupted_once(*results, **settings):
        times.append(1)
        if len(times) == 1:
            raise KeyboardInterrupt
        return real(*results, **settings)

    monkeypatch.setattr(_relay, "joined", interrupted_once)
    toy, stages = toys.codes(), ls.Then(ls.RelaxedSearch(steps=5), ls.CoordinateSearch())
    found = stages.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=100))
    monkeypatch.undo()
    whole = stages.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=100))
    assert len(times) == 2 and torch.equal(found.latent, whole.latent)


def test_ctrl_c_as_a_file_is_let_go_leaves_it_free(tmp_path, monkeypatch):
    run, unlink = ls.Run(evaluations=20, checkpoint=tmp_path / "search"), Path.unlink

    def interrupted_at_locks(path, *args, **settings):
        if path.name.endswith(".lock"):
            raise KeyboardInterrupt
        unlink(path, *args, **settings)

    monkeypatch.setattr(Path, "unlink", interrupted_at_locks)
    first = searched(toys.bowl(), run)
    monkeypatch.undo()
    assert torch.equal(searched(toys.bowl(), run).latent, first.latent)


@pytest.mark.parametrize("delays", [("0.05", "0.07"), ("0.05", "0.06", "0.08")])
def test_ctrl_c_again_and_again_loses_nothing(delays):
    done = subprocess.run([sys.executable, "-c", TWICE, *delays], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() in ("result INTERRUPTED True", "failed True"), done.stdout + done.stderr


# -- the state that threads share, and losses --------------------------------------------------------


def test_the_random_state_is_that_before_all_who_set_it_aside():
    """Of two threads the first one leaves while the other is within."""
    before, inside, over = torch.get_rng_state(), threading.Event(), threading.Event()

    def other() -> None:
        with set_aside(seed=2):
            inside.set()
            over.wait(60)

    thread = threading.Thread(target=other)
    with set_aside(seed=1):
        thread.start()
        inside.wait(60)
    over.set()
    thread.join()
    assert torch.equal(torch.get_rng_state(), before)
    with set_aside(seed=1):
        seeded = torch.get_rng_state()
        with set_aside(seed=2):
            pass
        assert torch.equal(torch.get_rng_state(), seeded)
    assert torch.equal(torch.get_rng_state(), before)


def test_losses_are_in_the_dtype_of_the_run():
    toy = toys.bowl()
    wide = ls.Satisfies(lambda x: x.double().square().sum(1))
    objective = Objective(toy.generator, wide, form=Form((4,), torch.float32))
    assert objective(torch.zeros(1, 4)).loss.dtype == torch.float32
    with pytest.raises(
        InvalidArgument, match=r"generator.decode: got .*\(1, 4\).*expected a tensor \(1, 5\), as before"
    ):
        Objective(toy.generator, wide, form=Form((5,), torch.float32))(torch.zeros(1, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("make", [SoftmaxRelaxation, GumbelSoftmax, partial(GumbelSoftmax, hard=True)])
@pytest.mark.parametrize("temperature", [1e-4, torch.tensor(0.0)])
def test_cold_estimators_are_finite(make, temperature, dtype):
    logits = (ls.Noise.from_seed(0, 4).normal(3, 5) * 8).to(dtype).requires_grad_()
    values = torch.arange(5.0).to(dtype)
    surrogate = make(temperature)(logits, lambda z, row: (z * values).flatten(1).sum(1), ls.Noise.from_seed(1, 4))
    surrogate.sum().backward()
    assert surrogate.isfinite().all() and logits.grad.isfinite().all()


# -- what callbacks, optimisers, data and decoders do ------------------------------------------------


def test_a_callback_may_write_to_what_it_sees():
    toy, run = toys.bowl(), ls.Run(evaluations=100)
    plain = searched(toy, run)

    def spoil(step: ls.Step) -> None:
        for part in (step.row, step.problem, step.alive, step.latent, step.loss, step.best_latent, step.best_loss):
            if part is not None:
                part.zero_()
        step.best_satisfied.fill_(True)

    spoilt = searched(toy, replace(run, callbacks=[spoil]))
    assert torch.equal(spoilt.latent, plain.latent) and spoilt.status == plain.status


class Falling(torch.optim.SGD):
    def step(self, closure=None):
        super().step()
        for group in self.param_groups:
            group["lr"] *= 0.9


def test_optimisers_that_keep_more_than_tensors_are_refused():
    with pytest.raises(InvalidArgument, match="keeps more than tensors in its state"):
        searched(toys.bowl(), ls.Run(evaluations=20), ls.GradientSearch(partial(Falling, lr=0.1)))


def test_the_end_of_the_program_leaves_a_checkpoint_of_its_last_step(tmp_path):
    toy, run = toys.bowl(), ls.Run(evaluations=100, checkpoint=tmp_path / "search")

    def leave(step: ls.Step) -> None:
        if step.number == 9:
            raise SystemExit

    with pytest.raises(SystemExit):
        searched(toy, replace(run, callbacks=[leave]))
    _, header = _checkpoint.load(tmp_path / "search", kind="search")
    assert header["step"] == 9
    assert torch.equal(searched(toy, run).latent, searched(toy, replace(run, checkpoint=None)).latent)


def test_other_weights_are_another_decoder(tmp_path):
    net = torch.nn.Linear(4, 9).eval().requires_grad_(False)
    run, goal = ls.Run(evaluations=20, checkpoint=tmp_path / "search"), ls.Matches(torch.zeros(1, 9))
    ls.GradientSearch().search(ls.ContinuousGenerator(net, (4,)), goal, seed=0, run=run)
    net.weight.mul_(1.0002)
    with pytest.raises(BrokenFile, match="is of another decoder"):
        ls.GradientSearch().search(ls.ContinuousGenerator(net, (4,)), goal, seed=0, run=run)


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, at):
        return (self.rows[at],)


@pytest.mark.parametrize(
    "source",
    [
        lambda x: (x,),
        Rows,
        lambda x: torch.utils.data.DataLoader(Rows(x), batch_size=8),
        lambda x: [(part,) for part in x.split(8)],
    ],
    ids=["tensors", "a data set", "a loader", "batches"],
)
def test_other_data_are_another_fit(source, tmp_path):
    from latentsearch import models

    x = torch.rand(32, 1, 8, 8)
    other = x.clone()
    other[8:24] = 1 - other[8:24]

    def fit(data, validation=None):
        plan = ls.Fit(steps=4, batch_size=8, log_every=2, checkpoint=tmp_path / "fit")
        return ls.fit(models.VAE((1, 8, 8), width=2, channels=8), data, plan, validation=validation)

    fit(source(x), (x[:8],))
    with pytest.raises(BrokenFile, match="its data differs"):
        fit(source(other), (x[:8],))
    with pytest.raises(BrokenFile, match="its validation data differs"):
        fit(source(x), (other[8:16],))


def test_a_rate_in_an_object_of_the_module_is_seen(tmp_path):
    toy, run = toys.bowl(), ls.Run(evaluations=20, checkpoint=tmp_path / "object")
    searched(toy, run, ls.GradientSearch(rate_of_an_object))
    SETTINGS.rate = 0.3
    try:
        with pytest.raises(BrokenFile, match="its searcher differs"):
            searched(toy, run, ls.GradientSearch(rate_of_an_object))
    finally:
        SETTINGS.rate = 0.1


class Settings:
    rate = 0.1


SETTINGS = Settings()


def rate_of_an_object(parameters):
    return torch.optim.SGD(parameters, lr=SETTINGS.rate)


def test_an_answer_that_decodes_to_something_else_is_warned_of(caplog):
    toy, calls, decode = toys.bowl(), [0], toys.bowl().generator.decode

    def drifting(z):
        calls[0] += 1
        return decode(z) + (5.0 if calls[0] > 30 else 0.0)

    toy.generator.decode = drifting
    searched(toy, ls.Run(evaluations=100))
    assert "had" in caplog.text and "when they were found" in caplog.text


def test_two_fits_in_two_threads_are_each_as_alone():
    codes = ls.CodebookGenerator(torch.nn.Conv2d(3, 1, 1).eval(), torch.randn(6, 3), (3, 3))
    grids = torch.randint(6, (200, 3, 3))

    def fit(found: list[torch.Tensor]) -> None:
        found.append(ls.fit_prior(codes, grids, steps=4, seed=0).log_prob(grids[:4]))

    alone: list[torch.Tensor] = []
    fit(alone)
    together: list[torch.Tensor] = []
    threads = [threading.Thread(target=fit, args=(together,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(together) == 2 and all(torch.equal(alone[0], each) for each in together)


def test_a_path_that_becomes_a_folder_ends_nothing(tmp_path, caplog):
    toy, path = toys.bowl(), tmp_path / "search"

    def spoil(step: ls.Step) -> None:
        if step.number == 3:
            path.unlink()
            path.mkdir()

    result = searched(toy, ls.Run(evaluations=40, checkpoint=path, checkpoint_every=1, callbacks=[spoil]))
    assert result.evaluations.tolist() == [40, 40] and "could not be written" in caplog.text
