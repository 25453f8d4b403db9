"""One line from a generator, images and labels to a critic of latents."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from latentsearch._checks import require_count, require_flag, require_seed, require_share, require_weight
from latentsearch._context import in_own_context
from latentsearch.critics import AttributeCritic
from latentsearch.errors import InvalidArgument
from latentsearch.fitting._given import (
    check_given,
    held_out_of,
    labels_of,
    warn_if_interrupted,
)
from latentsearch.fitting.encoding import encodings
from latentsearch.noise import Noise
from latentsearch.protocols import Generator, require_generator
from latentsearch.training import Fit, fit, initialised

_DRAW, _SPLIT, _HELD_OUT = 1, 2, 3  # streams of noise folded in


@in_own_context
def fit_critic(
    generator: Generator,
    images: Tensor,
    labels: Tensor,
    *,
    noise: float = 4.0,
    width: int = 256,
    depth: int = 3,
    steps: int = 4000,
    held_out: float = 0.1,
    progress: bool = False,
    seed: int = 0,
) -> AttributeCritic:
    """Fit a critic that tells labels from latents, for searches in which the decoder is not run.

    Images are encoded, a part of them is held out, and a network learns the labels of the others from draws of q(z|x)
    and from the same with noise added: a search leaves the encodings, and what a critic says there is what it has
    learnt of noised ones. It ends with the weights that held-out labels were likeliest under, and its probabilities are
    those of held-out latents with as much noise.

    Args:
        generator: The decoder, with ``encode``, and better with the ``posterior`` of a VAE.
        images: ``(N, *O)``, as the decoder gives them, hundreds at least; or latents, ``(N, *S)``.
        labels: ``(N,)`` int64 classes, or ``(N, A)`` attributes, bools or numbers from 0 to 1.
        noise: The most noise in training. Over continuous latents in units of the mean standard deviation of q(z|x), or
            of a quarter of that of all latents where there is no posterior; over codes a tenth of it is the
            share of codes that are exchanged for other data's. 0 for a critic that is right on encodings and easily
            fooled.
        width: Hidden units of a layer.
        depth: Hidden layers.
        steps: Gradient steps, 256 latents each.
        held_out: The share of images that is held out.
        progress: Whether to show progress.
        seed: For draws, the split, first weights, and the order of the data.

    Returns:
        The critic, frozen. Its ``figures`` are of held-out latents without noise: the ``accuracy``, of classes or of
        attributes one by one.

    Raises:
        Unsupported: If the generator has no encoder and the data are no latents.
        InvalidArgument: If images are too few or not the decoder's, or labels are neither classes nor
            attributes, or not one an image.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> generator, (images, labels) = ls.wrap(zoo.load("mnist-vae")), zoo.images()
        >>> images, labels = torch.cat([images.roll(shift, 3) for shift in range(-5, 5)]), labels.repeat(10)
        >>> critic = ls.fit_critic(generator, images, labels, steps=20)
        >>> seven = ls.Classified(critic, 7, of="latent")
        >>> ls.search(generator, seven, seed=0).latent.shape
        torch.Size([1, 20])
    """
    require_generator("fit_critic.generator", generator)
    for name, value in (("width", width), ("depth", depth), ("steps", steps)):
        require_count(f"fit_critic.{name}", value)
    require_share("fit_critic.held_out", held_out)
    require_weight("fit_critic.noise", noise)
    require_flag("fit_critic.progress", progress)
    require_seed("fit_critic.seed", seed)
    images = check_given(generator, images, held_out, caller="fit_critic")
    labels = labels_of("fit_critic", labels, len(images)).to(generator.device)
    if labels.ndim == 1 and not labels.any():
        raise InvalidArgument("fit_critic.labels", got="one class, 0", expected="two or more to be told apart")
    streams = Noise.from_seed(seed)
    latents, spread = encodings(generator, images, streams.fold(_DRAW))
    order = streams.fold(_SPLIT).uniform(len(latents))[0].argsort().to(latents.device)
    out, rest = order[: (count := held_out_of(len(latents), held_out))], order[count:]
    with initialised(seed, torch.float32):
        outputs = int(labels.max()) + 1 if labels.ndim == 1 else labels.shape[1]
        critic = AttributeCritic(generator.space, outputs, exclusive=labels.ndim == 1, width=width, depth=depth)
    critic = critic.to(generator.device).calibrated(latents[rest], spread=_noise_of(spread, noise))
    validation = critic.noised(latents[out], streams.fold(_HELD_OUT)), labels[out]
    plan = Fit(
        steps,
        batch_size=256,
        optimizer=partial(torch.optim.AdamW, lr=1e-3, weight_decay=1e-2),
        average=min(max(1 - 20 / steps, 0.5), 0.999),
        best="sum",
        log_every=max(steps // 20, 1),
        progress=progress,
    )
    history = fit(critic, (latents[rest], labels[rest]), plan, validation=validation, seed=seed)
    warn_if_interrupted("fit_critic", history)
    return critic.heated(*validation).judged(latents[out], labels[out]).requires_grad_(False)


def _noise_of(spread: Tensor, noise: float) -> Tensor:
    """The scale of the noise: of codes, the share that is exchanged."""
    return noise * spread if spread.ndim else torch.tensor(min(noise / 10, 1.0), dtype=torch.float32)
