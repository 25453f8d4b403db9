"""The laws of constraints."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.errors import Unsupported
from latentsearch.goal import AnyGoal, BoundedLoss, Constraint, Goal, Limit, Score
from latentsearch.noise import Noise
from latentsearch.protocols import Generator
from latentsearch.spaces import Discrete
from latentsearch.testing._laws import (
    Check,
    Laws,
    at_most,
    checks_of,
    close,
    draw,
    require,
    require_kind,
    run_all,
    soft_draw,
)
from latentsearch.testing._problem import with_noise

Scored = Constraint | Goal
_ROWS = 4  # of a constraint of one problem

# -- what a constraint says of itself, on which it depends which laws apply --------------------------


def is_scored(constraint: AnyGoal, *_: object) -> bool:
    """Whether there is a loss; a limit alone has a feasible set and no loss."""
    return bool(constraint.goal.terms)


def reads_output(constraint: AnyGoal, *_: object) -> bool:
    """Whether the loss depends on the output."""
    return constraint.goal.reads_output


def reads_latent(constraint: AnyGoal, *_: object) -> bool:
    """Whether the loss depends on the latent: a limit makes it infinite somewhere."""
    return constraint.goal.reads_latent or has_limit(constraint)


def has_threshold(constraint: AnyGoal, generator: Generator) -> bool:
    """Whether there is a loss that satisfies it."""
    goal = constraint.goal.to(generator.device, generator.dtype)
    return goal(*_rows(goal, generator)).satisfied is not None


def has_residuals(constraint: AnyGoal, *_: object) -> bool:
    """Whether the loss is a sum of squares."""
    return is_scored(constraint) and constraint.goal.least_squares


def has_loss_map(constraint: AnyGoal, *_: object) -> bool:
    """Whether the loss is a sum over the cells of the output."""
    return is_scored(constraint) and constraint.goal.cell_axes > 0


def has_loss_interval(constraint: AnyGoal, generator: Generator) -> bool:
    """Whether some term knows how low and how high its loss can be over a set of outputs and grids."""
    return isinstance(generator.space, Discrete) and bool(_bounded_terms(constraint, generator))


def has_gradient(constraint: AnyGoal, *_: object) -> bool:
    """Whether the loss has a gradient in what it reads."""
    return is_scored(constraint) and constraint.goal.differentiable


def has_limit(constraint: AnyGoal, *_: object) -> bool:
    """Whether there is a feasible set."""
    return constraint.goal.limited


def can_be_added_to_itself(constraint: AnyGoal, *_: object) -> bool:
    """Whether ``c + c`` is allowed: a sum has one hard limit at most."""
    return not has_limit(constraint)


def leaves_something_unread(constraint: AnyGoal, *_: object) -> bool:
    """Whether the loss depends on one of output and latent only."""
    return is_scored(constraint) and not (reads_output(constraint) and reads_latent(constraint))


def reads_soft_codes(constraint: AnyGoal, generator: Generator) -> bool:
    """Whether methods that follow gradients hand it soft codes."""
    return isinstance(generator.space, Discrete) and reads_latent(constraint) and has_gradient(constraint)


# -- the laws ----------------------------------------------------------------------------------------


def _rows(constraint: AnyGoal, generator: Generator, stream: int = 0) -> tuple[Tensor, Tensor]:
    """Outputs and latents, one row a problem, or 4 rows for a constraint of one problem."""
    rows = constraint.problems if constraint.problems > 1 else _ROWS
    z = draw(generator.space, rows, generator.dtype, generator.device, stream)
    with torch.no_grad():
        return generator.decode(z), z


def _same(a: Score, b: Score) -> bool:
    alike = (a.satisfied is None) == (b.satisfied is None)
    return alike and close(a.loss, b.loss) and torch.equal(a.passed, b.passed)


def _chosen(score: Score, index: Tensor) -> Score:
    """The rows of a score."""
    return score.map(lambda t: t[index])


def scores_have_one_value_a_row(constraint: Scored, generator: Generator) -> None:
    """Losses ``(N,)`` floating, verdicts ``(N,)`` bool."""
    output, z = _rows(constraint, generator)
    score = constraint(output, z)
    loss, satisfied = score.loss, score.passed
    good = tuple(loss.shape) == tuple(satisfied.shape) == (len(z),)
    good = good and loss.is_floating_point() and satisfied.dtype == torch.bool
    detail = f"{len(z)} rows gave {loss.dtype} {tuple(loss.shape)} and {satisfied.dtype} {tuple(satisfied.shape)}"
    require(good, scores_have_one_value_a_row, constraint, detail)


def select_picks_problems(constraint: Scored, generator: Generator) -> None:
    """``c.select(i)(x[i], z[i])`` is ``c(x, z)[i]``, and so again for a selection of a selection."""
    output, z = _rows(constraint, generator)
    score = constraint(output, z)
    # Another order and another number of rows, one of them twice.
    index = torch.arange(len(z) + 1, device=z.device).flip(0) % len(z)
    chosen = constraint.select(index)
    want = _chosen(score, index)
    require(
        _same(chosen(output[index], z[index]), want), select_picks_problems, constraint, f"select({index.tolist()})"
    )
    again = torch.tensor([1, 0], device=z.device)
    both = index[again]
    want = _chosen(score, both)
    nested = chosen.select(again)(output[both], z[both])
    require(_same(nested, want), select_picks_problems, constraint, f"select({index.tolist()}).select([1, 0])")


def rows_are_scored_independently(constraint: Scored, generator: Generator) -> None:
    """A row alone scores as it does among others."""
    output, z = _rows(constraint, generator)
    score = constraint(output, z)
    for row in range(len(z)):
        index = torch.tensor([row], device=z.device)
        alone = constraint.select(index)(output[index], z[index])
        want = _chosen(score, index)
        require(_same(alone, want), rows_are_scored_independently, constraint, f"row {row} alone scores differently")


def weights_scale_the_loss(constraint: Scored, generator: Generator) -> None:
    """``2 * c`` doubles the loss and leaves thresholds alone."""
    output, z = _rows(constraint, generator)
    score, double = constraint(output, z), (2 * constraint)(output, z)
    require(_same(double, Score(2 * score.loss, score.satisfied)), weights_scale_the_loss, constraint, "2 * c differs")


def sums_add_losses(constraint: Scored, generator: Generator) -> None:
    """``c + c`` doubles the loss, and is satisfied where c is."""
    output, z = _rows(constraint, generator)
    score, double = constraint(output, z), (constraint + constraint)(output, z)
    require(_same(double, Score(2 * score.loss, score.satisfied)), sums_add_losses, constraint, "c + c differs")


def terms_add_up(constraint: Scored, generator: Generator) -> None:
    """The losses of the report sum to the loss, but for those of terms that are required and nothing else."""
    output, z = _rows(constraint, generator)
    goal = constraint.goal
    terms = goal.report(output, z)
    # Terms that are only required have the weight 0, and come in their order.
    uncounted = {n for n, weight in enumerate(goal.weights) if goal.required and not weight}
    counted = [score.loss for n, score in enumerate(terms.values()) if n not in uncounted]
    total = torch.stack(counted).sum(0)
    require(
        close(constraint.goal.limit.confine(Score(total), z).loss, constraint(output, z).loss),
        terms_add_up,
        constraint,
        f"the terms {list(terms)} sum to something else",
    )


def residuals_square_to_the_loss(constraint: Scored, generator: Generator) -> None:
    """Where the loss is a sum of squares, the squares of the residuals sum to the loss of each row."""
    output, z = _rows(constraint, generator)
    loss = constraint(output, z).loss
    # Beyond a hard limit the loss is infinite, which no sum of squares is.
    squares = torch.where(loss.isinf(), loss, constraint.goal.residuals(output, z).square().sum(1))
    require(close(squares, loss), residuals_square_to_the_loss, constraint, "they sum to something else")


def reads_only_what_it_says(constraint: Scored, generator: Generator) -> None:
    """What a constraint says it does not read, output or latent, does not matter."""
    output, z = _rows(constraint, generator)
    other_output, other_z = _rows(constraint, generator, stream=1)
    score = constraint(output, z)
    if not reads_output(constraint):
        require(_same(constraint(other_output, z), score), reads_only_what_it_says, constraint, "it reads the output")
    if not reads_latent(constraint):
        require(_same(constraint(output, other_z), score), reads_only_what_it_says, constraint, "it reads the latent")


def gradients_are_finite(constraint: Scored, generator: Generator) -> None:
    """A differentiable constraint has a finite gradient in what it reads."""
    output, z = _rows(constraint, generator)
    leaves = []
    if reads_latent(constraint):
        z = soft_draw(generator.space, len(z), generator.dtype, generator.device).requires_grad_()
        leaves.append(z)
    if reads_output(constraint):
        output = output.clone().requires_grad_()
        leaves.append(output)
    loss = constraint(output, z).loss
    require(loss.requires_grad, gradients_are_finite, constraint, "the graph is cut")
    gradients = torch.autograd.grad(loss.sum(), leaves, allow_unused=True)
    finite = all(bool(gradient.isfinite().all()) for gradient in gradients if gradient is not None)
    require(finite, gradients_are_finite, constraint, "the gradient has NaN or infinity")


def soft_codes_agree_with_hard_ones(constraint: Scored, generator: Generator) -> None:
    """A differentiable constraint scores one-hot grids as it scores hard ones."""
    assert isinstance(generator.space, Discrete)
    output, z = _rows(constraint, generator)
    soft = constraint(output, generator.space.one_hot(z, generator.dtype))
    require(close(soft.loss, constraint(output, z).loss), soft_codes_agree_with_hard_ones, constraint, "they differ")


def limits_project_onto_what_is_feasible(constraint: AnyGoal, generator: Generator) -> None:
    """What a limit projects is feasible, row by row; what is feasible, its centre too, stays as it is."""
    limit = constraint.goal.limit
    _, z = _rows(constraint, generator)
    law, inside = limits_project_onto_what_is_feasible, limit.project(z)
    require(limit.contains(inside).all(), law, constraint, "what it projects is beyond it")
    require(torch.equal(limit.project(inside), inside), law, constraint, "it moves what is feasible")
    if limit.centered:
        center = limit.center.expand_as(z)
        require(torch.equal(limit.project(center), center), law, constraint, "it moves its centre")
    for row in range(len(z)):
        alone = limit.select(torch.tensor([row], device=z.device))
        require(
            torch.equal(alone.project(z[row : row + 1]), inside[row : row + 1]),
            law,
            constraint,
            f"row {row} alone is projected elsewhere",
        )
    if isinstance(generator.space, Discrete):
        soft = soft_draw(generator.space, len(z), generator.dtype, generator.device)
        mixed = limit.project(soft)
        require(limit.contains(mixed).all(), law, constraint, "mixtures of codes that it projects are beyond it")
        close_to_one = close(mixed.sum(-1), torch.ones_like(mixed[..., 0]))
        require(close_to_one, law, constraint, "it makes distributions that do not sum to 1")


def loss_maps_sum_to_the_loss(constraint: Scored, generator: Generator) -> None:
    """A loss map ``(N, *cells)`` sums to the loss, row by row."""
    output, z = _rows(constraint, generator)
    law = loss_maps_sum_to_the_loss
    goal = constraint.goal
    found = goal.loss_map(output)
    good = found.ndim == 1 + goal.cell_axes and len(found) == len(z)
    require(good, law, constraint, f"the map has the shape {tuple(found.shape)}")
    # Beyond a hard limit the loss is infinite, which no cell says.
    loss = constraint(output, z).loss
    total = torch.where(loss.isinf(), loss, found.flatten(1).sum(1))
    require(close(total, loss), law, constraint, f"the maps sum to {total.tolist()}")
    for row in range(len(z)):
        index = torch.tensor([row], device=z.device)
        alone = goal.select(index).loss_map(output[index])
        require(close(alone, found[index]), law, constraint, f"row {row} alone has another map")


# How many sets of outputs and grids are tried a row, and at how many random members of each.
_SETS, _MEMBERS = 4, 8


def loss_intervals_hold_the_loss(constraint: Scored, generator: Generator) -> None:
    """The loss at any member of a set of outputs and grids lies in the interval of the set."""
    for term in _bounded_terms(constraint, generator):
        for number in range(_SETS):
            _require_interval(constraint, term, generator, number)


def _bounded_terms(constraint: AnyGoal, generator: Generator) -> list[Constraint]:
    """The terms that give an interval with their settings."""
    return [term for term in constraint.goal.constraints if _gives_interval(term, generator)]


def _gives_interval(term: Constraint, generator: Generator) -> bool:
    """Whether a term has intervals; errors other than Unsupported are left to the law, which meets them again."""
    if not isinstance(term, BoundedLoss):
        return False
    try:
        term.loss_interval(*_set(term, generator, 0))
    except Unsupported:
        return False
    except Exception:
        return True
    return True


def _set(term: Constraint, generator: Generator, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sets of outputs and grids, one a row: ``low`` and ``high`` ``(N, *O)``, and ``allowed`` ``(N, P, K)``."""
    assert isinstance(generator.space, Discrete)
    (a, z), (b, _) = (_rows(term, generator, stream) for stream in (2 * number, 2 * number + 1))
    noise = Noise.from_seed(23, len(z), device=z.device).fold(number)
    # One code at least is allowed everywhere, and at some positions no other.
    allowed = noise.uniform(generator.space.positions, generator.space.codebook_size) < 0.3
    allowed = allowed.scatter(2, z.flatten(1)[..., None], True)
    return torch.minimum(a, b), torch.maximum(a, b), allowed


def _member(low: Tensor, high: Tensor, allowed: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """An output ``(N, *O)`` and a grid ``(N, P)`` of each set; half of the outputs' numbers are at an end."""
    # Many numbers from all over their intervals would give about the same loss every time.
    share = (2 * noise.uniform(*low.shape[1:], dtype=low.dtype) - 0.5).clamp(0, 1)
    chance = noise.fold(1).uniform(*allowed.shape[1:])
    return torch.lerp(low, high, share), torch.where(allowed, chance, -1).argmax(2)


def _require_interval(constraint: Scored, term: Constraint, generator: Generator, number: int) -> None:
    """Raise unless the interval of each row's set holds the loss at random members and at both corners."""
    assert isinstance(term, BoundedLoss)
    law, (low, high, allowed) = loss_intervals_hold_the_loss, _set(term, generator, number)
    least, most = term.loss_interval(low, high, allowed)
    shapes = tuple(least.shape) == tuple(most.shape) == (len(low),)
    require(shapes, law, constraint, f"{len(low)} sets gave {tuple(least.shape)} and {tuple(most.shape)}")
    noise = Noise.from_seed(29, len(low), device=low.device).fold(number)
    members = [_member(low, high, allowed, noise.fold(2 + member)) for member in range(_MEMBERS)]
    members += [(low, members[0][1]), (high, members[0][1])]
    for output, grid in members:
        loss = term(output, grid.view(-1, *generator.space.shape)).loss
        detail = f"{term.name}: losses {loss.tolist()}, and the intervals {least.tolist()} to {most.tolist()}"
        require(at_most(least, loss) and at_most(loss, most), law, constraint, detail)


LAWS: Laws = {
    scores_have_one_value_a_row: is_scored,
    select_picks_problems: is_scored,
    rows_are_scored_independently: is_scored,
    weights_scale_the_loss: is_scored,
    sums_add_losses: can_be_added_to_itself,
    terms_add_up: is_scored,
    residuals_square_to_the_loss: has_residuals,
    reads_only_what_it_says: leaves_something_unread,
    gradients_are_finite: has_gradient,
    soft_codes_agree_with_hard_ones: reads_soft_codes,
    limits_project_onto_what_is_feasible: has_limit,
    loss_maps_sum_to_the_loss: has_loss_map,
    loss_intervals_hold_the_loss: has_loss_interval,
}


def constraint_checks(constraint: AnyGoal, generator: Generator) -> list[Check]:
    """The laws of constraints, as checks on this one, over outputs of this generator.

    The constraint is moved to the generator's device and dtype first, and gets noise if it draws, as in a run.
    """
    # Rows of one problem would share their draws, and hide what mixes them.
    alone = isinstance(constraint, Constraint) and constraint.problems == 1
    noisy = with_noise(constraint, _ROWS if alone else constraint.problems)
    return checks_of(noisy.to(generator.device, generator.dtype), LAWS, generator)


def check_constraint(constraint: AnyGoal, generator: Generator) -> None:
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
    require_kind(constraint, (Constraint, Goal, Limit), "a Constraint or a Goal first, and a generator second")
    require_kind(generator, Generator, "a Constraint first, and a generator second")
    run_all(constraint_checks(constraint, generator))
