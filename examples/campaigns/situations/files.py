"""Files, streams and signals: what is written, where, and what happens when it cannot be."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import latentsearch as ls
from latentsearch.testing import toys

from .situation import Situation, collector, expect, refused_or_right

SITUATIONS: list[Situation] = []
situation = collector(SITUATIONS)

TOY = toys.bowl()
BUDGET = 80


def search(**settings: Any) -> ls.SearchResult:
    run = ls.Run(**{"evaluations": BUDGET, "checkpoint_every": 5} | settings)
    return ls.GradientSearch().search(TOY.generator, TOY.constraint, seed=0, run=run)


def same(found: ls.SearchResult) -> None:
    expect(torch.equal(found.latent, search().latent), "other latents than undisturbed")


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def inside(here: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(here)
    try:
        yield
    finally:
        os.chdir(before)


PRELUDE = """
import os, signal, sys, threading, time
import torch
torch.set_num_threads(1)
import latentsearch as ls
from latentsearch.testing import toys
TOY = toys.bowl()
def search(**settings):
    run = ls.Run(**{"evaluations": 80, "checkpoint_every": 5} | settings)
    return ls.GradientSearch().search(TOY.generator, TOY.constraint, seed=0, run=run)
"""


# -- streams -----------------------------------------------------------------------------------------


@situation("progress with stderr closed", "https://github.com/tqdm/tqdm/issues/970")
def closed_stderr() -> None:
    stream = io.StringIO()
    stream.close()
    with contextlib.redirect_stderr(stream):
        same(search(progress=True))


@situation("progress with no stderr at all", "https://github.com/tqdm/tqdm/pull/1036")
def no_stderr() -> None:
    before, sys.stderr = sys.stderr, None  # type: ignore[assignment]
    try:
        found = search(progress=True)
    finally:
        sys.stderr = before
    same(found)


class Broken(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@situation("progress into a pipe whose reader has gone, 2>&1 | head", "https://github.com/tqdm/tqdm/issues/202")
def broken_pipe() -> None:
    with contextlib.redirect_stderr(Broken()):
        same(search(progress=True))


@situation("progress without tqdm, into a pipe whose reader has gone", "https://github.com/dask/dask/pull/568")
def broken_pipe_without_tqdm() -> None:
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "tqdm"}
    sys.modules["tqdm"] = sys.modules["tqdm.auto"] = None  # type: ignore[assignment]
    try:
        with contextlib.redirect_stderr(Broken()):
            same(search(progress=True))
    finally:
        for name in ("tqdm", "tqdm.auto"):
            del sys.modules[name]
        sys.modules.update(hidden)


@situation(
    "progress whose bar cannot be drawn when it is made, python 2>&-", "https://github.com/verigak/progress/pull/73"
)
def no_descriptor() -> None:
    read, write = os.pipe()
    text = "os.close(2)\nr = search(progress=True)\nos.write(int(sys.argv[1]), str(r.steps).encode())"
    command = [sys.executable, "-c", PRELUDE + text, str(write)]
    done = subprocess.run(command, pass_fds=(write,), timeout=15, check=False, stderr=subprocess.DEVNULL)
    os.close(write)
    said = os.read(read, 100)
    os.close(read)
    expect(done.returncode == 0 and said == str(search().steps).encode(), f"exit {done.returncode}, said {said!r}")


# -- where checkpoints go ----------------------------------------------------------------------------


@situation("a checkpoint at ~", "https://github.com/choosehappy/HistoQC/pull/198")
def tilde() -> None:
    with folder() as home, folder() as here, inside(here):
        before = os.environ.get("HOME")
        os.environ["HOME"] = str(home)
        try:
            same(search(checkpoint="~/search.safetensors"))
            again = search(checkpoint="~/search.safetensors")
        finally:
            os.environ["HOME"] = before or ""
        expect(not (here / "~").exists(), "a folder named ~ appeared")
        expect((home / "search.safetensors").exists(), "no file at home")
        same(again)


@situation("a checkpoint that is the folder ~", "https://github.com/rpminspect/rpminspect/issues/22")
def tilde_folder() -> None:
    refused_or_right(lambda: same(search(checkpoint="~")), "folder")


@situation("a checkpoint where nothing may be written")
def read_only() -> None:
    def play() -> None:
        search(checkpoint="/proc/latentsearch/search.safetensors")

    refused_or_right(play, "/proc/latentsearch", "checkpoint")


@situation("a checkpoint under a path that is a file")
def below_a_file() -> None:
    with folder() as here:
        (here / "taken").write_text("")
        refused_or_right(lambda: search(checkpoint=here / "taken" / "search.safetensors"), "taken", "checkpoint")


@situation("a folder that can no longer be written to in mid-search keeps the best so far")
def folder_goes() -> None:
    with folder() as here:
        path = here / "sub" / "search.safetensors"

        def block(step: ls.Step) -> None:
            if step.number == 12:
                path.unlink(missing_ok=True)
                path.mkdir(parents=True)
                (path / "in the way").write_text("")

        try:
            search(checkpoint=path, callbacks=[block])
        except ls.SearchFailed as error:
            expect(error.loss.isfinite().all(), "the best so far is lost")
            return
        except ls.LatentSearchError as error:
            expect(hasattr(error, "latent"), f"the best so far is lost: {error}")


@situation("a checkpoint that is empty, or text", "https://github.com/skyzh/canvas_grab/issues/40")
def not_a_checkpoint() -> None:
    with folder() as here:
        for content in (b"", b"notes to self\n", b"\x00" * 64):
            path = here / "search.safetensors"
            path.write_bytes(content)
            try:
                search(checkpoint=path)
            except ls.BrokenFile as error:
                expect(str(path) in str(error), f"the file is not named in: {error}")
                expect(path.read_bytes() == content, "the file was written over")
            else:
                raise AssertionError(f"{content[:8]!r} was taken for a checkpoint")


@situation("a checkpoint cut short", "https://github.com/Cibiv/IQ-TREE/issues/90")
def cut_short() -> None:
    with folder() as here:
        path = here / "search.safetensors"
        search(checkpoint=path)
        path.write_bytes(path.read_bytes()[:-20])
        refused_or_right(lambda: same(search(checkpoint=path)), str(path))


@situation("a checkpoint that is a link to a file elsewhere", "https://github.com/imbue-ai/mngr/pull/1238")
def link() -> None:
    with folder() as here:
        real = here / "store" / "real.safetensors"
        real.parent.mkdir()
        path = here / "search.safetensors"
        path.symlink_to(real)
        same(search(checkpoint=path))
        expect(path.is_symlink() and real.exists(), "the link was replaced by a file")


@situation("a checkpoint named by bytes")
def bytes_path() -> None:
    with folder() as here:
        path = os.fsencode(here / "search.safetensors")
        refused_or_right(lambda: same(search(checkpoint=path)), "path")


# -- disks that are full -----------------------------------------------------------------------------


@situation("a result saved over something that is no regular file, as /dev/full or /dev/stdout are")
def special_file() -> None:
    result = search()
    with folder() as here:
        path = here / "special"
        os.mkfifo(path)
        with contextlib.suppress(OSError, ls.LatentSearchError):
            result.save(path)
        expect(path.is_fifo(), "it was replaced by a regular file")


FULL = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = sys.argv[1]
search(checkpoint=path, evaluations=20)
whole = open(path, "rb").read()
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    result = search(checkpoint=path)
    print("returned", result.steps)
except ls.SearchFailed as error:
    print("SearchFailed", bool(error.loss.isfinite().all()), error)
except ls.LatentSearchError as error:
    print("package", error)
except OSError as error:
    print("OSError", error)
print("kept" if open(path, "rb").read() == whole else "lost")
print("left", sorted(os.listdir(os.path.dirname(path))))
"""


@situation("a disk that is full in mid-search", "https://github.com/primesearch/Mlucas/pull/170")
def full_disk() -> None:
    with folder() as here:
        command = [sys.executable, "-c", PRELUDE + FULL, str(here / "search.safetensors")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
        said = done.stdout.splitlines()
        expect(len(said) == 3, f"{done.stdout} {done.stderr[-300:]}")
        expect(said[0].startswith(("returned", "SearchFailed True")), f"the best so far is lost: {said[0]}")
        expect(said[1] == "kept", "the last whole checkpoint is lost")
        expect(said[2] == "left ['search.safetensors']", f"pieces are left: {said[2]}")


SAVE_FULL = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = sys.argv[1]
result = search()
result.save(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    result.save(path)
    print("returned")
except (OSError, ls.LatentSearchError) as error:
    print("raised", error)
ls.SearchResult.load(path)
print("whole", os.listdir(os.path.dirname(path)))
"""


@situation("a result saved on a full disk over an older one", "https://github.com/harvard-edge/cs249r_book/pull/2068")
def full_save() -> None:
    with folder() as here:
        command = [sys.executable, "-c", PRELUDE + SAVE_FULL, str(here / "r.safetensors")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
        said = done.stdout.splitlines()
        expect(len(said) == 2 and said[0].startswith("raised"), f"{done.stdout} {done.stderr[-300:]}")
        expect(said[1] == "whole ['r.safetensors']", f"pieces are left: {said[1]}")


# -- several at once ---------------------------------------------------------------------------------


@situation("two processes with one checkpoint", "https://github.com/pytorch/pytorch/pull/2883")
def two_processes() -> None:
    text = "r = search(checkpoint=sys.argv[1], checkpoint_every=1, evaluations=400)\nprint(r.latent.tolist())"
    with folder() as here:
        command = [sys.executable, "-c", PRELUDE + text, str(here / "search.safetensors")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        both = [subprocess.Popen(command, **pipes) for _ in range(2)]
        ends = [process.communicate(timeout=18) for process in both]
        for out, error in ends:
            known = "latentsearch.errors" in error
            expect(out == f"{search(evaluations=400).latent.tolist()}\n" or known, f"{out[-200:]} {error[-300:]}")
        left = sorted(path.name for path in here.iterdir())
        expect(left == ["search.safetensors"], f"left: {left}")


@situation("two threads with one checkpoint", "https://github.com/microsoft/agent-framework/pull/8189")
def two_threads() -> None:
    wanted, found, errors = search(evaluations=400), [], []

    def go(path: Path) -> None:
        try:
            found.append(search(checkpoint=path, checkpoint_every=1, evaluations=400))
        except Exception as error:
            errors.append(error)

    with folder() as here:
        threads = [threading.Thread(target=go, args=(here / "search.safetensors",)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(all(isinstance(error, ls.LatentSearchError) for error in errors), f"{errors!r}")
        expect(all(torch.equal(one.latent, wanted.latent) for one in found), "other latents than alone")


# -- Ctrl-C ------------------------------------------------------------------------------------------

TWICE = """
class Slow:
    def __init__(self):
        self.space, self.prior = TOY.generator.space, TOY.generator.prior
        self.device, self.dtype = TOY.generator.device, TOY.generator.dtype
    def decode(self, z):
        time.sleep(0.02)
        return TOY.generator.decode(z)
def press():
    for pause in {pauses}:
        time.sleep(pause)
        os.kill(os.getpid(), signal.SIGINT)
def begin(step):
    if step.number == 10:
        threading.Thread(target=press, daemon=True).start()
signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored where this runs in the background
start = time.monotonic()
try:
    run = ls.Run(evaluations=100000, checkpoint=sys.argv[1], checkpoint_every=5, callbacks=[begin])
    r = ls.GradientSearch().search(Slow(), TOY.constraint, seed=0, run=run)
    print("returned", r.status[0], bool(r.score.loss.isfinite().all()))
except KeyboardInterrupt:
    print("lost")
print("soon" if time.monotonic() - start < 10 else "late")
print("handler", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def plays_interrupts(pauses: str) -> None:
    with folder() as here:
        path = here / "search.safetensors"
        command = [sys.executable, "-c", PRELUDE + TWICE.replace("{pauses}", pauses), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=18, check=False)
        said = done.stdout.splitlines()
        expect(len(said) == 3, f"exit {done.returncode}: {done.stdout} {done.stderr[-300:]}")
        expect(said[0] == "returned INTERRUPTED True", f"the best so far: {said[0]}")
        expect(said[1:] == ["soon", "handler True"], f"{said[1:]}")
        left = sorted(file.name for file in here.iterdir())
        expect(left in (["search.safetensors"], []), f"left: {left}")
        if left:
            ls.GradientSearch().search(
                TOY.generator, TOY.constraint, seed=0, run=ls.Run(evaluations=100000, steps=60, checkpoint=path)
            )


@situation("Ctrl-C once", "https://github.com/optuna/optuna/issues/811")
def once() -> None:
    plays_interrupts("[0.1]")


@situation("Ctrl-C twice, at once", "https://github.com/optuna/optuna/issues/3336")
def twice() -> None:
    plays_interrupts("[0.1, 0.001]")


@situation("Ctrl-C twice, a moment apart", "https://github.com/p-e-w/heretic/pull/76")
def twice_apart() -> None:
    plays_interrupts("[0.1, 0.02]")


class Presses(io.StringIO):
    """A stream to which somebody writes just as Ctrl-C is pressed."""

    armed = False

    def write(self, text: str) -> int:
        if self.armed:
            Presses.armed = False
            raise KeyboardInterrupt
        return super().write(text)


@situation(
    "Ctrl-C twice, the second while the bar is drawn for the last time", "https://github.com/optuna/optuna/pull/3374"
)
def twice_at_the_bar() -> None:
    def stop(step: ls.Step) -> None:
        if step.number == 10:
            Presses.armed = True
            raise KeyboardInterrupt

    try:
        with contextlib.redirect_stderr(Presses()):
            found = search(progress=True, callbacks=[stop])
    except KeyboardInterrupt:
        raise AssertionError("the best so far is lost: KeyboardInterrupt came out of the search") from None
    finally:
        Presses.armed = False
    expect(ls.Status.INTERRUPTED in found.status, f"status {found.status}")


@situation("Ctrl-C in the user's own handler, which stays in place")
def own_handler() -> None:
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(1))

    def press(step: ls.Step) -> None:
        if step.number == 5:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        found = search(callbacks=[press])
    finally:
        signal.signal(signal.SIGINT, before)
    expect(pressed == [1], "the user's handler did not run")
    same(found)
