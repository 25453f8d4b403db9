"""The normal form of what a search is asked for: weighted terms, thresholds, and a limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, cast

import torch
from torch import Tensor

from latentsearch._maps import resampled, with_axes
from latentsearch.errors import InvalidArgument
from latentsearch.goal._addend import Addend
from latentsearch.goal._part import Part
from latentsearch.goal._problems import check_problems, check_terms
from latentsearch.goal._words import in_words
from latentsearch.goal.augmentation import Augmentation
from latentsearch.goal.capabilities import LeastSquares, Separable, Stochastic, Swappable
from latentsearch.goal.constraint import Constraint
from latentsearch.goal.limit import Limit, Unlimited
from latentsearch.goal.refusals import not_separable, not_squares, require_score
from latentsearch.goal.score import Score
from latentsearch.goal.threshold import Threshold, alone, weighted, weighted_without_zeros
from latentsearch.noise import Noise


@dataclass(frozen=True, eq=False, repr=False)
class Goal(Addend):
    """What ``a + b``, ``2 * a`` and ``a.below(t)`` build, and what a search receives.

    The loss is the weighted sum of the terms' losses. A row is satisfied where every term that has a threshold of
    its own is, and every threshold of the goal is met; where there is none, nothing is ever satisfied. ``w * a``
    scales the loss and leaves thresholds alone. Latents beyond the limit have an infinite loss.

    ``rest.subject_to(a.below(t))`` asks for more than a verdict: the least loss of ``rest`` where the loss of ``a`` is
    at most t. A search goes on after the first row that is satisfied, and a term that is required and nothing else has
    the weight 0.

    Attributes:
        terms: Weights and constraints.
        thresholds: On weighted sums of the terms' losses.
        limit: The latents that are allowed.
        required: Whether all thresholds are to be met at the least loss, as ``subject_to`` says, and a search goes on.
            Thresholds that terms have of their own are among them where the term is required, and do not count else.
        augmentation: What a search adds to the loss where thresholds are not met.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> goal = ls.Matches(torch.zeros(1, 4)).below(0.5) + 0.1 * ls.Near(torch.ones(1, 2))
        >>> goal(torch.zeros(1, 4), torch.zeros(1, 2))
        Score(loss=tensor([0.2000]), satisfied=tensor([True]))
    """

    terms: tuple[tuple[float, Constraint], ...]
    thresholds: tuple[Threshold, ...] = ()
    limit: Limit = field(default_factory=Unlimited)
    required: bool = False
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        check_terms(self.terms, self.thresholds, self.limit)
        check_problems(self._parts)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        """Score N rows: output ``(N, *O)``, latent ``(N, *S)`` or soft ``(N, *S, K)``."""
        scores = [_scored(constraint, output, latent) for constraint in self.constraints]
        losses = [score.loss for score in scores]
        loss = (weighted_without_zeros if self.required else weighted)(self.weights, losses)
        verdicts = [threshold.met(losses) for threshold in self.thresholds]
        if not self.required:
            verdicts += [score.satisfied for score in scores if score.satisfied is not None]
        score = Score(loss, torch.stack(verdicts).all(0) if verdicts else None)
        if self.augmentation is not None:
            score = self.augmentation.of(score, self._excess(losses))
        return self.limit.confine(score, latent)

    def excess(self, output: Tensor, latent: Tensor) -> Tensor:
        """``(N, n)``: how far above each threshold its losses are; negative where they are below."""
        return self._excess([_scored(constraint, output, latent).loss for constraint in self.constraints])

    def _excess(self, losses: Sequence[Tensor]) -> Tensor:
        return torch.stack([threshold.excess(losses) for threshold in self.thresholds], 1)

    def report(self, output: Tensor, latent: Tensor) -> dict[str, Score]:
        """Each term's weighted loss, under a name of its own, with the thresholds that are on it alone.

        A term that is required and nothing else has its own loss.
        """
        found: dict[str, Score] = {}
        for number, (weight, constraint) in enumerate(self.terms):
            loss, satisfied = _scored(constraint, output, latent)
            verdicts = [] if satisfied is None or self.required else [satisfied]
            verdicts += [w[number] * loss <= most for w, most in self.thresholds if alone(w, number)]
            own = loss if self.required and not weight else weight * loss
            found[_unused(constraint.name, found)] = Score(own, torch.stack(verdicts).all(0) if verdicts else None)
        return found

    # -- what is known of it: one fold over the terms each ----------------------------------------

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The terms without their weights."""
        return tuple(constraint for _, constraint in self.terms)

    @property
    def _parts(self) -> tuple[Part, ...]:
        return (*self.constraints, self.limit)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights of the terms."""
        return tuple(weight for weight, _ in self.terms)

    @property
    def problems(self) -> int:
        """B, how many problems there is data for; 1 serves any number of rows."""
        return max(part.problems for part in self._parts)

    @property
    def limited(self) -> bool:
        """Whether some latents are not feasible."""
        return not isinstance(self.limit, Unlimited)

    @property
    def reads_output(self) -> bool:
        """Whether any term reads outputs; else the decoder need not run."""
        return any(constraint.reads != "latent" for constraint in self.constraints)

    @property
    def reads_latent(self) -> bool:
        """Whether any term reads latents."""
        return any(constraint.reads != "output" for constraint in self.constraints)

    @property
    def prior(self) -> Any:
        """The [Prior][latentsearch.Prior] that its terms have; None where they have none, or several."""
        found = [getattr(constraint, name) for constraint in self.constraints for name in constraint.priors]
        return found[0] if found and all(prior is found[0] for prior in found) else None

    @property
    def likelihood(self) -> Goal:
        """The goal without the terms that have a prior."""
        kept = [number for number, constraint in enumerate(self.constraints) if not constraint.priors]
        beside = [number for number, constraint in enumerate(self.constraints) if constraint.priors]
        # A threshold on a sum that has the prior in it says nothing of what stays.
        thresholds = (each for each in self.thresholds if not any(each.weights[n] for n in beside))
        return replace(
            self,
            terms=tuple(self.terms[n] for n in kept),
            thresholds=tuple(Threshold(tuple(weights[n] for n in kept), most) for weights, most in thresholds),
        )

    @property
    def prior_weight(self) -> float:
        """The sum of the weights of the terms that have a prior; 1 where none has."""
        weights = [weight for weight, constraint in self.terms if constraint.priors]
        return sum(weights) if weights else 1.0

    @property
    def swap_cost(self) -> float:
        """Evaluations that terms take to say what each swap of a grid makes of their loss, beside its gradient."""
        return sum(constraint.swap_cost for constraint in self.constraints if isinstance(constraint, Swappable))

    @property
    def differentiable(self) -> bool:
        """Whether the loss has a useful gradient."""
        return all(constraint.differentiable for constraint in self.constraints)

    @property
    def least_squares(self) -> bool:
        """Whether the loss is a sum of squares, which ``residuals`` gives."""
        squares = all(isinstance(c, LeastSquares) and weight >= 0 for weight, c in self.terms)
        return squares and self.augmentation is None

    @property
    def cell_axes(self) -> int:
        """How many axes the cells have over which the loss is a sum, as ``loss_map`` gives it; 0 for none."""
        if self.augmentation is not None:
            return 0
        return min((c.cell_axes if isinstance(c, Separable) else 0 for c in self.constraints), default=0)

    def separates(self, axes: int) -> bool:
        """Whether the loss is a sum over cells of so many axes, with channels before them or without."""
        return 0 < axes <= self.cell_axes <= axes + 1

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        """``(N, n)``, whose squares sum to the loss of each row.

        Raises:
            Unsupported: If the loss is no sum of squares.
        """
        if not self.least_squares:
            raise not_squares("residuals", self)
        parts = ((math.sqrt(weight), cast(LeastSquares, c)) for weight, c in self.terms)
        return torch.cat([scale * c.residuals(output, latent) for scale, c in parts], 1)

    def loss_map(self, output: Tensor, axes: int | None = None) -> Tensor:
        """``(N, *cells)``: what each cell of outputs ``(N, *O)`` adds to the loss; a row sums to its loss.

        Args:
            output: ``(N, *O)``.
            axes: How many axes the cells are to have, ``cell_axes`` if not given; the map is summed over those before.

        Raises:
            Unsupported: If the loss is no sum over cells of so many axes.
        """
        axes = self.cell_axes if axes is None else axes
        if not 0 < axes <= self.cell_axes:
            raise not_separable("loss_map", self, axes)
        maps = [weight * with_axes(cast(Separable, c).loss_map(output), axes) for weight, c in self.terms]
        size = tuple(max(sides) for sides in zip(*(each.shape[1:] for each in maps), strict=True))
        return torch.stack([resampled(each, size) for each in maps]).sum(0)

    # -- what is made of it ------------------------------------------------------------------------

    @property
    def goal(self) -> Goal:
        return self

    def plus(self, other: Goal) -> Goal:
        """The goal of both: losses add up, and all thresholds must be met."""
        if self.limited and other.limited:
            raise InvalidArgument(
                "a sum of constraints",
                got="several hard limits",
                expected="one at most, such as one Within a goal",
                hint="take the smaller ball, or write the other as a soft Near",
            )
        before, after = (0.0,) * len(self.terms), (0.0,) * len(other.terms)
        return Goal(
            (*self.terms, *other.terms),
            (
                *(Threshold((*weights, *after), most) for weights, most in self.thresholds),
                *(Threshold((*before, *weights), most) for weights, most in other.thresholds),
            ),
            self.limit if self.limited else other.limit,
            self.required or other.required,
        )

    def requiring(self, other: Goal) -> Goal:
        """The goal whose loss is to be least where the other one is satisfied; its loss does not count."""
        own = tuple(
            Threshold(tuple(float(n == number) for n in range(len(other.terms))), constraint.satisfied_at)
            for number, constraint in enumerate(other.constraints)
            if constraint.satisfied_at is not None
        )
        if not (other.thresholds or own):
            hint = "say how low its loss must be: constraint.below(0.1)"
            raise InvalidArgument(
                "subject_to",
                got=f"{other!r}, which no loss satisfies" if other.terms else f"a limit, {other!r}",
                expected="a constraint with a threshold",
                hint=hint if other.terms else "a limit holds as it is: goal + limit",
            )
        without = tuple((0.0, constraint) for constraint in other.constraints)
        needed = replace(other, terms=without, thresholds=(*own, *other.thresholds))
        return replace(self.plus(needed), required=True)

    def times(self, weight: float) -> Goal:
        """The goal with its loss scaled, and its thresholds and limit left alone."""
        if not math.isfinite(weight):
            raise InvalidArgument("weight", got=str(weight), expected="a finite number")
        if self.limited and weight <= 0:
            hint = "weigh the other terms, and leave the limit alone"
            raise InvalidArgument("weight", got=f"{weight} on a hard limit", expected="a positive number", hint=hint)
        return replace(self, terms=tuple((weight * own, constraint) for own, constraint in self.terms))

    def with_threshold(self, most: float) -> Goal:
        """The goal, satisfied where its loss is at most a number, and where it was satisfied before."""
        if not isinstance(most, Real) or isinstance(most, bool) or math.isnan(most):
            hint = "one number serves all problems: tensor.item() is one" if isinstance(most, Tensor) else ""
            if isinstance(most, (list, tuple)):
                hint = "one number serves all problems; a threshold a problem goes into a rule's targets="
            raise InvalidArgument("threshold", got=repr(most), expected="a number", hint=hint)
        if not self.terms:
            # Every latent would count as an answer.
            raise InvalidArgument(
                "threshold",
                got=f"{float(most):g} on a hard limit",
                expected="a term whose loss is to be held to it",
                hint="a limit has no loss: what it allows is an argument of its own, such as Within's radius",
            )
        return replace(self, thresholds=(*self.thresholds, Threshold(self.weights, float(most))))

    def select(self, index: Tensor) -> Goal:
        """The goal whose row n serves problem ``index[n]``; itself if it has one problem.

        Args:
            index: ``(N,)`` int64 in [0, B).
        """
        if self.problems == 1:
            return self
        return self._mapped(lambda part: part.select(index))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Goal:
        """The goal with its tensors on ``device``, the floating ones as ``dtype``."""
        return self._mapped(lambda part: part.to(device, dtype))

    def calibrated(self, residuals: Tensor) -> Goal:
        """The goal with every ``noise="decoder"`` as a number.

        Args:
            residuals: ``(n, *O)``, what encodings decode to minus the images, as a prior of
                [fit_prior][latentsearch.fit_prior] has them.
        """
        terms = tuple((weight, constraint.calibrated(residuals)) for weight, constraint in self.terms)
        return replace(self, terms=terms)

    @property
    def needs_noise(self) -> bool:
        """Whether a term draws, and has no noise to draw from yet."""
        return any(isinstance(c, Stochastic) and c.needs_noise for c in self.constraints)

    def with_noise(self, noise: Noise) -> Goal:
        """The goal with noise for terms that draw and have none yet, each its own.

        Args:
            noise: B rows, one a problem.
        """
        if len(noise) != self.problems:
            got, expected = f"noise of {len(noise)} rows", f"one for each of {self.problems} problems"
            hint = f"ls.Noise.from_seed(seed, problems={self.problems})"
            raise InvalidArgument("Goal.with_noise", got=got, expected=expected, hint=hint)
        terms = tuple(
            (weight, c.with_noise(noise.fold(number)) if isinstance(c, Stochastic) and c.needs_noise else c)
            for number, (weight, c) in enumerate(self.terms)
        )
        return replace(self, terms=terms)

    def _mapped(self, function: Callable[[Part], Part]) -> Goal:
        terms = tuple((weight, cast(Constraint, function(constraint))) for weight, constraint in self.terms)
        augmentation = (
            None if self.augmentation is None else cast(Augmentation, function(cast(Part, self.augmentation)))
        )
        return replace(self, terms=terms, limit=cast(Limit, function(self.limit)), augmentation=augmentation)

    def validate(self, output: Tensor, latent: Tensor) -> None:
        """Raise InvalidArgument if outputs and latents like these cannot be scored. Called once, before a run."""
        for part in self._parts:
            part.validate(output, latent)

    def __repr__(self) -> str:
        return in_words(self)


def _scored(constraint: Constraint, output: Tensor, latent: Tensor) -> Score:
    """What a term says of N rows, looked over each time: rules of users' own change their mind in mid-search."""
    score = constraint(output, latent)
    require_score(constraint.name, score, len(latent))
    return score


def _unused(name: str, taken: dict[str, Score]) -> str:
    """``name``, or ``name 2``, ``name 3`` ... where it is taken."""
    count = 1
    while (numbered := name if count == 1 else f"{name} {count}") in taken:
        count += 1
    return numbered
