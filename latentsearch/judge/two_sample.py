"""Whether a classifier can tell two samples apart."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch._context import in_own_context
from latentsearch.errors import InvalidArgument
from latentsearch.judge._samples import as_points, same_width, shuffled
from latentsearch.noise import Noise

_WIDTH, _STEPS, _RATE, _DECAY = 64, 200, 1e-2, 1e-2


class TwoSampleTest(NamedTuple):
    """A classifier's accuracy on samples that it was not trained on.

    Attributes:
        accuracy: 0.5 where the samples cannot be told apart, 1 where they always can.
        low: The low end of where it lies in 19 cases of 20 for samples of one law.
        high: The high end.
    """

    accuracy: float
    low: float
    high: float


@in_own_context
def c2st(a: Tensor, b: Tensor, seed: int = 0, *, folds: int = 5) -> TwoSampleTest:
    r"""The classifier two-sample test: cross-validated accuracy of a small network.

    Calibrated answers to many problems, pooled, are draws from the prior (the data-averaged posterior), so none must
    be able to tell them from data. Take one answer a problem: answers to one problem resemble each other, and what
    was learnt from one would count on the others. Equally many rows of both are used. The interval is
    $0.5 \pm 1.96 \cdot 0.5 / \sqrt n$ for the n rows, which takes the folds for independent.

    Source: Lopez-Paz and Oquab, [*Revisiting Classifier Two-Sample Tests*](https://arxiv.org/abs/1610.06545) (2017),
    section 3.

    Args:
        a: ``(N, ...)``: latents, outputs or features.
        b: ``(M, ...)``: of the same kind.
        seed: Of the folds, and of the network's weights.
        folds: Parts; the network is trained without each in turn.

    Raises:
        InvalidArgument: If there are fewer rows than folds, the widths differ, or a number is not finite.

    Example:
        >>> import latentsearch as ls
        >>> a, b = ls.Noise.from_seed(0, 400).normal(3).split(200)
        >>> accuracy, low, high = ls.judge.c2st(a, b)
        >>> low < accuracy < high, ls.judge.c2st(a, 2 * b).accuracy > high
        (True, True)
    """
    logit, labels = _read("c2st", a, b, seed, folds)
    right = float(((logit > 0) == (labels > 0.5)).double().mean())
    margin = 1.96 * 0.5 / labels.numel() ** 0.5
    return TwoSampleTest(right, 0.5 - margin, 0.5 + margin)


@in_own_context
def critic_auc(a: Tensor, b: Tensor, seed: int = 0, *, folds: int = 5) -> float:
    """How often the network of [c2st][latentsearch.judge.c2st] ranks two points of different samples right.

    That is the area under its curve: 0.5 where the samples cannot be told apart, 1 where they always can. It needs no
    threshold, so it says more of samples that are nearly alike than an accuracy does. Of each fold only points are
    ranked that the network was not trained on.

    Args:
        a: ``(N, ...)``: latents, outputs or features.
        b: ``(M, ...)``: of the same kind.
        seed: Of the folds, and of the network's weights.
        folds: Parts; the network is trained without each in turn.

    Raises:
        InvalidArgument: If there are fewer rows than folds, the widths differ, or a number is not finite.

    Example:
        >>> import latentsearch as ls
        >>> a, b = ls.Noise.from_seed(0, 400).normal(3).split(200)
        >>> abs(ls.judge.critic_auc(a, b) - 0.5) < 0.1, ls.judge.critic_auc(a, b + 3) > 0.95
        (True, True)
    """
    logit, _ = _read("critic_auc", a, b, seed, folds)
    half = logit.shape[1] // 2
    one, other = logit[:, :half, None], logit[:, None, half:]
    # Ties, as where a network says the same of all, are half right.
    return float(((other > one).double() + 0.5 * (other == one).double()).mean())


def _read(what: str, a: Tensor, b: Tensor, seed: int, folds: int) -> tuple[Tensor, Tensor]:
    """Logits of points that a network was not trained on, and labels, ``(folds, 2 n)``: first those of a, then b's."""
    require_count(f"{what}.folds", folds, least=2)
    first, second = as_points(f"{what}.a", a), as_points(f"{what}.b", b)
    same_width(what, first, second)
    size = min(len(first), len(second)) // folds * folds
    if not size:
        got = f"{len(first)} and {len(second)} rows"
        raise InvalidArgument(what, got=got, expected=f"at least {folds} of each", hint="give fewer folds")
    one = first[shuffled(len(first), seed, 1, first.device)[:size]]
    other = second[shuffled(len(second), seed, 2, second.device)[:size]]
    noise = Noise.from_seed(seed, device=first.device).fold(3)
    return _cross_validated(one, other, noise.split(folds))


def _cross_validated(a: Tensor, b: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """Of points ``(N, d)`` of both kinds, the logits of networks that were trained without them, and the labels."""
    folds = len(noise)
    points = torch.stack([a, b]).unflatten(1, (folds, -1)).transpose(0, 1).flatten(1, 2)  # (folds, 2 n, d)
    half = points.shape[1] // 2
    labels = torch.cat([points.new_zeros(half), points.new_ones(half)]).expand(folds, -1)
    others = torch.tensor([[f for f in range(folds) if f != fold] for fold in range(folds)])
    known, known_labels = points[others].flatten(1, 2), labels[others].flatten(1, 2)
    centre, scale = known.mean(1, keepdim=True), known.std(1, keepdim=True)
    scale = torch.where(scale > 0, scale, 1)
    # Once centred and scaled, single precision does, in half the time.
    known, points = ((known - centre) / scale).float(), ((points - centre) / scale).float()
    with torch.enable_grad():
        weights = _trained(known, known_labels.float(), noise)
    with torch.no_grad():
        return _logit(weights, points), labels


def _trained(points: Tensor, labels: Tensor, noise: Noise) -> list[Tensor]:
    """One network a fold, all in one batch: points ``(folds, n, d)``, labels ``(folds, n)``."""
    width = points.shape[2]
    weights = [
        noise.fold(1).normal(width, _WIDTH, dtype=points.dtype) / width**0.5,
        points.new_zeros(len(points), 1, _WIDTH),
        noise.fold(2).normal(_WIDTH, 1, dtype=points.dtype) / _WIDTH**0.5,
        points.new_zeros(len(points), 1, 1),
    ]
    for weight in weights:
        weight.requires_grad_()
    optimizer = torch.optim.AdamW(weights, lr=_RATE, weight_decay=_DECAY)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(_logit(weights, points), labels).backward()
        optimizer.step()
    return weights


def _logit(weights: list[Tensor], points: Tensor) -> Tensor:
    """``(folds, n)``: above 0 for the second kind."""
    first, bias, second, offset = weights
    return (F.silu(points @ first + bias) @ second + offset)[..., 0]
