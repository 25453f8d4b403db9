"""The command line and the two examples that make the same images, on small budgets."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

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


# -- examine -------------------------------------------------------------------------------------------

MODEL = """
import torch
import latentsearch as ls
from beside import mixing

def decode(z):
    return torch.sigmoid(z @ mixing).view(-1, 1, 4, 4)

def encode(x):
    return torch.logit(x.flatten(1), eps=1e-6) @ torch.linalg.pinv(mixing)

generator = ls.ContinuousGenerator(decode, (3,), encode=encode, output_range=(0, 1))
number = 3

def make():
    return generator
"""
BESIDE = "import torch\nmixing = torch.linspace(-1, 1, 48).view(3, 16).sin()\n"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a generator, which imports another beside it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside.py").write_text(BESIDE)
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path / "model.py"


def greys() -> torch.Tensor:
    """(60, 1, 4, 4) bytes that the model of these tests gives."""
    mixing = torch.linspace(-1, 1, 48).view(3, 16).sin()
    z = ls.Noise.from_seed(0, 60).normal(3)
    return (255 * torch.sigmoid(z @ mixing)).round().to(torch.uint8).view(-1, 1, 4, 4)


def write_images(folder: Path, kind: str) -> str:
    """Where the images are, in a kind of file."""
    path = folder / f"images.{kind}"
    match kind:
        case "npy":
            numpy.save(path, greys().float().numpy() / 255)
        case "safetensors":
            save_file({"images": greys(), "labels": torch.zeros(60)}, path)
        case "pt":
            torch.save(greys(), path)
        case "folder":
            path.mkdir()
            for number, image in enumerate(greys()):
                Image.fromarray(image[0].numpy()).save(path / f"{number:03}.png")
    return str(path)


@pytest.mark.parametrize("kind", ["npy", "safetensors", "pt", "folder"])
def test_examine_reads_files_and_folders(
    model: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / "report.html"
    name = {"pt": ":make", "npy": ""}.get(kind, ":generator")
    assert cli.main(["examine", f"{model}{name}", write_images(tmp_path, kind), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("ContinuousGenerator: 3 numbers to 1×4×4, 60 images") and str(out) in printed
    # Bytes are brought into the range that the decoder has, else nothing would be found.
    assert "keep 100% of their variance" in printed
    assert "Is this latent space searchable?" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("model.py:", "images.npy", r"MODEL: got 'model\.py:', expected FILE\.py:name"),
        ("raising.py", "images.npy", r"raising\.py, which ends with ValueError: no weights"),
        ("leaving.py", "images.npy", r"leaving\.py, which ends with SystemExit: 0"),
        ("model.py:decode", "images.npy", r"decode\(\) of model\.py, which ends with TypeError"),
        ("model.py", "integers.npy", r"DATA: got .*int32.*expected floating values, or bytes"),
        ("model.py", "sixteen", r"0\.png of more than 8 bits a channel"),
        ("other.py:generator", "images.npy", "MODEL: got no file other.py"),
        ("model.py:decoder", "images.npy", r"got no decoder in model\.py.*it has generator"),
        ("model.py:number", "images.npy", "got 3"),
        ("model.py:generator", "none.npy", r"DATA: got no file or folder none\.npy"),
        ("model.py:generator", "model.py", r"DATA: got model\.py"),
        ("model.py:generator", "broken.npy", r"broken\.npy cannot be read"),
        ("model.py:generator", "other.safetensors", r"with a \(4, 2\).*\(N, 1, 4, 4\), as the decoder gives"),
        ("model.py:generator", "two.safetensors", r"name one: two\.safetensors:a"),
        ("model.py:generator", "two.safetensors:c", "expected c among them"),
        ("model.py:generator", "empty", "got no images in empty"),
        ("model.py:generator", "large", r"0\.png of \(1, 8, 8\), expected \(1, 4, 4\).*resize"),
    ],
)
def test_examine_says_what_is_wrong_with_its_arguments(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    data: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path, "npy")
    Path("broken.npy").write_bytes(b"no numbers")
    save_file({"a": torch.zeros(4, 2)}, "other.safetensors")
    save_file({"a": torch.zeros(30, 1, 4, 4), "b": torch.zeros(30, 1, 4, 4)}, "two.safetensors")
    Path("raising.py").write_text("raise ValueError('no weights')")
    Path("leaving.py").write_text("import sys; sys.exit(0)")
    numpy.save("integers.npy", numpy.zeros((30, 1, 4, 4), dtype=numpy.int32))
    for folder in ("empty", "large", "sixteen"):
        Path(folder).mkdir()
    Image.fromarray(numpy.full((4, 4), 30_000, dtype=numpy.uint16)).save("sixteen/0.png")
    Image.new("L", (8, 8)).save("large/0.png")
    assert cli.main(["examine", name, data]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and re.search(message, printed), printed
    assert not Path("examination.html").exists()


def test_examine_wants_matplotlib_before_it_begins(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    assert cli.main(["examine", f"{model}:generator", "nothing"]) == 1
    assert "pip install 'latentsearch[plot]'" in capsys.readouterr().err


def test_examine_looks_at_where_it_writes_before_it_begins(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["examine", str(model), "nothing", "--out", str(tmp_path)]) == 1
    assert re.search("got the folder .*expected a path of a file", capsys.readouterr().err)


def test_spaces_are_examined_side_by_side(models: Path, tmp_path: Path) -> None:
    # Grids of codes take five times as long: test_examination has smaller ones.
    spaces = ["VAE", "centre autoencoder"]
    few = ["--images", "40", "--steps", "20", "--out", str(tmp_path)]
    printed = run_example("examine_pretrained.py", "--spaces", *spaces, *few)
    assert [line[:20].strip() for line in printed.splitlines()[-2:]] == spaces
    assert len(list(tmp_path.glob("examined-*.html"))) == 2
