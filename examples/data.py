"""The data the examples read: `$LATENTSEARCH_DATA`, else `../shared/data`, else what you pass.

Nothing here is downloaded unless you say so: `--download` where a script offers it.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor


def data_root() -> Path:
    """The folder that holds MNIST/, cifar10/ and so on."""
    return Path(os.environ.get("LATENTSEARCH_DATA", Path(__file__).parents[2] / "shared" / "data"))


def mnist(split: str, *, root: Path | None = None, download: bool = False) -> tuple[Tensor, Tensor]:
    """MNIST: images (N, 1, 28, 28) in [0, 1] and labels (N,); split 'train' or 'test'."""
    return _torchvision("MNIST", split, root, download)


def fashion_mnist(split: str, *, root: Path | None = None, download: bool = False) -> tuple[Tensor, Tensor]:
    """Fashion-MNIST, in the same form as MNIST."""
    return _torchvision("FashionMNIST", split, root, download)


def _torchvision(name: str, split: str, root: Path | None, download: bool) -> tuple[Tensor, Tensor]:
    from torchvision import datasets

    root = data_root() if root is None else root
    try:
        dataset = getattr(datasets, name)(str(root), train=split == "train", download=download)
    except RuntimeError as error:
        raise FileNotFoundError(
            f"no {name} under {root}: set LATENTSEARCH_DATA to the folder that holds {name}/raw, or pass --download"
        ) from error
    return dataset.data[:, None].float() / 255, dataset.targets


def cifar10_subset(split: str, *, root: Path | None = None) -> tuple[Tensor, Tensor]:
    """A subset of CIFAR-10: images (N, 3, 32, 32) in [0, 1] and labels (N,); 20,000 train, 5,000 test.

    Any safetensors file with `train_images`, `train_labels`, `test_images`, `test_labels` will do.
    """
    from safetensors import safe_open

    path = (data_root() if root is None else root) / "cifar10" / "cifar10-subset.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"no {path}: set LATENTSEARCH_DATA to the folder that holds cifar10/")
    with safe_open(path, framework="pt") as file:
        images: Tensor = file.get_tensor(f"{split}_images")
        labels: Tensor = file.get_tensor(f"{split}_labels")
    return images.to(torch.float32) / 255, labels.long()


def melodies(split: str, *, root: Path | None = None) -> Tensor:
    """Folk tunes in 4/4 as windows of 16 bars: events (N, 256) int64; 9,694 train, 1,349 test, split by tune.

    Any safetensors file with `train` and `test` will do; the alphabet is that of `latentsearch.melodies`.
    """
    from safetensors import safe_open

    path = (data_root() if root is None else root) / "melodies" / "nottingham-16bar.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"no {path}: set LATENTSEARCH_DATA to the folder that holds melodies/")
    with safe_open(path, framework="pt") as file:
        tokens: Tensor = file.get_tensor(split)
    return tokens.long()
