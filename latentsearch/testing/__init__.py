"""The conformance kit: laws for generators, priors, constraints, estimators and searchers.

Use it on your own classes: `check_generator(mine)` in a script, or in a test file

    @parametrize_with_checks([mine, MySearch(), (MyWish(), mine), (my_prior, mine.space)])
    def test_laws(check):
        check()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latentsearch.algebra import Constraint
from latentsearch.errors import InvalidArgument
from latentsearch.protocols import Generator, Prior
from latentsearch.relaxations import Estimator
from latentsearch.testing import toys
from latentsearch.testing._laws import Check, parametrize
from latentsearch.testing.constraints import check_constraint, constraint_checks
from latentsearch.testing.estimators import check_estimator, estimator_checks
from latentsearch.testing.generators import check_generator, generator_checks
from latentsearch.testing.priors import check_prior, prior_checks
from latentsearch.testing.searchers import check_searcher, searcher_checks

if TYPE_CHECKING:
    import pytest

__all__ = [
    "Check",
    "check_constraint",
    "check_estimator",
    "check_generator",
    "check_prior",
    "check_searcher",
    "checks",
    "parametrize_with_checks",
    "toys",
]


def checks(subject: Any) -> list[Check]:
    """The checks that apply to an instance, by what it is.

    Args:
        subject: A generator, a searcher or an estimator; or a pair of a constraint and a generator
            for outputs to score; or a pair of a prior and its space; or of a searcher and a dtype.

    Raises:
        InvalidArgument: If it is none of these.

    Example:
        >>> from latentsearch.testing import checks, toys
        >>> len(checks(toys.bowl().generator)) > 5
        True
    """
    match subject:
        case (Constraint() as constraint, generator):
            return constraint_checks(constraint, generator)
        case (first, second) if hasattr(first, "search"):
            return searcher_checks(first, second)
        case (first, second):
            return prior_checks(first, second)
        case Generator():
            return generator_checks(subject)
        case _ if hasattr(subject, "search"):
            return searcher_checks(subject)
        case Estimator():
            return estimator_checks(subject)
    expected = "a generator, a searcher, an estimator, (constraint, generator) or (prior, space)"
    hint = "pair it with a generator: (constraint, generator)" if isinstance(subject, Constraint) else ""
    hint = "pair it with its space: (prior, space)" if isinstance(subject, Prior) else hint
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
