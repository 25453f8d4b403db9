"""The laws of priors."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from latentsearch.noise import Noise
from latentsearch.protocols import ConditionalPrior, Prior, require_prior
from latentsearch.spaces import Continuous, Discrete, LatentSpace
from latentsearch.testing._laws import Check, Laws, always, checks_of, close, draw, require, run_all, soft_draw
from latentsearch.testing._statistics import FALSE_ALARM, chance_of_counts

_CPU = torch.device("cpu")
_DRAWS = 20_000


def _noise(rows: int) -> Noise:
    return Noise.from_seed(29, rows)


def _dtype(prior: Prior) -> torch.dtype:
    """The floating dtype the prior works in."""
    if isinstance(prior.space, Continuous):
        return prior.sample(_noise(1)).dtype
    return prior.log_prob(draw(prior.space, 1, torch.float32, _CPU)).dtype


def samples_lie_in_space(prior: Prior) -> None:
    """One hard latent a row of noise."""
    for rows in (1, 5):
        z = prior.sample(_noise(rows))
        inside = prior.space.contains(z) and len(z) == rows
        require(inside, samples_lie_in_space, prior, f"{rows} rows gave {tuple(z.shape)}")


def samples_are_pure(prior: Prior) -> None:
    """The same noise gives the same samples, and torch's global random state is left alone."""
    before = torch.get_rng_state()
    first, second = prior.sample(_noise(8)), prior.sample(_noise(8))
    require(torch.equal(first, second), samples_are_pure, prior, "two calls with the same noise differ")
    require(torch.equal(before, torch.get_rng_state()), samples_are_pure, prior, "it drew from torch's global state")


def samples_belong_to_rows(prior: Prior) -> None:
    """A row's sample depends on its own key alone."""
    index = torch.tensor([3, 1])
    whole, some = prior.sample(_noise(5)), prior.sample(_noise(5)[index])
    require(
        torch.equal(some, whole[index]),
        samples_belong_to_rows,
        prior,
        "rows 3 and 1 alone differ from the same among 5",
    )


def log_prob_has_one_value_a_row(prior: Prior) -> None:
    """``(N,)`` floating, without NaN."""
    for rows in (2, 5):
        value = prior.log_prob(draw(prior.space, rows, _dtype(prior), _CPU))
        good = tuple(value.shape) == (rows,) and value.is_floating_point() and not bool(value.isnan().any())
        require(good, log_prob_has_one_value_a_row, prior, f"{rows} rows gave {value.dtype} {tuple(value.shape)}")


def log_prob_rows_are_independent(prior: Prior) -> None:
    """Splitting rows changes nothing."""
    z = draw(prior.space, 4, _dtype(prior), _CPU)
    parts = torch.cat([prior.log_prob(z[:1]), prior.log_prob(z[1:])])
    require(
        close(parts, prior.log_prob(z)), log_prob_rows_are_independent, prior, "1 + 3 rows differ from the 4 together"
    )


def one_hot_codes_are_as_likely_as_hard_ones(prior: Prior) -> None:
    """Soft one-hot grids have the log-probability of the hard ones."""
    assert isinstance(prior.space, Discrete)
    z = draw(prior.space, 3, torch.float32, _CPU)
    hard, soft = prior.log_prob(z), prior.log_prob(prior.space.one_hot(z, _dtype(prior)))
    require(
        close(soft, hard), one_hot_codes_are_as_likely_as_hard_ones, prior, f"{soft.tolist()} against {hard.tolist()}"
    )


def log_prob_has_a_gradient(prior: Prior) -> None:
    """Continuous and soft latents can be moved along it."""
    z = soft_draw(prior.space, 3, _dtype(prior), _CPU).requires_grad_()
    value = prior.log_prob(z)
    require(value.requires_grad, log_prob_has_a_gradient, prior, "the graph is cut between latent and log_prob")
    (gradient,) = torch.autograd.grad(value.sum(), z)
    require(gradient.isfinite().all(), log_prob_has_a_gradient, prior, "the gradient has NaN or infinity")


def samples_follow_log_prob(prior: Prior) -> None:
    """On a space of at most 64 grids, frequencies agree with ``exp(log_prob)``, normalised."""
    assert isinstance(prior.space, Discrete)
    grids = _all_grids(prior.space)
    expected = prior.log_prob(grids).detach().double().softmax(0)
    _require_frequencies(samples_follow_log_prob, prior, prior.sample(_noise(_DRAWS)), expected)


# -- of those with conditionals ----------------------------------------------------------------------


def cost_is_a_share(prior: ConditionalPrior) -> None:
    """A pass costs a finite share of a decode, at least 0."""
    good = isinstance(prior.cost, int | float) and 0 <= prior.cost < float("inf")
    require(good, cost_is_a_share, prior, f"a cost of {prior.cost!r}")


def conditionals_are_normalised(prior: ConditionalPrior) -> None:
    """``(N, *S, K)`` log-probabilities whose exponentials sum to 1 over the codes."""
    law, space = conditionals_are_normalised, prior.space
    for rows in (1, 4):
        z = draw(space, rows, torch.float32, _CPU)
        for known in (torch.zeros_like(z, dtype=torch.bool), _some_positions(z)):
            found = prior.conditionals(z, known)
            good = tuple(found.shape) == (rows, *space.shape, _grid(space).codebook_size) and found.is_floating_point()
            require(good, law, prior, f"{rows} rows gave {found.dtype} {tuple(found.shape)}")
            total = found.detach().exp().sum(-1)
            detail = f"the probabilities of a position sum to {float(total.min()):.4g} to {float(total.max()):.4g}"
            require(close(total, torch.ones_like(total)), law, prior, detail)


def conditionals_go_by_what_is_known(prior: ConditionalPrior) -> None:
    """Codes that are not known make no difference, and those that are known are certain."""
    law, space = conditionals_go_by_what_is_known, _grid(prior.space)
    z, other = (draw(space, 3, torch.float32, _CPU, stream) for stream in (0, 1))
    known = _some_positions(z)
    before, after = prior.conditionals(z, known), prior.conditionals(torch.where(known, z, other), known)
    require(close(after, before), law, prior, "codes at positions that are not known are looked at")
    certain = torch.where(space.one_hot(z, before.dtype) > 0, 0.0, -torch.inf).to(before.dtype)
    require(torch.equal(before[known], certain[known]), law, prior, "a known position has not its own code for certain")


def conditionals_rows_are_independent(prior: ConditionalPrior) -> None:
    """Splitting rows changes nothing."""
    z = draw(prior.space, 4, torch.float32, _CPU)
    known = _some_positions(z)
    parts = torch.cat([prior.conditionals(z[rows], known[rows]) for rows in (slice(0, 1), slice(1, 4))])
    same = close(parts, prior.conditionals(z, known))
    require(same, conditionals_rows_are_independent, prior, "1 + 3 rows differ from the 4 together")


def conditionals_agree_with_log_prob(prior: ConditionalPrior) -> None:
    """On a space of at most 64 grids, they are what ``log_prob`` says, added up over all grids that agree."""
    space = _grid(prior.space)
    grids = _all_grids(space)
    joint = prior.log_prob(grids).detach().double().softmax(0)
    for known in (_some_positions(grids), ~_some_positions(grids), torch.zeros_like(grids, dtype=torch.bool)):
        found = prior.conditionals(grids, known).detach().double().softmax(-1).flatten(1, -2)
        off = float((found - _marginals(joint, grids, known, space)).abs().max())
        detail = f"a probability is off by {off:.3g} with {int(known[0].sum())} known"
        require(off < 1e-4, conditionals_agree_with_log_prob, prior, detail)


def resampling_keeps_the_rest(prior: ConditionalPrior) -> None:
    """Only positions in the mask change, and what comes out lies in the space."""
    law, z = resampling_keeps_the_rest, draw(prior.space, 8, torch.float32, _CPU)
    mask = _some_positions(z)
    drawn = prior.resample(z, mask, _noise(8))
    require(prior.space.contains(drawn) and drawn.shape == z.shape, law, prior, f"it gave {tuple(drawn.shape)}")
    require(torch.equal(drawn[~mask], z[~mask]), law, prior, "codes beyond the mask changed")


def resampling_belongs_to_rows(prior: ConditionalPrior) -> None:
    """What a row draws depends on its own grid, mask and key alone, and twice the same comes out."""
    law, z, index = resampling_belongs_to_rows, draw(prior.space, 5, torch.float32, _CPU), torch.tensor([3, 1])
    mask = _some_positions(z)
    whole, again = prior.resample(z, mask, _noise(5)), prior.resample(z, mask, _noise(5))
    require(torch.equal(whole, again), law, prior, "two calls with the same noise differ")
    some = prior.resample(z[index], mask[index], _noise(5)[index])
    require(torch.equal(some, whole[index]), law, prior, "rows 3 and 1 alone differ from the same among 5")


def passes_are_counted(prior: ConditionalPrior) -> None:
    """One whole number a row, at least 0, that depends on its own mask alone; none where there is nothing to draw."""
    law, z = passes_are_counted, draw(prior.space, 4, torch.float32, _CPU)
    mask = _some_positions(z) & (torch.arange(4) < 3).view(-1, *(1,) * (z.ndim - 1))
    found = prior.passes(mask)
    good = found.dtype == torch.int64 and tuple(found.shape) == (4,) and bool((found >= 0).all())
    require(good, law, prior, f"it gave {found.dtype} {found.tolist()}")
    require(int(found[3]) == 0, law, prior, f"{int(found[3])} passes where there is nothing to draw")
    same = torch.equal(prior.passes(mask[[2, 3]]), found[[2, 3]])
    require(same, law, prior, "rows 2 and 3 alone differ from the same among 4")


def resampling_follows_the_conditional_law(prior: ConditionalPrior) -> None:
    """On a space of at most 64 grids, frequencies are those of the grids that agree with the rest."""
    space = _grid(prior.space)
    grids = _all_grids(space)
    z = draw(space, 1, torch.float32, _CPU)
    mask = _some_positions(z)
    agrees = ((grids == z) | mask).flatten(1).all(1)
    expected = torch.where(agrees, prior.log_prob(grids).detach().double(), -torch.inf).softmax(0)
    many = (_DRAWS, *space.shape)
    samples = prior.resample(z.expand(many), mask.expand(many), _noise(_DRAWS))
    _require_frequencies(resampling_follows_the_conditional_law, prior, samples, expected)


# -- grids -------------------------------------------------------------------------------------------


def _grid(space: LatentSpace) -> Discrete:
    assert isinstance(space, Discrete)
    return space


def _all_grids(space: Discrete) -> Tensor:
    codes = itertools.product(range(space.codebook_size), repeat=space.positions)
    return torch.tensor(list(codes)).view(-1, *space.shape)


def _some_positions(z: Tensor) -> Tensor:
    """Every other position of grids, as a bool mask; the same for all rows."""
    flat = torch.arange(z[0].numel()) % 2 == 0
    return flat.view(z.shape[1:]).expand_as(z)


def _marginals(joint: Tensor, grids: Tensor, known: Tensor, space: Discrete) -> Tensor:
    """``(T, P, K)``: of each grid, what the known codes say of each position, from the probability of all T grids."""
    flat, go_by = grids.flatten(1), known.flatten(1)
    agree = ((flat[:, None] == flat[None]) | ~go_by[:, None]).all(-1)  # (T, T)
    weights = agree * joint
    weights = weights / weights.sum(1, keepdim=True)
    return torch.einsum("tu,upk->tpk", weights, space.one_hot(flat, joint.dtype))


def _require_frequencies(law: Callable[..., None], prior: Prior, samples: Tensor, expected: Tensor) -> None:
    """Raise unless grids ``(20000, *S)`` were drawn as often as the probabilities of all grids say."""
    space = _grid(prior.space)
    powers = space.codebook_size ** torch.arange(space.positions - 1, -1, -1)
    counts = (samples.flatten(1) * powers).sum(1).bincount(minlength=len(expected)).double()
    chance = chance_of_counts(counts, expected)
    require(chance > FALSE_ALARM, law, prior, f"counts so far off have a chance of {chance:.2g}")


# -- which laws apply --------------------------------------------------------------------------------


def is_over_codes(prior: Prior) -> bool:
    """Where latents are grids of codes."""
    return isinstance(prior.space, Discrete)


def can_be_counted(prior: Prior) -> bool:
    """Where there are so few grids, at most 64, that each is drawn often."""
    return isinstance(prior.space, Discrete) and prior.space.codebook_size**prior.space.positions <= 64


def has_conditionals(prior: Prior) -> bool:
    """Where it is a ConditionalPrior."""
    return isinstance(prior, ConditionalPrior)


def has_conditionals_that_can_be_counted(prior: Prior) -> bool:
    """Where it is one over few grids."""
    return has_conditionals(prior) and can_be_counted(prior)


LAWS: Laws = {
    samples_lie_in_space: always,
    samples_are_pure: always,
    samples_belong_to_rows: always,
    log_prob_has_one_value_a_row: always,
    log_prob_rows_are_independent: always,
    one_hot_codes_are_as_likely_as_hard_ones: is_over_codes,
    log_prob_has_a_gradient: always,
    samples_follow_log_prob: can_be_counted,
    cost_is_a_share: has_conditionals,
    conditionals_are_normalised: has_conditionals,
    conditionals_go_by_what_is_known: has_conditionals,
    conditionals_rows_are_independent: has_conditionals,
    conditionals_agree_with_log_prob: has_conditionals_that_can_be_counted,
    passes_are_counted: has_conditionals,
    resampling_keeps_the_rest: has_conditionals,
    resampling_belongs_to_rows: has_conditionals,
    resampling_follows_the_conditional_law: has_conditionals_that_can_be_counted,
}


def prior_checks(prior: Prior) -> list[Check]:
    """The laws of priors that apply, as checks on this one."""
    return checks_of(prior, LAWS)


def check_prior(prior: Prior) -> None:
    """Raise at the first law of priors that this one breaks.

    Args:
        prior: The prior to look at, on the CPU; ``prior.space`` says what it is a distribution over.

    Raises:
        BrokenLaw: Naming the law, the class and what was seen.

    Example:
        >>> from latentsearch.priors import StandardNormal
        >>> from latentsearch.testing import check_prior
        >>> check_prior(StandardNormal((3,)))
    """
    require_prior("the kit", prior)
    run_all(prior_checks(prior))
