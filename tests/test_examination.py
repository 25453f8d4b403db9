"""An examination says what is so of spaces that are known, leaves the generator as it is, and its advice runs."""

from __future__ import annotations

import html.parser
import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch.examination import CodeUse, Density, Examination, Lines, Reach, Reconstruction, Trial, advice
from latentsearch.examination import examine as examine_module
from latentsearch.examination.between import lines
from latentsearch.examination.density import density
from latentsearch.examination.examination import Finding
from latentsearch.examination.setting import Setting
from latentsearch.examination.single import code_use, elements, reach
from latentsearch.examination.trials import _trial, targets_of
from latentsearch.priors import GaussianMixture, UniformCodes
from latentsearch.report import Page

EXAMPLES = Path(__file__).parents[1] / "examples"


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


class Tiles(nn.Module):
    """2×2 codes, each a grey of 4×4 pixels of its own; with a weight and a buffer."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.codebook = nn.Embedding.from_pretrained(torch.linspace(0.1, 0.9, size)[:, None])
        self.norm = nn.BatchNorm2d(1, eps=0.0)

    def forward(self, e: Tensor) -> Tensor:
        return self.norm(e).repeat_interleave(4, 2).repeat_interleave(4, 3)

    def encode(self, images: Tensor) -> Tensor:
        means = nn.functional.avg_pool2d(images, 4)[:, 0]
        return (means[..., None] - self.codebook.weight[:, 0]).abs().argmin(-1)


def tiles(size: int = 6) -> ls.CodebookGenerator:
    return wrapped(Tiles(size).eval())


def wrapped(model: Tiles) -> ls.CodebookGenerator:
    return ls.CodebookGenerator(model, model.codebook.weight, shape=(2, 2), encode=model.encode)


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
    assert set(of_plane.halves) == {"no prior", "the generator's own", "fitted", "the mean of your images"}
    assert of_plane.targets == 16


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
    model = Tiles(6).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    again = ls.examine(wrapped(model), grey_tiles(120))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training
    skipped = {"seconds", "trials", "notes", "pictures", "codes", "searcher"}
    for field in fields(Examination):
        if field.name not in skipped:
            assert getattr(again, field.name) == getattr(of_tiles, field.name), field.name
    assert [trial.loss for trial in again.trials] == [trial.loss for trial in of_tiles.trials]


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
    assert found.halves == {} and any("no encoder" in note for note in found.notes)
    assert all(trial.reached is None for trial in found.trials)
    assert found.trials[0].loss < 1e-4 and found.findings[0].grade == "good"
    assert "ls.LogPrior(generator.prior)" in found.advice and found.verdict.startswith(
        "Worth searching: it can give 100%"
    )


def test_a_decoder_that_cannot_give_the_images_is_not_worth_it_with_or_without_an_encoder() -> None:
    noise = ls.Noise.from_seed(9, 60).uniform(1, 8, 8)
    for encode in (None, Plane().encode):
        found = ls.examine(plane(encode=encode), noise)
        assert found.verdict.startswith("Hardly worth searching as it is: it gives"), found.verdict
        assert found.findings[0].grade == "poor"


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
        ((nn.Identity(), waves(40)), r"examine\.generator: got an Identity.*ls\.wrap\(model\)"),
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
    return Trial(name, ls.AutoSearch(), loss, 1.0, 50.0, 300.0, 0.1, refused=refused)


def test_the_method_advised_is_the_best_unless_search_is_as_good() -> None:
    assert advice.chosen([trial("ls.search", 1.04), trial("b", 1.0)]).name == "ls.search"
    assert advice.chosen([trial("ls.search", 1.06), trial("b", 1.0)]).name == "b"
    assert advice.chosen([trial("ls.search", float("inf"), "no"), trial("b", 9.0)]).name == "b"
    with pytest.raises(ls.Unsupported, match="a: no; b: neither"):
        advice.chosen([trial("a", 1.0, "no"), trial("b", 1.0, "neither")])


def told(own: float, fitted: float | None) -> Density:
    return Density("bits a code", {}, {"the generator's own": own} | ({} if fitted is None else {"fitted": fitted}))


@pytest.mark.parametrize(
    ("density", "uniform", "kind", "line"),
    [
        (told(0.9, 0.6), False, "fitted", 'noise="decoder") + ls.LogPrior(prior)'),
        (told(0.6, 0.9), False, "the generator's own", "noise=0.25) + ls.LogPrior(generator.prior)"),
        (told(0.6, 0.9), True, "fitted", "prior = ls.fit_prior(generator, images)"),
        (told(0.6, None), True, "no prior", "goal = ls.Matches(target, mask=mask)\n"),
        (None, True, "no prior", "goal = ls.Matches(target, mask=mask)\n"),
        (None, False, "the generator's own", "ls.LogPrior(generator.prior)"),
    ],
)
def test_the_prior_advised_is_the_one_whose_draws_pass(
    density: Density | None, uniform: bool, kind: str, line: str
) -> None:
    assert advice.prior_of(density, uniform) == kind
    assert line in advice.lines_to_paste(trial("ls.search", 1.0), kind, 0.25, 300, codes=False)


def test_chains_over_codes_end_by_themselves() -> None:
    last = advice.lines_to_paste(trial("ls.search", 1.0), "fitted", 0.25, 300, codes=True).splitlines()[-1]
    assert last == "result = ls.search(generator, goal, seed=0)"
    last = advice.lines_to_paste(trial("ls.search", 1.0), "no prior", 0.25, 300, codes=True).splitlines()[-1]
    assert last == "result = ls.search(generator, goal, seed=0, run=ls.Run(evaluations=300))"


def test_another_method_is_called_by_its_name() -> None:
    lines = advice.lines_to_paste(trial("RelaxedSearch()", 1.0), "no prior", 0.1, 300, codes=True)
    assert "ls.RelaxedSearch().search(generator, ls.Matches(target), seed=0, run=ls.Run(evaluations=300))" in lines


@pytest.mark.parametrize(
    ("found", "grade"),
    [
        (advice.on_reconstruction(Reconstruction(0.01, 0.95, 0.1), 0.9), "good"),
        (advice.on_reconstruction(Reconstruction(0.01, 0.8, 0.1), 0.8), "fair"),
        (advice.on_reconstruction(Reconstruction(0.01, 0.2, 0.1), 0.2), "poor"),
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


def test_without_an_encoder_what_is_found_is_graded() -> None:
    found = Trial("ls.search", ls.AutoSearch(), 0.05, None, None, 300.0, 0.1)
    for explained, grade in ((0.95, "good"), (0.8, "fair"), (0.1, "poor")):
        said = advice.on_search(found, None, 1e-6, 16, explained)
        assert said.grade == grade and f"{explained:.0%} of the variance" in said.answer


def test_the_verdict_goes_by_what_decides() -> None:
    def said(explained: float = 0.94, **grades: Any) -> str:
        topics = {"reconstruction": "good", "search": "good"} | grades
        return advice.verdict([Finding(topic, "", "", grade) for topic, grade in topics.items()], explained)

    assert said() == "Worth searching: it can give 94% of your images' variance, and searches find it."
    assert said(0.2, reconstruction="poor").startswith("Hardly worth searching as it is: it gives 20%")
    assert "searches do not find" in said(search="poor")
    assert "find a part of it" in said(search="fair")
    assert said(holes="poor", reach="fair").endswith("Weak points: holes; a prior keeps answers near data.")


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


def linear(width: int = 4, **settings: Any) -> ls.ContinuousGenerator:
    """Orthonormal columns onto 8×8 images, and their exact inverse."""
    basis = torch.linalg.qr(ls.Noise.from_seed(2).normal(64, width)[0]).Q
    encode = settings.pop("encode", lambda x: x.flatten(1) @ basis)
    return ls.ContinuousGenerator(lambda z: (z @ basis.T).view(-1, 1, 8, 8), (width,), encode=encode, **settings)


def of_linear(rows: int, width: int = 4) -> Tensor:
    return linear(width).decode(ls.Noise.from_seed(4, rows).normal(width))


def finding(found: Examination, topic: str) -> Finding:
    return next(each for each in found.findings if each.topic == topic)


def stiff() -> ls.ContinuousGenerator:
    """Onto 8×8 images through sinh, some elements twenty times as loud as others; and its inverse, up to rounding."""
    basis = torch.linalg.qr(ls.Noise.from_seed(2).normal(64, 24)[0]).Q
    loud = torch.logspace(0, -1.3, 24)
    return ls.ContinuousGenerator(
        lambda z: torch.sinh((z * loud) @ basis.T).view(-1, 1, 8, 8),
        (24,),
        encode=lambda x: (torch.asinh(x.flatten(1)) @ basis) / loud,
    )


def test_an_encoder_that_is_exact_does_not_condemn_a_space() -> None:
    found = ls.examine(stiff(), stiff().decode(ls.Noise.from_seed(4, 100).normal(24)))
    assert finding(found, "search").grade == "good" and finding(found, "holes").grade == "good", str(found)
    assert "next to nothing" in finding(found, "search").answer
    assert found.reconstruction is not None and found.reconstruction.noise > 1e-3


def test_rounding_makes_no_holes() -> None:
    """Random latents are a hundred times as large as encodings, and so is what rounding does to them."""
    found = lines(Setting.of(linear(), 0.01 * of_linear(100), 0))
    assert found.drawn == found.between == 0.0


def test_what_nobody_sees_is_near_enough_of_an_exact_encoder() -> None:
    generator = linear()
    setting = Setting.of(generator, of_linear(40), 0)
    result = ls.GradientSearch().search(generator, ls.Matches(targets_of(setting)), seed=0, run=ls.Run(evaluations=300))
    assert float(result.score.loss.min()) > 1e-30 and float(result.score.loss.max()) < setting.negligible
    found = _trial("", ls.GradientSearch(), result, torch.zeros(16), setting.negligible, 0.0)
    assert found.reached == 1.0 and found.after is not None and found.after < 300
    assert _trial("", ls.GradientSearch(), result, torch.zeros(16), 1e-30, 0.0).reached == 0.0


def test_an_encoder_that_is_wrong_is_what_is_blamed() -> None:
    wrong = ls.Noise.from_seed(6).normal(64, 4)[0]
    found = ls.examine(linear(encode=lambda x: x.flatten(1) @ wrong), of_linear(60))
    assert "the encoder loses the rest, and not the decoder" in finding(found, "reconstruction").remedy
    assert found.verdict.startswith("Worth searching: it can give 100%"), found.verdict


@pytest.mark.parametrize("width", [1, 40])
def test_elements_that_all_count(width: int) -> None:
    found = elements(Setting.of(linear(width), of_linear(40, width), 0))
    assert found.active == 1.0 and len(found.index) == min(width, 8)


def test_elements_count_that_are_the_same_in_all_encodings_or_act_one_way() -> None:
    def decode(z: Tensor) -> Tensor:
        return torch.cat([z[:, :1], torch.relu(-z[:, 1:2]), z[:, 2:]], 1)[:, :, None, None].expand(-1, 3, 4, 4)

    def encode(x: Tensor) -> Tensor:
        return torch.cat([x[:, :1, 0, 0], torch.zeros(len(x), 2)], 1)

    generator = ls.ContinuousGenerator(decode, (3,), encode=encode)
    assert elements(Setting.of(generator, decode(ls.Noise.from_seed(0, 40).normal(3)), 0)).active == 1.0


def test_a_fitted_prior_is_compared_with_encodings_that_it_has_not_seen() -> None:
    images = of_linear(400, 8)
    found = [density(Setting.of(linear(8), images, seed))[0].told_apart["fitted"] for seed in range(3)]
    assert 0.42 < sum(found) / 3 < 0.6


def test_what_a_prior_was_fitted_to_is_not_what_it_is_judged_by(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Tensor] = {}

    def fitted_to(generator: Any, images: Tensor, **settings: Any) -> Any:
        seen["fitted"] = images
        return ls.fit_prior(generator, images, **settings)

    def told(setting: Setting, latents: Tensor, drawn: Tensor) -> float:
        seen["judged"] = setting.decode(latents)
        return 0.5

    monkeypatch.setattr("latentsearch.examination.density.fit_prior", fitted_to)
    monkeypatch.setattr("latentsearch.examination.density._told_apart", told)
    density(Setting.of(linear(), of_linear(60), 0))
    assert len(seen["fitted"]) == len(seen["judged"]) == 30
    assert float(torch.cdist(seen["fitted"].flatten(1), seen["judged"].flatten(1)).min()) > 0.01


def test_latents_halfway_that_an_encoder_does_not_know_are_holes() -> None:
    def encode(x: Tensor) -> Tensor:
        return x.sign() * x.abs().clamp(min=1)

    noise = ls.Noise.from_seed(0, 300)
    data = noise.normal(2) * 0.2 + torch.tensor([2.0, -2.0])[noise.fold(1).integers(2)][:, None]
    found = lines(Setting.of(ls.ContinuousGenerator(lambda z: z, (2,), encode=encode), data, 0))
    # Half of the pairs are of one sign each; and two numbers in three of N(0, 1) are below 1.
    assert found.between == pytest.approx(0.5, abs=0.12) and found.drawn is not None and found.drawn > 0.8


def test_a_critic_sees_principal_components() -> None:
    generator = ls.ContinuousGenerator(lambda z: z[:, :64], (100,), encode=lambda x: torch.cat([x, x[:, :36]], 1))
    setting = Setting.of(generator, ls.Noise.from_seed(0, 60).normal(64), 0)
    one, other = setting.points(setting.latents, setting.drawn)
    assert one.shape == other.shape == (60, 64)
    whole, placed = torch.cat([setting.latents, setting.drawn]), torch.cat([one, other])
    assert float(torch.pdist(placed).square().mean() / torch.pdist(whole).square().mean()) > 0.8


def test_codes_that_are_said_to_be_unused_do_not_count() -> None:
    used = torch.tensor([True, True, True, False, False, False])
    whole = tiles()
    generator = ls.CodebookGenerator(
        lambda e: e.repeat_interleave(4, 2).repeat_interleave(4, 3),
        whole.codebook,
        shape=(2, 2),
        used=used,
        encode=whole.encode,
    )
    found = code_use(Setting.of(generator, grey_tiles(40), 0))
    assert found.size == 3 and found.used == 1.0 and not bool(found.dead.any())
    few = CodeUse(100, 0.05, 4.0, torch.ones(100, dtype=torch.bool))
    assert "used=~report.codes.dead" in advice.on_codes(few, False).remedy
    assert "used=[mask, ...]" in advice.on_codes(few, True).remedy


class Bare:
    """Codes without embeddings, decoded to a grey each."""

    space, prior = ls.Discrete((2,), 5), UniformCodes(ls.Discrete((2,), 5))
    device, dtype = torch.device("cpu"), torch.float32

    def decode(self, z: Tensor) -> Tensor:
        soft = z if z.is_floating_point() else nn.functional.one_hot(z, 5).float()
        greys = soft @ torch.linspace(0, 1, 5)
        return greys[:, None, None, :].repeat_interleave(4, 2).repeat_interleave(2, 3)

    def encode(self, images: Tensor) -> Tensor:
        return (4 * images[:, 0, 0, ::2]).round().long()


def test_codes_without_embeddings_must_leap_and_save_nothing() -> None:
    generator = Bare()
    images = generator.decode(ls.Noise.from_seed(0, 60).integers(5, 2))
    found = ls.examine(generator, images)
    assert found.lines.leap is None and all(each.topic != "smoothness" for each in found.findings)
    assert "decoded again for less" not in finding(found, "reach").answer
    assert "decoded again for less" in advice.on_reach(Reach(0.1, 1.0), True).answer


def test_what_does_not_move_is_even() -> None:
    constant = ls.ContinuousGenerator(lambda z: 0 * z[:, :1, None, None].expand(-1, 1, 4, 4), (2,))
    found = ls.examine(constant, ls.Noise.from_seed(0, 30).uniform(1, 4, 4))
    assert found.lines.leap == 1.0 and found.verdict.startswith("Hardly")


def test_outputs_that_are_no_numbers_or_single_ones_are_refused() -> None:
    def sometimes(z: Tensor) -> Tensor:
        return torch.where(z[:, :1] > 1.5, torch.nan, z).view(-1, 1, 2, 2)

    generator = ls.ContinuousGenerator(sometimes, (4,), check=False)
    with pytest.raises(ls.InvalidArgument, match=r"examine\.generator: got NaN or infinity in \d+ of 64 outputs"):
        ls.examine(generator, torch.zeros(64, 1, 2, 2))
    with pytest.raises(ls.InvalidArgument, match="one number a latent"):
        ls.examine(ls.ContinuousGenerator(lambda z: z.sum(1), (4,), check=False), torch.zeros(64))


def test_a_method_that_fails_leaves_the_others() -> None:
    """A decoder of hard codes alone: what relaxes them cannot run."""

    class Hard(Bare):
        def decode(self, z: Tensor) -> Tensor:
            assert not z.is_floating_point(), "hard codes alone"
            return super().decode(z)

    images = Bare().decode(ls.Noise.from_seed(0, 60).integers(5, 2))
    found = ls.examine(Hard(), images)
    refused = {trial.name: trial.refused for trial in found.trials if trial.refused}
    assert refused and all("hard codes alone" in why for why in refused.values())
    assert len(refused) < len(found.trials) and found.searcher is not None


def test_constant_images_have_advice_that_is_legal() -> None:
    found = ls.examine(linear(), torch.zeros(40, 1, 8, 8))
    assert isinstance(run_advice(found, linear(), torch.zeros(40, 1, 8, 8))["result"], ls.SearchResult)


def test_without_a_gradient_the_advice_names_what_can_search() -> None:
    generator = ls.ContinuousGenerator(lambda z: Plane()(z.detach()), (3,))
    found = ls.examine(generator, waves(40))
    assert "ls.search(" not in found.advice
    assert isinstance(run_advice(found, generator, waves(40))["result"], ls.SearchResult)


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad])
def test_contexts_around_it_change_nothing(context: Any, of_plane: Examination) -> None:
    with context():
        images = waves(120).requires_grad_()
        found = ls.examine(plane(), images)
    assert [trial.loss for trial in found.trials] == [trial.loss for trial in of_plane.trials]


def test_ctrl_c_ends_it() -> None:
    calls: list[int] = []
    pressed: list[bool] = []

    def decode(z: Tensor) -> Tensor:
        calls.append(len(z))
        if sum(calls) > 2500 and not pressed:  # in the midst of a method, and once
            pressed.append(True)
            raise KeyboardInterrupt
        return Plane()(z)

    generator = ls.ContinuousGenerator(decode, (3,), check=False)
    with pytest.raises(KeyboardInterrupt):
        ls.examine(generator, waves(40))
    assert sum(calls) < 4000


def test_slow_decoders_are_asked_for_fewer_images() -> None:
    setting = Setting.of(linear(), of_linear(40), 0)
    assert [len(targets_of(replace(setting, row_seconds=each))) for each in (0.0, 1e-3, 1.0)] == [16, 16, 4]


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="not a checkout")
def test_the_manual_says_how_good_the_advice_was() -> None:
    log = json.loads((EXAMPLES / "logs" / "examine_advice.json").read_text())
    page = (EXAMPLES.parent / "docs" / "howto" / "searchable.md").read_text(encoding="utf-8")
    rows = re.search(r"<!-- advice -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert rows is not None
    for name, row in log["rows"].items():
        cells = [name, row["method"], f"{row['loss']:.3f}", row["prior"], f"{row['seconds']:.0f}"]
        assert f"| {' | '.join(cells)} |" in rows[1]
    # The goal: within a tenth of the best method tried, and in less than a minute.
    assert max(row["loss"] for row in log["rows"].values()) < 1.1
    assert max(row["seconds"] for row in log["rows"].values()) < 60


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
