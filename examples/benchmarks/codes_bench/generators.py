"""The decoders and classifiers, frozen: their weights are those whose SHA-256 is in the log, or nothing runs."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[2]))
from wrap_pretrained import MODELS, LeNet

import latentsearch as ls
from codes_bench import bits
from latentsearch import _checkpoint, models, training, zoo
from latentsearch.errors import BrokenFile

GENERATORS = ("mnist-512", "mnist-40", "cifar10-8x8", "cifar10-16x16")
WEIGHTS = Path(__file__).parents[1] / "weights"
MODEL_LOG = Path(__file__).parents[2] / "logs" / "bench_models.json"
_ZOO = {"mnist-512": "mnist-vqvae-512", "mnist-40": "mnist-vqvae-40"}
_CLASSES: dict[str, type[nn.Module]] = {"VQVAE": models.VQVAE, "Classifier": models.Classifier}

# Averages of the codebook are needed to train on, not to decode.
_TRAINING_ONLY = ("counts", "sums", "placed")


def data_of(name: str) -> str:
    """The data set that a generator was trained on."""
    return name.split("-")[0]


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of weights, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode() + tensors[name].detach().contiguous().numpy().tobytes())
    return sha.hexdigest()


def for_decoding(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A model's weights without what only training needs."""
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(_TRAINING_ONLY)}


def vouched(
    name: str, kind: str, folder: Path, log: Path, command: str
) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """Weights with their header, and what the log says of them.

    Raises:
        BrokenFile: If they are missing or are others than the log's.
    """
    path = folder / f"{name}.safetensors"
    if not path.exists():
        raise BrokenFile(f"no {path}: run {command} {name}")
    tensors, header = _checkpoint.load(path, kind=kind)
    recorded: dict[str, Any] = json.loads(log.read_text()) if log.exists() else {}
    row = recorded.get(name, {})
    found, logged = digest(tensors), row.get("sha256")
    if found != logged:
        raise BrokenFile(f"{path} has SHA-256 {found}, and {log} has {logged}: run {command} {name} again")
    return tensors, header, row


def trained(name: str, folder: Path = WEIGHTS, log: Path = MODEL_LOG) -> nn.Module:
    """A model of `train_models.py`, if it is the one in the log.

    Raises:
        BrokenFile: If its weights are missing or are others than the log's.
    """
    tensors, header, _ = vouched(name, "model", folder, log, "train_models.py")
    settings = header["settings"] | {"image_shape": tuple(header["settings"]["image_shape"])}
    with training.initialised(0):
        model = _CLASSES[header["class"]](**settings)
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)


def load(name: str) -> tuple[ls.CodebookGenerator, str]:
    """A wrapped model with the uniform prior, the package's own for MNIST, and the SHA-256 of its weights; of bits, the
    identity."""
    if name == "mnist-bits":
        return bits.generator(), digest({})
    model = zoo.load(_ZOO[name]) if name in _ZOO else trained(name)
    sha = digest(for_decoding(model.state_dict()))
    wrapped = ls.wrap(model.to(memory_format=torch.channels_last), prior=None)
    assert isinstance(wrapped, ls.CodebookGenerator)
    return wrapped, sha


def searched_classifier(data: str) -> nn.Module:
    """The classifier that a search may ask."""
    return zoo.load("mnist-classifier") if data == "mnist" else trained("cifar10-classifier")


def judge(data: str) -> nn.Module:
    """Another classifier, which no search sees: for MNIST a LeNet trained by others."""
    if data != "mnist":
        return trained("cifar10-judge")
    from safetensors.torch import load_file

    path = Path(os.environ.get("LATENTSEARCH_MODELS", MODELS)) / "mnist_lenet.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"no {path}: set LATENTSEARCH_MODELS to the folder that holds {path.name}")
    net = LeNet()
    net.load_state_dict(load_file(path))
    return net.eval().requires_grad_(False)
