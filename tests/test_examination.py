"""An examination says what is so of spaces that are known, leaves the generator as it is, and its advice runs."""

from __future__ import annotations

import html.parser
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import models, training
from latentsearch.examination import Density, Examination, Lines, Reconstruction, Trial, advice
from latentsearch.examination import examine as examine_module
from latentsearch.examination.density import density
from latentsearch.examination.examination import Finding
from latentsearch.examination.setting import Setting
from latentsearch.examination.single import code_use, elements, reach
from latentsearch.priors import GaussianMixture
from latentsearch.report import Page


def waves(rows: int) -> Tensor:
    """Images (rows, 1, 8, 8) that depend on two numbers each, in (0, 1)."""
    z = ls.Noise.from_seed(5, rows).normal(2)
    axis = torch.linspace(-1, 1, 8)
    plane = z[:, 0, None, None] * axis + z[:, 1, None, None] * axis[:, None]
    return torch.sigmoid(2 * plane)[:, None]


class Plane(nn.Module):
    """A decoder of waves from two numbers and a third that it ignores, and the encoder that is its inverse."""

    def forward(self, z: Tensor) -> Tensor:
        axis = torch.linspace(-1, 1, 8)
        return torch.sigmoid(2 * (z[:, 0, None, None] * axis + z[:, 1, None, None] * axis[:, None]))[:, None]

    def encode(self, images: Tensor) -> Tensor:
        logit = torch.logit(images[:, 0], eps=1e-6) / 2
        x = (logit[:, :, -1] - logit[:, :, 0]).mean(1) / 2
        y = (logit[:, -1] - logit[:, 0]).mean(1) / 2
        return torch.stack([x, y, torch.zeros_like(x)], 1)


def plane(**settings: Any) -> ls.ContinuousGenerator:
    model = Plane().eval()
    return ls.ContinuousGenerator(model, (3,), **{"encode": model.encode, "output_range": (0, 1)} | settings)


def tiles(size: int = 6) -> ls.CodebookGenerator:
    """2×2 codes, each a grey of 4×4 pixels of its own."""
    greys = torch.linspace(0.1, 0.9, size)[:, None]

    def decode(e: Tensor) -> Tensor:
        return e.repeat_interleave(4, 2).repeat_interleave(4, 3)

    def encode(images: Tensor) -> Tensor:
        means = nn.functional.avg_pool2d(images, 4)[:, 0]
        return (means[..., None] - greys[:, 0]).abs().argmin(-1)

    return ls.CodebookGenerator(decode, greys, shape=(2, 2), encode=encode)


def grey_tiles(rows: int, codes: tuple[int, ...] = (0, 1, 2)) -> Tensor:
    generator, noise = tiles(), ls.Noise.from_seed(3, rows)
    return generator.decode(torch.tensor(codes)[noise.integers(len(codes), 2, 2)])


@pytest.fixture(scope="module")
def of_plane() -> Examination:
    return ls.examine(plane(), waves(120))


@pytest.fixture(scope="module")
def of_tiles() -> Examination:
    return ls.examine(tiles(), grey_tiles(120))


def test_what_is_so_of_a_plane(of_plane: Examination) -> None:
    assert of_plane.images == 120 and of_plane.codes is None and of_plane.reach is None
    assert of_plane.reconstruction is not None and of_plane.reconstruction.explained > 0.999
    # Two of three elements count; encodings are draws of N(0, 1) in these and zero in the third.
    assert of_plane.elements is not None and of_plane.elements.active == pytest.approx(2 / 3)
    assert of_plane.lines.leap < 1.6
    assert of_plane.encoder_loss is not None and of_plane.encoder_loss < 1e-6
    best = min(trial.loss for trial in of_plane.trials)
    chosen = next(trial for trial in of_plane.trials if trial.searcher is of_plane.searcher)
    assert chosen.loss <= 1.05 * best or chosen.loss == best
    assert set(of_plane.priors) == {"nothing", "the generator's own", "fitted"}


def test_what_is_so_of_tiles(of_tiles: Examination) -> None:
    assert of_tiles.elements is None
    assert of_tiles.codes is not None and of_tiles.codes.used == 0.5 and of_tiles.codes.size == 6
    assert of_tiles.codes.dead.tolist() == [False] * 3 + [True] * 3
    assert 2.8 < of_tiles.codes.perplexity <= 3.0
    assert of_tiles.reach is not None and of_tiles.reach.share == pytest.approx(0.25)
    assert of_tiles.reconstruction is not None and of_tiles.reconstruction.error < 1e-12
    assert of_tiles.density is not None and of_tiles.density.unit == "bits a code"
    assert of_tiles.density.likelihoods["uniform"] == pytest.approx(2.585, abs=1e-3)
    # Half of the codes never occur: a critic that sees four of them knows uniform draws well.
    assert of_tiles.density.told_apart["the generator's own"] > 0.85
    assert of_tiles.trials[0].loss < 1e-10


def test_a_critic_tells_a_prior_from_encodings_by_as_much_as_they_differ() -> None:
    images = waves(300)

    def told(mean: float) -> float:
        prior = GaussianMixture(torch.zeros(1), torch.tensor([[mean, 0.0]]), torch.eye(2)[None])
        generator = ls.ContinuousGenerator(Plane(), (2,), encode=lambda x: Plane().encode(x)[:, :2], prior=prior)
        return density(Setting.of(generator, images, 0))[0].told_apart["the generator's own"]

    assert 0.4 < told(0.0) < 0.6
    assert 0.65 < told(1.0) < 0.85
    assert told(3.0) > 0.95


def test_nothing_of_the_generator_changes_and_a_seed_gives_the_same(of_tiles: Examination) -> None:
    with training.initialised(0):
        model = models.VQVAE((1, 8, 8), codebook_size=8, channels=8).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    one = ls.examine(ls.wrap(model), waves(40), seed=3)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    again = ls.examine(tiles(), grey_tiles(120))
    skipped = {"seconds", "trials", "notes", "pictures", "codes", "searcher"}
    for field in fields(Examination):
        if field.name not in skipped:
            assert getattr(again, field.name) == getattr(of_tiles, field.name), field.name
    assert [trial.loss for trial in again.trials] == [trial.loss for trial in of_tiles.trials]
    assert one.images == 40


def run_advice(found: Examination, generator: ls.Generator, images: Tensor) -> dict[str, Any]:
    mask = torch.zeros(1, *images.shape[1:])
    mask[..., :4] = 1
    names: dict[str, Any] = {"generator": generator, "images": images, "target": images[:1], "mask": mask}
    exec(found.advice, names)
    return names


@pytest.mark.filterwarnings("ignore::latentsearch.FitWarning")
def test_the_advice_runs_and_comes_near_the_encoder(of_plane: Examination, of_tiles: Examination) -> None:
    images = waves(120)
    found = run_advice(of_plane, plane(), images)
    assert isinstance(found["result"], ls.SearchResult)
    assert float((found["result"].output - images[:1])[..., :4].square().mean()) < 1e-3
    if "fit_prior" not in of_tiles.advice:  # thousands of steps, which other tests take
        assert isinstance(run_advice(of_tiles, tiles(), grey_tiles(120))["result"], ls.SearchResult)


class Parsed(html.parser.HTMLParser):
    """Tags in their order, links, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text = ""
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.images += tag == "img"
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("which", ["plane", "tiles"])
def test_the_page_is_one_file_with_pictures(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    found: Examination = request.getfixturevalue(f"of_{which}")
    path = found.save(tmp_path / "new" / "report.html")
    page = Parsed()
    page.feed(path.read_text(encoding="utf-8"))
    assert page.links and all(link.startswith("data:image/png;base64,") for link in page.links)
    assert page.images >= 6
    for finding in found.findings:
        assert finding.question in page.text and finding.answer in page.text
    assert found.verdict in page.text and found.advice in page.text
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    assert found.verdict in str(found) and found.advice in str(found)


def test_outputs_that_are_no_images_have_a_page_without() -> None:
    mixing = torch.linspace(-1, 1, 15).view(3, 5)
    generator = ls.ContinuousGenerator(lambda z: z @ mixing, (3,), encode=lambda x: x @ torch.linalg.pinv(mixing))
    found = ls.examine(generator, ls.Noise.from_seed(0, 60).normal(3) @ mixing)
    assert found.pictures == {} and found.trials[0].loss < 1e-3
    text = Page("", "").html()
    assert "<img" not in text


def test_without_an_encoder_methods_are_still_compared() -> None:
    found = ls.examine(plane(encode=None), waves(40))
    assert found.reconstruction is None and found.density is None and found.encoder_loss is None
    assert found.priors == {} and any("no encoder" in note for note in found.notes)
    assert all(trial.reached is None for trial in found.trials)
    assert found.trials[0].loss < 1e-4
    assert "noise" not in found.advice


def test_without_a_gradient_there_are_methods_left() -> None:
    def decode(z: Tensor) -> Tensor:
        return Plane()(z.detach())

    found = ls.examine(ls.ContinuousGenerator(decode, (3,), encode=Plane().encode), waves(40))
    refused = {trial.name for trial in found.trials if trial.refused}
    assert "ls.search" in refused and "CMAESSearch()" not in refused
    assert not any(trial.refused for trial in found.trials if trial.searcher is found.searcher)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((nn.Identity(), waves(40)), r"examine\.generator: got Identity.*ls\.wrap\(model\)"),
        ((plane(), waves(10)), r"examine\.images: got 10, expected at least 20"),
        ((plane(), waves(40)[:, 0]), r"examine\.images: got .*\(40, 8, 8\)"),
        ((plane(), 255 * waves(40)), r"examine\.images: got values in .*255"),
        ((plane(), waves(40).numpy()), r"torch\.from_numpy"),
    ],
)
def test_what_cannot_be_examined_is_refused(arguments: tuple[Any, Any], message: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=message):
        ls.examine(*arguments)


def test_a_seed_is_a_whole_number() -> None:
    with pytest.raises(ls.InvalidArgument, match=r"examine\.seed: got 'a'"):
        ls.examine(plane(), waves(40), seed="a")  # type: ignore[arg-type]


# -- words -------------------------------------------------------------------------------------------


def trial(name: str, loss: float, refused: str = "") -> Trial:
    return Trial(name, ls.AutoSearch(), loss, 1.0, 50.0, 0.1, refused=refused)


def test_the_method_advised_is_the_best_unless_search_is_as_good() -> None:
    assert advice.chosen([trial("ls.search", 1.04), trial("b", 1.0)]).name == "ls.search"
    assert advice.chosen([trial("ls.search", 1.06), trial("b", 1.0)]).name == "b"
    assert advice.chosen([trial("ls.search", float("inf"), "no"), trial("b", 9.0)]).name == "b"
    with pytest.raises(ls.Unsupported, match="a: no; b: neither"):
        advice.chosen([trial("a", 1.0, "no"), trial("b", 1.0, "neither")])


@pytest.mark.parametrize(
    ("priors", "kind", "line"),
    [
        ({"nothing": 1.0, "the generator's own": 0.9, "fitted": 0.5}, "fitted", "ls.fit_prior(generator, images)"),
        ({"nothing": 1.0, "the generator's own": 0.5, "fitted": 0.9}, "the generator's own", "noise=0.25"),
        (
            {"nothing": 1.0, "the generator's own": 0.99, "fitted": 1.2},
            "nothing",
            "goal = ls.Matches(target, mask=mask)\n",
        ),
        ({}, "nothing", "goal = ls.Matches(target, mask=mask)\n"),
    ],
)
def test_the_prior_advised_is_the_one_that_helps(priors: dict[str, float], kind: str, line: str) -> None:
    assert advice.prior_of(priors) == kind
    assert line in advice.lines_to_paste(trial("ls.search", 1.0), priors, 0.25, 300)


def test_another_method_is_called_by_its_name() -> None:
    lines = advice.lines_to_paste(trial("RelaxedSearch()", 1.0), {}, None, 300)
    assert "ls.RelaxedSearch().search(generator, ls.Matches(target), seed=0, run=ls.Run(evaluations=300))" in lines


@pytest.mark.parametrize(
    ("found", "grade"),
    [
        (advice.on_reconstruction(Reconstruction(0.01, 0.95, 0.1)), "good"),
        (advice.on_reconstruction(Reconstruction(0.01, 0.8, 0.1)), "fair"),
        (advice.on_reconstruction(Reconstruction(0.01, 0.2, 0.1)), "poor"),
        (advice.on_density(Density("bits a code", {}, {"the generator's own": 0.55})), "good"),
        (advice.on_density(Density("bits a code", {}, {"the generator's own": 0.95})), "poor"),
        (advice.on_lines(Lines(1.2, 1.0, None, None))[0], "good"),
        (advice.on_lines(Lines(7.0, 1.0, None, None))[0], "poor"),
        (advice.on_lines(Lines(1.0, 1.0, 0.05, 0.2))[1], "fair"),
    ],
)
def test_grades(found: Finding, grade: str) -> None:
    assert found.grade == grade
    assert bool(found.remedy) == (grade != "good")


def test_the_verdict_goes_by_what_decides() -> None:
    def finding(question: str, grade: Any) -> Finding:
        return Finding(question, "", grade)

    able, found = "Can it give images like yours?", "Does a search find what the encoder finds?"
    assert advice.verdict([finding(able, "good"), finding(found, "good")]) == "Worth searching."
    assert "Hardly" in advice.verdict([finding(able, "poor"), finding(found, "good")])
    assert "Hardly" in advice.verdict([finding(able, "good"), finding(found, "poor")])
    holes = finding("Are there holes?", "poor")
    assert "prior" in advice.verdict([finding(able, "good"), finding(found, "good"), holes])


# -- parts -------------------------------------------------------------------------------------------


def test_parts_by_themselves() -> None:
    setting = Setting.of(tiles(), grey_tiles(40), 0)
    assert float(code_use(setting).used) == 0.5
    found, changes = reach(setting)
    # One of four tiles, at the place (1, 1).
    assert found.share == pytest.approx(0.25)
    assert bool((changes[:, :, 4:, 4:] != 0).all()) and not bool(changes[:, :, :4].any())
    effect = elements(Setting.of(plane(), waves(40), 0)).effect
    assert float(effect[2]) == 0 and bool((effect[:2] > 0.05).all())


def test_pages_escape_what_they_are_told() -> None:
    page = Page("<a>", "b & c")
    page.heading("<h>")
    page.table(["<x>"], [["<y>"]], ["good"])
    page.code("a < b")
    text = page.html()
    assert not re.search(r"<(a|h|x|y)>", text)
    assert "&lt;a&gt;" in text and "b &amp; c" in text and "a &lt; b" in text


def test_the_face_has_it() -> None:
    assert ls.examine is examine_module
