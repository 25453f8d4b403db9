"""Four goals about handwritten digits, on a VQ-VAE and a VAE that come with the package: half a minute.

    python examples/quickstart.py

`python -m latentsearch demo` is the same job. Writes `latentsearch-demo/{grid.png,search.gif}`.
"""

import sys
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

import latentsearch as ls
from latentsearch import plots, zoo

torch.set_num_threads(1)  # these networks are too small to share among threads
out = Path(sys.argv[1] if len(sys.argv) > 1 else "latentsearch-demo")
evaluations = int(sys.argv[2]) if len(sys.argv) > 2 else 480  # the budget for each target

# Two decoders, frozen: one of 7 x 7 codes out of 512, one of 20 continuous latents.
codes = ls.wrap(zoo.load("mnist-vqvae-512"))
vae = ls.wrap(zoo.load("mnist-vae"))

# What is known about five images. They are searched for as one batch.
images = zoo.images()[0][[4, 7, 9, 17, 18]]
small = F.avg_pool2d(images, 4)
left = torch.zeros(1, 1, 28, 28)
left[..., :14] = 1
hidden = images * left + 0.35 * (1 - left)  # to look at: the hidden half is grey

# Four goals: what is given, the constraint, and how much the VAE's prior counts.
be_a_7 = ls.Classified(zoo.load("mnist-classifier"), label=7, threshold=None)
goals = {
    "match an image": (images, ls.Matches(images), 0),
    "super-resolution x4": (small, ls.Downscales(small, factor=4, mode="area"), 1e-4),
    "inpaint the right half": (hidden, ls.Matches(images, mask=left), 3e-4),
    "make it a 7": (images, ls.Matches(images) + 0.05 * be_a_7, 3e-3),
}

shown, frames, labels, titles = [], [], [], {}
for title, (given, constraint, weight) in goals.items():
    editing = title == "make it a 7"  # starts at the image's own latent, the others at a random one
    relaxed = ls.RelaxedSearch(steps=119, check_every=3, sharpness=3.0)
    descent = ls.GradientSearch(optimizer=partial(torch.optim.Adam, lr=0.1), restarts=1 if editing else 4)
    titles[len(labels)] = title
    shown, frames, labels = [*shown, given], [*frames, given], [*labels, "given"]
    for space, generator, searcher in (("VQ-VAE", codes, relaxed), ("VAE", vae, descent)):
        goal = constraint + weight * ls.LogPrior(generator.prior) if space == "VAE" and weight else constraint
        encoded = generator.encode(images)
        film = plots.Film(every=3)
        run = ls.Run(evaluations=evaluations, steps=120, callbacks=[film])
        result = searcher.search(generator, goal, init=encoded if editing else None, seed=0, run=run)

        # The yardstick: the same goal, at the latents that the encoder gives for the true images.
        yardstick = goal(generator.decode(encoded), encoded).loss.mean()
        loss = result.score.loss.mean()
        print(f"{title:24}{space:8}loss {loss:.5f}, encoder's {yardstick:.5f}, {result.seconds:.1f} s")
        shown, labels = [*shown, result.output], [*labels, space]
        frames = [*frames, film.decode(generator)]

print(plots.save_grid(out / "grid.png", shown, labels, titles=titles))
print(plots.save_gif(out / "search.gif", frames, labels, titles=titles, scale=2))
