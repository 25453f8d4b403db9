"""What is measured of every model: reconstruction, a linear probe, lines, changes of single elements, samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import latentsearch as ls
from latentsearch.models import VAE
from latentsearch.priors import GaussianMixture, StandardNormal

from . import searching
from .fits import images
from .judge import DRAWS, Judge

PAIRS, POINTS = 500, 11
PROBED = 10_000
ELEMENTS = 8  # that are changed
STEPS = (0.1, 1.0, 3.0, 15.0)  # what is added to one element of a latent
IN_DEVIATIONS = (1.0, 3.0)
DARK = 0.02  # the mean pixel of an image that is black; the darkest test image has 0.026

Encode = Callable[[Tensor], Tensor]


def by_parts(function: Encode, rows: Tensor, size: int = 1000) -> Tensor:
    """A function of rows, a part at a time, joined."""
    return torch.cat([function(part) for part in rows.split(size)])


def reconstruction(decoded: Tensor, truth: Tensor) -> dict[str, float]:
    """The squared error of an image, and how sharp reconstructions are: their Laplacian's share of the images'."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    edges = [float(F.conv2d(pictures, kernel).abs().mean()) for pictures in (decoded, truth)]
    error = (decoded - truth).square().flatten(1).sum(1).mean()
    return {"squared error": float(error), "sharpness": edges[0] / edges[1]}


def probe(encode: Encode, seed: int) -> float:
    """Test accuracy of a logistic regression on the encodings of 10,000 training images."""
    sets = []
    for split in ("train", "test"):
        shown, labels = images("mnist", split)
        sets.append((by_parts(encode, shown[:PROBED]).flatten(1), labels[:PROBED]))
    (train, labels), (test, truth) = sets
    mean, std = train.mean(0), train.std(0).clamp(min=1e-6)
    train, test = (train - mean) / std, (test - mean) / std
    weight = torch.zeros(train.shape[1] + 1, 10, requires_grad=True)
    solver = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(train @ weight[1:] + weight[0], labels) + 1e-3 * weight[1:].square().sum()
        value.backward()
        return value

    solver.step(loss)
    return float(((test @ weight[1:] + weight[0]).argmax(1) == truth).double().mean())


def lines(encode: Encode, decode: Encode, judge: Judge, seed: int) -> dict[str, float]:
    """Lines between encodings of test images of different digits: what the LeNet sees of eleven points on them.

    ``confidence`` is its probability of the likeliest digit at inner points, ``path`` the length of the line in its
    features over the distance of the ends, ``middle`` the Fréchet distance of the images halfway.
    """
    shown, labels = images("mnist", "test")
    order = ls.Noise.from_seed(seed).uniform(len(shown))[0].argsort()
    one, other = order[: len(order) // 2], order[len(order) // 2 :]
    differ = labels[one] != labels[other]
    one, other = one[differ], other[differ]
    ends = encode(shown[one[:PAIRS]]), encode(shown[other[:PAIRS]])
    share = torch.linspace(0, 1, POINTS)
    along = torch.stack([ends[0] + t * (ends[1] - ends[0]) for t in share])  # (T, n, ...)
    pictures = by_parts(decode, along.flatten(0, 1)).unflatten(0, along.shape[:2])
    features = judge.features(pictures.flatten(0, 1)).unflatten(0, along.shape[:2])
    length = features.diff(dim=0).norm(dim=2).sum(0) / (features[-1] - features[0]).norm(dim=1).clamp(min=1e-9)
    inner = pictures[1:-1].flatten(0, 1)
    halfway = by_parts(
        lambda part: decode(0.5 * (encode(shown[part[:, 0]]) + encode(shown[part[:, 1]]))), torch.stack([one, other], 1)
    )
    return {
        "confidence": float(judge.read(inner)[0].mean()),
        "path": float(length.median()),
        "middle": judge.frechet(halfway),
    }


def changes(encode: Encode, decode: Encode, judge: Judge, steps: Sequence[float] = STEPS) -> dict[str, list[float]]:
    """One element of the encodings of 100 test images is raised or lowered, each of eight in turn.

    By step: the LeNet's confidence, the share of images that are black, and the share still read as before.
    """
    z = encode(images("mnist", "test")[0][:100])
    flat, shape = z.flatten(1), z.shape[1:]
    before = judge.read(decode(z))[1].repeat(2 * min(flat.shape[1], ELEMENTS))
    found: dict[str, list[float]] = {"confidence": [], "black": [], "kept": []}
    for step in steps:
        moves = step * torch.eye(flat.shape[1])[:ELEMENTS]
        moved = (flat + torch.cat([moves, -moves])[:, None]).flatten(0, 1).unflatten(1, shape)
        pictures = by_parts(decode, moved)
        confidence, digit = judge.read(pictures)
        found["confidence"].append(float(confidence.mean()))
        found["black"].append(float((pictures.flatten(1).mean(1) < DARK).double().mean()))
        found["kept"].append(float((digit == before).double().mean()))
    return found


def samples(model: nn.Module, latents: Tensor, judge: Judge, seed: int) -> dict[str, float]:
    """The Fréchet distance of 10,000 decoded draws, by what they are drawn from.

    ``own`` is what each model says of its latents: N(0, I) of a VAE, of centres a Gaussian around each with the
    deviation of what is nearest to it, and of others N(0, I), which nothing made them like.
    """
    noise = ls.Noise.from_seed(seed, DRAWS)
    densities: dict[str, ls.Prior] = {"own": StandardNormal(latents.shape[1:])}
    if hasattr(model, "centres"):
        densities["own"] = GaussianMixture.around(model.centres, latents)
    densities |= {f"mixture of {size}": GaussianMixture.fit(latents, size, seed=seed) for size in (1, 10, 50)}
    return {name: judge.frechet(by_parts(model.decode, prior.sample(noise))) for name, prior in densities.items()}


def latents(model: Any, shown: Tensor, seed: int) -> Tensor:
    """Encodings: of a VAE draws of q(z|x), of others what the encoder gives."""
    if not isinstance(model, VAE):
        return by_parts(model.encode, shown)
    mean, std = (by_parts(lambda part, which=which: model.posterior(part)[which], shown) for which in (0, 1))
    return mean + std * ls.Noise.from_seed(seed).normal(*mean.shape)[0]


def deviations(model: nn.Module, judge: Judge) -> dict[str, list[float]]:
    """As ``changes``, by so many standard deviations of each element: spaces of other scales can be compared."""
    shown = images("mnist", "test")[0]
    spread = by_parts(model.encode, shown).std(0).clamp(min=1e-9)
    return changes(
        lambda pictures: model.encode(pictures) / spread, lambda z: model.decode(z * spread), judge, IN_DEVIATIONS
    )


def of_images(model: nn.Module, judge: Judge) -> dict[str, float]:
    """What becomes of the test images."""
    test = images("mnist", "test")[0]
    decoded = by_parts(lambda part: model.decode(model.encode(part)), test)
    return reconstruction(decoded, test) | {"reconstructions": judge.frechet(decoded)}


def of_latents(model: nn.Module, judge: Judge, seed: int) -> dict[str, Any]:
    """Samples, and how far encodings spread."""
    z = latents(model, images("mnist", "train")[0][:20_000], seed)
    return {"spread": float(z.var(0).sum().sqrt()), "samples": samples(model, z, judge, seed)}


def searched(model: nn.Module, seed: int) -> dict[str, Any]:
    """With a mixture of ten for starts, since nothing says that encodings are normal."""
    prior = GaussianMixture.fit(latents(model, images("mnist", "train")[0][:20_000], seed), 10, seed=seed)
    return searching.measured(ls.wrap(model, prior=prior), seed)


# Of a model whose latents are vectors; each gives a part of its row.
MEASURES: dict[str, Callable[[Any, Judge, int], dict[str, Any]]] = {
    "images": lambda model, judge, seed: of_images(model, judge),
    "probe": lambda model, judge, seed: {"probe": probe(model.encode, seed)},
    "lines": lambda model, judge, seed: {"lines": lines(model.encode, model.decode, judge, seed)},
    "changes": lambda model, judge, seed: {"changes": changes(model.encode, model.decode, judge)},
    "deviations": lambda model, judge, seed: {"deviations": deviations(model, judge)},
    "latents": of_latents,
    "search": lambda model, judge, seed: {"search": searched(model, seed)},
}
