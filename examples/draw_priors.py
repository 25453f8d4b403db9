"""Draws of several priors, decoded: the picture of docs/explanation/priors.md.

    python examples/draw_priors.py docs/explanation/img/priors.png    # a minute

The autoregressive prior is the judge of `benchmarks/train_priors.py`. The others are fitted to encodings of MNIST's
first 5,000 training images, seed 0. The last row of each half decodes encodings of test images.
"""

import sys
from pathlib import Path

import torch
from data import mnist
from torch import Tensor

import latentsearch as ls
from latentsearch import plots, training, zoo
from latentsearch.priors import HistogramPrior, NoiseContrastivePrior, RectifiedFlow, StandardNormal, UniformCodes
from latentsearch.priors import fit_gaussian_mixture as fit_mixture

sys.path.append(str(Path(__file__).parent / "benchmarks"))
from codes_bench import priors as trained

torch.set_num_threads(1)


def fitted(prior: RectifiedFlow | NoiseContrastivePrior, latents: Tensor, steps: int) -> ls.Prior:
    """The prior, trained on all latents but the first 500, and best on these."""
    plan = ls.Fit(steps=steps, batch_size=256, average=0.99, clip=1.0)
    ls.fit(prior.calibrated(latents), (latents[500:],), plan, validation=(latents[:500],))
    return prior


codes, vae = ls.wrap(zoo.load("mnist-vqvae-512")), ls.wrap(zoo.load("mnist-vae"))
images = mnist("train")[0][:5000]
grids = torch.cat([codes.encode(part) for part in images.split(500)])
latents = torch.cat([vae.encode(part) for part in images.split(500)])
mixture = fit_mixture(latents[500:], latents[:500], components=(20,), seed=0)
with training.initialised(0):
    flow, critic = RectifiedFlow((20,)), NoiseContrastivePrior(mixture)

of_codes = {
    "uniform": UniformCodes(codes.space),
    "histogram": HistogramPrior.from_codes(grids, 512),
    "autoregressive": trained.load("mnist-512-judge", codes),
    "masked": codes.prior,
}
of_latents = {
    "N(0, I)": StandardNormal((20,)),
    "mixture": mixture,
    "flow": fitted(flow, latents, 1000),
    "critic": fitted(critic, latents, 500),
}
noise, unseen = ls.Noise.from_seed(0, 10), mnist("test")[0][:10]
rows, names, titles = [], [], {}
for title, generator, priors in (("codes of a VQ-VAE", codes, of_codes), ("20 numbers of a VAE", vae, of_latents)):
    titles[len(rows)] = title
    rows += [generator.decode(prior.sample(noise)) for prior in priors.values()]
    rows, names = [*rows, generator.decode(generator.encode(unseen))], [*names, *priors, "(encodings)"]
print(plots.save_grid(sys.argv[1], rows, names, titles=titles, scale=2))
