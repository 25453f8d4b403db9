"""Temperatures and widths that fall as training goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from latentsearch._checks import require_count, require_positive


@dataclass(frozen=True)
class Annealed:
    r"""$\max(\mathrm{least}, \mathrm{first} \cdot e^{-\mathrm{rate}\,t})$ at step t, changed every so many steps.

    The defaults are those of Jang, Gu and Poole, *Categorical reparameterization with Gumbel-softmax*
    (2017), which Lorberbom et al. (2018), section 6.1, take over with 0.1 as the least.

    Attributes:
        first: The value to begin with.
        rate: By how much its logarithm falls a step.
        every: Steps between changes.
        least: What it never falls below.

    Example:
        >>> from latentsearch.relaxations import Annealed
        >>> Annealed()(0), round(Annealed()(100_999), 4), Annealed()(10**6)
        (1.0, 0.3679, 0.1)
    """

    first: float = 1.0
    rate: float = 1e-5
    every: int = 1000
    least: float = 0.1

    def __post_init__(self) -> None:
        for name in ("first", "rate", "least"):
            require_positive(f"Annealed.{name}", getattr(self, name))
        require_count("Annealed.every", self.every)

    def __call__(self, step: int) -> float:
        """The value at a step."""
        return max(self.least, self.first * math.exp(-self.rate * (step - step % self.every)))
