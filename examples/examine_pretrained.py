"""Is it worth searching? Three latent spaces of handwritten digits, examined: a report each, and a table of all.

    python examples/examine_pretrained.py                     # two minutes; writes latentsearch-demo/examined-*.html
    python examples/examine_pretrained.py --images 200 --out reports

The VAE was trained by others (see wrap_pretrained.py), the VQ-VAE comes with the package, and an autoencoder whose
encodings are pulled to centres is trained here, for a minute. Images are those of MNIST's test set.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import torch
import wrap_pretrained
from data import mnist
from safetensors.torch import load_file

import latentsearch as ls
from latentsearch import models, training, zoo
from latentsearch.examination import Examination
from latentsearch.priors import GaussianMixture

SPACES = ("VAE", "VQ-VAE", "centre autoencoder")
OWN = "the generator's own"
COLUMNS = ("images kept", "found", "random latents told apart", "holes", "largest step", "method")


def generator(space: str, steps: int) -> ls.Generator:
    """One of the spaces; the autoencoder is trained for so many steps."""
    if space == "VQ-VAE":
        return ls.wrap(zoo.load("mnist-vqvae-512"), prior=None)
    if space == "centre autoencoder":
        return centre_generator(steps)
    vae = wrap_pretrained.VAE().eval()
    vae.load_state_dict(load_file(wrap_pretrained.MODELS / "mnist_vae.safetensors"))
    return ls.ContinuousGenerator(vae.decode, (20,), encode=vae.encode, output_range=(0, 1))


def centre_generator(steps: int) -> ls.ContinuousGenerator:
    """With a Gaussian around each centre for a prior: from draws of N(0, I), far from all data, few searches arrive."""
    model = centre_autoencoder(steps)
    prior = GaussianMixture.around(model.centres, model.encode(mnist("train")[0][:5000]))
    return ls.wrap(model, prior=prior)


def centre_autoencoder(steps: int) -> models.CentreAutoencoder:
    """Of 20 numbers, pulled to 50 centres."""
    with training.initialised(0):
        model = models.CentreAutoencoder((1, 28, 28), centres=50, channels=16, update="ema", revive_below=0.1)
    adam = partial(torch.optim.Adam, lr=3e-3)
    ls.fit(model, (mnist("train")[0],), ls.Fit(steps, batch_size=64, optimizer=adam), seed=0)
    return model.eval().requires_grad_(False)


def row(name: str, found: Examination) -> str:
    """A line of the table."""
    assert found.reconstruction is not None and found.density is not None and found.lines.drawn is not None
    trial = next(trial for trial in found.trials if trial.searcher is found.searcher)
    cells = [
        f"{found.reconstruction.explained:.0%}",
        f"{trial.reached:.0%}",
        f"{found.density.told_apart[OWN]:.0%}",
        f"{found.lines.drawn:.0%}",
        f"{found.lines.leap:.1f}",
        trial.name,
    ]
    return f"{name:<20}" + "".join(f"{cell:>26}" for cell in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="+", choices=SPACES, default=SPACES, help="all three by default")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--steps", type=int, default=2000, help="to train the autoencoder for")
    parser.add_argument("--out", type=Path, default=Path("latentsearch-demo"))
    options = parser.parse_args()
    images, lines = mnist("test")[0][: options.images], []
    for name in options.spaces:
        found = ls.examine(generator(name, options.steps), images, progress=True)
        path = found.save(options.out / f"examined-{name.replace(' ', '-')}.html")
        print(f"{found}\n\n{path}\n", flush=True)
        lines.append(row(name, found))
    print(" " * 20 + "".join(f"{column:>26}" for column in COLUMNS))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
