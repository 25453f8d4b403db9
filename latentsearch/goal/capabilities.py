"""What a constraint may be able to do beside its score; a method that needs it asks for the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

from latentsearch._structural import Structural
from latentsearch.noise import Noise

if TYPE_CHECKING:
    from latentsearch.goal.constraint import Constraint


@runtime_checkable
class LeastSquares(Protocol, metaclass=Structural):
    """A constraint whose loss is a sum of squares."""

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        """``(N, n)``, whose squares sum to the loss of each row."""


@runtime_checkable
class Separable(Protocol, metaclass=Structural):
    """A constraint on outputs whose loss is a sum over cells: pixels, steps of time, voxels.

    A method that searches grids of n axes takes the last n axes of the map for those of its grid, and sums over the
    one before them, if there is one: the channels. So signals ``(N, C, T)``, images ``(N, C, H, W)`` and volumes are
    one to it.

    Attributes:
        cell_axes: How many axes the map has: for images 2, or 3 where channels are kept apart.
    """

    @property
    def cell_axes(self) -> int: ...

    def loss_map(self, output: Tensor) -> Tensor:
        """``(N, *cells)``: what each cell of outputs ``(N, *O)`` adds to the loss; a row sums to its loss.

        The map covers all of the output, at a resolution of its own.
        """


@runtime_checkable
class Swappable(Protocol, metaclass=Structural):
    """A constraint on codes that knows what every swap of one code makes of its loss, better than by a gradient.

    Attributes:
        swap_cost: Evaluations that it takes for a grid; 0 where the gradient is as good.
    """

    @property
    def swap_cost(self) -> float: ...

    def swap_losses(self, latent: Tensor) -> Tensor:
        """The loss of hard grids ``(N, *S)`` with each code at each position: ``(N, *S, K)``.

        Up to a constant of each position; it may be infinite.
        """


@runtime_checkable
class Stochastic(Protocol, metaclass=Structural):
    """A constraint whose loss draws: of random crops, say, or of noise that is put on outputs.

    It draws from noise that belongs to its problem. A search hands it that before the first step, of the problem's
    seed, and keeps to it: so a latent has the same loss at every step, in every restart, and as the answer is scored.
    What is searched for is the least mean over the draws of one call. Few draws are fitted as any few examples are;
    score the answer with other noise to see whether there were enough.

    Source: Kleywegt, Shapiro and Homem-de-Mello, *The Sample Average Approximation Method for Stochastic Discrete
    Optimization* (2002), <https://doi.org/10.1137/S1052623499363220>.
    """

    @property
    def needs_noise(self) -> bool:
        """Whether it has none yet."""

    def with_noise(self, noise: Noise) -> Constraint:
        """The constraint with noise, a row for each of its B problems, which ``select`` and ``to`` know of."""


@runtime_checkable
class BoundedLoss(Protocol, metaclass=Structural):
    """A constraint that knows how low and how high its loss can be over a set of outputs and grids."""

    def loss_interval(self, low: Tensor, high: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the highest loss of N sets, ``(N,)`` each, or values below and above these.

        Args:
            low: ``(N, *O)``, the least value of each element of the output.
            high: ``(N, *O)``, the highest.
            allowed: ``(N, P, K)`` bool, the codes that the grids of a set may hold at each position.

        Raises:
            Unsupported: If there is no bound with these settings.
        """
