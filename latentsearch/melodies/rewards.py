"""How well a melody keeps to a rule, from 0 to 1.

Source: Engel, Hoffman and Roberts, *Latent Constraints: Learning to Generate Conditionally from Unconditional
Generative Models* (2018), equation 4, https://arxiv.org/abs/1711.05772.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch.errors import InvalidArgument
from latentsearch.melodies.alphabet import HOLD, events_of
from latentsearch.melodies.scales import require_pitch_classes


def count_notes(melody: Tensor) -> Tensor:
    """|m|, how many notes begin in each melody: ``(N,)`` int64.

    Args:
        melody: Events ``(N, T)``, or logits ``(N, T, V)``.

    Example:
        >>> import torch
        >>> from latentsearch.melodies import HOLD, REST, count_notes
        >>> count_notes(torch.tensor([[60, HOLD, 60, 64], [REST, REST, REST, 64]]))
        tensor([3, 1])
    """
    return (events_of(melody) < HOLD).sum(1)


def pitch_class_reward(melody: Tensor, pitch_classes: Sequence[int]) -> Tensor:
    """The share of a melody's notes that are of some pitch classes: ``(N,)`` in [0, 1]; 0 for one without notes.

    It has no gradient: what it reads of logits is their arg-max.

    Args:
        melody: Events ``(N, T)``, or logits ``(N, T, V)``, as a generator of melodies gives.
        pitch_classes: Numbers from 0 for C to 11 for B, for instance those of a [scale][latentsearch.melodies.scale].

    Raises:
        InvalidArgument: If there is no pitch class, or one that is none.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.melodies import HOLD, pitch_class_reward, scale
        >>> pitch_class_reward(torch.tensor([[60, HOLD, 61, 62, 64]]), scale("C major"))
        tensor([0.7500])
        >>> rule = lambda x: 1 - pitch_class_reward(x, scale("C major"))
        >>> goal = ls.Satisfies(rule, differentiable=False).below(0.0)
    """
    classes = require_pitch_classes("pitch_class_reward.pitch_classes", pitch_classes)
    if not classes:
        raise InvalidArgument(
            "pitch_class_reward.pitch_classes", got=repr(pitch_classes), expected="some from 0 for C to 11 for B"
        )
    events = events_of(melody)
    notes = events < HOLD
    wanted = torch.tensor(sorted(classes), device=events.device)
    inside = notes & torch.isin(events % 12, wanted)
    return inside.sum(1) / notes.sum(1).clamp(min=1)


def density_reward(melody: Tensor, notes: int) -> Tensor:
    """How near a melody comes to having at least so many notes: ``(N,)``, their number over ``notes`` up to 1.

    Args:
        melody: Events ``(N, T)``, or logits ``(N, T, V)``.
        notes: How many are enough, d in the paper.

    Example:
        >>> import torch
        >>> from latentsearch.melodies import HOLD, density_reward
        >>> density_reward(torch.tensor([[60, HOLD, 61, 62], [60, 61, 62, 63]]), 4)
        tensor([0.7500, 1.0000])
    """
    require_count("density_reward.notes", notes)
    return (count_notes(melody) / notes).clamp(max=1)
