"""The command line and the two examples that make the same images, on small budgets."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import latentsearch as ls
from latentsearch import cli, demo, zoo

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TASKS = ["match an image", "super-resolution x4", "inpaint the right half", "make it a 7"]


@pytest.fixture
def models() -> Path:
    """The folder of models trained elsewhere; absent, the test is skipped, or fails where data are required."""
    folder = Path(os.environ.get("LATENTSEARCH_MODELS", ROOT.parent / "shared" / "models"))
    if not (folder / "mnist_vae.safetensors").exists():
        reason = f"no mnist_vae.safetensors in {folder}; set LATENTSEARCH_MODELS to the folder that has it"
        if os.environ.get("LATENTSEARCH_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def run_example(name: str, *arguments: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=EXAMPLES)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_images(grid: Path, gif: Path) -> None:
    with Image.open(grid) as still, Image.open(gif) as moving:
        assert still.format == "PNG" and min(still.size) > 400
        assert moving.format == "GIF" and moving.n_frames > 1


def test_info_lists_versions_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out
    for word in (ls.__version__, torch.__version__, "cpu", "test_mse", *zoo.names()):
        assert word in printed


def test_demo_prints_the_table_and_quickstart_is_the_same_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    assert cli.main(["demo", "--out", str(tmp_path / "demo"), "--evaluations", "40"]) == 0
    assert torch.get_num_threads() == threads
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["task", "space", "method", "loss", "encoder", "evaluations", "seconds", "status"]
    rows = lines[1:9]
    assert [row[:24].strip() for row in rows] == [task for task in TASKS for _ in range(2)]
    by_hand = run_example("quickstart.py", str(tmp_path / "hand"), "40").splitlines()
    for row, line in zip(rows, by_hand, strict=False):
        loss, encoder = row[48:68].split()
        assert line.startswith(f"{row[:32]}loss {loss}, encoder's {encoder}, ")
    for name in ("grid.png", "search.gif"):
        assert str(tmp_path / "demo" / name) in lines
        assert (tmp_path / "hand" / name).read_bytes() == (tmp_path / "demo" / name).read_bytes()
    check_images(tmp_path / "demo" / "grid.png", tmp_path / "demo" / "search.gif")


def test_matching_comes_up_to_the_encoder() -> None:
    images = zoo.images()[0][list(demo.IMAGES)][:2]
    task, (generator, prior) = demo.tasks(images)[0], demo.spaces(images)["VQ-VAE"]
    outcome = demo.run_task(task, "VQ-VAE", generator, prior, images)
    assert outcome.result.score.loss.mean() <= outcome.encoder_loss.mean()


def test_completions_differ_and_look_like_digits() -> None:
    images = zoo.images()[0][list(demo.IMAGES)][1:2]
    task, (generator, prior) = demo.tasks(images)[2], demo.spaces(images)["VQ-VAE"]
    outcome = demo.run_task(task, "VQ-VAE", generator, prior, images)
    grids = outcome.result.candidates.latent[0]
    assert outcome.answers.shape == (1, 3, 1, 28, 28)
    assert len(grids.flatten(1).unique(dim=0)) == 3
    # Test images have 3.7 bits a code on average; without a prior answers have 13.
    bits = -prior.log_prob(grids) / grids[0].numel() / math.log(2)
    assert (bits < 5).all()
    # The given half is as right as the decoder can make it.
    seen = (outcome.answers - images)[..., :14].square().mean((0, 2, 3, 4))
    assert (seen < 2 * prior.residuals.square().mean()).all()


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["demo", "--evaluations", "-1", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: --evaluations: got -1, expected at least 32")


def test_a_decoder_trained_elsewhere(models: Path, tmp_path: Path) -> None:
    paths = ["--vae", str(models / "mnist_vae.safetensors"), "--classifier", str(models / "mnist_lenet.safetensors")]
    printed = run_example("wrap_pretrained.py", *paths, "--steps", "8", "--out", str(tmp_path))
    assert [line[:24].strip() for line in printed.splitlines()[1:4]] == TASKS[1:]
    check_images(tmp_path / "pretrained.png", tmp_path / "pretrained.gif")
