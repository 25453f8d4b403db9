"""The loaders of examples/data.py, on small files made here: Fashion-MNIST itself is not needed."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import data


def write_idx(path: Path, array: np.ndarray) -> None:
    """An idx file of unsigned bytes: two zero bytes, type 8, the number of dimensions, the sizes, the data."""
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_split(root: Path, name: str, prefix: str, images: np.ndarray, labels: np.ndarray) -> None:
    write_idx(root / name / "raw" / f"{prefix}-images-idx3-ubyte", images)
    write_idx(root / name / "raw" / f"{prefix}-labels-idx1-ubyte", labels)


@pytest.fixture
def fashion(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (7, 28, 28)), np.arange(7)
    write_split(tmp_path, "FashionMNIST", "train", images, labels)
    write_split(tmp_path, "FashionMNIST", "t10k", images[::-1][:3], labels[::-1][:3])
    return tmp_path, images, labels


def test_fashion_mnist_reads_pixels_and_labels_in_order(fashion):
    root, images, labels = fashion
    x, y = data.fashion_mnist("train", root=root)
    assert x.shape == (7, 1, 28, 28) and x.dtype == torch.float32
    assert torch.equal(x[:, 0], torch.as_tensor(images).float() / 255)
    assert y.tolist() == labels.tolist()


def test_the_test_split_is_the_other_file(fashion):
    root, images, _ = fashion
    x, y = data.fashion_mnist("test", root=root)
    assert y.tolist() == [6, 5, 4]
    assert torch.equal(x[0, 0], torch.as_tensor(images[6]).float() / 255)


def test_pixels_span_zero_to_one(tmp_path):
    images = np.zeros((2, 28, 28), np.uint8)
    images[1] = 255
    for prefix in ("train", "t10k"):  # torchvision needs all four files
        write_split(tmp_path, "FashionMNIST", prefix, images, np.zeros(2))
    x, _ = data.fashion_mnist("train", root=tmp_path)
    assert x[0].unique().tolist() == [0.0] and x[1].unique().tolist() == [1.0]


def test_mnist_has_the_same_form_in_a_folder_of_its_own(fashion):
    root, images, labels = fashion
    with pytest.raises(FileNotFoundError):
        data.mnist("train", root=root)
    for prefix in ("train", "t10k"):
        write_split(root, "MNIST", prefix, 255 - images, labels)
    x, _ = data.mnist("train", root=root)
    assert torch.allclose(x, 1 - data.fashion_mnist("train", root=root)[0], atol=1e-6)


def test_files_still_gzipped_are_reported_as_missing(fashion):
    raw = fashion[0] / "FashionMNIST" / "raw"
    for path in list(raw.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    with pytest.raises(FileNotFoundError, match="FashionMNIST/raw"):
        data.fashion_mnist("train", root=fashion[0])


def test_no_data_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match="LATENTSEARCH_DATA"):
        data.fashion_mnist("train", root=tmp_path)


def test_the_environment_says_where_data_lie(fashion, monkeypatch):
    root, _, labels = fashion
    monkeypatch.setenv("LATENTSEARCH_DATA", str(root))
    assert data.data_root() == root
    assert data.fashion_mnist("train")[1].tolist() == labels.tolist()


def test_cifar10_subset_reads_a_safetensors_file(tmp_path):
    images = torch.arange(2 * 3 * 32 * 32).remainder(256).to(torch.uint8).view(2, 3, 32, 32)
    labels = torch.tensor([3, 9], dtype=torch.uint8)
    (tmp_path / "cifar10").mkdir()
    tensors = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    save_file(
        {name: tensor.clone() for name, tensor in tensors.items()}, tmp_path / "cifar10" / "cifar10-subset.safetensors"
    )
    x, y = data.cifar10_subset("test", root=tmp_path)
    assert x.shape == (2, 3, 32, 32) and y.tolist() == [3, 9] and y.dtype == torch.int64
    assert torch.equal(x, images.float() / 255)
    with pytest.raises(FileNotFoundError, match="LATENTSEARCH_DATA"):
        data.cifar10_subset("test", root=tmp_path / "elsewhere")
