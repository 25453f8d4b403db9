"""A constraint: a loss for each row, and a verdict where there is a threshold."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor
from typing_extensions import Self

from latentsearch.goal._part import Part
from latentsearch.goal.score import Score

if TYPE_CHECKING:
    from latentsearch.goal.goal import Goal

Reads = Literal["output", "latent", "both"]


class Constraint(Part):
    """What should hold of outputs, of latents, or of both: one term of a goal.

    Subclasses are called with ``(output, latent)`` and obey the row law: row n of the score depends
    on row n of the arguments, and on row n of the constraint's own per-problem tensors, alone.
    Discrete latents come hard, or soft where a gradient with respect to them is needed.

    What else a constraint can do is told by protocols that it may satisfy:
    [LeastSquares][latentsearch.LeastSquares], [Separable][latentsearch.Separable] and
    [BoundedLoss][latentsearch.BoundedLoss].

    Attributes:
        problems: B, how many problems there is data for; 1 serves any number of rows.
        reads: ``"output"``, ``"latent"`` (the decoder need not run for it) or ``"both"``.
        differentiable: Whether the loss has a useful gradient.
        tensors: Names of the attributes that hold one row a problem, ``(B, ...)`` or ``(1, ...)``.
        latents: Those of them that are latents of the generator's; of codes they hold none that stand for others.
        pictured: Those of them that are like outputs, in their range.
        priors: Names of the attributes that are priors, over the generator's latents.
    """

    reads: Reads = "output"
    differentiable: bool = True
    latents: ClassVar[tuple[str, ...]] = ()
    pictured: ClassVar[tuple[str, ...]] = ()
    priors: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        """Score N rows: output ``(N, *O)``, latent ``(N, *S)`` or soft ``(N, *S, K)``."""

    @property
    def in_nats(self) -> bool:
        """Whether the loss is minus a log-probability, so that it can be weighed against a prior as it is."""
        return True

    @property
    def satisfied_at(self) -> float | None:
        """The highest loss at which it is satisfied by itself; None where it never is, or the loss does not say."""
        return None

    def counted(self, name: str) -> Tensor:
        """Of a ``pictured`` tensor, the elements that count, ``(n,)``."""
        tensor: Tensor = getattr(self, name)
        return tensor.flatten()

    @property
    def needs_residuals(self) -> bool:
        """Whether its noise level is the decoder's own error, which `calibrated` has yet to fill in."""
        return False

    def calibrated(self, residuals: Tensor) -> Self:
        """The constraint with the noise level that stands for the decoder's own error, if that is what it has.

        Args:
            residuals: ``(n, *O)``, of some images what their encodings decode to, minus the images.
        """
        return self

    @property
    def goal(self) -> Goal:
        """The goal of this term alone."""
        from latentsearch.goal.goal import Goal  # goals are made of constraints

        return Goal(((1.0, self),))
