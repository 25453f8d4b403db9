"""Files that were damaged or edited, and what is made of them.

Results, checkpoints of searches and of fits, priors, and the zoo's models are changed in ways that disks and people
change files. Each mutant is either refused in words, or gives what the whole file gives.
"""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls
from examples.campaigns.problems import codes, image, vectors
from latentsearch import models, priors, training, zoo
from latentsearch.errors import LatentSearchError

SECONDS = 20  # after which a call hangs
RUN = ls.Run(evaluations=24)
GOAL = ls.Matches(image(torch.float32), noise=0.3)

Mutation = Callable[[bytes, random.Random], bytes]


def _flipped(data: bytes, chance: random.Random) -> bytes:
    """Some bits flipped, anywhere."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _flipped_in_front(data: bytes, chance: random.Random) -> bytes:
    """A bit flipped where names and shapes are."""
    found = bytearray(data)
    found[chance.randrange(min(2000, len(found)))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _longer(data: bytes, chance: random.Random) -> bytes:
    return data + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 200)))


def _blank(data: bytes, chance: random.Random) -> bytes:
    """A block of zeros, as of a disk that was not written."""
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.choice((16, 512, 4096)))
    return data[:start] + bytes(end - start) + data[end:]


def _swapped(data: bytes, chance: random.Random) -> bytes:
    """Two blocks in each other's places."""
    size = max(1, min(256, len(data) // 4))
    a, b = sorted(chance.sample(range(0, len(data) - size), 2))
    if b - a < size:
        return _flipped(data, chance)
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def _doubled(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at : at + 64] + data[at:]


def _edited(data: bytes, chance: random.Random) -> bytes:
    """A header that someone edited: another number, a name that is gone, another shape or dtype."""
    length = int.from_bytes(data[:8], "little")
    head, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    names = [name for name in head if name != "__metadata__"]
    name = chance.choice(names)
    match chance.randrange(6):
        case 0:
            del head[name]
        case 1:
            head[name]["dtype"] = chance.choice(("F16", "I64", "BOOL", "F64", "U8"))
        case 2:
            head[name]["shape"] = [*head[name]["shape"][::-1], 1]
        case 3:
            head[name], other = dict(head[name]), chance.choice(names)
            head[name]["data_offsets"] = head[other]["data_offsets"]
        case 4:
            text = head["__metadata__"].get("latentsearch", "{}")
            digits = [at for at, letter in enumerate(text) if letter.isdigit()] or [0]
            at = chance.choice(digits)
            head["__metadata__"]["latentsearch"] = text[:at] + str(chance.randrange(10)) + text[at + 1 :]
        case _:
            head[f"{name}.more"] = head.pop(name)
    written = json.dumps(head).encode()
    return len(written).to_bytes(8, "little") + written + body


def _other(_: bytes, chance: random.Random) -> bytes:
    """Something else altogether."""
    return chance.choice((b"", b"{}", b"PK\x03\x04" + bytes(64), b"\x80\x04\x95" + bytes(64), b"a text\n", bytes(4096)))


MUTATIONS: dict[str, Mutation] = {
    "flipped bits": _flipped,
    "a flipped bit in the header": _flipped_in_front,
    "cut short": _cut,
    "longer": _longer,
    "a blank block": _blank,
    "swapped blocks": _swapped,
    "a doubled block": _doubled,
    "an edited header": _edited,
    "another file": _other,
}


def run(mutants: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Make so many mutants; what became of each, and which were taken for something that they are not."""
    chance, counts, faults = random.Random(seed), Counter[str](), list[str]()
    before = signal.signal(signal.SIGALRM, _hangs)
    try:
        with TemporaryDirectory() as folder:
            kinds = list(_kinds(Path(folder)).items())
            for number in range(mutants):
                kind, (path, use) = kinds[number % len(kinds)]
                name, mutate = chance.choice(list(MUTATIONS.items()))
                outcome, said = _tried(path, use, mutate, chance)
                counts[outcome] += 1
                if outcome not in ("refused in words", "as the whole file"):
                    faults.append(f"{kind}, {name}: {outcome}: {said}")
    finally:
        signal.signal(signal.SIGALRM, before)
    return {"mutants": mutants, "counts": dict(counts), "faults": faults}


def _hangs(*_: Any) -> None:
    raise TimeoutError("it hangs")


def _tried(path: Path, use: Callable[[], list[Tensor]], mutate: Mutation, chance: random.Random) -> tuple[str, str]:
    """What becomes of a mutant; the file is whole again afterwards."""
    whole = path.read_bytes()
    expected = use()
    path.write_bytes(whole)  # a search that is taken up again may write to it
    mutant = mutate(whole, chance)
    path.write_bytes(mutant)
    signal.alarm(SECONDS)
    try:
        found = use()
    except LatentSearchError as error:
        return "refused in words", str(error)
    except Exception as error:
        return "a raw error", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        path.write_bytes(whole)
    same = len(found) == len(expected) and all(map(_same, found, expected))
    return ("as the whole file", "") if same else ("another result", "")


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)


def _kinds(folder: Path) -> dict[str, tuple[Path, Callable[[], list[Tensor]]]]:
    """A file of each kind, and how it is used: tensors that tell whether it was taken for what it is."""
    generator, grids = vectors(), codes()
    result, search, fit = folder / "result.safetensors", folder / "search.safetensors", folder / "fit.safetensors"
    prior, model = folder / "prior.safetensors", folder / "mnist-classifier.safetensors"
    ls.search(generator, GOAL, seed=0, run=RUN).save(result)
    evolution, run = ls.EvolutionSearch(population=4), ls.Run(evaluations=48, checkpoint=search)
    evolution.search(grids, GOAL, seed=0, run=run)
    images = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    mixture = priors.fit_gaussian_mixture(images.flatten(1)[:, :6], images.flatten(1)[:8, :6], components=(1,))
    priors.save(priors.fitted(mixture, torch.zeros(0), {}), prior)
    with zoo._weights.as_file(zoo._weights._resource("mnist-classifier")) as source:
        model.write_bytes(Path(source).read_bytes())

    def fitted() -> list[Tensor]:
        with training.initialised(0):
            network = models.VAE((1, 8, 8), width=2, channels=8)
        ls.fit(network, (images,), ls.Fit(steps=4, batch_size=8, log_every=2, checkpoint=fit))
        return [weight.detach().clone() for weight in network.parameters()]

    def searched() -> list[Tensor]:
        found = evolution.search(grids, GOAL, seed=0, run=run)
        return [found.latent, found.score.loss, found.evaluations]

    def loaded() -> list[Tensor]:
        found = ls.SearchResult.load(result)
        parts = [found.latent, found.output, found.score.loss, found.trace.loss, found.candidates.latent]
        return [*parts, torch.tensor([int(status) for status in found.status]), torch.tensor(found.steps)]

    def model_of() -> list[Tensor]:
        return list(zoo._weights._checkpoint.load(model, kind="model")[0].values())

    fitted()
    noise = ls.Noise.from_seed(0, 3)
    return {
        "a result": (result, loaded),
        "a search's checkpoint": (search, searched),
        "a fit's checkpoint": (fit, fitted),
        "a prior": (prior, lambda: [priors.load(prior).sample(noise)]),
        "a model of the zoo": (model, model_of),
    }
