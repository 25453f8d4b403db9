"""MNIST made binary: each pixel drawn once with its grey value as the chance, from a published seed."""

from __future__ import annotations

import torch
from data import mnist
from torch import Tensor

from latentsearch.noise import Noise

SEED = 2018  # of the drawn pixels; the seed's own rows are 0 for the training file and 1 for the test file
TRAIN = 50_000  # images of the training file that train; the other 10,000 are for validation


def binary(images: Tensor, file: int, *, threshold: bool = False) -> Tensor:
    """Images in {0, 1}; with ``threshold`` pixels of at least one half are 1, and nothing is drawn."""
    if threshold:
        return (images >= 0.5).float()
    return drawn(images, Noise.from_seed(SEED, 2)[file : file + 1])


def drawn(images: Tensor, noise: Noise, block: int = 5000) -> Tensor:
    """One Bernoulli draw a pixel, of its grey value; each image has its own randomness, from one row of noise."""
    keys = noise.split(len(images)).keys.split(block)
    pairs = zip(keys, images.split(block), strict=True)
    return torch.cat([(Noise(keys).uniform(*part.shape[1:]) < part).float() for keys, part in pairs])


def parts(*, threshold: bool = False, grey: bool = False) -> dict[str, Tensor]:
    """``train`` 50,000, ``validation`` 10,000 and ``test`` 10,000 images ``(N, 1, 28, 28)``."""
    files = [mnist(split)[0] for split in ("train", "test")]
    if not grey:
        files = [binary(images, number, threshold=threshold) for number, images in enumerate(files)]
    return {"train": files[0][:TRAIN], "validation": files[0][TRAIN:], "test": files[1]}
