"""What all rows share: a VAE that was trained by others, its encodings, and a judge that no training here has seen."""

from __future__ import annotations

import math
from functools import cached_property

import torch
import torch.nn.functional as F
import wrap_pretrained
from data import mnist
from safetensors.torch import load_file
from torch import Tensor

import latentsearch as ls
from latentsearch.judge import frechet_distance

HELD_OUT = 5000  # training images that no mixture or critic is fitted to


class Setting:
    """The pretrained MNIST VAE of 20 latents, and the LeNet of the same source.

    Attributes:
        generator: The decoder, with the posterior of the encoder.
        judge: The LeNet.
    """

    def __init__(self) -> None:
        self.vae, self.judge = wrap_pretrained.VAE().eval(), wrap_pretrained.LeNet().eval()
        self.vae.load_state_dict(load_file(wrap_pretrained.MODELS / "mnist_vae.safetensors"))
        self.judge.load_state_dict(load_file(wrap_pretrained.MODELS / "mnist_lenet.safetensors"))
        self.generator = self.with_prior(None)

    def with_prior(self, prior: ls.Prior | None) -> ls.ContinuousGenerator:
        return ls.ContinuousGenerator(
            self.vae.decode, (20,), encode=self.vae.encode, posterior=self.posterior, output_range=(0, 1), prior=prior
        )

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.relu(self.vae.fc1(images.flatten(1)))
        return self.vae.fc21(hidden), (0.5 * self.vae.fc22(hidden)).exp()

    @cached_property
    def train(self) -> tuple[Tensor, Tensor]:
        images, labels = mnist("train")
        return images[:-HELD_OUT], labels[:-HELD_OUT]

    @cached_property
    def test(self) -> tuple[Tensor, Tensor]:
        return mnist("test")

    @cached_property
    def latents(self) -> Tensor:
        """Draws of q(z|x) of the training images."""
        return self._drawn(self.train[0], 1)

    @cached_property
    def test_latents(self) -> Tensor:
        """Draws of q(z|x) of the test images."""
        return self._drawn(self.test[0], 2)

    @cached_property
    def spread(self) -> Tensor:
        """The mean standard deviation of q(z|x)."""
        with torch.no_grad():
            return self.posterior(self.train[0])[1].mean(0)

    @torch.no_grad()
    def _drawn(self, images: Tensor, seed: int) -> Tensor:
        mean, deviation = self.posterior(images)
        return mean + deviation * ls.Noise.from_seed(seed).normal(*mean.shape)[0]

    # -- what answers are judged by ------------------------------------------------------------------

    @torch.no_grad()
    def accuracy(self, latents: Tensor, labels: Tensor) -> float:
        """The share that the LeNet reads as these digits."""
        read = torch.cat([self.judge(self.vae.decode(part)).argmax(1) for part in latents.split(1000)])
        return float((read == labels).double().mean())

    @torch.no_grad()
    def images(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents)

    def frechet(self, latents: Tensor) -> float:
        """The distance to the reconstructions of the test images, in the LeNet's features."""
        return frechet_distance(self._features(latents), self._features_of_test)

    @cached_property
    def _features_of_test(self) -> Tensor:
        return self._features(self.test_latents)

    @torch.no_grad()
    def _features(self, latents: Tensor) -> Tensor:
        return torch.cat([self.judge.features(self.vae.decode(part)) for part in latents.split(1000)]).double()

    def shift(self, before: Tensor, after: Tensor) -> float:
        """The mean square of how far latents were moved, in units of the spread."""
        return float(((after - before) / self.spread).square().mean())

    @torch.no_grad()
    def diversity(self, latents: Tensor, labels: Tensor | None) -> float:
        """The mean distance between images of one class, or of all, beside that of test reconstructions."""
        return self._apart(latents, labels) / self._apart(self.test_latents, None if labels is None else self.test[1])

    @torch.no_grad()
    def _apart(self, latents: Tensor, labels: Tensor | None) -> float:
        labels = torch.zeros(len(latents), dtype=torch.int64) if labels is None else labels
        most = 200 if len(labels.unique()) > 1 else 1000
        found = []
        for label in labels.unique():
            images = self.vae.decode(latents[labels == label][:most]).flatten(1)
            found.append(float(torch.pdist(images).mean()))
        return math.fsum(found) / len(found)
