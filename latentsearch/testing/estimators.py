"""The laws of gradient estimators."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from latentsearch.noise import Noise
from latentsearch.relaxations import Estimator
from latentsearch.testing._laws import Check, checks_of, close, require, run_all

_POSITIONS, _CODES = 2, 3


class _Quadratic:
    """``scale * |sum_p table[p, z_p] - 1|²``: smooth in soft codes, and one parameter that training could learn."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.table = Noise.from_seed(31, 1).normal(_POSITIONS, _CODES, dtype=dtype)[0]
        self.scale = torch.tensor(1.5, dtype=dtype, requires_grad=True)
        self.seen: list[tuple[Tensor, Tensor]] = []
        self.cost = 0

    def __call__(self, z: Tensor, row: Tensor) -> Tensor:
        soft = z if z.is_floating_point() else torch.nn.functional.one_hot(z, _CODES).to(self.table.dtype)
        loss = self.scale * ((soft * self.table).sum((1, 2)) - 1).square()
        self.seen.append((row, loss.detach()))
        self.cost += len(row) * (2 if z.requires_grad else 1)
        return loss


def _logits(rows: int) -> Tensor:
    return Noise.from_seed(37, rows).normal(_POSITIONS, _CODES, dtype=torch.float64)


def _run(estimator: Estimator, rows: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, _Quadratic]:
    """Surrogate, gradient of the logits, and the loss function with what it saw."""
    f = _Quadratic(torch.float64)
    logits = _logits(rows).requires_grad_()
    surrogate = estimator(logits, f, Noise.from_seed(seed, rows))
    (gradient,) = torch.autograd.grad(surrogate.sum(), logits, retain_graph=True)
    return surrogate, gradient, f


def surrogates_have_one_value_a_row(estimator: Estimator) -> None:
    """``(N,)``."""
    surrogate, _, _ = _run(estimator)
    require(
        tuple(surrogate.shape) == (4,),
        surrogates_have_one_value_a_row,
        estimator,
        f"4 rows gave {tuple(surrogate.shape)}",
    )


def values_are_losses_of_a_sample(estimator: Estimator) -> None:
    """The surrogate's value is a loss that f gave for that row."""
    surrogate, _, f = _run(estimator)
    for number, value in enumerate(surrogate.detach().flatten().tolist()):
        given = torch.cat([loss[row == number] for row, loss in f.seen])
        hit = bool(((given - value).abs() <= 1e-9 * max(abs(value), 1)).any())
        require(hit, values_are_losses_of_a_sample, estimator, f"row {number}: {value:.6g} is none of {given.tolist()}")


def gradients_reach_the_logits(estimator: Estimator) -> None:
    """They are finite, and not all zero."""
    _, gradient, _ = _run(estimator)
    require(gradient.isfinite().all(), gradients_reach_the_logits, estimator, "NaN or infinity")
    require(gradient.abs().max() > 0, gradients_reach_the_logits, estimator, "all zero")


def losses_that_are_no_numbers_are_passed_on(estimator: Estimator) -> None:
    """A row whose losses are NaN has a gradient of NaN, so that a search or a fit sees it."""
    f, broken = _Quadratic(torch.float64), 1

    def spoilt(z: Tensor, row: Tensor) -> Tensor:
        return torch.where(row == broken, torch.nan, 1.0) * f(z, row)

    logits = _logits(4).requires_grad_()
    surrogate = estimator(logits, spoilt, Noise.from_seed(0, 4))
    (gradient,) = torch.autograd.grad(surrogate[broken].sum(), logits)
    require(gradient[broken].isnan().any(), losses_that_are_no_numbers_are_passed_on, estimator, "a finite gradient")


def estimates_are_pure(estimator: Estimator) -> None:
    """The same noise gives the same estimate; torch's global random state is left alone."""
    before = torch.get_rng_state()
    first, second = _run(estimator), _run(estimator)
    same = torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    require(same, estimates_are_pure, estimator, "two calls with the same noise differ")
    require(
        torch.equal(before, torch.get_rng_state()), estimates_are_pure, estimator, "it drew from torch's global state"
    )


def estimates_belong_to_rows(estimator: Estimator) -> None:
    """A row alone gets the estimate that it gets among others."""
    surrogate, gradient, _ = _run(estimator)
    noise, index = Noise.from_seed(0, 4), torch.tensor([2])
    logits = _logits(4)[index].requires_grad_()
    alone = estimator(logits, _Quadratic(torch.float64), noise[index])
    (own,) = torch.autograd.grad(alone.sum(), logits)
    same = close(alone, surrogate[index]) and close(own, gradient[index])
    require(same, estimates_belong_to_rows, estimator, "row 2 alone differs from row 2 of 4")


def parameters_get_the_gradient_of_the_value(estimator: Estimator) -> None:
    """Parameters of f receive the gradient of the surrogate's value and of nothing else."""
    surrogate, _, f = _run(estimator)
    (gradient,) = torch.autograd.grad(surrogate.sum(), f.scale)
    # f is linear in its scale, so the gradient of the value is the value over the scale.
    want = float((surrogate.sum() / f.scale).detach())
    error = abs(float(gradient) - want)
    require(
        error <= 1e-9 * max(abs(want), 1), parameters_get_the_gradient_of_the_value, estimator, f"off by {error:.3g}"
    )


def evaluations_are_as_declared(estimator: Estimator) -> None:
    """``rows`` is what a call asks of f for each row, a loss of what has a gradient counting as two."""
    _, _, f = _run(estimator)
    declared = estimator.evaluations((_POSITIONS,), _CODES)
    require(
        f.cost <= 4 * declared, evaluations_are_as_declared, estimator, f"{declared} a row, and it took {f.cost / 4:g}"
    )


def unbiased_estimators_are_unbiased(estimator: Estimator, draws: int = 40_000) -> None:
    """An estimator that says ``unbiased`` averages to the gradient of the expected loss, by enumeration."""
    if not estimator.unbiased:
        return
    logits = _logits(1).expand(draws, -1, -1).clone().requires_grad_()
    surrogate = estimator(logits, _Quadratic(torch.float64), Noise.from_seed(41, draws))
    (samples,) = torch.autograd.grad(surrogate.sum(), logits)
    error = (samples.mean(0) - _exact_gradient(_Quadratic(torch.float64))).abs()
    # Six standard errors: false alarms are below one in a million.
    slack = 6 * samples.std(0) / draws**0.5 + 1e-12
    require(
        (error <= slack).all(),
        unbiased_estimators_are_unbiased,
        estimator,
        f"off by {float((error / slack).max()):.2g} x 6 errors",
    )


def _exact_gradient(f: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    logits = _logits(1)[0].requires_grad_()
    log_q = logits.log_softmax(-1)
    grids = torch.tensor(list(itertools.product(range(_CODES), repeat=_POSITIONS)))
    chance = sum(log_q[p, grids[:, p]] for p in range(_POSITIONS)).exp()  # type: ignore[union-attr]
    loss = f(grids, torch.zeros(len(grids), dtype=torch.int64)).detach()
    (gradient,) = torch.autograd.grad((chance * loss).sum(), logits)
    return gradient


LAWS = (
    surrogates_have_one_value_a_row,
    values_are_losses_of_a_sample,
    gradients_reach_the_logits,
    losses_that_are_no_numbers_are_passed_on,
    estimates_are_pure,
    estimates_belong_to_rows,
    parameters_get_the_gradient_of_the_value,
    evaluations_are_as_declared,
    unbiased_estimators_are_unbiased,
)


def estimator_checks(estimator: Estimator) -> list[Check]:
    """The laws of estimators, as checks on this one."""
    return checks_of(estimator, LAWS)


def check_estimator(estimator: Estimator) -> None:
    """Raise at the first law of estimators that this one breaks.

    Args:
        estimator: The estimator to look at.

    Raises:
        BrokenLaw: Naming the law, the class and what was seen.

    Example:
        >>> from latentsearch.relaxations import SoftmaxRelaxation
        >>> from latentsearch.testing import check_estimator
        >>> check_estimator(SoftmaxRelaxation(temperature=0.5))
    """
    run_all(estimator_checks(estimator))
