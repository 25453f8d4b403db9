"""Images of seed 0: what changes of elements, lines and centres look like, and what becomes of a VQ-AE's codes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch import plots

from .fits import CODES, Fits, images
from .grids import directly
from .spaces import by_parts

SHOWN = 12
SPACES = ("AE", "VAE", "1 centre", "50 centres, EMA", "500 centres, EMA, deep, revival")


def draw(fits: Fits, folder: Path) -> None:
    """Two pictures, and a map of encodings with centres."""
    plots.save_grid(folder / "rethinking_spaces.png", *_named(spaces(fits)), titles=TITLES, scale=2)
    plots.save_grid(folder / "rethinking_codes.png", *_named(codes(fits)), scale=2)
    shown, labels = (each[:1000] for each in images("mnist", "test"))
    model, _ = fits.fitted("mnist", "500 centres, EMA, deep, revival")
    figure = plots.latent_map(model.encode(shown), labels, marks=model.centres, method="tsne")
    figure.savefig(folder / "rethinking_500.png", dpi=80, metadata={"Software": None})


TITLES = {0: "lines between test images", len(SPACES): "draws of a mixture of 50", 2 * len(SPACES): "decoded centres"}


def _named(rows: dict[str, Tensor]) -> tuple[list[Tensor], list[str]]:
    return list(rows.values()), [name.partition(": ")[2] or name for name in rows]


def spaces(fits: Fits) -> dict[str, Tensor]:
    """Rows of images, by what they are and of which model."""
    rows: dict[str, Tensor] = {}
    shown = images("mnist", "test")[0]
    models = {name: fits.fitted("mnist", name)[0] for name in SPACES}
    for name, model in models.items():
        one, other = model.encode(shown[[2]]), model.encode(shown[[4]])
        rows[f"line: {name}"] = model.decode(one + torch.linspace(0, 1, SHOWN)[:, None] * (other - one))
    for name, model in models.items():
        latents = by_parts(model.encode, images("mnist", "train")[0][:20_000])
        mixture = ls.priors.GaussianMixture.fit(latents, 50)
        rows[f"draws: {name}"] = model.decode(mixture.sample(ls.Noise.from_seed(0, SHOWN)))
    for name in ("20 centres", "20 centres, EMA", "500 centres, EMA, deep, revival"):
        model, _ = fits.fitted("mnist", name)
        rows[f"centres: {name}"] = model.decode(model.centres[:SHOWN])
    return rows


def codes(fits: Fits) -> dict[str, Tensor]:
    """Figures 4.4 to 4.8 of the VQ-AE, and a VQ-VAE's images from its codes."""
    shown = images("mnist", "test")[0][:SHOWN]
    model, _ = fits.fitted("mnist", "VQ-AE")
    revived, _ = fits.fitted("mnist", "VQ-AE, EMA, revival")
    vqvae, _ = fits.fitted("mnist", "VQ-VAE")
    vectors = model.encode_embedding(shown).movedim(-1, 1)
    raised = vectors.clone()
    raised[:, 0, 0, 0] += 100
    noise = ls.Noise.from_seed(0, SHOWN)
    grids = model.encode(shown)
    replaced = grids.clone()
    replaced[:, 3, 3] = (replaced[:, 3, 3] + 1 + noise.integers(CODES - 1)) % CODES
    return {
        "test images": shown,
        "VQ-AE, from vectors": directly(model, shown),
        "VQ-AE, from codes": model.decode(grids),
        "VQ-AE, averages and revival, from codes": revived.decode(revived.encode(shown)),
        "VQ-VAE, from codes": vqvae.decode(vqvae.encode(shown)),
        "VQ-AE, random codes": model.decode(noise.fold(1).integers(CODES, 7, 7)),
        "VQ-AE, +100 on one element": model.decode_embedding(raised),
        "VQ-AE, middle code replaced": model.decode(replaced),
        "VQ-AE, each code everywhere": model.decode_embedding(
            model.codebook[:SHOWN, :, None, None].expand(-1, -1, 7, 7)
        ),
    }
