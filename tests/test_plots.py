"""Grids and animations have the size they should, and a film shows what the search held at each moment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import latentsearch as ls
from latentsearch import plots
from latentsearch.errors import InvalidArgument, Unsupported
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
