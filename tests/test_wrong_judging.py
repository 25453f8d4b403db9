"""Measures, pictures, pages and melodies, asked wrongly: each mistake is told by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import latentsearch as ls
import latentsearch.judge
import latentsearch.melodies
import latentsearch.plots
import latentsearch.report
from latentsearch.testing import toys

# Of no type, as what is given is of the wrong one.
judge: Any = latentsearch.judge
plots: Any = latentsearch.plots
report: Any = latentsearch.report
melodies: Any = latentsearch.melodies
NAN = float("nan")
POINTS = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
CODES = torch.zeros(4, 3, 2, 2, dtype=torch.long)
IMAGES = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
NOISE = ls.Noise.from_seed(0, 4)
TUNES = torch.full((2, 32), 60)


def pictures() -> ls.ContinuousGenerator:
    decoder = nn.Sequential(nn.Linear(4, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))).eval()
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).eval()
    return ls.ContinuousGenerator(decoder, (4,), encode=encoder, check=False)


PICTURES = pictures()
REFERENCE = judge.Reference(PICTURES, IMAGES)
ANSWERS = torch.zeros(2, 3, 4)
GOAL = ls.Matches(IMAGES[:2])
MEASURES: list[tuple[Callable[[], object], str]] = [
    (lambda: judge.critic_auc(POINTS[:, :0], POINTS[:, :0]), r"critic_auc\.a: .*at least one number a sample"),
    (lambda: judge.frechet_distance(POINTS, None), r"frechet_distance\.b: got None, expected a tensor of at least 2"),
    (
        lambda: judge.kolmogorov_distance(POINTS[:0, 0], POINTS),
        r"kolmogorov_distance\.a: .*\(0,\).*at least one number",
    ),
    (
        lambda: judge.frechet_floor(POINTS, size=100),
        r"frechet_floor\.size: got 100, expected at most 15, half of the 30",
    ),
    (lambda: judge.c2st(POINTS, POINTS, True), r"seed: got True, expected a whole number"),
    (lambda: judge.bootstrap(POINTS, "median"), r"bootstrap\.statistic: got 'median', expected a function"),
    (lambda: judge.bootstrap(POINTS, lambda x: x), r"bootstrap\.statistic's result: .*\(30, 3\).*one number"),
    (lambda: judge.bootstrap(POINTS, level="0.9"), r"bootstrap\.level: got '0\.9', expected a number in \(0, 1\)"),
    (lambda: judge.likelihood_band(POINTS[:, 0], "a"), r"low='a'"),
    (lambda: judge.memorisation(POINTS, POINTS[:, :2], POINTS), r"of 3 and 2 numbers, .*training samples"),
    (
        lambda: judge.total_variation(torch.tensor([1.5, -0.5]), torch.ones(2) / 2),
        r"total_variation\.p: .*-0\.5.*negative",
    ),
    (lambda: judge.hellinger([0.5, 0.5], torch.ones(2) / 2), r"hellinger\.p: got a list, expected a tensor"),
    (lambda: judge.code_diversity(CODES.float()), r"code_diversity\.codes: got a float32 .*expected int64"),
    (lambda: judge.code_diversity(CODES, [True]), r"code_diversity\.positions: got a list"),
    (lambda: judge.pixel_diversity(None), r"pixel_diversity\.outputs: got None"),
    (lambda: judge.sbc_ranks(torch.rand(4, 9), torch.rand(4), 0), r"sbc_ranks\.noise: got 0, expected a Noise"),
    (lambda: judge.uniformity(torch.tensor([0, 12]), 9), r"uniformity\.ranks: got ranks from 0 to 12, .*from 0 to 9"),
    (
        lambda: judge.tarp_coverage(torch.rand(4, 9, 2), torch.rand(4, 2), torch.rand(4, 3), NOISE),
        r"references \(4, 3\)",
    ),
    (lambda: judge.posterior_spread(torch.rand(4, 2, 3), [0.0]), r"posterior_spread\.truth: got a list"),
]
REPORTS: list[tuple[Callable[[], object], str]] = [
    (lambda: judge.Reference(nn.Linear(4, 4), IMAGES), r"Reference\.generator: got a Linear, .*ls\.wrap"),
    (lambda: judge.Reference(ls.ContinuousGenerator, IMAGES), r"got the class ContinuousGenerator, .*make one first"),
    (lambda: judge.Reference(PICTURES, IMAGES, features="inception"), r"Reference\.features: got 'inception'"),
    (lambda: judge.Reference(PICTURES, IMAGES, latents=[0.0]), r"Reference\.latents: got a list"),
    (lambda: judge.report(ANSWERS, IMAGES), r"report\.reference: .*expected a Reference"),
    (lambda: judge.report(ANSWERS, REFERENCE, lambda x: x), r"report\.goal: got a function, .*Satisfies"),
    (
        lambda: judge.report(ANSWERS, REFERENCE, ls.Matches(IMAGES[:3])),
        r"report\.goal: got one about 3 .*the 2 problems",
    ),
    (lambda: judge.report(ANSWERS, REFERENCE, GOAL, labels=torch.tensor([0, 1])), r"labels and no classifier"),
    (lambda: judge.report(ANSWERS, REFERENCE, GOAL, labels=torch.zeros(2)), r"report\.labels: got a float32"),
    (lambda: judge.report(ANSWERS, REFERENCE, GOAL, truth=[0.0]), r"report\.truth: got a list"),
    (lambda: judge.report(ANSWERS, REFERENCE, GOAL, hidden=[0.0]), r"report\.hidden: got a list"),
    (lambda: judge.report(ANSWERS, REFERENCE, GOAL, tolerance=NAN), r"report\.tolerance: got nan"),
    (lambda: judge.report(ANSWERS, REFERENCE, GOAL, tolerance=torch.tensor([0.1, NAN])), r"report\.tolerance: got NaN"),
    (lambda: judge.report(ANSWERS, REFERENCE, GOAL, tolerance="0.1"), r"report\.tolerance: got '0\.1'"),
    (lambda: judge.encoder_tolerance(PICTURES, GOAL, IMAGES[:2], share=True), r"encoder_tolerance\.share: got True"),
    (lambda: judge.encoder_tolerance(PICTURES, GOAL, [0.0]), r"encoder_tolerance\.images: got list"),
    (lambda: ls.examine(PICTURES, IMAGES, progress="yes"), r"examine\.progress: got 'yes'"),  # type: ignore[arg-type]
    (lambda: report.Page(None), r"Page\.title: got None, expected a text"),
    (lambda: report.Page("a").text(3), r"Page\.text: got 3, expected a text"),
    (lambda: report.search_page(None), r"search_page\.result: got None, expected a SearchResult"),
    (lambda: report.search_figure(found().trace), r"search_figure\.result: got a Trace, .*plots\.traces"),
    (lambda: report.search_page(found(), value_range=1.0), r"search_page\.value_range: got 1\.0, expected two numbers"),
]
PLOTS: list[tuple[Callable[[], object], str]] = [
    (lambda: plots.image_grid(IMAGES[:2], ["a"]), r"image_grid\.rows: .*1, 8, 8.*expected a list of rows; \[images\]"),
    (lambda: plots.image_grid([IMAGES], None), r"image_grid\.labels: got None, expected a list of texts"),
    (lambda: plots.image_grid([IMAGES], [3]), r"image_grid\.labels: got a list, expected a list of texts"),
    (lambda: plots.image_grid([IMAGES], ["a"], scale=True), r"image_grid\.scale: got True"),
    (lambda: plots.image_grid([IMAGES], ["a"], value_range=1.0), r"value_range: got 1\.0, expected two numbers"),
    (lambda: plots.image_grid([IMAGES], ["a"], titles=["x"]), r"image_grid\.titles: got a list"),
    (lambda: plots.save_gif("a.gif", [IMAGES[0, 0]], ["a"]), r"save_gif\.rows: got no moving row, but \(8, 8\)"),
    (lambda: plots.save_gif("a.gif", [IMAGES[None]], ["a"], milliseconds=True), r"milliseconds: got True, .*least 20"),
    (lambda: plots.contour_map(3, torch.eye(3)), r"contour_map\.function: got 3, expected a function"),
    (lambda: plots.perturbation(nn.Linear(4, 4), torch.zeros(4)), r"perturbation\.generator: got a Linear"),
    (lambda: plots.perturbation(PICTURES, torch.zeros(4), codes=[1]), r"perturbation\.codes: .*amounts="),
    (lambda: plots.perturbation(PICTURES, torch.zeros(4), amounts=["1"]), r"perturbation\.amounts: got a list"),
    (
        lambda: plots.interpolation(None, torch.zeros(1, 4), torch.zeros(1, 4)),
        r"interpolation\.generator: got None",
    ),
    (lambda: plots.latent_map(POINTS, torch.zeros(30)), r"latent_map\.labels: got a float32 .*int64"),
    (
        lambda: plots.traces({"a": found()}, levels={"b": "0.1"}),
        r"traces\.levels\['b'\]: got '0\.1', expected a number",
    ),
    (lambda: plots.traces({"a": found()}, levels=[0.1]), r"traces\.levels: got a list"),
    (lambda: plots.Film(every=1.5), r"Film\.every: got 1\.5, expected a whole number"),
    (
        lambda: plots.save_piano_roll("a.png", TUNES, ["a", "b"], highlight=[12]),
        r"save_piano_roll\.highlight: got \[12\]",
    ),
]
MELODIES: list[tuple[Callable[[], object], str]] = [
    (lambda: melodies.scale(None), r"scale\.name: got None, .*'C major'"),
    (lambda: melodies.pitch_class_reward(TUNES, 3), r"pitch_classes: got 3, .*scale\("),
    (lambda: melodies.events_of([60]), r"melody: got a list, expected a tensor"),
    (lambda: melodies.count_notes(TUNES + 100), r"melody: got events from 160 to 160, expected those from 0 to 129"),
    (lambda: melodies.count_notes(TUNES - 100), r"melody: got events from -40 to -40"),
    (lambda: melodies.sounding_of([60]), r"events: got a list"),
    (lambda: melodies.save_midi("a.mid", TUNES, program=128), r"save_midi\.program: got 128, expected at most 127"),
    (lambda: melodies.save_midi("a.mid", TUNES, program="piano"), r"save_midi\.program: got 'piano'"),
    (lambda: melodies.save_midi("a.mid", TUNES, tempo=1.0), r"save_midi\.tempo: got 1\.0, expected a positive number"),
    (lambda: melodies.save_midi("a.mid", [60]), r"melody: got a list"),
    (lambda: melodies.load_midi(None), r"load_midi\.folder: got None, expected a path of a folder"),
]


def found() -> ls.SearchResult:
    toy = toys.bowl()
    return ls.RandomSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=4))


@pytest.mark.parametrize(("call", "match"), [*MEASURES, *REPORTS, *PLOTS, *MELODIES])
def test_a_mistake_is_told_by_its_name(
    call: Callable[[], object], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ls.InvalidArgument, match=match):
        call()
    assert not list(tmp_path.iterdir())


SAVES: dict[str, Callable[[Any], object]] = {
    "save_grid": lambda path: plots.save_grid(path, [IMAGES], ["a"]),
    "save_gif": lambda path: plots.save_gif(path, [IMAGES[None]], ["a"]),
    "save_piano_roll": lambda path: plots.save_piano_roll(path, TUNES, ["a", "b"]),
    "save_midi": lambda path: melodies.save_midi(path, TUNES),
    "Page.write": lambda path: report.Page("a").write(path),
}


@pytest.mark.parametrize("name", SAVES)
@pytest.mark.parametrize("path", [None, 3, "", ".", b"a"])
def test_files_have_paths(name: str, path: object) -> None:
    with pytest.raises(ls.InvalidArgument, match=rf"{name}(\.path)?: got .*expected a path of a file"):
        SAVES[name](path)


@pytest.mark.parametrize(("name", "kind"), [("save_grid", "png"), ("save_gif", "gif"), ("save_midi", "mid")])
def test_files_end_as_what_they_are(name: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(ls.InvalidArgument, match=rf"{name}\.path: got .*a\.xyz, expected .*\.{kind}.*a\.{kind}"):
        SAVES[name](tmp_path / "a.xyz")
    SAVES[name](tmp_path / "plain")
    SAVES[name](str(tmp_path / f"loud.{kind.upper()}"))


def test_midi_is_read_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"read_midi\.path: .*where no file is"):
        melodies.read_midi(tmp_path / "no.mid")
    with pytest.raises(ls.InvalidArgument, match=r"read_midi\.path: got the folder"):
        melodies.read_midi(tmp_path)
