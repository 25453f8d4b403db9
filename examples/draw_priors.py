"""Draws of several priors, decoded: the picture of docs/explanation/priors.md.

    python examples/draw_priors.py docs/explanation/img/priors.png

The histogram and the mixture are fitted to encodings of MNIST's first 5,000 training images, seed 0.
"""

import sys

import torch
from data import mnist

import latentsearch as ls
from latentsearch import plots, zoo
from latentsearch.priors import HistogramPrior, StandardNormal, UniformCodes, fit_gaussian_mixture

torch.set_num_threads(1)
codes, vae = ls.wrap(zoo.load("mnist-vqvae-512")), ls.wrap(zoo.load("mnist-vae"))
images = mnist("train")[0][:5000]
grids = torch.cat([codes.encode(part) for part in images.split(500)])
latents = torch.cat([vae.encode(part) for part in images.split(500)])

draws = {
    "uniform": (codes, UniformCodes(codes.space)),
    "histogram": (codes, HistogramPrior.from_codes(grids, 512)),
    "masked": (codes, zoo.prior("mnist-vqvae-512")),
    "N(0, I)": (vae, StandardNormal((20,))),
    "mixture": (vae, fit_gaussian_mixture(latents[500:], latents[:500], components=(20,), seed=0)),
}
noise = ls.Noise.from_seed(0, 10)
rows = [generator.decode(prior.sample(noise)) for generator, prior in draws.values()]
titles = {0: "codes of a VQ-VAE", 3: "20 numbers of a VAE"}
print(plots.save_grid(sys.argv[1], rows, list(draws), titles=titles, scale=2))
