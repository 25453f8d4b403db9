"""The models that the paper's claims are held against, and how each is trained: kept once it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from data import cifar10_subset, mnist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import training
from latentsearch.models import VAE, VQVAE, Autoencoder, CentreAutoencoder, VQAutoencoder

EPOCHS, BATCH = 4, 64
ADAM = partial(torch.optim.Adam, lr=3e-3)
PULL, LOOKED_AT = 1.0, 0.5  # of the sweep
SMALL, DEEP = {"channels": 16, "residual_blocks": 0}, {"channels": 32, "residual_blocks": 2}
CODES = 100

Make = Callable[[tuple[int, int, int]], nn.Module]


def centres(count: int, **settings: Any) -> Make:
    """A model with so many centres, small unless it is said to be deep."""
    return partial(CentreAutoencoder, centres=count, **{**SMALL, "pull": PULL, "looked_at": LOOKED_AT} | settings)


MODELS: dict[str, Make] = {
    "AE": partial(Autoencoder, **SMALL),
    "VAE": partial(VAE, **SMALL),
    "1 centre": centres(1),
    "1 centre, constant rate": centres(1),
    "20 centres": centres(20),
    "20 centres, EMA": centres(20, update="ema"),
    "50 centres, EMA": centres(50, update="ema"),
    "500 centres, EMA": centres(500, update="ema"),
    "500 centres, EMA, deep": centres(500, update="ema", **DEEP),
    "500 centres, EMA, deep, revival": centres(500, update="ema", revive_below=0.5, **DEEP),
    "VQ-AE": partial(VQAutoencoder, codebook_size=CODES, **SMALL),
    "VQ-AE, EMA, revival": partial(VQAutoencoder, codebook_size=CODES, update="ema", revive_below=0.1, **SMALL),
    "VQ-VAE": partial(VQVAE, codebook_size=CODES, variance=0.095, **SMALL),
}
ZERO = {f"zero pull {weight:g}": partial(Autoencoder, zero_pull=weight, **SMALL) for weight in (1.0, 10.0, 100.0)}
GREY = ("AE", "20 centres", "20 centres, EMA")
VECTORS = tuple(name for name in MODELS if not name.startswith("VQ") and name != "1 centre, constant rate")
SEARCHED = tuple(name for name in MODELS if name != "1 centre, constant rate")
GRIDS = tuple(name for name in MODELS if name.startswith("VQ"))


@cache
def images(data: str, split: str) -> tuple[Tensor, Tensor]:
    """MNIST in full, or the CIFAR-10 subset in grey."""
    if data == "mnist":
        return mnist(split)
    colours, labels = cifar10_subset(split)
    return (colours * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True), labels


class Fits:
    """Models by data, name and seed, with what was seen of each epoch.

    Args:
        folder: Where they are kept.
        seed: Of first weights and of batches.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        folder.mkdir(parents=True, exist_ok=True)

    def fitted(self, data: str, name: str) -> tuple[nn.Module, dict[str, list[float]]]:
        """A model in evaluation mode, and its epochs."""
        make = (MODELS | ZERO)[name]
        train = images(data, "train")[0]
        shape = tuple(train.shape[1:])
        path = self.folder / f"{data}-{name.replace(', ', '-').replace(' ', '-')}-{self.seed}.safetensors"
        with training.initialised(self.seed):
            model = make(shape)
        watch = Watch(model, images(data, "test")[0][:1000])
        if path.exists():
            state = load_file(path)
            epochs = {key[6:]: state.pop(key).tolist() for key in list(state) if key.startswith("epoch.")}
            model.load_state_dict(state)
        else:
            start = time.perf_counter()
            constant = "constant rate" in name
            self._fit(model, train, EPOCHS, watch, constant)
            watch.epochs["seconds"] = [time.perf_counter() - start]
            epochs = watch.epochs
            print(f"seed {self.seed}: {data}, {name}: {epochs['seconds'][0]:.0f} s", flush=True)
            kept = model.state_dict() | {f"epoch.{key}": torch.tensor(value) for key, value in epochs.items()}
            save_file({key: value.contiguous() for key, value in kept.items()}, path)
        return model.eval().requires_grad_(False), epochs

    def _fit(self, model: nn.Module, train: Tensor, epochs: int, watch: Watch, constant: bool) -> None:
        every = len(train) // BATCH
        schedule = None if constant else training.cosine
        plan = ls.Fit(epochs * every, BATCH, ADAM, schedule, log_every=every, callbacks=[watch])
        ls.fit(model, (train,), plan, seed=self.seed)

    def swept(self, make: Make, epochs: int = 2) -> nn.Module:
        """A model fitted to the first 55,000 digits, to be looked at on the others."""
        train = images("mnist", "train")[0][:55_000]
        with training.initialised(self.seed):
            model = make(tuple(train.shape[1:]))
        self._fit(model, train, epochs, Watch(model, train[:1000]), constant=False)
        return model.eval().requires_grad_(False)


class Watch:
    """What is written down at the end of each epoch, of models with centres.

    Attributes:
        epochs: By name, one number an epoch: ``moves``, the mean distance of centres from where they were an epoch
            ago; ``spread``, the root of the total variance of encodings; ``decoded``, the squared error of a centre's
            image beside the nearest image.
    """

    def __init__(self, model: nn.Module, held_out: Tensor) -> None:
        self.held_out, self.epochs = held_out, {}
        self.before = model.centres.detach().clone() if isinstance(model, CentreAutoencoder) else None

    def __call__(self, entry: training.Entry) -> None:
        model = entry.model
        if not isinstance(model, CentreAutoencoder):
            return
        with torch.no_grad():
            z, now = model.encode(self.held_out), model.centres.detach().clone()
            taken = torch.cdist(now, z).argmin(1)
            seen = {
                "moves": (now - self.before).norm(dim=1).mean(),
                "spread": z.var(0).sum().sqrt(),
                "decoded": (model.decode(now) - self.held_out[taken]).square().flatten(1).sum(1).mean(),
            }
        self.before = now
        for name, value in seen.items():
            self.epochs.setdefault(name, []).append(float(value))
