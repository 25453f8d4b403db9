"""The reproduction of Rethinking VAE: what its parts measure, and that the page says what the logs say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch import models, training

sys.path.append(str(Path(__file__).parents[1] / "examples" / "papers"))
import rethinking_vae
from rethinking import claims, fits, grids, spaces, tables, use

LOGS = sorted(rethinking_vae.LOGS.glob("seed-*.json"))


class Reader:
    """A judge whose features are an image's own pixels, and which reads whether it is bright."""

    def features(self, pictures: Tensor) -> Tensor:
        return pictures.flatten(1).double()

    def frechet(self, pictures: Tensor) -> float:
        return float(pictures.mean())

    def read(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        bright = pictures.flatten(1).mean(1)
        return bright, (bright > 0.5).long()


@pytest.fixture
def stripes(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Images that are dark or bright, in the place of MNIST."""
    labels = torch.arange(40) % 2
    shown = (0.2 + 0.6 * labels[:, None, None, None]) * torch.ones(1, 1, 8, 8)
    shown = shown + 0.05 * ls.Noise.from_seed(0, 40).normal(1, 8, 8)
    for module in (spaces, use, grids):
        monkeypatch.setattr(module, "images", lambda data, split: (shown.clamp(0, 1), labels))
    return shown.clamp(0, 1)


def mean_of(images: Tensor) -> Tensor:
    return images.flatten(1).mean(1, keepdim=True)


def bright(z: Tensor) -> Tensor:
    return z[:, :1, None, None].expand(-1, 1, 8, 8)


def test_a_line_of_greys_is_straight(stripes: Tensor) -> None:
    found = spaces.lines(mean_of, bright, Reader(), 0)
    assert found["path"] == pytest.approx(1.0, abs=1e-5)
    # Every pair is of a dark and a bright image: halfway is grey.
    assert found["middle"] == pytest.approx(0.5, abs=0.05) == found["confidence"]


def test_changes_are_of_single_elements_up_and_down(stripes: Tensor) -> None:
    def decode(z: Tensor) -> Tensor:
        return bright(z).clamp(0, 1)

    found = spaces.changes(mean_of, decode, Reader())
    assert found["kept"][0] == 1.0
    # Up by 3 all are bright, down all are black: half of those moved either way are read as before.
    assert found["kept"][2] == 0.5 and found["black"][2] == 0.5


def test_a_probe_reads_what_is_linear(stripes: Tensor) -> None:
    assert spaces.probe(mean_of, 0) == 1.0
    assert spaces.probe(lambda images: images.flatten(1)[:, :2] * 0, 0) == 0.5


def test_sharpness_is_one_for_the_images_themselves_and_less_for_blurred_ones(stripes: Tensor) -> None:
    assert spaces.reconstruction(stripes, stripes) == {"squared error": 0.0, "sharpness": 1.0}
    blurred = torch.nn.functional.avg_pool2d(stripes, 3, 1, 1)
    assert spaces.reconstruction(blurred, stripes)["sharpness"] < 0.7


def test_centres_that_attract_data_and_those_that_lie_together(stripes: Tensor) -> None:
    with training.initialised(0):
        model = models.CentreAutoencoder((1, 8, 8), centres=4, width=1, channels=8).eval().requires_grad_(False)
    model.encode = mean_of  # type: ignore[method-assign]
    with torch.no_grad():
        model.centres.copy_(torch.tensor([[0.2], [0.8], [0.8001], [9.0]]))
    found = use.measured(model, "mnist")
    # The third is beside the second, and the fourth far from all data.
    assert found["used"] in (0.5, 0.75) and found["merged"] == 0.5 and found["inside"] == 0.75


def test_a_code_replaced_is_another_one_everywhere(stripes: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "CODES", 2)

    class Tiles:
        """49 codes, dark and bright, decoded to a pixel each."""

        def encode(self, images: Tensor) -> Tensor:
            return torch.zeros(len(images), 7, 7, dtype=torch.int64)

        def decode(self, codes: Tensor) -> Tensor:
            return codes[:, None].float()

    found = grids.replaced(Tiles(), Reader(), 0)
    assert found == {"changed": pytest.approx(1 / 49), "kept": 1.0}


@pytest.mark.skipif(len(LOGS) < 5, reason="no five seeds on record")
def test_the_page_says_what_the_logs_say() -> None:
    logs = [json.loads(path.read_text()) for path in LOGS]
    page = rethinking_vae.PAGE.read_text(encoding="utf-8")
    for name, text in (
        tables.report(logs) | {"claims": claims.table(logs), "sweep": rethinking_vae.sweep_table()}
    ).items():
        assert f"<!-- {name} -->\n\n{text}\n\n<!-- end -->\n" in page, name
    assert {claim.verdict(logs) for claim in claims.CLAIMS} <= {claims.HOLDS, claims.PARTLY, claims.FAILS}


def test_verdicts_follow_the_figures() -> None:
    assert [claims.graded(*flags) for flags in ((True, True), (False, True), (False, False))] == [
        claims.HOLDS,
        claims.PARTLY,
        claims.FAILS,
    ]
    logs: list[dict[str, Any]] = [
        {"mnist": {"a": {"x": value, "search": {"match": {"loss": 1.0, "encoder": 2.0}}}}} for value in (0.5, 0.7)
    ]
    assert tables.values(logs, "a", ("x",)) == [0.5, 0.7]
    assert tables.values(logs, "a", ("search", "match", "ratio")) == [0.5, 0.5]
    assert tables.said("{:.0%}", [0.5, 0.7]) == "60 ± 14 %" and tables.said("{:.1f}", [1.0]) == "1.0"
    table = tables.of(logs, ("a",), {"x": (("x",), "{:.1f}"), "y": (("y",), "{:.1f}")})
    assert table.splitlines()[-1] == "| a | 0.6 ± 0.1 |  |"


def test_models_are_kept_with_their_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = ls.Noise.from_seed(0, 128).uniform(1, 8, 8)
    monkeypatch.setattr(fits, "images", lambda data, split: (shown, torch.zeros(128)))
    monkeypatch.setattr(fits, "EPOCHS", 2)
    kept = fits.Fits(tmp_path, 0)
    model, epochs = kept.fitted("mnist", "20 centres, EMA")
    assert len(epochs["moves"]) == 2 == len(epochs["spread"])
    again, same = kept.fitted("mnist", "20 centres, EMA")
    assert same["moves"] == pytest.approx(epochs["moves"]) and not again.training
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
