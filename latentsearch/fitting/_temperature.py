"""The temperature at which a network's draws are as likely as data."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.noise import Noise
from latentsearch.priors import MaskedDiffusion, PixelCNN

_LEAST = 0.5
_STEP = 0.1
_TRIALS = 3  # of other temperatures than 1; the log-probability of draws is close to linear in it
_PASSES = 1 << 17  # positions squared times rows of a trial
_ROWS = (16, 64)  # at least and at most


@torch.no_grad()
def typical_temperature(prior: MaskedDiffusion | PixelCNN, held_out: Tensor, noise: Noise) -> float:
    """The highest temperature, 1 at most, at which draws are as likely as held-out grids under what was learnt.

    A network that cannot represent all it was shown spreads over more: its draws are less likely than data, by its own
    account. The secant method finds the temperature at which they are as likely, with the same noise in each trial.

    Args:
        prior: The network, at temperature 1; it is left there.
        held_out: ``(N, *S)`` grids.
        noise: One row.

    Returns:
        A temperature from 0.5 to 1; 1 where fewer than 16 grids are held out, which do not tell.
    """
    least, most = _ROWS
    if len(held_out) < least:
        return 1.0
    rows = min(max(_PASSES // prior.space.positions**2, least), most)
    goal = float(prior.log_prob(held_out[: 2 * rows]).double().mean())
    streams = noise.split(rows)

    def excess(temperature: float) -> float:
        """How much likelier draws are than data, in nats."""
        prior.set_temperature(temperature)
        drawn = prior.sample(streams)
        prior.set_temperature(1.0)
        return float(prior.log_prob(drawn).double().mean()) - goal

    before, here = 1.0, 1.0 - _STEP
    first = excess(before)
    if first >= 0:
        return 1.0
    for _ in range(_TRIALS):
        now = excess(here)
        if now == first or (now > first) == (here > before):  # colder is no likelier: what is left is chance
            return before
        ahead = here - now * (here - before) / (now - first)
        before, first, here = here, now, min(max(ahead, _LEAST), 1.0)
    return here
