"""Densities fitted to the encodings of a pretrained VAE, compared: nats on test encodings, and the images they give.

    python examples/benchmarks/ex_post.py run                 # all rows; writes examples/logs/ex_post.json
    python examples/benchmarks/ex_post.py run --only flow     # the rows with this in their name; the others stay
    python examples/benchmarks/ex_post.py report              # the table of the log

The VAE and the classifier were trained by others (see wrap_pretrained.py). Encodings are draws of q(z|x). The Fréchet
distance is that of 10,000 decoded draws to the 10,000 test reconstructions, in the 84 features of the classifier; its
floor, that of encodings of 10,000 training images. Seeded; one thread; seconds are of the CPU.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

import latentsearch as ls
from latentsearch import priors, training

sys.path.insert(0, str(Path(__file__).parents[1]))
import wrap_pretrained
from data import mnist

LOG = Path(__file__).parents[1] / "logs" / "ex_post.json"
HELD_OUT = 5000  # training images that no prior is fitted to, for early stopping
SAMPLES = 10_000


@dataclass(frozen=True)
class Encodings:
    """Draws of q(z|x), ``(T, 20)`` each."""

    train: Tensor
    held_out: Tensor
    test: Tensor


Row = Callable[[Encodings], ls.Prior]


# -- what is compared --------------------------------------------------------------------------------


def standard_normal(encodings: Encodings) -> ls.Prior:
    return priors.StandardNormal((20,))


def mixture_of(components: int) -> Row:
    # One draw an image; `train` has several, one after the other.
    return lambda encodings: priors.GaussianMixture.fit(encodings.train[: 60_000 - HELD_OUT], components)


def default_mixture(encodings: Encodings) -> ls.Prior:
    return priors.fit_gaussian_mixture(encodings.train[: 60_000 - HELD_OUT], encodings.held_out)


def large_mixture(encodings: Encodings) -> ls.Prior:
    return priors.GaussianMixture.fit(encodings.train, 300)


def rectified_flow(encodings: Encodings) -> ls.Prior:
    with training.initialised(0):
        flow = priors.RectifiedFlow((20,)).calibrated(encodings.train)
    return trained(flow, encodings, ls.Fit(steps=4000, batch_size=256, average=0.999, clip=1.0))


def coupling_flow(encodings: Encodings) -> ls.Prior:
    with training.initialised(0):
        flow = priors.RealNVP((20,)).calibrated(encodings.train)
    return trained(flow, encodings, ls.Fit(steps=4000, batch_size=256, average=0.999, clip=1.0))


def critic_of(base: Row) -> Row:
    def fitted(encodings: Encodings) -> ls.Prior:
        with training.initialised(0):
            critic = priors.NoiseContrastivePrior(base(encodings)).calibrated(encodings.train)
        return trained(critic, encodings, ls.Fit(steps=3000, batch_size=256, average=0.99, best="sum"))

    return fitted


Trained = priors.RectifiedFlow | priors.RealNVP | priors.NoiseContrastivePrior


def trained(prior: Trained, encodings: Encodings, plan: ls.Fit) -> ls.Prior:
    ls.fit(prior, (encodings.train,), replace(plan, log_every=500, callbacks=[told]), validation=(encodings.held_out,))
    return prior


def told(entry: training.Entry) -> None:
    print(entry.step, *(f"{name} {scores[-1]:.3f}" for name, scores in entry.history.validation.items()), flush=True)


ROWS: dict[str, Row] = {
    "N(0, I)": standard_normal,
    "one Gaussian": mixture_of(1),
    "mixture of 10": mixture_of(10),
    "mixture of 50": mixture_of(50),
    "the default, `fit_gaussian_mixture`": default_mixture,
    "mixture of 300, three draws an image": large_mixture,
    "rectified flow": rectified_flow,
    "`RealNVP`": coupling_flow,
    "critic over N(0, I)": critic_of(standard_normal),
    "critic over the mixture of 50": critic_of(mixture_of(50)),
}


# -- the ruler ---------------------------------------------------------------------------------------


class Ruler:
    """The decoder, the features of the judge, and the test images' own."""

    def __init__(self) -> None:
        self.vae, self.judge = wrap_pretrained.VAE().eval(), wrap_pretrained.LeNet().eval()
        self.vae.load_state_dict(load_file(wrap_pretrained.MODELS / "mnist_vae.safetensors"))
        self.judge.load_state_dict(load_file(wrap_pretrained.MODELS / "mnist_lenet.safetensors"))

    def encodings(self, draws: int = 3) -> Encodings:
        train, _ = mnist("train")
        test, _ = mnist("test")
        fitted, held_out = train[:-HELD_OUT], train[-HELD_OUT:]
        several = torch.cat([self.encode(fitted, seed) for seed in range(draws)])
        return Encodings(several, self.encode(held_out, 10), self.encode(test, 11))

    @torch.no_grad()
    def encode(self, images: Tensor, seed: int) -> Tensor:
        hidden = F.relu(self.vae.fc1(images.flatten(1)))
        mean, log_variance = self.vae.fc21(hidden), self.vae.fc22(hidden)
        return mean + (0.5 * log_variance).exp() * ls.Noise.from_seed(seed).normal(*mean.shape)[0]

    @torch.no_grad()
    def features(self, latents: Tensor) -> Tensor:
        """``(N, 84)`` of what latents decode to, float64."""
        return torch.cat([self.judge.features(self.vae.decode(part)) for part in latents.split(1000)]).double()


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """Between the Gaussians of two sets of features: Heusel et al., arXiv:1706.08500, equation 6."""
    first, second = torch.cov(one.T), torch.cov(other.T)
    cross = torch.linalg.eigvals(first @ second).real.clamp_min(0).sqrt().sum()
    return float((one.mean(0) - other.mean(0)).square().sum() + first.trace() + second.trace() - 2 * cross)


def nats(prior: ls.Prior, latents: Tensor) -> float:
    with torch.no_grad():
        value = torch.cat([prior.log_prob(part) for part in latents.split(500)]).double().mean()
        return float(log_mass(prior) - value)


def log_mass(prior: ls.Prior, draws: int = 100_000) -> float:
    """What the density of a critic integrates to, by draws of its base; the others are normalised."""
    if not isinstance(prior, priors.NoiseContrastivePrior):
        return 0.0
    drawn = prior.base.sample(ls.Noise.from_seed(20, draws))
    ratios = torch.cat([prior.logit(part) for part in drawn.split(1000)]).double()
    return float(ratios.logsumexp(0)) - math.log(draws)


# -- the command -------------------------------------------------------------------------------------


def run(only: str) -> None:
    ruler = Ruler()
    encodings = ruler.encodings()
    reference = ruler.features(encodings.test)
    log = json.loads(LOG.read_text()) if LOG.exists() else {"rows": {}}
    log["settings"] = {"held_out": HELD_OUT, "samples": SAMPLES, "threads": 1, "torch": torch.__version__}
    log["floor"] = frechet_distance(ruler.features(encodings.train[:SAMPLES]), reference)
    log["halves"] = frechet_distance(reference[::2], reference[1::2])
    for name, fitted in ROWS.items():
        if only not in name:
            continue
        begun = time.process_time()
        prior = fitted(encodings)
        seconds = time.process_time() - begun
        begun = time.process_time()
        samples = prior.sample(ls.Noise.from_seed(0, SAMPLES))
        log["rows"][name] = {
            "nats": nats(prior, encodings.test),
            "frechet": frechet_distance(ruler.features(samples), reference),
            "seconds": round(seconds, 1),
            "sampling": round(time.process_time() - begun, 1),
        }
        print(name, log["rows"][name], flush=True)
        # A row that is not in the table any more leaves the log.
        log["rows"] = {row: log["rows"][row] for row in ROWS if row in log["rows"]}
        LOG.write_text(json.dumps(log, indent=1) + "\n")


def report() -> None:
    log = json.loads(LOG.read_text())
    print("| q(z) fitted by | test nats | Fréchet distance | CPU s to fit | CPU s for 10,000 draws |")
    print("|---|---|---|---|---|")
    for name, row in log["rows"].items():
        cells = f"{row['nats']:.2f} | {row['frechet']:.1f} | {row['seconds']:.0f} | {row['sampling']:.0f}"
        print(f"| {name} | {cells} |")
    print(f"| encodings of training images | | {log['floor']:.1f} | | |")
    print(f"\nTwo halves of the test reconstructions: {log['halves']:.1f}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["run", "report"])
    parser.add_argument("--only", default="", help="rows with this in their name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "run":
        run(options.only)
    report()


if __name__ == "__main__":
    main()
