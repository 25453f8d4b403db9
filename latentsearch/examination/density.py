"""What encodings cost under priors, and whether a critic tells these priors' draws from them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from latentsearch.errors import LatentSearchError
from latentsearch.examination.examination import Density
from latentsearch.examination.setting import Setting
from latentsearch.fitting import FitWarning, fit_prior
from latentsearch.judge import critic_auc
from latentsearch.priors import FittedPrior, MaskedDiffusion
from latentsearch.spaces import Continuous, Discrete

_DRAWS, _DRAWS_IF_SLOW = 500, 128  # of the fitted prior
_LARGE = 4096  # elements of a latent, of which draws are slow
_PASSES = 16  # of a draw of codes, at most
_STEPS_OF = 6400  # the steps of a fit, times the positions of a grid: about as long for each
_LEAST_STEPS, _MOST_STEPS = 25, 200
_FITTED = 6  # a stream of noise
OWN, BY_FIT = "the generator's own", "fitted"
_IN_NATS = {"standard normal": "standard normal", "nats": BY_FIT}
_IN_BITS = {"uniform": "uniform", "histogram": "histogram", "bits": BY_FIT}


def density(setting: Setting) -> tuple[Density, FittedPrior | None, list[str]]:
    """Likelihoods and critics, the fitted prior if there could be one, and notes."""
    continuous = isinstance(setting.generator.space, Continuous)
    unit, names = ("nats an element", _IN_NATS) if continuous else ("bits a code", _IN_BITS)
    assert setting.latents is not None
    told = {OWN: _told_apart(setting, setting.latents, setting.drawn)}
    prior, notes = _fitted(setting)
    if prior is None:
        return Density(unit, {}, told), None, notes
    # Encodings that it was fitted to would flatter it.
    others = setting.latents[len(setting.latents) // 2 :]
    small = continuous and math.prod(setting.generator.space.shape) <= _LARGE
    drawn = prior.sample(setting.noise(_FITTED, min(_DRAWS if small else _DRAWS_IF_SLOW, len(others))))
    told[BY_FIT] = _told_apart(setting, others, drawn)
    return Density(unit, {name: prior.figures[key] for key, name in names.items()}, told), prior, notes


def _fitted(setting: Setting) -> tuple[FittedPrior | None, list[str]]:
    """By ``fit_prior``, over codes for few steps; or nothing, and why."""
    generator, space, images = setting.generator, setting.generator.space, _first_half(setting)
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", FitWarning)
        try:
            if isinstance(space, Continuous):
                prior = fit_prior(generator, images, seed=setting.seed)
            else:
                prior, notes = _over_codes(setting, space)
        except LatentSearchError as error:
            return None, [f"No prior was fitted: {str(error).splitlines()[0]}"]
    return prior, notes + [str(each.message) for each in raised if issubclass(each.category, FitWarning)]


def _first_half(setting: Setting) -> Tensor:
    return setting.images[: len(setting.images) // 2]


def _over_codes(setting: Setting, space: Discrete) -> tuple[FittedPrior, list[str]]:
    """With few steps and few passes a draw, since a minute is short."""
    steps = min(max(_STEPS_OF // space.positions, _LEAST_STEPS), _MOST_STEPS)

    def network(space: Discrete, **settings: Any) -> MaskedDiffusion:
        return MaskedDiffusion(space, steps=min(_PASSES, space.positions), **settings)

    prior = fit_prior(
        setting.generator,
        _first_half(setting),
        network=network,
        steps=steps,
        held_out=0.1,
        temperature=1.0,
        seed=setting.seed,
    )
    return prior, [f"The prior over codes was fitted for {steps} steps only; fit_prior takes 5,000 by itself."]


def _told_apart(setting: Setting, latents: Tensor, drawn: Tensor) -> float:
    """The area under the curve of a critic of encodings and draws, on those that it did not see."""
    count = min(len(drawn), len(latents))
    encoded, other = setting.points(latents[:count], drawn[:count].to(latents))
    return float(critic_auc(torch.nan_to_num(encoded), torch.nan_to_num(other), setting.seed))
