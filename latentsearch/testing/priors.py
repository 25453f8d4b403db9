"""The laws of priors."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from latentsearch.noise import Noise
from latentsearch.protocols import Prior
from latentsearch.spaces import Continuous, Discrete, LatentSpace
from latentsearch.testing._laws import Check, checks_of, close, draw, require, require_kind, run_all, soft_draw

_CPU = torch.device("cpu")
_DRAWS = 20_000


def _noise(rows: int) -> Noise:
    return Noise.from_seed(29, rows)


def _dtype(prior: Prior, space: LatentSpace) -> torch.dtype:
    """The floating dtype the prior works in."""
    if isinstance(space, Continuous):
        return prior.sample(_noise(1)).dtype
    return prior.log_prob(draw(space, 1, torch.float32, _CPU)).dtype


def samples_lie_in_space(prior: Prior, space: LatentSpace) -> None:
    """One hard latent a row of noise."""
    for rows in (1, 5):
        z = prior.sample(_noise(rows))
        require(space.contains(z) and len(z) == rows, samples_lie_in_space, prior, f"{rows} rows gave {tuple(z.shape)}")


def samples_are_pure(prior: Prior, space: LatentSpace) -> None:
    """The same noise gives the same samples, and torch's global random state is left alone."""
    before = torch.get_rng_state()
    first, second = prior.sample(_noise(8)), prior.sample(_noise(8))
    require(torch.equal(first, second), samples_are_pure, prior, "two calls with the same noise differ")
    require(torch.equal(before, torch.get_rng_state()), samples_are_pure, prior, "it drew from torch's global state")


def samples_belong_to_rows(prior: Prior, space: LatentSpace) -> None:
    """A row's sample depends on its own key alone."""
    index = torch.tensor([3, 1])
    whole, some = prior.sample(_noise(5)), prior.sample(_noise(5)[index])
    require(
        torch.equal(some, whole[index]),
        samples_belong_to_rows,
        prior,
        "rows 3 and 1 alone differ from the same among 5",
    )


def log_prob_has_one_value_a_row(prior: Prior, space: LatentSpace) -> None:
    """``(N,)`` floating, without NaN."""
    for rows in (2, 5):
        value = prior.log_prob(draw(space, rows, _dtype(prior, space), _CPU))
        good = tuple(value.shape) == (rows,) and value.is_floating_point() and not bool(value.isnan().any())
        require(good, log_prob_has_one_value_a_row, prior, f"{rows} rows gave {value.dtype} {tuple(value.shape)}")


def log_prob_rows_are_independent(prior: Prior, space: LatentSpace) -> None:
    """Splitting rows changes nothing."""
    z = draw(space, 4, _dtype(prior, space), _CPU)
    parts = torch.cat([prior.log_prob(z[:1]), prior.log_prob(z[1:])])
    require(
        close(parts, prior.log_prob(z)), log_prob_rows_are_independent, prior, "1 + 3 rows differ from the 4 together"
    )


def one_hot_codes_are_as_likely_as_hard_ones(prior: Prior, space: LatentSpace) -> None:
    """Soft one-hot grids have the log-probability of the hard ones."""
    if not isinstance(space, Discrete):
        return
    z = draw(space, 3, torch.float32, _CPU)
    hard, soft = prior.log_prob(z), prior.log_prob(space.one_hot(z, _dtype(prior, space)))
    require(
        close(soft, hard), one_hot_codes_are_as_likely_as_hard_ones, prior, f"{soft.tolist()} against {hard.tolist()}"
    )


def log_prob_has_a_gradient(prior: Prior, space: LatentSpace) -> None:
    """Continuous and soft latents can be moved along it."""
    z = soft_draw(space, 3, _dtype(prior, space), _CPU).requires_grad_()
    value = prior.log_prob(z)
    require(value.requires_grad, log_prob_has_a_gradient, prior, "the graph is cut between latent and log_prob")
    (gradient,) = torch.autograd.grad(value.sum(), z)
    require(gradient.isfinite().all(), log_prob_has_a_gradient, prior, "the gradient has NaN or infinity")


def samples_follow_log_prob(prior: Prior, space: LatentSpace) -> None:
    """On a space of at most 64 grids, frequencies agree with ``exp(log_prob)``, normalised."""
    if not isinstance(space, Discrete) or space.codebook_size**space.positions > 64:
        return
    grids = _all_grids(space)
    expected = prior.log_prob(grids).double().softmax(0)
    samples = prior.sample(_noise(_DRAWS)).flatten(1)
    powers = space.codebook_size ** torch.arange(space.positions - 1, -1, -1)
    counts = (samples * powers).sum(1).bincount(minlength=len(grids)).double()
    # Six standard deviations of a binomial count: false alarms are below one in a million.
    slack = 6 * (_DRAWS * expected * (1 - expected)).sqrt() + 1
    worst = float(((counts - _DRAWS * expected).abs() - slack).max())
    require(worst <= 0, samples_follow_log_prob, prior, f"a count is {worst:.0f} beyond six standard deviations off")


def _all_grids(space: Discrete) -> Tensor:
    codes = itertools.product(range(space.codebook_size), repeat=space.positions)
    return torch.tensor(list(codes)).view(-1, *space.shape)


LAWS = (
    samples_lie_in_space,
    samples_are_pure,
    samples_belong_to_rows,
    log_prob_has_one_value_a_row,
    log_prob_rows_are_independent,
    one_hot_codes_are_as_likely_as_hard_ones,
    log_prob_has_a_gradient,
    samples_follow_log_prob,
)


def prior_checks(prior: Prior, space: LatentSpace) -> list[Check]:
    """The laws of priors, as checks on this one."""
    return checks_of(prior, LAWS, space)


def check_prior(prior: Prior, space: LatentSpace) -> None:
    """Raise at the first law of priors that this one breaks.

    Args:
        prior: The prior to look at.
        space: What it is a distribution over.

    Raises:
        BrokenLaw: Naming the law, the class and what was seen.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.priors import StandardNormal
        >>> from latentsearch.testing import check_prior
        >>> check_prior(StandardNormal((3,)), ls.Continuous((3,)))
    """
    require_kind(prior, Prior, "a Prior: sample and log_prob")
    run_all(prior_checks(prior, space))
