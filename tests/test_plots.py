"""Grids and animations have the size they should, and a film shows what the search held at each moment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

import latentsearch as ls
from latentsearch import plots
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.report import Page
from latentsearch.testing import toys


def test_grid_is_a_png_that_shows_the_pixels(tmp_path: Path) -> None:
    images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    path = plots.save_grid(tmp_path / "new" / "grid.png", [images, images[..., ::2, ::2]], ["", ""], scale=4)
    with Image.open(path) as image:
        image.load()
    # Two cells of 32 pixels with a gap of 4, and a margin of 12 on all sides; small images are enlarged.
    assert (image.format, image.size) == ("PNG", (12 + 32 + 4 + 32 + 12, 12 + 32 + 4 + 32 + 12))
    for top in (12, 48):
        assert image.getpixel((12, top)) == image.getpixel((43, top + 31)) == 0
        assert image.getpixel((48, top)) == image.getpixel((79, top + 31)) == 255


def test_labels_and_titles_take_space(tmp_path: Path) -> None:
    row = torch.rand(3, 3, 8, 8)
    bare = plots.save_grid(tmp_path / "a.png", [row, row], ["", ""])
    full = plots.save_grid(tmp_path / "b.png", [row, row], ["target", "found"], titles={1: "constraint"})
    with Image.open(bare) as a, Image.open(full) as b:
        assert b.mode == "RGB"
        assert b.width > a.width and b.height > a.height


def test_gif_has_a_frame_a_moment(tmp_path: Path) -> None:
    targets, frames, shorter = torch.rand(3, 1, 8, 8), torch.rand(5, 3, 1, 8, 8), torch.rand(2, 3, 1, 8, 8)
    captions = [f"step {n}" for n in range(5)]
    path = plots.save_gif(tmp_path / "s.gif", [targets, frames, shorter], ["target", "a", "b"], captions=captions)
    durations = []
    with Image.open(path) as image:
        assert (image.format, image.n_frames) == ("GIF", 5)
        for n in range(5):
            image.seek(n)
            durations.append(image.info["duration"])
    assert durations == [120] * 4 + [2000]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (torch.rand(8, 8), "images"),
        (torch.rand(1, 8, 8), r"row\[None\]"),
        (torch.rand(2, 8, 8, 3), "movedim"),
        (torch.rand(2, 2, 8, 8), "C = 1 or 3"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "/ 255"),
        (torch.rand(2, 1, 8, 8) * 255, "value_range"),
        (torch.full((2, 1, 8, 8), torch.nan), "NaN"),
        (torch.rand(0, 1, 8, 8), "images"),
        ([[0.0]], "images"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row, message: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=message) as error:
        plots.save_grid(tmp_path / "grid.png", [torch.rand(2, 1, 8, 8), row], ["good", "bad"])
    assert "save_grid.rows[1]" in str(error.value)
    assert not (tmp_path / "grid.png").exists()


@pytest.mark.parametrize(
    "settings",
    [{"labels": ["one"]}, {"titles": {2: "?"}}, {"scale": 0}, {"value_range": (1.0, 0.0)}],
    ids=lambda settings: next(iter(settings)),
)
def test_wrong_settings_are_named(tmp_path: Path, settings) -> None:
    row, name = torch.rand(2, 1, 8, 8), next(iter(settings))
    with pytest.raises(ls.InvalidArgument, match=f"save_grid.{name}"):
        plots.save_grid(tmp_path / "g.png", [row, row], **{"labels": ["a", "b"], **settings})


def test_gif_wants_something_that_moves(tmp_path: Path) -> None:
    still, moving = torch.rand(2, 1, 8, 8), torch.rand(4, 2, 1, 8, 8)
    with pytest.raises(ls.InvalidArgument, match="no moving row"):
        plots.save_gif(tmp_path / "s.gif", [still], ["a"])
    with pytest.raises(ls.InvalidArgument, match=r"3 captions.*4 frames"):
        plots.save_gif(tmp_path / "s.gif", [moving], ["a"], captions=["1", "2", "3"])


@pytest.mark.parametrize("every", [None, 1, 7])
@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("method", [ls.GradientSearch, ls.RelaxedSearch, ls.RandomSearch])
def test_film_holds_what_the_trace_says(method, restarts: int, every: int | None) -> None:
    toy = toys.codes() if method is ls.RelaxedSearch else toys.bowl()
    film = plots.Film(every)
    # Budgets of different size, so that rows are dropped on the way.
    run = ls.Run(evaluations=[(60 + 60 * b) * restarts for b in range(toy.constraint.problems)], callbacks=[film])
    result = method(restarts=restarts).search(toy.generator, toy.constraint, seed=0, run=run)
    assert torch.equal(film.latents[-1], result.latent)
    assert film.steps == sorted(set(film.steps)) and film.steps[-1] == result.steps
    for number, latent in zip(film.steps, film.latents, strict=True):
        loss = toy.constraint(toy.generator.decode(latent), latent).loss
        torch.testing.assert_close(loss, result.trace.loss[number - 1])
    assert film.decode(toy.generator).shape == (len(film.steps), *result.output.shape)


def test_film_thins_out_and_starts_anew() -> None:
    toy, film = toys.bowl(), plots.Film()
    for budget in (2000, 40):
        run = ls.Run(evaluations=budget, callbacks=[film])
        result = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
        assert film.steps[-1] == result.steps
        assert len(film.steps) < 70


def test_an_empty_film_says_so() -> None:
    with pytest.raises(ls.InvalidArgument, match="nothing was recorded"):
        _ = plots.Film().latents
    with pytest.raises(ls.InvalidArgument, match=r"Film\.every"):
        plots.Film(0)


# -- figures ------------------------------------------------------------------------------------------


def test_a_contour_map_shows_what_the_function_says_there() -> None:
    corners = torch.tensor([[1.0, 2.0, 0.0], [4.0, 2.0, 0.0], [1.0, 5.0, 0.0]])
    seen: list[torch.Tensor] = []

    def height(z: torch.Tensor) -> torch.Tensor:
        seen.append(z)
        return z[:, 0] + 10 * z[:, 1]

    figure = plots.contour_map(height, corners, ["x", "y", "z"], margin=0.0, steps=4, path=corners[:2])
    z = torch.cat(seen)
    assert z.shape == (16, 3) and torch.equal(z[:, 2], torch.zeros(16))  # all in the plane
    assert torch.allclose(z[0], corners[0]) and torch.allclose(z[3], corners[1]) and torch.allclose(z[12], corners[2])
    (line,) = figure.axes[0].lines
    assert line.get_xydata().round(4).tolist() == [[0, 0], [3, 0]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["x", "y", "z"]


def _rounded_line() -> torch.Tensor:
    a, b = torch.randn(2, 20, generator=torch.Generator().manual_seed(0))
    return torch.stack([a, a + 0.3 * (b - a), b])


def test_a_path_far_off_does_not_shrink_the_map() -> None:
    figure = plots.contour_map(lambda z: z[:, 0], torch.eye(3), path=50 * torch.eye(3), margin=0.0)
    low, high = figure.axes[0].get_xlim()
    assert high - low == pytest.approx(2**0.5)
    with pytest.raises(InvalidArgument, match=r"contour_map\.path"):
        plots.contour_map(lambda z: z[:, 0], torch.eye(3), path=torch.eye(3)[:, None])
    with pytest.raises(InvalidArgument, match=r"contour_map\.margin"):
        plots.contour_map(lambda z: z[:, 0], torch.eye(3), margin=-3.0)


@pytest.mark.parametrize(
    ("function", "corners", "says"),
    [
        (lambda z: z[:, 0], torch.eye(3)[:2], "three floating latents"),
        (lambda z: z[:, 0], torch.tensor([[0.0, 0], [1, 1], [2, 2]]), "one line"),
        (lambda z: z[:, 0], torch.ones(3, 2), "one line"),
        (lambda z: z[:, 0], torch.arange(3.0)[:, None], "one line"),
        (lambda z: z[:, 0], _rounded_line(), "one line"),
        (lambda z: z[:, 0], torch.eye(3) * torch.nan, "NaN or infinity"),
        (lambda z: z[:, 0], torch.eye(3).long(), "floating"),
        (lambda z: z[:, 0], [0, 1, 2], "got list"),
        (lambda z: z, torch.eye(3), "of several outputs take one"),
    ],
)
def test_a_contour_map_refuses(function: Any, corners: torch.Tensor, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        plots.contour_map(function, corners)


def test_training_curves_have_a_line_a_term_and_dashes_for_what_is_held_out() -> None:
    history = ls.training.History()
    history.add(10, {"a": 3.0}, {"a": 4.0, "c": 0.0})
    history.add(20, {"b": 1.0}, {"a": 5.0, "c": 1.0})  # the turn of another group
    history.add(30, {"a": 2.0}, {"a": 6.0, "c": 2.0})
    lines = {line.get_label(): line for line in plots.training_curves(history).axes[0].lines}
    drawn = {name: (line.get_linestyle(), line.get_xydata().tolist()) for name, line in lines.items()}
    assert drawn == {
        "a": ("-", [[10, 3], [30, 2]]),
        "b": ("-", [[20, 1]]),
        "a, held out": ("--", [[10, 4], [20, 5], [30, 6]]),
        "c, held out": ("--", [[10, 0], [20, 1], [30, 2]]),
    }
    assert lines["a"].get_color() == lines["a, held out"].get_color() != lines["b"].get_color()
    with pytest.raises(InvalidArgument, match="got Linear"):
        plots.training_curves(torch.nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="log_every"):
        plots.training_curves(ls.training.History())


def test_figures_say_which_extra_has_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(Unsupported, match=r"latentsearch\[plot\]"):
        plots.contour_map(lambda z: z[:, 0], torch.eye(3))


# -- figures of latents and searches -------------------------------------------------------------------


def pixels(figure: Any) -> torch.Tensor:
    """What a figure that is one image shows: (H, W) or (H, W, 3)."""
    (axes,) = figure.axes
    return torch.from_numpy(axes.images[0].get_array().copy())


def mixing(z: torch.Tensor) -> torch.Tensor:
    """Two numbers to images (N, 1, 4, 4): the left half shows the first, the right half the second."""
    return z[:, None, None].repeat_interleave(2, 3).expand(-1, 1, 4, 4).contiguous()


def two_numbers() -> ls.ContinuousGenerator:
    return ls.ContinuousGenerator(mixing, (2,))


def two_codes() -> ls.CodebookGenerator:
    greys = torch.linspace(0, 1, 5)[:, None]
    return ls.CodebookGenerator(lambda e: e.repeat_interleave(2, 2).repeat_interleave(2, 3), greys, shape=(2, 2))


def test_an_image_grid_is_what_is_saved(tmp_path: Path) -> None:
    rows, labels = [torch.rand(3, 1, 8, 8), torch.rand(2, 1, 8, 8)], ["a", "b"]
    with Image.open(plots.save_grid(tmp_path / "grid.png", rows, labels, scale=2)) as image:
        saved = torch.from_numpy(numpy.asarray(image).copy()).long()
    figure = plots.image_grid(rows, labels, scale=2)
    assert torch.equal(pixels(figure).long(), saved)
    width, height = figure.get_size_inches() * figure.dpi
    assert (round(height), round(width)) == tuple(saved.shape)


def test_an_interpolation_goes_in_equal_steps() -> None:
    starts, ends = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 1.0]])
    shown = pixels(plots.interpolation(two_numbers(), starts, ends, steps=5, scale=1))
    middle = shown[12 + 2]
    # Cells of 4 pixels with gaps of 4, after a margin of 12: the left half of each is the first number.
    assert [int(middle[12 + 8 * n]) for n in range(5)] == [0, 64, 128, 191, 255]
    assert [int(middle[12 + 8 * n + 3]) for n in range(5)] == [255] * 5


def test_an_interpolation_of_codes_goes_through_their_embeddings_and_else_from_one_to_the_other() -> None:
    starts, ends = torch.zeros(1, 2, 2, dtype=torch.int64), torch.full((1, 2, 2), 4)
    shown = pixels(plots.interpolation(two_codes(), starts, ends, steps=3, scale=1))
    assert [int(shown[13, 13 + 8 * n]) for n in range(3)] == [0, 128, 255]

    class Bare:
        """The same without embeddings."""

        space, prior = two_codes().space, two_codes().prior
        device, dtype = torch.device("cpu"), torch.float32

        def decode(self, z: torch.Tensor) -> torch.Tensor:
            return two_codes().decode(z)

    shown = pixels(plots.interpolation(Bare(), starts, ends, steps=3, scale=1))
    assert [int(shown[12 + 8 * 0 + row, 13 + 8]) for row in (0, 3)] == [255, 0]


def test_a_perturbation_changes_one_element_a_row() -> None:
    shown = pixels(plots.perturbation(two_numbers(), torch.tensor([0.5, 0.5]), amounts=(-0.5, 0.0, 0.5), scale=1))
    left = 12 + int(shown.shape[1] - 24 - 3 * 8 + 4)
    first, second = shown[13], shown[13 + 8]
    assert [int(first[left + 8 * n]) for n in range(3)] == [0, 128, 255]
    assert [int(first[left + 8 * n + 3]) for n in range(3)] == [128] * 3
    assert [int(second[left + 8 * n + 3]) for n in range(3)] == [0, 128, 255]
    codes = plots.perturbation(two_codes(), torch.zeros(2, 2, dtype=torch.int64), elements=[3], codes=[0, 4], scale=1)
    shown = pixels(codes)
    left = 12 + int(shown.shape[1] - 24 - 2 * 8 + 4)
    assert [int(shown[12 + 3, left + 8 * n + 3]) for n in range(2)] == [0, 255]
    assert [int(shown[12, left + 8 * n]) for n in range(2)] == [0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: plots.perturbation(g, torch.zeros(3)), r"perturbation\.latent"),
        (
            lambda g: plots.perturbation(g, torch.zeros(2), elements=[2]),
            r"elements: got \[2\], expected some in \[0, 2\)",
        ),
        (lambda g: plots.perturbation(two_codes(), torch.zeros(2, 2).long(), codes=[5]), r"codes: got \[5\]"),
        (lambda g: plots.interpolation(g, torch.zeros(2), torch.zeros(1, 2)), r"starts.*latent\[None\]"),
        (lambda g: plots.interpolation(g, torch.zeros(2, 2), torch.zeros(1, 2)), "2 starts and 1 ends"),
        (lambda g: plots.latent_map(torch.zeros(4, 2, dtype=torch.int64)), r"generator\.embed\(codes\)"),
        (lambda g: plots.latent_map(torch.zeros(4, 2), torch.zeros(3)), r"latent_map\.labels"),
        (lambda g: plots.latent_map(torch.zeros(4, 2), marks=torch.zeros(1, 3)), "2 elements each"),
        (lambda g: plots.latent_map(torch.full((4, 2), torch.nan)), "NaN or infinity"),
        (lambda g: plots.code_usage(torch.tensor([[7]]), 4), r"codes from 7 to 7, expected those of \[0, 4\)"),
        (lambda g: plots.reach_map(torch.zeros(3, 3)), r"reach_map\.changes"),
        (lambda g: plots.traces({}), r"traces\.searches"),
        (lambda g: plots.traces({"a": 3}), r"traces\.searches\['a'\]: got int"),
        (lambda g: plots.search_strip(torch.rand(3, 1, 8, 8)), r"search_strip\.frames"),
        (lambda g: plots.search_strip(torch.rand(3, 2, 1, 8, 8), torch.rand(1, 1, 8, 8)), "expected 2 images"),
        (
            lambda g: plots.search_strip(torch.rand(3, 1, 1, 8, 8), torch.rand(1, 1, 4, 4)),
            r"the frames' shape, \(1, 8, 8\)",
        ),
    ],
)
def test_figures_refuse_what_they_cannot_show(call: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        call(two_numbers())


def test_a_map_is_the_plane_of_most_variance_and_marks_lie_in_it() -> None:
    noise = ls.Noise.from_seed(0, 50).normal(4)
    latents = noise * torch.tensor([5.0, 0.1, 2.0, 0.0]) + 1
    figure = plots.latent_map(latents, torch.arange(50) % 2, marks=torch.tensor([[6.0, 1.0, 1.0, 1.0]]))
    axes = figure.axes[0]
    one, other, cross = (torch.as_tensor(each.get_offsets().copy()) for each in axes.collections)
    placed = torch.empty(50, 2, dtype=torch.float64)
    placed[::2], placed[1::2] = one, other
    wanted = (latents - latents.mean(0)).double()
    torch.testing.assert_close(torch.pdist(placed), torch.pdist(wanted[:, [0, 2]]), atol=0.1, rtol=0.05)
    assert abs(float(cross[0, 0]) - (6 - float(latents[:, 0].mean()))) < 0.1
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0", "1"]


def test_t_sne_keeps_neighbours_and_is_repeated_by_its_seed() -> None:
    pytest.importorskip("sklearn")
    far = torch.cat([ls.Noise.from_seed(n, 20).normal(3) + 30 * n for n in range(2)])
    one, other = (plots.latent_map(far, method="tsne").axes[0].collections[0].get_offsets() for _ in range(2))
    assert (one == other).all()
    placed = torch.as_tensor(one.copy())
    apart = torch.cdist(placed, placed).fill_diagonal_(torch.inf).argmin(1)
    assert bool(((apart < 20) == (torch.arange(40) < 20)).all())
    with pytest.raises(InvalidArgument, match="5 at least"):
        plots.latent_map(far[:3], method="tsne")


def test_traces_are_means_over_problems_and_begin_where_all_have_proposed() -> None:
    loss = torch.tensor([[4.0, torch.inf], [2.0, 6.0], [1.0, 3.0]])
    trace = ls.Trace(loss, torch.tensor([[1.0, 1.0], [2.0, 4.0], [5.0, 7.0]]).double(), torch.zeros(3).double())
    figure = plots.traces({"a": trace}, levels={"encoder": 0.5})
    line, level = figure.axes[0].lines
    assert list(line.get_xdata()) == [3.0, 6.0] and list(line.get_ydata()) == [4.0, 2.0]
    assert level.get_ydata()[0] == 0.5 and figure.axes[0].get_yscale() == "log"
    negative = ls.Trace(-loss[1:], trace.evaluations[1:], trace.seconds[1:])
    assert plots.traces({"a": negative}).axes[0].get_yscale() == "linear"


def test_code_usage_is_sorted() -> None:
    figure = plots.code_usage(torch.tensor([[3, 3], [3, 1]]), 4)
    shown = figure.axes[0].collections[0].get_paths()[0].vertices
    assert shown[:, 1].max() == 0.75 and figure.axes[0].lines[0].get_ydata()[0] == 0.25


def test_a_reach_map_is_the_mean_size_of_changes() -> None:
    changes = torch.zeros(2, 3, 4, 4)
    changes[0, :, 1, 2], changes[1, :, 1, 2] = -1.0, 0.5
    shown = plots.reach_map(changes).axes[0].images[0].get_array()
    assert shown[1, 2] == 0.75 and shown.sum() == 0.75


def test_a_strip_has_the_first_and_the_last_moment_and_the_target() -> None:
    frames = torch.linspace(0, 1, 11)[:, None, None, None, None].expand(11, 1, 1, 4, 4)
    shown = pixels(plots.search_strip(frames, torch.full((1, 1, 4, 4), 0.5), moments=3, scale=1))
    assert [int(shown[13, 13 + 8 * n]) for n in range(4)] == [0, 128, 255, 128]


def test_a_result_draws_itself_and_writes_a_page(tmp_path: Path) -> None:
    generator = two_numbers()
    targets = generator.decode(torch.tensor([[0.2, 0.8], [0.9, 0.1]]))
    result = ls.search(generator, ls.Matches(targets), seed=0, run=ls.Run(evaluations=60))
    figure = result.plot()
    assert [line.get_label() for line in figure.axes[0].lines] == ["problem 0", "problem 1"]
    assert figure.axes[0].lines[0].get_ydata()[-1] == pytest.approx(float(result.trace.loss[-1, 0]))
    path = result.save_report(tmp_path / "a" / "search.html", targets=targets, title="Two <greys>")
    text = path.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 2 and "http" not in text
    assert "Two &lt;greys&gt;" in text and f"{float(result.score.loss[0]):.5g}" in text
    with pytest.raises(InvalidArgument, match="expected 2 images, one a problem"):
        result.save_report(tmp_path / "b.html", targets=targets[:1])
    assert not (tmp_path / "b.html").exists()


def test_a_page_of_outputs_that_are_no_images_says_so(tmp_path: Path) -> None:
    toy = toys.bowl()
    result = ls.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=40))
    text = result.save_report(tmp_path / "search.html").read_text(encoding="utf-8")
    assert "no images" in text and text.count("<img") == 1


def unlucky() -> ls.SearchResult:
    """Of a decoder that gives NaN, and of which nothing is known."""
    generator = ls.ContinuousGenerator(lambda z: mixing(z) * torch.nan, (2,), check=False)
    return ls.search(generator, ls.Matches(torch.rand(1, 1, 4, 4)), seed=0, run=ls.Run(evaluations=40))


def test_a_search_that_saw_no_number_has_a_page_nevertheless(tmp_path: Path) -> None:
    result = unlucky()
    assert ls.Status.NONFINITE in result.status
    result.plot().savefig(tmp_path / "plot.png")
    assert "NONFINITE" in result.save_report(tmp_path / "search.html").read_text(encoding="utf-8")
    trace = ls.Trace(torch.zeros(0, 1), torch.zeros(0, 1).double(), torch.zeros(0).double())
    plots.traces({"none": trace}, levels={"nan": float("nan"), "a": 1.0}).savefig(tmp_path / "plot.png")


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page("a")
    for path in (tmp_path, "", "."):
        with pytest.raises(InvalidArgument, match=r"got (the folder .*|an empty path), expected a path of a file"):
            page.write(path)
    monkeypatch.setattr(Page, "html", lambda self: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        page.write(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert page.write(tmp_path / ("x" * 250 + ".html")).exists()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert page.write("~/own.html") == tmp_path / "own.html"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.latent_map(torch.rand(9, 4), [0] * 9), r"latent_map\.labels: got a list"),
        (lambda: plots.perturbation(two_numbers(), torch.zeros(2), elements=[1.0]), r"perturbation\.elements"),
        (lambda: plots.image_grid([torch.rand(1, 1, 8, 8)], ["a"], scale=1.5), "a whole number of at least 1"),
    ],
)
def test_settings_of_other_types_are_refused(call: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        call()


def test_images_in_another_range_are_shown_as_the_generator_says() -> None:
    signed = ls.ContinuousGenerator(lambda z: 2 * mixing(z) - 1, (2,), output_range=(-1, 1), check=False)
    shown = pixels(
        plots.interpolation(signed, torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 1.0]]), steps=3, scale=1)
    )
    assert [int(shown[14, 12 + 8 * n]) for n in range(3)] == [0, 128, 255]
    assert plots.latent_map(torch.rand(60, 3), torch.arange(60)).axes[0].get_legend() is None
