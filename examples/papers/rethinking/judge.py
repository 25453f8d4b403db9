"""What answers are read by: the LeNet of others, which no training here has seen, and the Fréchet distance in it."""

from __future__ import annotations

import torch
import wrap_pretrained
from safetensors.torch import load_file
from torch import Tensor

from latentsearch.judge import frechet_distance

from .fits import images

DRAWS = 10_000


class Judge:
    """The LeNet, and how the 10,000 test images look to it."""

    def __init__(self) -> None:
        self.net = wrap_pretrained.LeNet().eval().requires_grad_(False)
        self.net.load_state_dict(load_file(wrap_pretrained.MODELS / "mnist_lenet.safetensors"))
        self.test = self.features(images("mnist", "test")[0])
        self.floor = frechet_distance(self.features(images("mnist", "train")[0][:DRAWS]), self.test)

    def features(self, pictures: Tensor) -> Tensor:
        """``(N, 84)``, float64."""
        return torch.cat([self.net.features(part) for part in pictures.split(1000)]).double()

    def frechet(self, pictures: Tensor) -> float:
        """The distance to test images."""
        return frechet_distance(self.features(pictures), self.test)

    def read(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """``(N,)`` each: the probability of the likeliest digit, and the digit."""
        likeliest = torch.cat([self.net(part) for part in pictures.split(1000)]).max(1)
        return likeliest.values.exp(), likeliest.indices
