"""What is searched for, in what: everything about a search but the method and its limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from latentsearch.errors import InvalidArgument
from latentsearch.goal import Goal
from latentsearch.noise import Noise
from latentsearch.protocols import CalibratedPrior, Generator, Prior

_TERMS = 6  # the stream of noise of terms that draw; preflight and the loop have the others
_BY_HAND = "by hand goal.calibrated(generator.decode(generator.encode(images)) - images)"


@dataclass(frozen=True, eq=False)
class Problem:
    """A generator, what should hold of its outputs, and where B searches for that begin.

    Attributes:
        generator: A frozen decoder with its latent space.
        goal: What should come out, for B problems.
        init: Where to start, ``(B, *S)``, ``(B, R, *S)`` or ``(1, *S)``; None for draws from the prior.
        seeds: One for each of the B problems.
    """

    generator: Generator
    goal: Goal
    init: Tensor | None
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, generator: Generator, goal: Goal, init: Tensor | None, seeds: tuple[int, ...]) -> Problem:
        """The problem, with what terms ask for that its seeds and priors have.

        That is noise for terms that draw, and the noise level that stands for the decoder's own error.
        """
        if goal.needs_noise:
            goal = goal.with_noise(Noise.from_seed(seeds, goal.problems, device=generator.device).fold(_TERMS))
        problem = cls(generator, goal, init, seeds)
        for prior in (problem.prior, generator.prior):
            if isinstance(prior, CalibratedPrior) and prior.residuals.numel():
                return replace(problem, goal=goal.calibrated(prior.residuals))
        return problem

    def require_noise(self) -> None:
        """Raise if a noise level is still the decoder's own error, and say why it is not known."""
        for term in self.goal.constraints:
            if term.needs_residuals:
                why, hint = self._unknown_noise()
                expected = f"a number, or a prior that knows how far the decoder is off; {hint}"
                raise InvalidArgument(f"{term.name}.noise", got=f"'decoder', {why}", expected=expected, hint=_BY_HAND)

    def _unknown_noise(self) -> tuple[str, str]:
        """Why nothing is known of the decoder's error, and what to do."""
        held = [getattr(term, name) for term in self.goal.constraints for name in term.priors]
        fitted = [prior for prior in (*held, self.generator.prior) if isinstance(prior, CalibratedPrior)]
        fit = "ls.fit_prior(generator, images) makes one"
        if any(prior.residuals.numel() for prior in fitted):
            return "beside several priors, of which none is the one", "say which: goal.calibrated(prior.residuals)"
        if fitted:
            return "beside a prior without residuals: it was fitted to latents alone", "fit it to images"
        if held:
            return f"beside a {type(held[0]).__name__}, which knows nothing of the decoder", fit
        return "of which nothing is known", f"{fit}, and ... + ls.LogPrior(prior) says it"

    @property
    def prior(self) -> Prior:
        """What searches draw from: the prior that the goal names, or else the generator's."""
        own: Prior | None = self.goal.goal.prior
        return self.generator.prior if own is None else own
