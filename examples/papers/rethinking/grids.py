"""What is measured of models whose latents are grids of codes: Figures 4.4 to 4.8, and what the others are asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.models import VQAutoencoder
from latentsearch.priors import HistogramPrior, MaskedDiffusion, UniformCodes

from . import searching
from .fits import CODES, images
from .judge import DRAWS, Judge
from .spaces import by_parts, lines, probe, reconstruction

ADDED = (1.0, 5.0, 10.0, 15.0, 30.0, 50.0, 100.0)  # of Figure 4.6
FITTED_TO, PASSES, DRAWN = 8000, 12, 4000  # images, passes of a draw and draws of the fitted prior
CHANGED = 0.1  # a pixel has changed that differs by more


def directly(model: Any, pictures: Tensor) -> Tensor:
    """Decoded from the encoder's vectors, without codes."""
    return model.decode_embedding(model.encode_embedding(pictures).movedim(-1, 1))


def quantised(model: Any, vectors: Tensor) -> Tensor:
    """The image of the codes nearest to vectors ``(N, 7, 7, D)``."""
    book = model.pulled if isinstance(model, VQAutoencoder) else model.codes
    return model.decode(book.nearest(vectors))


def of_images(model: Any, judge: Judge) -> dict[str, Any]:
    """What becomes of the test images, through codes and without; and which codes occur."""
    test = images("mnist", "test")[0]
    decoded = by_parts(lambda part: model.decode(model.encode(part)), test)
    free = by_parts(lambda part: directly(model, part), test)
    share = torch.bincount(by_parts(model.encode, test).flatten(), minlength=CODES).double() / (49 * len(test))
    entropy = -(share * share.clamp(min=1e-12).log()).sum()
    return {
        **reconstruction(decoded, test),
        "direct": reconstruction(free, test),
        "reconstructions": judge.frechet(decoded),
        "used": float((share > 0).double().mean()),
        "perplexity": float(entropy.exp()),
    }


def probes(model: Any, seed: int) -> dict[str, float]:
    """Linear probes of the encoder's vectors, and of those of the codes."""
    of_codes = probe(lambda part: model.codebook[model.encode(part)], seed)
    return {"probe": probe(model.encode_embedding, seed), "probe of codes": of_codes}


def on_lines(model: Any, judge: Judge, seed: int) -> dict[str, float]:
    """Lines between the encoder's vectors, each point of them quantised."""
    return lines(model.encode_embedding, lambda vectors: quantised(model, vectors), judge, seed)


def samples(model: Any, judge: Judge, seed: int) -> dict[str, float]:
    """The Fréchet distance of 10,000 draws: codes at random (Figure 4.5), of each position's histogram, of a prior."""
    generator, codes = ls.wrap(model), by_parts(model.encode, images("mnist", "train")[0][:FITTED_TO])
    network = partial(MaskedDiffusion, steps=PASSES)
    fitted = ls.fit_prior(generator, codes, network=network, steps=200, temperature=1.0, seed=seed)
    space = generator.space
    densities = {
        "uniform": UniformCodes(space),
        "histogram": HistogramPrior.from_codes(codes, space.codebook_size),
        "fitted": fitted,
    }
    rows = {"uniform": DRAWS, "histogram": DRAWS, "fitted": DRAWN}
    drawn = {name: prior.sample(ls.Noise.from_seed(seed, rows[name])) for name, prior in densities.items()}
    found = {name: judge.frechet(by_parts(model.decode, codes)) for name, codes in drawn.items()}
    bits = {name: fitted.figures[key] for name, key in (("bits", "bits"), ("histogram's bits", "histogram"))}
    return found | bits


def added(model: Any, judge: Judge) -> dict[str, list[float]]:
    """Figure 4.6: so much is added to the first element of the first vector of 1,000 test images' encodings.

    By step: the share of pixels that change, and the share of images that are still read as before.
    """
    vectors = model.encode_embedding(images("mnist", "test")[0][:1000]).movedim(-1, 1)
    before = model.decode_embedding(vectors)
    digits, found = judge.read(before)[1], {"changed": [], "kept": []}
    for step in ADDED:
        moved = vectors.clone()
        moved[:, 0, 0, 0] += step
        after = model.decode_embedding(moved)
        found["changed"].append(float(((after - before).abs() > CHANGED).double().mean()))
        found["kept"].append(float((judge.read(after)[1] == digits).double().mean()))
    return found


def replaced(model: Any, judge: Judge, seed: int) -> dict[str, float]:
    """Figure 4.8: one code of each of 1,000 test images becomes another one, at a position drawn at random."""
    codes = model.encode(images("mnist", "test")[0][:1000])
    noise, rows = ls.Noise.from_seed(seed), torch.arange(len(codes))
    place = noise.fold(1).integers(49, len(codes))[0]
    other = codes.flatten(1).clone()
    other[rows, place] = (other[rows, place] + 1 + noise.fold(2).integers(CODES - 1, len(codes))[0]) % CODES
    before, after = model.decode(codes), model.decode(other.view_as(codes))
    return {
        "changed": float(((after - before).abs() > CHANGED).double().mean()),
        "kept": float((judge.read(after)[1] == judge.read(before)[1]).double().mean()),
    }


def alone(model: Any) -> dict[str, float]:
    """Figure 4.7: each code at all positions, and in the middle of zeros: how far images of codes are from each other.

    Mean distances of pairs, as shares of that of test images.
    """
    vectors = model.codebook[:, :, None, None]
    middle = torch.zeros(1, 1, 7, 7)
    middle[..., 3, 3] = 1
    apart = torch.pdist(images("mnist", "test")[0][:1000].flatten(1)).mean()
    shown = {"everywhere": vectors.expand(-1, -1, 7, 7), "among zeros": vectors * middle}
    return {
        name: float(torch.pdist(model.decode_embedding(each).flatten(1)).mean() / apart) for name, each in shown.items()
    }


# Of a model whose latents are grids; each gives a part of its row.
MEASURES: dict[str, Callable[[Any, Judge, int], dict[str, Any]]] = {
    "images": lambda model, judge, seed: of_images(model, judge),
    "probe": lambda model, judge, seed: probes(model, seed),
    "lines": lambda model, judge, seed: {"lines": on_lines(model, judge, seed)},
    "changes": lambda model, judge, seed: {"added": added(model, judge), "alone": alone(model)},
    "replaced": lambda model, judge, seed: {"replaced": replaced(model, judge, seed)},
    "latents": lambda model, judge, seed: {"samples": samples(model, judge, seed)},
    "search": lambda model, judge, seed: {"search": searching.measured(ls.wrap(model), seed)},
}
