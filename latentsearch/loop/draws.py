"""What a search draws from: where it starts, and what it tries."""

from __future__ import annotations

from latentsearch.objective import draws_are_cheap
from latentsearch.priors import UniformCodes
from latentsearch.problem import Problem
from latentsearch.protocols import Prior
from latentsearch.spaces import Discrete


def drawn_from(problem: Problem, *, samples: bool = False) -> Prior:
    """The prior of a problem; uniform codes where draws of it cost many decodes that nobody asked for.

    The goal asks for them, which names the prior in a ``LogPrior``, and a method that samples does. To others a learnt
    prior of the generator's is of no use: they end at the same losses from likely grids as from any, and what proposes
    from it spends on passes what would have been decodes.

    Args:
        problem: What is searched for, in what.
        samples: Whether the method draws from the posterior.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> from latentsearch.loop import drawn_from
        >>> from latentsearch.problem import Problem
        >>> generator, image = ls.wrap(zoo.load("mnist-vqvae-512")), zoo.images()[0][:1]
        >>> problem = Problem.of(generator, ls.Matches(image).goal, None, (0,))
        >>> type(drawn_from(problem)).__name__, drawn_from(problem, samples=True) is generator.prior
        ('UniformCodes', True)
    """
    space, prior = problem.generator.space, problem.prior
    asked = samples or problem.goal.goal.prior is not None
    if asked or not isinstance(space, Discrete) or draws_are_cheap(prior):
        return prior
    return UniformCodes(space, problem.generator.dtype)
