"""How much answers to one problem differ."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import in_short
from latentsearch.errors import InvalidArgument, describe


def code_diversity(codes: Tensor, positions: Tensor | None = None) -> Tensor:
    """The mean share of positions in which two answers to a problem differ (their Hamming distance).

    Set it against a reference: the same of exact samples of the posterior, or of different images of data.

    Source: Hamming, [*Error Detecting and Error Correcting
    Codes*](https://doi.org/10.1002/j.1538-7305.1950.tb00463.x) (1950).

    Args:
        codes: ``(B, R, *S)`` int64, R >= 2 answers a problem.
        positions: ``(*S)`` or ``(B, *S)`` bool: those that count, such as the hidden ones; None for all.

    Returns:
        ``(B,)`` float64 in [0, 1].

    Raises:
        InvalidArgument: If there are fewer than two answers, or no position counts.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> judge.code_diversity(torch.tensor([[[0, 1], [0, 2]], [[3, 3], [3, 3]]]))
        tensor([0.5000, 0.0000], dtype=torch.float64)
    """
    _check_answers("code_diversity.codes", codes)
    if codes.is_floating_point():
        hint = "soft codes become hard by .argmax(-1); pixel_diversity is for numbers"
        raise InvalidArgument("code_diversity.codes", got=describe(codes), expected="int64 codes (B, R, *S)", hint=hint)
    weight = _weights("code_diversity.positions", positions, codes)
    # Each answer against that some places further on: after all shifts every pair has been seen twice.
    differs = [_mean(codes != codes.roll(shift, 1), weight) for shift in range(1, codes.shape[1])]
    return torch.stack(differs).mean(0)


def pixel_diversity(outputs: Tensor, region: Tensor | None = None) -> Tensor:
    """The mean squared distance a pixel between two answers to a problem.

    Set it against a reference: the same of exact samples of the posterior, or of different images of data.

    Args:
        outputs: ``(B, R, *O)``, R >= 2 decoded answers a problem.
        region: Weights that broadcast to ``(B, *O)``, 1 for the pixels that count, such as the hidden ones; None
            for all.

    Returns:
        ``(B,)`` float64.

    Raises:
        InvalidArgument: If there are fewer than two answers, or no pixel counts.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> judge.pixel_diversity(torch.tensor([[[0.0, 0.0], [0.0, 1.0]]]), torch.tensor([[0.0, 1.0]]))
        tensor([1.], dtype=torch.float64)
    """
    _check_answers("pixel_diversity.outputs", outputs)
    weight = _weights("pixel_diversity.region", region, outputs)
    # Over all pairs the mean squared distance is twice the unbiased variance.
    return (
        2
        * _mean((outputs.double() - outputs.double().mean(1, keepdim=True)).square(), weight)
        * (outputs.shape[1] / (outputs.shape[1] - 1))
    )


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """``(B, R, *S)`` averaged over answers, and over places by weights ``(B, 1, *S)``, to ``(B,)``."""
    weighed = (x.double().mean(1, keepdim=True) * weight).flatten(1).sum(1)
    return weighed / weight.flatten(1).sum(1)


def _weights(what: str, places: Tensor | None, like: Tensor) -> Tensor:
    """Weights ``(B, 1, *S)`` for answers ``(B, R, *S)``."""
    shape = (len(like), *like.shape[2:])
    if places is None:
        return torch.ones(shape, dtype=torch.float64, device=like.device)[:, None]
    if not isinstance(places, Tensor):
        raise InvalidArgument(what, got=in_short(places), expected=f"a tensor that broadcasts to {shape}")
    try:
        weight = places.double().to(like.device).expand(shape)
    except RuntimeError:
        raise InvalidArgument(what, got=describe(places), expected=f"one that broadcasts to {shape}") from None
    if not bool((weight >= 0).all() and weight.flatten(1).any(1).all()):
        raise InvalidArgument(what, got="a problem in which nothing counts", expected="weights >= 0, some above")
    return weight[:, None]


def _check_answers(what: str, answers: Tensor) -> None:
    if not isinstance(answers, Tensor) or answers.ndim < 3 or answers.shape[1] < 2:
        expected = "(B, R, ...) with R >= 2 answers to each problem"
        raise InvalidArgument(what, got=in_short(answers), expected=expected, hint="restarts= of the searcher is R")
