"""Runs, results and files that are not as they should be."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import latentsearch as ls
from examples.campaigns.wrong_calls.kit import (
    CODES,
    FOLDER,
    LINE,
    NEAR_CODES,
    NEAR_LINE,
    RUN,
    Case,
    Decodes,
    integers,
    switches,
)


def with_run(**settings: Any) -> Callable[[], Any]:
    """A search under such a run."""
    return lambda: ls.search(LINE, NEAR_LINE, seed=0, run=ls.Run(**({"evaluations": 24} | settings)))


@lru_cache
def result() -> ls.SearchResult:
    """The result of a small search."""
    found = ls.RandomSearch().search(LINE, NEAR_LINE, seed=0, run=RUN)
    Decodes.rows = 0  # it is no part of the call that is made with it
    return found


def _file(name: str, write: Callable[[Path], Any]) -> Path:
    path = FOLDER / name
    if not path.exists():
        write(path)
        Decodes.rows = 0
    return path


def _saved() -> Path:
    return _file("result.safetensors", lambda path: result().save(path))


def _weights() -> Path:
    return _file("weights.safetensors", lambda path: save_file({"a": torch.zeros(2)}, path))


def _words() -> Path:
    return _file("text.safetensors", lambda path: path.write_text("hello"))


def _pickled() -> Path:
    return _file("result.pt", lambda path: torch.save({"a": torch.zeros(2)}, path))


def _half(path: Path) -> Any:
    whole = _saved().read_bytes()
    return path.write_bytes(whole[: len(whole) // 2])


def _flipped(path: Path) -> Any:
    whole = bytearray(_saved().read_bytes())
    whole[-3] ^= 0xFF
    return path.write_bytes(bytes(whole))


def _budgets() -> list[Case]:
    number = r"number"
    wrong: list[tuple[str, Any, tuple[str, ...]]] = [
        ("evaluations", -1, ("-1", ">= 0|at least|negative|positive")),
        ("evaluations", "1000", ("'1000'", number)),
        ("evaluations", True, ("True", number)),
        ("evaluations", float("nan"), ("nan", number)),
        ("evaluations", [10, 20, 30], ("3", "2")),
        ("evaluations", [], ("0|\\[\\]", "2|one")),
        ("evaluations", [10, "a"], ("'a'", number)),
        ("evaluations", [10, None], ("None", number)),
        ("evaluations", {"a": 1}, ("'a'|dict", number)),
        ("evaluations", torch.tensor([1, 2, 3]), ("tensor", "list|number|tolist")),
        ("steps", 1.5, (r"1\.5", "whole|integer")),
        ("steps", -1, ("-1", ">= 0|at least|negative|positive")),
        ("steps", "3", ("'3'", number)),
        ("steps", True, ("True", number)),
        ("steps", [1, 2, 3], ("3", "2")),
        ("steps", float("nan"), ("nan", number)),
        ("seconds", "3", ("'3'", number)),
        ("seconds", -1.0, ("-1", ">= 0|at least|negative|positive")),
        ("seconds", float("nan"), ("nan", number)),
        ("seconds", True, ("True", number)),
        ("seconds", [1.0, 2.0, 3.0], ("3", "2")),
        ("seconds", 1j, ("1j", number)),
    ]
    return [
        *(Case(f"Run({name}={value!r})", with_run(**{name: value}), (name, *tells)) for name, value, tells in wrong),
    ]


def _housekeeping() -> list[Case]:
    a_file = ".*file"

    def resumed() -> Any:
        path = FOLDER / "resumed.safetensors"
        run = ls.Run(evaluations=24, checkpoint=path, checkpoint_every=1)
        ls.RandomSearch().search(LINE, NEAR_LINE, seed=0, run=run)
        Decodes.rows = 0
        return ls.RandomSearch().search(CODES, NEAR_CODES, seed=0, run=run)

    return [
        *switches("Run", "progress", lambda value: with_run(progress=value)()),
        *switches("Run", "patches", lambda value: with_run(patches=value)()),
        *switches("Run", "stop_when_satisfied", lambda value: with_run(stop_when_satisfied=value)()),
        Case("Run(progress=None)", with_run(progress=None), ("progress", "None", "True|bool")),
        Case("Run(patches=None)", with_run(patches=None), ("patches", "None", "True|bool")),
        Case("Run(callbacks=print)", with_run(callbacks=print), ("callbacks", "print", "list|sequence")),
        Case("Run(callbacks=[3])", with_run(callbacks=[3]), ("callbacks", "3", "function|callable")),
        Case("Run(callbacks=None)", with_run(callbacks=None), ("callbacks", "None", "list|sequence|\\(\\)")),
        Case("Run(callbacks='log')", with_run(callbacks="log"), ("callbacks", "log", "function|callable")),
        Case("Run(callbacks=[None])", with_run(callbacks=[None]), ("callbacks", "None", "function|callable")),
        Case("Run(checkpoint=3)", with_run(checkpoint=3), ("checkpoint", "3", "path")),
        Case("Run(checkpoint=True)", with_run(checkpoint=True), ("checkpoint", "True", "path")),
        Case("Run(checkpoint='')", with_run(checkpoint=""), ("checkpoint", "''|empty", "path|file")),
        Case("Run(checkpoint=a folder)", with_run(checkpoint=FOLDER), ("checkpoint", "folder|directory", a_file)),
        Case("Run(checkpoint=a result)", lambda: with_run(checkpoint=_saved())(), ("result", "checkpoint")),
        Case("Run(checkpoint=weights)", lambda: with_run(checkpoint=_weights())(), ("weights", "checkpoint")),
        Case("Run(checkpoint=a text)", lambda: with_run(checkpoint=_words())(), ("text", "checkpoint|safetensors")),
        Case(
            "Run(checkpoint=of another search)",
            resumed,
            ("checkpoint|resumed", "another|other|differ|delete|not of this|same"),
            looks=2,  # a decoder is known again by what it decodes
        ),
        *integers("Run", "checkpoint_every", lambda value: with_run(checkpoint_every=value)()),
        *integers("Run", "chunk_rows", lambda value: with_run(chunk_rows=value)(), optional=True),
        *integers("Run", "compact_every", lambda value: with_run(compact_every=value)(), optional=True),
        Case("Run(autocast=True)", with_run(autocast=True), ("autocast", "True", r"torch\.bfloat16")),
        Case("Run(autocast='bfloat16')", with_run(autocast="bfloat16"), ("autocast", "'bfloat16'", r"torch\.bfloat16")),
        Case("Run(autocast=int64)", with_run(autocast=torch.int64), ("autocast", "int64", "float")),
        Case("Run(autocast=float64)", with_run(autocast=torch.float64), ("autocast", "float64", r"bfloat16|float16")),
        Case("Run(compile='fast')", with_run(compile="fast"), ("compile", "fast", "True|backend")),
        Case("Run(compile=2)", with_run(compile=2), ("compile", "2", "True|backend")),
        Case("Run(compile=None)", with_run(compile=None), ("compile", "None", "True|False|backend")),
        Case("Run(100, '3')", lambda: ls.Run(100, "3"), ("steps", "'3'", "number|whole")),
    ]


def _files() -> list[Case]:
    load = ls.SearchResult.load

    def checkpoint() -> Path:
        def write(path: Path) -> Any:
            run = ls.Run(evaluations=24, checkpoint=path, checkpoint_every=1)
            return ls.RandomSearch().search(LINE, NEAR_LINE, seed=0, run=run)

        return _file("checkpoint.safetensors", write)

    return [
        Case("load None", lambda: load(None), ("None", "path|file")),
        Case("load a number", lambda: load(3), ("3", "path|file")),
        Case("load True", lambda: load(True), ("True", "path|file")),
        Case("load a result", lambda: load(result()), ("SearchResult", "path|file")),
        Case(
            "load a file that is not there",
            lambda: load(FOLDER / "no.safetensors"),
            ("no\\.safetensors", "no such|not exist|no file|missing|not found"),
        ),
        Case("load a folder", lambda: load(FOLDER), ("folder|directory", "file")),
        Case("load weights", lambda: load(_weights()), ("weights\\.safetensors", "result")),
        Case("load a checkpoint", lambda: load(checkpoint()), ("checkpoint", "result", "Run|resume|checkpoint")),
        Case("load a pickle", lambda: load(_pickled()), ("result\\.pt", "safetensors|SearchResult|result")),
        Case(
            "load a text",
            lambda: load(_file("text.txt", lambda p: p.write_text("hello"))),
            ("text\\.txt", "safetensors|result"),
        ),
        Case(
            "load an empty file",
            lambda: load(_file("empty.safetensors", lambda p: p.touch())),
            ("empty", "safetensors|cut|result|short"),
        ),
        Case(
            "load half a file", lambda: load(_file("half.safetensors", _half)), ("half", "cut|whole|short|incomplete")
        ),
        Case(
            "load a damaged file",
            lambda: load(_file("flipped.safetensors", _flipped)),
            ("flipped", "damage|checksum|changed"),
        ),
        Case("save to None", lambda: result().save(None), ("path", "None", "file|path")),
        Case("save to a number", lambda: result().save(3), ("path", "3", "file|path")),
        Case("save to a folder", lambda: result().save(FOLDER), ("folder|directory", "file")),
        Case("save to no name", lambda: result().save(""), ("path", "''|empty", "file")),
        Case(
            "save into a file",
            lambda: result().save(_saved() / "a.safetensors"),
            ("result\\.safetensors", "folder|directory"),
        ),
        Case("save a report to None", lambda: result().save_report(None), ("path", "None", "file|path")),
        Case("save a report to a folder", lambda: result().save_report(FOLDER), ("folder|directory", "file")),
        Case("loss_at a word", lambda: result().trace.loss_at("100"), ("evaluations|budget", "'100'", "number|whole")),
        Case("loss_at None", lambda: result().trace.loss_at(None), ("evaluations|budget", "None", "number|whole")),
    ]


def _noise() -> list[Case]:
    noise = ls.Noise.from_seed
    whole = "whole|integer"
    drawn = noise(0, 2)
    return [
        Case("Noise of a word", lambda: noise("a", 2), ("seed", "'a'", whole)),
        Case("Noise of 1.5", lambda: noise(1.5, 2), ("seed", r"1\.5", whole)),
        Case("Noise of True", lambda: noise(True, 2), ("seed", "True", whole)),
        Case("Noise of -1 rows", lambda: noise(0, -1), ("rows|-1", "at least|>= |positive|negative")),
        Case("Noise of half a row", lambda: noise(0, 1.5), ("rows|1\\.5", whole)),
        Case("Noise of a word's rows", lambda: noise(0, "2"), ("rows|'2'", whole)),
        Case("Noise of floats", lambda: ls.Noise(torch.rand(2)), ("keys", "float", "int64|from_seed|whole")),
        Case("Noise of a list", lambda: ls.Noise([1, 2]), ("keys", "list", "tensor|from_seed")),
        Case(
            "Noise of two axes",
            lambda: ls.Noise(torch.zeros(2, 2).long()),
            ("keys", "2, 2", r"\(N,\)|from_seed|one a row|axis"),
        ),
        Case("integers below 0", lambda: drawn.integers(0, 2), ("0", "at least|positive|>")),
        Case("integers below half", lambda: drawn.integers(2.5, 2), (r"2\.5", whole)),
        Case("normal of half a width", lambda: drawn.normal(2.5), (r"2\.5", whole)),
        Case("normal of -1", lambda: drawn.normal(-1), ("-1", "at least|>= |positive|negative")),
        Case("normal in whole numbers", lambda: drawn.normal(2, dtype=torch.int64), ("dtype", "int64", "float")),
        Case("categorical of three rows", lambda: drawn.categorical(torch.zeros(3, 4)), ("3", "2", "row")),
        Case("categorical of NaN", lambda: drawn.categorical(torch.full((2, 3), float("nan"))), ("nan",)),
        Case("fold of a word", lambda: drawn.fold("a"), ("'a'", whole)),
        Case("problem_seeds of three for two", lambda: ls.problem_seeds([1, 2, 3], 2), ("seed", "3", "2")),
        Case("problem_seeds of half a problem", lambda: ls.problem_seeds(0, 1.5), ("problems", r"1\.5", whole)),
    ]


CASES: list[Case] = [*_budgets(), *_housekeeping(), *_files(), *_noise()]
