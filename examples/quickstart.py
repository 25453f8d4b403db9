"""Four goals about handwritten digits, on a VAE and a VQ-VAE that come with the package: under a minute.

    python examples/quickstart.py

`python -m latentsearch demo` is the same job. Writes `latentsearch-demo/{grid.png,search.gif}`.
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

import latentsearch as ls
from latentsearch import plots, priors, zoo

torch.set_num_threads(1)  # these networks are too small to share among threads
out = Path(sys.argv[1] if len(sys.argv) > 1 else "latentsearch-demo")
evaluations = int(sys.argv[2]) if len(sys.argv) > 2 else 900  # the budget for one answer

# Two decoders, frozen: one of 20 continuous latents, one of 7 x 7 codes out of 512.
vae = ls.wrap(zoo.load("mnist-vae"))
codes = ls.wrap(zoo.load("mnist-vqvae-512"))

# What is known about five images. They are searched for as one batch.
images = zoo.images()[0][[4, 7, 9, 17, 18]]
small = F.avg_pool2d(images, 4)
left = torch.zeros(1, 1, 28, 28)
left[..., :14] = 1
hidden = images * left + 0.35 * (1 - left)  # to look at: the hidden half is grey

# Which latents are likely, and how far each decoder is off: noise="decoder" stands for that.
# ls.fit_prior(codes, training_images) made the prior of the codes.
likely = {
    "VAE": priors.fitted(vae.prior, vae.decode(vae.encode(images)) - images, {}),
    "VQ-VAE": zoo.prior("mnist-vqvae-512"),
}

# Four goals: what is given, and the constraint. All but the first leave something open.
be_a_7 = ls.Classified(zoo.load("mnist-classifier"), label=7, threshold=None)
goals = {
    "match an image": (images, ls.Matches(images)),
    "super-resolution x4": (small, ls.Downscales(small, factor=4, mode="area", noise="decoder")),
    "inpaint the right half": (hidden, ls.Matches(images, mask=left, noise="decoder")),
    "make it a 7": (images, ls.Matches(images, noise=1.5) + 30 * be_a_7),
}

# How to search. With codes that leave something open, the prior proposes and the constraint decides.
descent = ls.GradientSearch(optimizer=partial(torch.optim.Adam, lr=0.1), restarts=4)
complete = ls.GibbsSearch(temperature=(1, 0), restarts=3)  # three chains, each to a likely answer
refine = replace(complete, explore=0, reveals=0, trust=0, restarts=1)  # sweeps from where it starts
searches = {
    "match an image": (descent, ls.RelaxedSearch(steps=119, check_every=3, sharpness=3.0)),
    "super-resolution x4": (descent, refine),
    "inpaint the right half": (descent, complete),
    "make it a 7": (replace(descent, restarts=1), refine),
}

shown, frames, labels, names, titles, moving_titles = [], [], [], [], {}, {}
for title, (given, constraint) in goals.items():
    titles[len(labels)] = moving_titles[len(names)] = title
    shown, frames, labels, names = [*shown, given], [*frames, given], [*labels, "given"], [*names, "given"]
    start = images if title == "make it a 7" else None  # the others start at draws
    for space, generator, searcher in zip(likely, (vae, codes), searches[title], strict=True):
        prior = likely[space]
        goal = constraint if title == "match an image" else constraint + ls.LogPrior(prior)
        init = None if start is None else generator.encode(start)
        chains = searcher.restarts if isinstance(searcher, ls.GibbsSearch) else 1
        film = plots.Film(every=3)
        run = ls.Run(evaluations=chains * evaluations, callbacks=[film])
        result = searcher.search(generator, goal, init=init, seed=0, run=run)
        start = result.output if searches[title][1] is refine else None  # codes go on from what the VAE found

        # The yardstick: the same goal, at the latents that the encoder gives for the true images.
        encoded = generator.encode(images)
        yardstick = goal.calibrated(prior.residuals)(generator.decode(encoded), encoded).loss.mean()
        loss = result.score.loss.mean()
        print(f"{title:24}{space:8}loss {loss:.4g}, encoder's {yardstick:.4g}, {result.seconds:.1f} s")

        # Several chains are several answers.
        answers = result.candidates.latent.unbind(1) if chains > 1 else [result.latent]
        shown = [*shown, *(generator.decode(answer) for answer in answers)]
        labels = [*labels, *[space] * len(answers)]
        frames, names = [*frames, film.decode(generator)], [*names, space]

print(plots.save_grid(out / "grid.png", shown, labels, titles=titles))
print(plots.save_gif(out / "search.gif", frames, names, titles=moving_titles, scale=2))
