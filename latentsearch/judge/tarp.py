"""Coverage of a posterior's regions, in any number of dimensions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._checks import require_noise
from latentsearch.errors import InvalidArgument
from latentsearch.judge._samples import require_tensors
from latentsearch.judge.calibration import sbc_ranks
from latentsearch.noise import Noise


class Coverage(NamedTuple):
    """How often the truth lay in regions that should hold it with a given chance.

    Attributes:
        level: ``(L + 1,)``: the chance of each region, from 1 / (L + 1) to 1.
        coverage: ``(L + 1,)``: the share of truths in it; equal to ``level``, up to chance, if all is well, above
            it in the middle where samples are spread too widely, and below where too narrowly.
        ranks: ``(B,)`` int64 from 0 to L, for [uniformity][latentsearch.judge.uniformity].
    """

    level: Tensor
    coverage: Tensor
    ranks: Tensor


def tarp_coverage(samples: Tensor, truth: Tensor, references: Tensor, noise: Noise) -> Coverage:
    """Expected coverage by tests of accuracy with random points (TARP).

    Around a reference point lies the ball that reaches as far as the truth. How many samples of the posterior are in
    it is uniform if the samples are exact, for any references that know no more of the truth than the measurement
    does. Draw them from the prior, or let them depend on the measurement, which finds more faults.

    Source: Lemos et al., [*Sampling-Based Accuracy Testing of Posterior Estimators for General
    Inference*](https://arxiv.org/abs/2302.03026) (2023), algorithm 2.

    Args:
        samples: ``(B, L, ...)``: latents, outputs or features of answers.
        truth: ``(B, ...)``.
        references: ``(B, ...)``.
        noise: B rows, for ties.

    Raises:
        InvalidArgument: If the shapes do not fit, or a number is NaN.

    Example:
        >>> import latentsearch as ls
        >>> noise = ls.Noise.from_seed(0, 800)
        >>> samples, truth, references = noise.normal(15, 2), noise.fold(1).normal(2), noise.fold(2).normal(2)
        >>> found = ls.judge.tarp_coverage(samples, truth, references, noise.fold(3))
        >>> bool((found.coverage - found.level).abs().max() < 0.05)
        True
    """
    require_tensors("tarp_coverage", samples=samples, truth=truth, references=references)
    require_noise("tarp_coverage.noise", noise)
    if samples.ndim < 2 or samples.shape[:1] + samples.shape[2:] != truth.shape or truth.shape != references.shape:
        named = {"samples": samples, "truth": truth, "references": references}
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in named.items())
        raise InvalidArgument("tarp_coverage", got=shapes, expected="(B, L, ...), (B, ...) and (B, ...)")
    points = [each.detach().double() for each in (samples, truth, references)]
    away = points[2][:, None]
    distance = (points[0] - away).flatten(2).square().sum(2)
    # By the same arithmetic as the samples, so that a truth that is one of them ties to the last bit.
    of_truth = (points[1][:, None] - away).flatten(2).square().sum(2)[:, 0]
    ranks = sbc_ranks(distance, of_truth, noise)
    count = samples.shape[1] + 1
    seen = ranks.bincount(minlength=count).double()
    level = torch.arange(1, count + 1, dtype=torch.float64, device=ranks.device) / count
    return Coverage(level, seen.cumsum(0) / len(ranks), ranks)
