"""Measures, pictures, reports, the zoo and melodies, asked wrongly."""

from __future__ import annotations

from typing import Any

import torch

import latentsearch as ls
from examples.campaigns.wrong_calls.kit import (
    FEW,
    FOLDER,
    IMAGES,
    LINE,
    Case,
    choices,
    encoded,
    integers,
    numbers,
    small_decoder,
)
from examples.campaigns.wrong_calls.runs import result
from latentsearch import judge, melodies, plots, report, zoo
from latentsearch.training import History

A = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
CODES = torch.zeros(4, 3, 2, 2, dtype=torch.long)
NOISE = ls.Noise.from_seed(0, 4)
PICTURES = encoded()


def _samples() -> list[Case]:
    two: dict[str, Any] = {
        "frechet_distance": judge.frechet_distance,
        "kernel_distance": judge.kernel_distance,
        "density_coverage": judge.density_coverage,
        "c2st": judge.c2st,
        "critic_auc": judge.critic_auc,
        "kolmogorov_distance": lambda a, b: judge.kolmogorov_distance(a[:, 0], b[:, 0]),
    }
    cases: list[Case] = []
    for name, measure in two.items():
        cases += [
            Case(f"{name} of NaN", lambda measure=measure: measure(A, A * float("nan")), ("nan|finite",)),
            Case(
                f"{name} of no rows", lambda measure=measure: measure(A, A[:0]), ("0", "at least|row|few|one|two|more")
            ),
        ]
        if name != "kolmogorov_distance":
            cases += [
                Case(f"{name} of two widths", lambda measure=measure: measure(A, A[:, :2]), ("2", "3")),
                Case(f"{name} of a list", lambda measure=measure: measure(A.tolist(), A), ("list", "tensor")),
                Case(f"{name} of None", lambda measure=measure: measure(A, None), ("None", "tensor")),
            ]
    return [
        *cases,
        *integers("density_coverage", "k", lambda value: judge.density_coverage(A, A, k=value)),
        Case(
            "density_coverage of more neighbours", lambda: judge.density_coverage(A, A, k=50), ("k", "50", "30|fewer")
        ),
        *integers("c2st", "folds", lambda value: judge.c2st(A, A, folds=value), least=2),
        *integers("kernel_distance", "subsets", lambda value: judge.kernel_distance(A, A, subsets=value)),
        Case("c2st by a word", lambda: judge.c2st(A, A, "a"), ("seed", "'a'", "whole|integer")),
        Case(
            "frechet_floor of more than there is",
            lambda: judge.frechet_floor(A, size=100),
            ("size", "100", "30|15|rows"),
        ),
        *integers("bootstrap", "draws", lambda value: judge.bootstrap(A, draws=value)),
        *numbers("bootstrap", "level", lambda value: judge.bootstrap(A, level=value), below=(0.0, 1.5, 95)),
        Case("bootstrap of one problem", lambda: judge.bootstrap(A[:1]), ("values", "1", "two|at least|2")),
        Case("bootstrap of a list", lambda: judge.bootstrap([1.0, 2.0]), ("values", "list", "tensor")),
        Case("bootstrap by a word", lambda: judge.bootstrap(A, "median"), ("statistic", "median", "function|callable")),
        Case(
            "bootstrap of a statistic of rows",
            lambda: judge.bootstrap(A, lambda x: x),
            ("statistic", "one number|scalar"),
        ),
        Case("likelihood_band of NaN", lambda: judge.likelihood_band(A[:, 0] * float("nan")), ("nll", "nan|finite")),
        Case(
            "likelihood_band in reverse",
            lambda: judge.likelihood_band(A[:, 0], 0.9, 0.1),
            ("low|high", r"0\.9", "order|below|<|low.*high"),
        ),
        Case(
            "likelihood_band in percent",
            lambda: judge.likelihood_band(A[:, 0], 5, 95),
            ("low|high", "95|5", "0.*1|share"),
        ),
        Case(
            "likelihood_band of no numbers", lambda: judge.likelihood_band(A[:0, 0]), ("nll", "0|empty", "at least|one")
        ),
        Case("memorisation of other pictures", lambda: judge.memorisation(A, A[:, :2], A), ("training", "2", "3")),
        Case("memorisation of the training data", lambda: judge.memorisation(A, A, A), ("test", "training")),
        Case("memorisation of None", lambda: judge.memorisation(A, A, None), ("test", "None", "tensor")),
        Case(
            "total_variation of counts",
            lambda: judge.total_variation(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0])),
            ("sum", "1"),
        ),
        Case(
            "total_variation of two sizes",
            lambda: judge.total_variation(torch.ones(2) / 2, torch.ones(4) / 4),
            ("2", "4"),
        ),
        Case(
            "total_variation of negative shares",
            lambda: judge.total_variation(torch.tensor([1.5, -0.5]), torch.ones(2) / 2),
            ("negative|-0\\.5|>= 0|not negative",),
        ),
        Case("hellinger of two sizes", lambda: judge.hellinger(torch.ones(2) / 2, torch.ones(4) / 4), ("2", "4")),
        *integers(
            "total_variation_floor", "draws", lambda value: judge.total_variation_floor(torch.ones(2) / 2, value)
        ),
        Case("code_diversity of vectors", lambda: judge.code_diversity(CODES.float()), ("codes", "float", "int64")),
        Case(
            "code_diversity of one answer",
            lambda: judge.code_diversity(CODES[:, :1]),
            ("codes|answers", "1", "two|2|at least"),
        ),
        Case(
            "code_diversity at no position",
            lambda: judge.code_diversity(CODES, torch.zeros(2, 2).bool()),
            ("positions", "none|no position|at least one|counts"),
        ),
        Case(
            "code_diversity at other positions",
            lambda: judge.code_diversity(CODES, torch.ones(3, 3).bool()),
            ("positions", "3, 3", "2, 2"),
        ),
        Case(
            "pixel_diversity of one answer",
            lambda: judge.pixel_diversity(torch.rand(4, 1, 8)),
            ("outputs|answers", "1", "two|2|at least"),
        ),
        Case(
            "sbc_ranks of other counts",
            lambda: judge.sbc_ranks(torch.rand(4, 9), torch.rand(3), NOISE),
            ("truth", "3", "4"),
        ),
        Case(
            "sbc_ranks by a seed", lambda: judge.sbc_ranks(torch.rand(4, 9), torch.rand(4), 0), ("noise", "0", "Noise")
        ),
        Case(
            "sbc_ranks by other noise",
            lambda: judge.sbc_ranks(torch.rand(4, 9), torch.rand(4), ls.Noise.from_seed(0, 2)),
            ("noise", "2", "4"),
        ),
        Case("uniformity of ranks beyond", lambda: judge.uniformity(torch.tensor([0, 12]), 9), ("rank", "12", "9")),
        Case("uniformity of floats", lambda: judge.uniformity(torch.rand(4), 9), ("rank", "float", "int64|whole")),
        Case(
            "uniformity of many bins",
            lambda: judge.uniformity(torch.tensor([0, 1]), 2, bins=8),
            ("bins", "8", "3|at most"),
        ),
        Case(
            "tarp_coverage of other references",
            lambda: judge.tarp_coverage(torch.rand(4, 9, 2), torch.rand(4, 2), torch.rand(4, 3), NOISE),
            ("references", "3", "2"),
        ),
        Case(
            "tarp_coverage by a seed",
            lambda: judge.tarp_coverage(torch.rand(4, 9, 2), torch.rand(4, 2), torch.rand(4, 2), 0),
            ("noise", "0", "Noise"),
        ),
        Case(
            "posterior_spread of one sample",
            lambda: judge.posterior_spread(torch.rand(4, 1, 2), torch.rand(4, 2)),
            ("samples", "1", "two|2|at least"),
        ),
    ]


def _reference() -> judge.Reference:
    return judge.Reference(PICTURES, IMAGES)


def _reports() -> list[Case]:
    answers, goal = torch.zeros(2, 3, 4), ls.Matches(IMAGES[:2])
    return [
        Case(
            "Reference of a network",
            lambda: judge.Reference(small_decoder(), IMAGES),
            ("generator", "Sequential", "wrap|Generator"),
        ),
        Case(
            "Reference of one image", lambda: judge.Reference(PICTURES, IMAGES[:1]), ("images", "1", "two|2|at least")
        ),
        Case("Reference of a list", lambda: judge.Reference(PICTURES, [IMAGES]), ("images", "list", "tensor")),
        Case(
            "Reference of other images",
            lambda: judge.report(answers, judge.Reference(PICTURES, torch.rand(40, 1, 9, 9))),
            ("images", "9, 9", "8, 8"),
        ),
        Case(
            "Reference with a prior by name",
            lambda: judge.Reference(PICTURES, IMAGES, prior="normal|str"),
            ("prior", "normal|str", "Prior|sample"),
        ),
        Case(
            "Reference with fewer latents",
            lambda: judge.Reference(PICTURES, IMAGES, latents=torch.zeros(3, 4)),
            ("latents", "3", "40"),
        ),
        Case(
            "Reference with features by name",
            lambda: judge.Reference(PICTURES, IMAGES, features="inception"),
            ("features", "inception", "function|callable"),
        ),
        Case(
            "report of None",
            lambda: judge.report(None, _reference()),
            ("answers", "None", "SearchResult|result|latents"),
        ),
        Case(
            "report of outputs",
            lambda: judge.report(torch.rand(2, 3, 1, 8, 8), _reference()),
            ("answers", "1, 8, 8", "4|latents|B, R"),
        ),
        Case(
            "report of latents without R",
            lambda: judge.report(torch.zeros(2, 4), _reference()),
            ("answers", "2, 4", r"B, R|2, 1, 4|unsqueeze|\[:, None\]"),
        ),
        Case("report against a tensor", lambda: judge.report(answers, IMAGES), ("reference", "tensor", "Reference")),
        Case(
            "report with a goal of three",
            lambda: judge.report(answers, _reference(), ls.Matches(IMAGES[:3])),
            ("goal", "3", "2"),
        ),
        Case(
            "report with a function",
            lambda: judge.report(answers, _reference(), lambda x: x),
            ("goal", "Satisfies|constraint"),
        ),
        Case(
            "report with another truth",
            lambda: judge.report(answers, _reference(), goal, truth=IMAGES[:3]),
            ("truth", "3", "2"),
        ),
        Case(
            "report with labels and no classifier",
            lambda: judge.report(answers, _reference(), goal, truth=IMAGES[:2], labels=torch.zeros(2).long()),
            ("labels", "classifier"),
        ),
        Case(
            "report with labels of floats",
            lambda: judge.report(answers, _reference(), goal, truth=IMAGES[:2], labels=torch.zeros(2)),
            ("labels", "float", "int64|long"),
        ),
        Case(
            "report with a word's tolerance",
            lambda: judge.report(answers, _reference(), goal, tolerance="0.1"),
            ("tolerance", r"'0\.1'", "number"),
        ),
        Case(
            "report with a negative tolerance",
            lambda: judge.report(answers, _reference(), goal, tolerance=float("nan")),
            ("tolerance", "nan", "number|finite"),
        ),
        Case(
            "report by a word's seed",
            lambda: judge.report(answers, _reference(), goal, seed="a"),
            ("seed", "'a'", "whole|integer"),
        ),
        *numbers(
            "encoder_tolerance",
            "share",
            lambda value: judge.encoder_tolerance(PICTURES, goal, IMAGES[:2], share=value),
            below=(-0.1, 1.5),
        ),
        Case(
            "encoder_tolerance without an encoder",
            lambda: judge.encoder_tolerance(LINE, ls.Matches(torch.zeros(2, 4)), torch.zeros(2, 4)),
            ("encode",),
        ),
        Case(
            "examine a network",
            lambda: ls.examine(small_decoder(), IMAGES),
            ("generator", "Sequential", "wrap|Generator"),
        ),
        Case("examine None", lambda: ls.examine(None, IMAGES), ("generator", "None", "wrap|Generator")),
        Case("examine few images", lambda: ls.examine(PICTURES, IMAGES[:5]), ("images", "5", "20|at least")),
        Case("examine a list", lambda: ls.examine(PICTURES, [IMAGES]), ("images", "list", "tensor")),
        Case("examine other images", lambda: ls.examine(PICTURES, torch.rand(40, 1, 9, 9)), ("images", "9, 9", "8, 8")),
        Case("examine bytes", lambda: ls.examine(PICTURES, (IMAGES * 255).byte()), ("images", "uint8", "255|float")),
        Case(
            "examine to 255", lambda: ls.examine(PICTURES, IMAGES * 255), ("images", "255|25\\d", "range|0.*1|/ ?255")
        ),
        Case(
            "examine images, channels last",
            lambda: ls.examine(PICTURES, IMAGES.movedim(1, -1)),
            ("images", "8, 8, 1", "1, 8, 8", "movedim|permute|channels"),
        ),
        Case(
            "examine by a word's seed", lambda: ls.examine(PICTURES, IMAGES, seed="a"), ("seed", "'a'", "whole|integer")
        ),
        Case("a Page without a title", lambda: report.Page(None), ("title", "None", "str|text|word")),
        Case("a Page to None", lambda: report.Page("a").write(None), ("path", "None", "path|file")),
        Case("a Page to a folder", lambda: report.Page("a").write(FOLDER), ("folder|directory", "file")),
        Case("search_page of None", lambda: report.search_page(None), ("result", "None", "SearchResult")),
        Case(
            "search_page of a latent",
            lambda: report.search_page(torch.zeros(2, 4)),
            ("result", "tensor", "SearchResult"),
        ),
        Case(
            "search_figure of a trace",
            lambda: report.search_figure(result().trace),
            ("result", "Trace", "SearchResult"),
        ),
        Case(
            "search_page with other targets",
            lambda: report.search_page(result(), targets=IMAGES[:3]),
            ("targets", "3", "2"),
        ),
        Case("zoo.load of a wrong name", lambda: zoo.load("mnist"), ("mnist", "mnist-vae")),
        Case("zoo.load of a typo", lambda: zoo.load("mnist-vea"), ("mnist-vea", "mnist-vae")),
        Case("zoo.load of None", lambda: zoo.load(None), ("None", "mnist-vae")),
        Case("zoo.load of a list", lambda: zoo.load(["mnist-vae"]), ("list|\\[", "name|mnist-vae")),
        Case("zoo.load of a path", lambda: zoo.load("model.safetensors"), ("model\\.safetensors", "mnist-vae")),
        Case("zoo.prior of a wrong name", lambda: zoo.prior("mnist"), ("mnist", "mnist-")),
        Case("zoo.prior of None", lambda: zoo.prior(None), ("None", "mnist-")),
        Case("zoo.figures of a wrong name", lambda: zoo.figures("mnist"), ("mnist", "mnist-vae")),
        Case("zoo.figures of 3", lambda: zoo.figures(3), ("3", "mnist-vae")),
    ]


def grid(rows: Any = (IMAGES[:2],), labels: Any = ("a",), **more: Any) -> Any:
    """A grid of pictures."""
    return plots.image_grid(rows, labels, **more)


def save(path: Any) -> Any:
    """A file of a grid of pictures."""
    return plots.save_grid(path, (IMAGES[:2],), ("a",))


def score(z: torch.Tensor) -> torch.Tensor:
    """A number a latent."""
    return z.sum(1)


def _plots() -> list[Case]:
    latent = torch.zeros(4)
    corners = torch.tensor([[0.0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]])
    melody = torch.full((2, 32), 60)
    return [
        Case("a grid of a list of lists", lambda: grid([[0.0]]), ("rows", "list", "tensor|images")),
        Case("a grid of no rows", lambda: grid([], []), ("rows", "at least one|no rows|empty|\\[\\]|0")),
        Case("a grid of one tensor", lambda: grid(IMAGES[:2]), ("rows", "tensor|1, 8, 8", "list|\\[")),
        Case("a grid of an image", lambda: grid([IMAGES[0, 0]]), ("rows", "8, 8", "n, C, H, W|C, H, W")),
        Case("a grid of two channels", lambda: grid([torch.rand(2, 2, 8, 8)]), ("rows", "2, 8, 8", "1 or 3|channels")),
        Case("a grid of bytes", lambda: grid([(IMAGES[:2] * 255).byte()]), ("rows", "uint8", "float|255")),
        Case("a grid to 255", lambda: grid([IMAGES[:2] * 255]), ("rows", "255|25\\d", "value_range|range")),
        Case("a grid of NaN", lambda: grid([IMAGES[:2] * float("nan")]), ("rows", "nan|finite")),
        Case("a grid of more labels", lambda: grid(labels=("a", "b")), ("labels", "2", "1|one for each")),
        Case("a grid without labels", lambda: grid(labels=None), ("labels", "None", "one for each|list")),
        *integers("image_grid", "scale", lambda value: grid(scale=value)),
        Case(
            "a grid with a range in reverse", lambda: grid(value_range=(1.0, 0.0)), ("value_range", "order|low|<|below")
        ),
        Case("a grid with a range of one", lambda: grid(value_range=1.0), ("value_range", "two|pair|low")),
        Case("a grid with a title of no row", lambda: grid(titles={5: "x"}), ("titles", "5", "1|0|row")),
        Case("save_grid to None", lambda: save(None), ("path", "None", "path|file")),
        Case("save_grid to a folder", lambda: save(FOLDER), ("folder|directory", "file")),
        Case("save_grid to an unknown kind", lambda: save(FOLDER / "a.xyz"), ("xyz|path", "png")),
        Case(
            "save_gif of one picture", lambda: plots.save_gif(FOLDER / "a.gif", [IMAGES[0, 0]], ["a"]), ("rows", "8, 8")
        ),
        *integers(
            "save_gif",
            "milliseconds",
            lambda value: plots.save_gif(FOLDER / "a.gif", [IMAGES[None, :2]], ["a"], milliseconds=value),
        )[:4],
        Case("code_usage of vectors", lambda: plots.code_usage(torch.rand(4, 2), 5), ("codes", "float", "int64")),
        Case("code_usage of codes beyond", lambda: plots.code_usage(torch.full((4, 2), 7), 5), ("codes", "7", "5|4")),
        *integers("code_usage", "codebook_size", lambda value: plots.code_usage(torch.zeros(4, 2).long(), value))[:5],
        Case(
            "contour_map of no function", lambda: plots.contour_map(3, corners), ("function", "3", "callable|function")
        ),
        Case("contour_map of two corners", lambda: plots.contour_map(score, corners[:2]), ("corners", "2", "3|three")),
        Case(
            "contour_map of a line", lambda: plots.contour_map(score, torch.zeros(3, 4)), ("corners", "line|plane|same")
        ),
        Case(
            "contour_map of two labels",
            lambda: plots.contour_map(score, corners, ("a", "b")),
            ("labels", "2", "3|three"),
        ),
        Case(
            "contour_map of a map",
            lambda: plots.contour_map(lambda z: z, corners),
            ("function", r"\(N,\)|one number|row|\(\d+,\)"),
        ),
        *integers("contour_map", "steps", lambda value: plots.contour_map(score, corners, steps=value), least=2),
        Case(
            "interpolation of another width",
            lambda: plots.interpolation(PICTURES, torch.zeros(1, 5), torch.zeros(1, 5)),
            ("starts|latent", "5", "4"),
        ),
        Case(
            "interpolation of two counts",
            lambda: plots.interpolation(PICTURES, torch.zeros(1, 4), torch.zeros(2, 4)),
            ("ends|starts", "2", "1"),
        ),
        *integers(
            "interpolation",
            "steps",
            lambda value: plots.interpolation(PICTURES, torch.zeros(1, 4), torch.ones(1, 4), steps=value),
            least=2,
        ),
        Case(
            "interpolation of vectors' outputs",
            lambda: plots.interpolation(LINE, torch.zeros(1, 4), torch.ones(1, 4)),
            ("image|output", "4"),
            FEW,
        ),
        Case(
            "perturbation of a batch",
            lambda: plots.perturbation(PICTURES, torch.zeros(2, 4)),
            ("latent", "2, 4", r"\(4,\)|one latent|4"),
        ),
        Case(
            "perturbation of no such element",
            lambda: plots.perturbation(PICTURES, latent, elements=[9]),
            ("elements", "9", "4|3"),
        ),
        Case(
            "perturbation of codes, in vectors",
            lambda: plots.perturbation(PICTURES, latent, codes=[1]),
            ("codes", "continuous|amounts|codes"),
        ),
        Case(
            "perturbation of a network",
            lambda: plots.perturbation(small_decoder(), latent),
            ("generator", "Sequential", "wrap|Generator"),
        ),
        Case(
            "latent_map of codes",
            lambda: plots.latent_map(torch.zeros(9, 4).long()),
            ("latents", "int64", "float|embed"),
        ),
        Case("latent_map of fewer labels", lambda: plots.latent_map(A, torch.zeros(3).long()), ("labels", "3", "30")),
        Case(
            "latent_map of floats' labels", lambda: plots.latent_map(A, torch.zeros(30)), ("labels", "float", "int64")
        ),
        *choices("latent_map", "method", lambda value: plots.latent_map(A, method=value), ("pca", "tsne")),
        Case("latent_map of other marks", lambda: plots.latent_map(A, marks=torch.zeros(2, 5)), ("marks", "5", "3")),
        Case("search_strip of images", lambda: plots.search_strip(IMAGES), ("frames", "40, 1, 8, 8", "T, B, C, H, W")),
        Case(
            "search_strip of other targets",
            lambda: plots.search_strip(IMAGES.view(20, 2, 1, 8, 8), IMAGES[:3]),
            ("targets", "3", "2"),
        ),
        *integers(
            "search_strip", "moments", lambda value: plots.search_strip(IMAGES.view(20, 2, 1, 8, 8), moments=value)
        )[:5],
        Case(
            "traces of one result",
            lambda: plots.traces(result()),
            ("searches", "SearchResult", r"\{|name|dict|mapping"),
        ),
        Case("traces of nothing", lambda: plots.traces({}), ("searches", r"\{\}|at least one|empty|no search")),
        Case("traces of numbers", lambda: plots.traces({"a": [1.0]}), ("searches|a", "list", "SearchResult|Trace")),
        Case(
            "traces with levels of words",
            lambda: plots.traces({"a": result()}, levels={"b": "0.1"}),
            ("levels", r"0\.1", "number"),
        ),
        Case("training_curves of a dict", lambda: plots.training_curves({"a": [1.0]}), ("history", "dict", "History")),
        Case(
            "training_curves of nothing",
            lambda: plots.training_curves(History()),
            ("history", "empty|no|at least|entr"),
        ),
        Case(
            "reach_map of a vector", lambda: plots.reach_map(torch.zeros(4)), ("changes", r"\(4,\)", "H, W|N|grid|map")
        ),
        *integers("Film", "every", lambda value: plots.Film(every=value), optional=True),
        Case(
            "a piano roll of floats",
            lambda: plots.save_piano_roll(FOLDER / "a.png", melody.float(), ["a", "b"]),
            ("melodies|melody", "float", "int64|events|logits"),
        ),
        Case(
            "a piano roll of one label",
            lambda: plots.save_piano_roll(FOLDER / "a.png", melody, ["a"]),
            ("labels", "1", "2"),
        ),
        Case(
            "a piano roll of no pitch class",
            lambda: plots.save_piano_roll(FOLDER / "a.png", melody, ["a", "b"], highlight=[12]),
            ("highlight|pitch", "12", "11"),
        ),
    ]


def _melodies() -> list[Case]:
    melody, m = torch.full((2, 32), 60), melodies
    return [
        Case("scale of no mode", lambda: m.scale("C happy"), ("C happy", "major")),
        Case("scale of no note", lambda: m.scale("H major"), ("H major", "C|note|A to G")),
        Case("scale of one word", lambda: m.scale("major"), ("major", "C major|E flat major")),
        Case("scale of None", lambda: m.scale(None), ("None", "C major|name")),
        Case("scale of 3", lambda: m.scale(3), ("3", "C major|name")),
        Case(
            "no pitch class",
            lambda: m.pitch_class_reward(melody, ()),
            ("pitch_classes", "at least one|no pitch|\\(\\)|empty"),
        ),
        Case("pitch class 12", lambda: m.pitch_class_reward(melody, (0, 12)), ("pitch_classes", "12", "11")),
        Case(
            "pitch classes by name",
            lambda: m.pitch_class_reward(melody, "C major"),
            ("pitch_classes", "C major", r"scale\(|numbers"),
        ),
        Case(
            "pitch class 1.5",
            lambda: m.pitch_class_reward(melody, (1.5,)),
            ("pitch_classes", r"1\.5", "whole|number|int"),
        ),
        *integers("density_reward", "notes", lambda value: m.density_reward(melody, value)),
        Case("events of a list", lambda: m.events_of([60, 61]), ("melod|events", "list", "tensor")),
        Case("events of floats", lambda: m.events_of(melody.float()), ("melod|events", "float", "int64|logits")),
        Case("events beyond", lambda: m.count_notes(melody + 100), ("melod|events", "160", "129|130")),
        Case("events of negative pitch", lambda: m.count_notes(melody - 100), ("melod|events", "-40", "0")),
        Case("canonical of None", lambda: m.canonical(None), ("melod|events", "None", "tensor")),
        Case(
            "load_midi of no folder", lambda: m.load_midi(FOLDER / "nowhere"), ("nowhere", "no such|exist|MIDI|folder")
        ),
        Case("load_midi of an empty folder", lambda: m.load_midi(_empty()), ("MIDI|\\.mid", "no |expected a folder")),
        Case("load_midi of None", lambda: m.load_midi(None), ("folder", "None", "path|folder")),
        *integers("load_midi", "bars", lambda value: m.load_midi(_empty(), bars=value))[:4],
        Case(
            "read_midi of no file",
            lambda: m.read_midi(FOLDER / "no.mid"),
            ("no\\.mid", "no such|exist|found|missing|no file"),
        ),
        Case("read_midi of a text", lambda: m.read_midi(_text()), ("text\\.mid", "MIDI")),
        Case("save_midi to None", lambda: m.save_midi(None, melody), ("path", "None", "path|file")),
        Case(
            "save_midi of floats",
            lambda: m.save_midi(FOLDER / "a.mid", melody.float()),
            ("melod|events", "float", "int64|logits"),
        ),
        *numbers(
            "save_midi", "tempo", lambda value: m.save_midi(FOLDER / "a.mid", melody, tempo=value), below=(0.0, -1.0)
        ),
        *integers("save_midi", "program", lambda value: m.save_midi(FOLDER / "a.mid", melody, program=value), least=0),
        Case(
            "save_midi of instrument 128",
            lambda: m.save_midi(FOLDER / "a.mid", melody, program=128),
            ("program", "128", "127"),
        ),
        Case(
            "render of no file",
            lambda: m.render(FOLDER / "no.mid"),
            ("no\\.mid|fluidsynth", "not there|no such|exist|install|found|missing|no file"),
        ),
        Case("sounding_of a list", lambda: m.sounding_of([60]), ("melod|events", "list", "tensor")),
    ]


def _empty() -> Any:
    folder = FOLDER / "empty"
    folder.mkdir(exist_ok=True)
    return folder


def _text() -> Any:
    path = FOLDER / "text.mid"
    path.write_text("hello")
    return path


CASES: list[Case] = [*_samples(), *_reports(), *_plots(), *_melodies()]
