"""The conformance kit: laws for generators, priors, constraints, estimators and searchers.

Use it on your own classes: `check_generator(mine)` in a script, or in a test file

    @parametrize_with_checks([mine, MySearch(), my_prior, (MyConstraint(), mine)])
    def test_laws(check):
        check()

Only laws that apply to an instance are tried on it, and a law that required nothing of it fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latentsearch.errors import InvalidArgument
from latentsearch.goal import Constraint, Goal, Limit
from latentsearch.protocols import Generator, Prior
from latentsearch.relaxations import Estimator
from latentsearch.testing import toys
from latentsearch.testing._laws import Check, parametrize, require
from latentsearch.testing._problem import TestProblem
from latentsearch.testing.constraints import check_constraint, constraint_checks
from latentsearch.testing.estimators import check_estimator, estimator_checks
from latentsearch.testing.generators import check_generator, generator_checks
from latentsearch.testing.priors import check_prior, prior_checks
from latentsearch.testing.searchers import check_searcher, searcher_checks

if TYPE_CHECKING:
    import pytest

__all__ = [
    "Check",
    "TestProblem",
    "check_constraint",
    "check_estimator",
    "check_generator",
    "check_prior",
    "check_searcher",
    "checks",
    "parametrize_with_checks",
    "require",
    "toys",
]


def checks(subject: Any) -> list[Check]:
    """The checks that apply to an instance, by what it is.

    Args:
        subject: A generator, a prior, a searcher or an estimator; or a pair of a constraint and a generator
            for outputs to score; or of a searcher and the `TestProblem`, or the list of them, to try it on in
            place of the toys.

    Raises:
        InvalidArgument: If it is none of these.

    Example:
        >>> from latentsearch.testing import checks, toys
        >>> for check in checks(toys.bowl().generator):
        ...     print(check.law)
        prior_samples_lie_in_space
        outputs_have_one_row_a_latent
        decoding_is_deterministic
        rows_are_independent
        gradients_stay_in_their_row
    """
    match subject:
        case (Constraint() | Goal() | Limit() as constraint, generator):
            return constraint_checks(constraint, generator)
        case (first, second) if hasattr(first, "search"):
            return searcher_checks(first, second)
        case Generator():
            return generator_checks(subject)
        case Prior():
            return prior_checks(subject)
        case _ if hasattr(subject, "search"):
            return searcher_checks(subject)
        case Estimator():
            return estimator_checks(subject)
    expected = "a generator, a prior, a searcher, an estimator or (constraint, generator)"
    hint = "pair it with a generator: (constraint, generator)" if isinstance(subject, (Constraint, Goal, Limit)) else ""
    raise InvalidArgument("checks", got=type(subject).__name__, expected=expected, hint=hint)


def parametrize_with_checks(
    subjects: Sequence[Any], *, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """A pytest decorator that gives one test id to each law of each instance.

    Args:
        subjects: What ``checks`` takes.
        expected_failures: Laws that are known to break, each with its reason; they must break.

    Example:
        >>> from latentsearch.testing import parametrize_with_checks, toys
        >>> mark = parametrize_with_checks([toys.bowl().generator])
        >>> mark.name
        'parametrize'
    """
    return parametrize([check for subject in subjects for check in checks(subject)], expected_failures or {})
