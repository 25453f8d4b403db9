"""The script of Latent Constraints: its page, its problems, and that its searches leave the decoder alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import latentsearch as ls

sys.path.append(str(Path(__file__).parents[1] / "examples" / "papers"))
import latent_constraints
import wrap_pretrained
from constraints import conditional, edits
from constraints.fits import Fits
from constraints.setting import Setting

pytestmark = pytest.mark.skipif(
    not (wrap_pretrained.MODELS / "mnist_vae.safetensors").exists(), reason="no pretrained models: LATENTSEARCH_MODELS"
)


@pytest.fixture(scope="module")
def setting() -> Setting:
    return Setting()


class Quick(Fits):
    """A critic of a few steps in place of the script's."""

    def critic(self, noise: float = 4.0) -> ls.critics.AttributeCritic:
        images, labels = self.setting.train
        return ls.fit_critic(self.setting.generator, images[:3000], labels[:3000], steps=100, noise=noise)


def test_the_page_shows_the_log() -> None:
    page = latent_constraints.PAGE.read_text()
    for name, text in latent_constraints.report(json.loads(latent_constraints.LOG.read_text())).items():
        assert f"<!-- {name} -->\n{text}<!-- end -->" in page, "run latent_constraints.py report --write"
    assert len(page.splitlines()) <= 190


def test_every_edit_asks_for_another_digit(setting: Setting) -> None:
    start, asked = edits.problem(setting, 90)
    own = setting.test[1][:90]
    assert start.shape == (90, 20) and not (asked == own).any()
    assert all(len(asked[own == digit].unique()) > 3 for digit in range(10) if (own == digit).sum() > 8)


def test_the_judge_reads_encodings_and_distances_to_themselves_are_none(setting: Setting) -> None:
    z, labels = setting.test_latents[:2000], setting.test[1][:2000]
    assert 0.94 < setting.accuracy(z, labels) < 0.98
    assert setting.frechet(setting.test_latents) == pytest.approx(0, abs=1e-6)
    assert setting.shift(z, z + setting.spread) == pytest.approx(1, rel=1e-4)
    assert setting.diversity(setting.test_latents, setting.test[1]) == 1


def test_rejection_gives_the_classes_asked_and_never_decodes(setting: Setting, tmp_path: Path) -> None:
    fits = Quick(setting, tmp_path)
    found, evaluations, _ = conditional.rejected(setting, fits, 5)
    labels = torch.arange(10).repeat_interleave(5)
    assert setting.accuracy(found, labels) > 0.8 and 1 <= evaluations < 10
