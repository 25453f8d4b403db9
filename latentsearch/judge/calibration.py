"""Simulation-based calibration: where the truth ranks among samples of its posterior."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import require_count, require_noise
from latentsearch.errors import InvalidArgument, describe
from latentsearch.judge._samples import require_tensors
from latentsearch.noise import Noise


def sbc_ranks(statistic_of_samples: Tensor, statistic_of_truth: Tensor, noise: Noise) -> Tensor:
    """The rank of the truth's statistic among those of L samples of the posterior.

    Draw a truth from the prior, measure it, and sample the posterior: the truth is exchangeable with the samples,
    so its rank is uniform on 0 to L. Ties are broken by randomness: a truth among equals takes any of their places
    with the same chance.

    Source: Talts et al., [*Validating Bayesian Inference Algorithms with Simulation-Based
    Calibration*](https://arxiv.org/abs/1804.06788) (2018), theorem 1.

    Args:
        statistic_of_samples: ``(B, L)``: some number of each sample, such as ``-prior.log_prob``, the goal's loss,
            or a random projection of the output. Samples must be independent: thin chains, or take restarts.
        statistic_of_truth: ``(B,)``: the same number of the truth.
        noise: B rows.

    Returns:
        ``(B,)`` int64 ranks from 0 to L.

    Raises:
        InvalidArgument: If the shapes do not fit, or a statistic is NaN.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> noise = ls.Noise.from_seed(0, 3)
        >>> ls.judge.sbc_ranks(torch.tensor([[1.0, 2.0, 3.0]]).repeat(3, 1), torch.tensor([0.0, 2.5, 9.0]), noise)
        tensor([0, 2, 3])
    """
    samples, truth = statistic_of_samples, statistic_of_truth
    require_tensors("sbc_ranks", statistic_of_samples=samples, statistic_of_truth=truth)
    require_noise("sbc_ranks.noise", noise)
    if samples.ndim != 2 or truth.shape != samples.shape[:1] or len(noise) != len(samples):
        raise InvalidArgument(
            "sbc_ranks",
            got=f"{describe(samples)}, truth of shape {tuple(truth.shape)}, and noise of {len(noise)} rows",
            expected="samples (B, L), truth (B,) and B rows of noise",
        )
    if bool(samples.isnan().any() | truth.isnan().any()):
        raise InvalidArgument("sbc_ranks", got="NaN", expected="numbers")
    below = (samples < truth[:, None]).sum(1)
    ties = (samples == truth[:, None]).sum(1)
    return below + noise.fold(0x53424352).integers(ties + 1)  # "SBCR"


def uniformity(ranks: Tensor, samples: int, bins: int = 8) -> float:
    r"""The p-value of ranks being uniform on 0 to L, by Pearson's $\chi^2$.

    Below 0.01 calibration is rejected at 1 %. One p-value tests one statistic: with m of them reject at 0.01 / m.
    Where L + 1 is no multiple of the number of bins, the bins hold different numbers of ranks, and as much is
    expected of each.

    Source: Pearson, [*On the criterion that a given system of
    deviations...*](https://doi.org/10.1080/14786440009463897) (1900).

    Args:
        ranks: ``(B,)`` int64, of [sbc_ranks][latentsearch.judge.sbc_ranks].
        samples: L, the highest rank.
        bins: At most L + 1. A few ranks should be expected in each.

    Raises:
        InvalidArgument: If a rank is not in 0 to L, or there are more bins than ranks can tell.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> judge.uniformity(torch.arange(32).repeat(4), samples=31)
        1.0
        >>> judge.uniformity(torch.zeros(64, dtype=torch.int64), samples=31) < 1e-6
        True
    """
    require_count("uniformity.samples", samples)
    require_count("uniformity.bins", bins, least=2)
    if bins > samples + 1:
        raise InvalidArgument("uniformity.bins", got=str(bins), expected=f"at most the {samples + 1} ranks there are")
    require_tensors("uniformity", ranks=ranks)
    if ranks.dtype != torch.int64 or not ranks.numel():
        raise InvalidArgument("uniformity.ranks", got=describe(ranks), expected=f"int64 ranks from 0 to {samples}")
    least, most = int(ranks.min()), int(ranks.max())
    if least < 0 or most > samples:
        got = f"ranks from {least} to {most}"
        raise InvalidArgument("uniformity.ranks", got=got, expected=f"those from 0 to {samples}")
    places = torch.arange(samples + 1, device=ranks.device) * bins // (samples + 1)
    expected = places.bincount(minlength=bins).double() / (samples + 1) * ranks.numel()
    seen = places[ranks.flatten()].bincount(minlength=bins).double()
    chi2 = ((seen - expected).square() / expected).sum()
    # The upper tail of chi-square with n degrees of freedom is the regularised Q(n / 2, chi2 / 2).
    return float(torch.special.gammaincc(torch.tensor((bins - 1) / 2, dtype=torch.float64), chi2.cpu() / 2))
