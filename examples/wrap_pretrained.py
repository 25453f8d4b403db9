"""Search a decoder that was trained elsewhere: three goals for a VAE of handwritten digits.

    python examples/wrap_pretrained.py
    python examples/wrap_pretrained.py --vae mnist_vae.safetensors --classifier mnist_lenet.safetensors

The two networks are those of github.com/csinva/gan-vae-pretrained-pytorch (MIT), written out below as
you would write yours. They are looked for in `$LATENTSEARCH_MODELS`, else in `../shared/models`.
Writes `latentsearch-demo/pretrained.png` and `latentsearch-demo/pretrained.gif`.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from data import mnist
from safetensors.torch import load_file
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import plots, zoo

MODELS = Path(os.environ.get("LATENTSEARCH_MODELS", Path(__file__).parents[2] / "shared" / "models"))
EDIT = "make it a 7"


class VAE(nn.Module):
    """784 - 400 - 20 - 400 - 784, pixels in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

    def encode(self, images: Tensor) -> Tensor:
        return self.fc21(F.relu(self.fc1(images.flatten(1))))

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))).view(-1, 1, 28, 28)


class LeNet(nn.Module):
    """LeNet-5 on 32 x 32 images, to log-probabilities."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = {"c1": nn.Conv2d(1, 6, 5), "c3": nn.Conv2d(6, 16, 5), "c5": nn.Conv2d(16, 120, 5)}
        self.convnet = nn.ModuleDict(convolutions)
        self.fc = nn.ModuleDict({"f6": nn.Linear(120, 84), "f7": nn.Linear(84, 10)})

    def features(self, images: Tensor) -> Tensor:
        """``(N, 84)``, what the last layer sees."""
        x = F.interpolate(images, size=(32, 32), mode="bilinear")
        x = F.max_pool2d(F.relu(self.convnet["c1"](x)), 2)
        x = F.max_pool2d(F.relu(self.convnet["c3"](x)), 2)
        x = F.relu(self.convnet["c5"](x)).flatten(1)
        return F.relu(self.fc["f6"](x))

    def forward(self, images: Tensor) -> Tensor:
        return F.log_softmax(self.fc["f7"](self.features(images)), dim=1)


def test_images(digits: list[int]) -> Tensor:
    """A test image of each digit: the third in MNIST's test set, or the first that comes with the package."""
    try:
        images, labels = mnist("test")
        return torch.stack([images[labels == digit][2] for digit in digits])
    except FileNotFoundError:
        images, labels = zoo.images()
        return torch.stack([images[labels == digit][0] for digit in digits])


def make_goals(images: Tensor, classifier: nn.Module, likely: ls.LogPrior) -> dict[str, tuple[Tensor, ls.Goal]]:
    """By name: what is given, to look at, and the goal."""
    small = F.avg_pool2d(images, 4)
    left = torch.zeros(1, 1, 28, 28)
    left[..., :14] = 1
    hidden = images * left + 0.35 * (1 - left)  # the hidden half is grey
    seven = ls.Classified(classifier, 7, threshold=None)
    return {
        "super-resolution x4": (small, ls.Downscales(small, 4, mode="area") + 1e-4 * likely),
        "inpaint the right half": (hidden, ls.Matches(images, mask=left) + 3e-4 * likely),
        EDIT: (images, ls.Matches(images) + 0.3 * seven + 3e-3 * likely),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vae", type=Path, default=MODELS / "mnist_vae.safetensors")
    parser.add_argument("--classifier", type=Path, default=MODELS / "mnist_lenet.safetensors")
    parser.add_argument("--out", type=Path, default=Path("latentsearch-demo"))
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()

    vae, classifier = VAE().eval(), LeNet().eval()
    vae.load_state_dict(load_file(options.vae))
    classifier.load_state_dict(load_file(options.classifier))

    # The decoder is wrapped as it is.
    generator = ls.ContinuousGenerator(vae.decode, shape=(20,), encode=vae.encode, output_range=(0, 1))

    images = test_images([2, 3, 4, 5, 8, 9])
    codes = generator.encode(images)
    goals = make_goals(images, classifier, ls.LogPrior(generator.prior))
    adam = partial(torch.optim.Adam, lr=0.05)

    rows, titles, moving = [], {}, []
    print(f"{'goal':24} {'loss':>8} {'encoder':>8} {'evals':>6} {'seconds':>8}  status")
    for name, (given, goal) in goals.items():
        # An edit starts at the images' own latents, the others four times in the prior.
        start = codes if name == EDIT else None
        film = plots.Film(every=max(options.steps // 40, 1))
        searcher = ls.GradientSearch(optimizer=adam, restarts=4 if start is None else 1)
        run = ls.Run(evaluations=None, steps=options.steps, callbacks=[film])
        result = searcher.search(generator, goal, init=start, seed=0, run=run)
        encoder = goal(generator.decode(codes), codes).loss
        status = ", ".join(sorted({s.name for s in result.status}))
        loss, spent = result.score.loss.mean(), int(result.evaluations.sum())
        print(f"{name:24} {loss:8.4f} {encoder.mean():8.4f} {spent:6} {result.seconds:8.1f}  {status}")
        titles[len(rows)] = name
        rows += [given, result.output]
        moving += [given, film.decode(generator)]
    labels = ["given", "found"] * len(goals)
    print(plots.save_grid(options.out / "pretrained.png", rows, labels, titles=titles))
    print(plots.save_gif(options.out / "pretrained.gif", moving, labels, titles=titles))


if __name__ == "__main__":
    main()
