"""The laws of constraints."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.algebra import Constraint, Score
from latentsearch.errors import Unsupported
from latentsearch.protocols import Generator
from latentsearch.spaces import Discrete
from latentsearch.testing._laws import Check, checks_of, close, draw, require, require_kind, run_all, soft_draw


def _rows(constraint: Constraint, generator: Generator, stream: int = 0) -> tuple[Tensor, Tensor]:
    """Outputs and latents, one row a problem, or 4 rows for a constraint of one problem."""
    rows = constraint.problems if constraint.problems > 1 else 4
    z = draw(generator.space, rows, generator.dtype, generator.device, stream)
    with torch.no_grad():
        return generator.decode(z), z


def _same(a: Score, b: Score) -> bool:
    return close(a.loss, b.loss) and torch.equal(a.satisfied, b.satisfied)


def scores_have_one_value_a_row(constraint: Constraint, generator: Generator) -> None:
    """Losses ``(N,)`` floating, judgements ``(N,)`` bool."""
    output, z = _rows(constraint, generator)
    loss, satisfied = constraint(output, z)
    good = tuple(loss.shape) == tuple(satisfied.shape) == (len(z),)
    good = good and loss.is_floating_point() and satisfied.dtype == torch.bool
    detail = f"{len(z)} rows gave {loss.dtype} {tuple(loss.shape)} and {satisfied.dtype} {tuple(satisfied.shape)}"
    require(good, scores_have_one_value_a_row, constraint, detail)


def select_picks_problems(constraint: Constraint, generator: Generator) -> None:
    """``c.select(i)(x[i], z[i])`` is ``c(x, z)[i]``, and so again for a selection of a selection."""
    output, z = _rows(constraint, generator)
    score = constraint(output, z)
    # Another order and another number of rows, one of them twice.
    index = torch.arange(len(z) + 1, device=z.device).flip(0) % len(z)
    chosen = constraint.select(index)
    want = Score(score.loss[index], score.satisfied[index])
    require(
        _same(chosen(output[index], z[index]), want), select_picks_problems, constraint, f"select({index.tolist()})"
    )
    again = torch.tensor([1, 0], device=z.device)
    both = index[again]
    want = Score(score.loss[both], score.satisfied[both])
    nested = chosen.select(again)(output[both], z[both])
    require(_same(nested, want), select_picks_problems, constraint, f"select({index.tolist()}).select([1, 0])")


def rows_are_scored_independently(constraint: Constraint, generator: Generator) -> None:
    """A row alone scores as it does among others."""
    output, z = _rows(constraint, generator)
    score = constraint(output, z)
    for row in range(len(z)):
        index = torch.tensor([row], device=z.device)
        alone = constraint.select(index)(output[index], z[index])
        want = Score(score.loss[index], score.satisfied[index])
        require(_same(alone, want), rows_are_scored_independently, constraint, f"row {row} alone scores differently")


def weights_scale_the_loss(constraint: Constraint, generator: Generator) -> None:
    """``2 * c`` doubles the loss and leaves the judgement."""
    output, z = _rows(constraint, generator)
    score, double = constraint(output, z), (2 * constraint)(output, z)
    require(_same(double, Score(2 * score.loss, score.satisfied)), weights_scale_the_loss, constraint, "2 * c differs")


def sums_add_losses(constraint: Constraint, generator: Generator) -> None:
    """``c + c`` doubles the loss, and is satisfied where c is; a sum with two hard limits is refused."""
    if constraint.limit is not None:
        return
    output, z = _rows(constraint, generator)
    score, double = constraint(output, z), (constraint + constraint)(output, z)
    require(_same(double, Score(2 * score.loss, score.satisfied)), sums_add_losses, constraint, "c + c differs")


def terms_add_up(constraint: Constraint, generator: Generator) -> None:
    """The losses of the report sum to the loss."""
    output, z = _rows(constraint, generator)
    terms = constraint.terms(output, z)
    total = torch.stack([score.loss for score in terms.values()]).sum(0)
    require(
        close(total, constraint(output, z).loss),
        terms_add_up,
        constraint,
        f"the terms {list(terms)} sum to something else",
    )


def residuals_square_to_the_loss(constraint: Constraint, generator: Generator) -> None:
    """Where ``least_squares`` is True, the squares of the residuals sum to the loss of each row."""
    output, z = _rows(constraint, generator)
    if not constraint.least_squares or constraint.limit is constraint:
        return
    loss = constraint(output, z).loss
    # Beyond a hard limit the loss is infinite, which no sum of squares is.
    squares = torch.where(loss.isinf(), loss, constraint.residuals(output, z).square().sum(1))
    require(close(squares, loss), residuals_square_to_the_loss, constraint, "they sum to something else")


def only_judges_are_satisfied(constraint: Constraint, generator: Generator) -> None:
    """Without a threshold nothing is ever satisfied."""
    if constraint.judges:
        return
    _, satisfied = constraint(*_rows(constraint, generator))
    require(not satisfied.any(), only_judges_are_satisfied, constraint, "judges is False, and rows are satisfied")


def reads_only_what_it_says(constraint: Constraint, generator: Generator) -> None:
    """Without ``needs_output`` the output does not matter, without ``needs_latent`` the latent does not."""
    output, z = _rows(constraint, generator)
    other_output, other_z = _rows(constraint, generator, stream=1)
    score = constraint(output, z)
    if not constraint.needs_output:
        require(_same(constraint(other_output, z), score), reads_only_what_it_says, constraint, "it reads the output")
    if not constraint.needs_latent:
        require(_same(constraint(output, other_z), score), reads_only_what_it_says, constraint, "it reads the latent")


def gradients_are_finite(constraint: Constraint, generator: Generator) -> None:
    """A differentiable constraint has a finite gradient in what it reads."""
    if not constraint.differentiable:
        return
    output, z = _rows(constraint, generator)
    leaves = []
    if constraint.needs_latent:
        z = soft_draw(generator.space, len(z), generator.dtype, generator.device).requires_grad_()
        leaves.append(z)
    if constraint.needs_output:
        output = output.clone().requires_grad_()
        leaves.append(output)
    loss = constraint(output, z).loss
    require(loss.requires_grad, gradients_are_finite, constraint, "the graph is cut")
    gradients = torch.autograd.grad(loss.sum(), leaves, allow_unused=True)
    finite = all(bool(gradient.isfinite().all()) for gradient in gradients if gradient is not None)
    require(finite, gradients_are_finite, constraint, "the gradient has NaN or infinity")


def soft_codes_agree_with_hard_ones(constraint: Constraint, generator: Generator) -> None:
    """A differentiable constraint scores one-hot grids as it scores hard ones."""
    if not (isinstance(generator.space, Discrete) and constraint.needs_latent and constraint.differentiable):
        return
    output, z = _rows(constraint, generator)
    soft = constraint(output, generator.space.one_hot(z, generator.dtype))
    require(close(soft.loss, constraint(output, z).loss), soft_codes_agree_with_hard_ones, constraint, "they differ")


def limits_put_back_within(constraint: Constraint, generator: Generator) -> None:
    """What a hard limit projects is within, row by row; what is within, its centre too, stays as it is."""
    limit = constraint.limit
    if limit is None:
        return
    _, z = _rows(constraint, generator)
    law, inside = limits_put_back_within, limit.project(z)
    require(not limit(inside, inside).loss.any(), law, constraint, "what it projects is beyond it")
    require(torch.equal(limit.project(inside), inside), law, constraint, "it moves what is within")
    center = limit.center.expand_as(z)
    require(torch.equal(limit.project(center), center), law, constraint, "it moves its centre")
    for row in range(len(z)):
        index = torch.tensor([row], device=z.device)
        alone = limit.select(index).limit
        same = alone is not None and torch.equal(alone.project(z[index]), inside[index])
        require(same, law, constraint, f"row {row} alone is put elsewhere")
    if isinstance(generator.space, Discrete):
        soft = soft_draw(generator.space, len(z), generator.dtype, generator.device)
        mixed = limit.project(soft)
        require(not limit(mixed, mixed).loss.any(), law, constraint, "mixtures of codes that it projects are beyond it")
        close_to_one = close(mixed.sum(-1), torch.ones_like(mixed[..., 0]))
        require(close_to_one, law, constraint, "it makes distributions that do not sum to 1")


def loss_maps_sum_to_the_loss(constraint: Constraint, generator: Generator) -> None:
    """A loss map ``(N, h, w)`` sums to the loss, row by row; who says that there is none raises Unsupported."""
    output, z = _rows(constraint, generator)
    law = loss_maps_sum_to_the_loss
    if not constraint.pixel_separable:
        try:
            constraint.loss_map(output)
        except Unsupported:
            return
        require(False, law, constraint, "pixel_separable is False, and there is a loss map")
    found = constraint.loss_map(output)
    require(found.ndim == 3 and len(found) == len(z), law, constraint, f"the map has the shape {tuple(found.shape)}")
    # Beyond a hard limit the loss is infinite, which no pixel says.
    loss = constraint(output, z).loss
    total = torch.where(loss.isinf(), loss, found.flatten(1).sum(1))
    require(close(total, loss), law, constraint, f"the maps sum to {total.tolist()}")
    for row in range(len(z)):
        index = torch.tensor([row], device=z.device)
        alone = constraint.select(index).loss_map(output[index])
        require(close(alone, found[index]), law, constraint, f"row {row} alone has another map")


LAWS = (
    scores_have_one_value_a_row,
    select_picks_problems,
    rows_are_scored_independently,
    weights_scale_the_loss,
    sums_add_losses,
    terms_add_up,
    residuals_square_to_the_loss,
    only_judges_are_satisfied,
    reads_only_what_it_says,
    gradients_are_finite,
    soft_codes_agree_with_hard_ones,
    limits_put_back_within,
    loss_maps_sum_to_the_loss,
)


def constraint_checks(constraint: Constraint, generator: Generator) -> list[Check]:
    """The laws of constraints, as checks on this one, over outputs of this generator.

    The constraint is moved to the generator's device and dtype first, as a run does.
    """
    return checks_of(constraint.to(generator.device, generator.dtype), LAWS, generator)


def check_constraint(constraint: Constraint, generator: Generator) -> None:
    """Raise at the first law of constraints that this one breaks.

    Args:
        constraint: The constraint to look at.
        generator: Where outputs and latents to score come from.

    Raises:
        BrokenLaw: Naming the law, the class and what was seen.

    Example:
        >>> from latentsearch.testing import check_constraint, toys
        >>> toy = toys.bowl()
        >>> check_constraint(toy.constraint, toy.generator)
    """
    require_kind(constraint, Constraint, "a Constraint first, and a generator second")
    require_kind(generator, Generator, "a Constraint first, and a generator second")
    run_all(constraint_checks(constraint, generator))
