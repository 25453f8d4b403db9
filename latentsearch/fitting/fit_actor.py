"""One line from a generator and images to an actor that makes data of draws of the prior."""

from __future__ import annotations

import copy
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch._checks import require_count, require_flag, require_one_of, require_seed, require_weight
from latentsearch._context import in_own_context
from latentsearch.critics import Actor, ActorCritic, AttributeCritic, Critic
from latentsearch.critics._distance import Metric
from latentsearch.critics.actor_critic import require_attributes
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.fitting._given import check_given, labels_of, warn_if_interrupted
from latentsearch.fitting.encoding import encodings
from latentsearch.noise import Noise
from latentsearch.protocols import Generator, require_generator
from latentsearch.spaces import Continuous
from latentsearch.training import Fit, Group, fit, initialised

_REALISM = 0.3  # of the critic that learns beside the actor, where another says what the labels are
_DRAW = 1  # the stream of noise that draws of q(z|x) take


@in_own_context
def fit_actor(
    generator: Generator,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    attributes: AttributeCritic | None = None,
    distance: float = 0.1,
    metric: Metric = "log",
    critic_steps: int = 1,
    width: int = 256,
    depth: int = 3,
    steps: int = 24_000,
    batch_size: int = 256,
    progress: bool = False,
    seed: int = 0,
) -> Actor:
    """Fit an actor that moves draws of the generator's prior to where encodings of data are, with their labels.

    Images are encoded, and an actor and a critic learn against each other
    ([ActorCritic][latentsearch.critics.ActorCritic]). For edits that stay near, give the ``attributes`` that
    [fit_critic][latentsearch.fit_critic] has learnt, and ``metric="l2"``. The actor ends with the average of its
    last weights. One pass of it makes a sample of a draw, or an edit of an encoding:
    [ActorSearch][latentsearch.ActorSearch].

    Args:
        generator: The decoder, over continuous latents, with ``encode``, and better with the ``posterior`` of a VAE.
        images: ``(N, *O)``, as the decoder gives them, thousands at best; or latents, ``(N, *S)``.
        labels: ``(N,)`` int64 classes, or ``(N, A)`` attributes from 0 to 1; None for data as they are. The actor is
            asked for one-hot classes, ``actor.one_hot(7)``, or for attributes.
        attributes: A critic of the labels, from fit_critic: the actor pays its cross-entropy, and 0.3 times what the
            critic that learns beside it asks. None for the latter alone, as in the paper.
        distance: The weight of the distance penalty: 0 for the most faithful samples, 0.1 for those near their draws;
            with ``attributes`` and ``metric="l2"`` moves of digits have a quarter of the mean square at 0.06.
        metric: ``"log"``, as in the paper, or ``"l2"``, which minds far moves more.
        critic_steps: Steps of the critic to one of the actor; the paper takes 10.
        width: Hidden units of a layer, of both networks.
        depth: Hidden layers.
        steps: Gradient steps in all. 24,000 take some minutes of one core.
        batch_size: Latents a step.
        progress: Whether to show progress.
        seed: For draws, first weights, and the order of the data.

    Returns:
        The actor, frozen.

    Raises:
        Unsupported: If latents are codes, or there is no encoder and the data are no latents.
        InvalidArgument: If images are too few or not the decoder's, or labels are neither classes nor
            attributes, or not one an image.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> generator, (images, labels) = ls.wrap(zoo.load("mnist-vae")), zoo.images()
        >>> images, labels = torch.cat([images.roll(shift, 3) for shift in range(-5, 5)]), labels.repeat(10)
        >>> actor = ls.fit_actor(generator, images, labels, steps=4)
        >>> sevens = ls.ActorSearch(actor, actor.one_hot(7))
    """
    require_generator("fit_actor.generator", generator)
    counts = {"critic_steps": critic_steps, "width": width, "depth": depth, "steps": steps, "batch_size": batch_size}
    for name, value in counts.items():
        require_count(f"fit_actor.{name}", value)
    require_weight("fit_actor.distance", distance)
    require_one_of("fit_actor.metric", metric, ("log", "l2"))
    require_flag("fit_actor.progress", progress)
    require_seed("fit_actor.seed", seed)
    if not isinstance(generator.space, Continuous):
        raise Unsupported("fit_actor", got=f"{generator.space}", expected="continuous latents")
    images = check_given(generator, images, 0.0, caller="fit_actor")
    asked = [] if labels is None else [_as_numbers(labels_of("fit_actor", labels, len(images)))]
    count = asked[0].shape[1] if asked else 0
    require_attributes("fit_actor.attributes", attributes, generator.space, count)
    if attributes is not None and labels is not None and attributes.exclusive != (labels.ndim == 1):
        given, learnt = ("classes", "attributes") if labels.ndim == 1 else ("attributes", "classes")
        got, expected = f"a critic of {learnt}, and labels that are {given}", "the labels that it was fitted to"
        raise InvalidArgument("fit_actor.attributes", got=got, expected=expected)
    latents, spread = encodings(generator, images, Noise.from_seed(seed).fold(_DRAW))
    with initialised(seed, torch.float32):
        actor = Actor(generator.space, labels=count, width=width, depth=depth)
        critic = Critic(generator.space, labels=count, width=width, depth=depth).calibrated(latents)
        pair = ActorCritic(
            actor,
            critic,
            generator.prior,
            spread=spread,
            distance=distance,
            metric=metric,
            attributes=copy.deepcopy(attributes),  # it is the caller's, who may have it elsewhere
            realism=1.0 if attributes is None else _REALISM,
        )
    plan = Fit(
        steps,
        batch_size=batch_size,
        optimizer=_taking_turns(critic_steps),
        schedule=None,
        average=min(max(1 - 20 / steps, 0.5), 0.99),
        log_every=steps,
        progress=progress,
    )
    warn_if_interrupted("fit_actor", fit(pair.to(generator.device), (latents, *asked), plan, seed=seed))
    return actor.requires_grad_(False)


def _taking_turns(critic_steps: int) -> dict[str, Group]:
    """Steps of a critic to one of an actor, both by Adam with little momentum."""
    adam = partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))
    return {
        "critic": Group(lambda pair: pair.critic.parameters(), adam, critic_steps),
        "actor": Group(lambda pair: pair.actor.parameters(), adam),
    }


def _as_numbers(labels: Tensor) -> Tensor:
    """``(N, A)``: classes as one-hot vectors."""
    return F.one_hot(labels).float() if labels.ndim == 1 else labels
