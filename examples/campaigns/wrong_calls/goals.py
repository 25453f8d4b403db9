"""What does not add up to a goal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import latentsearch as ls
from examples.campaigns.wrong_calls.kit import LINE, RUN, Case
from latentsearch.goal import Threshold

A, B = ls.Matches(torch.zeros(2, 4)), ls.Shell()
THREE = ls.Matches(torch.zeros(3, 4))
GOAL = A + B
LIST: list[Any] = [B]
BALL = ls.Within(torch.zeros(2, 4), 1.0)


def bright(x: torch.Tensor) -> torch.Tensor:
    """A function that could be a constraint."""
    return x.flatten(1).mean(1)


def _search(make: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: ls.search(LINE, make(), seed=0, run=RUN)


def _algebra() -> list[Case]:
    weight = r"\*|weight"
    satisfies = r"Satisfies|@ls\.constraint|ls\.constraint"
    return [
        Case("-a", lambda: -A, (r"-1 \*|weight|-1\.0 \*",)),
        Case("a - b", lambda: A - B, (r"-", weight)),
        Case("a - 1", lambda: A - 1, ("1", r"constant|below|constraint|number")),
        Case("1 - a", lambda: 1 - A, ("1", r"constant|-1|constraint|number")),
        Case("2 / a", lambda: 2 / A, (r"divi|\*|weight",)),
        Case("a / b", lambda: A / B, (r"divi|\*|weight",)),
        Case("a ** 2", lambda: A**2, ("power|\\*\\*|Satisfies|weight",)),
        Case("2 + a", lambda: 2 + A, ("2", r"2 \*|number|constraint|weight")),
        Case("a + 2", lambda: A + 2, ("2", r"2 \*|number|constraint|weight")),
        Case("a + None", lambda: A + None, ("None", "constraint|goal")),
        Case("a + a tensor", lambda: A + torch.zeros(2, 4), ("tensor", "Matches|constraint")),
        Case("a tensor + a", lambda: torch.zeros(2, 4) + A, ("tensor", "Matches|constraint")),
        Case("a + a word", lambda: A + "bright", ("bright", "constraint")),
        Case("a word + a", lambda: "bright" + A, ("bright", "constraint")),
        Case("a + a list", lambda: A + LIST, ("list", r"\+|sum|constraint")),
        Case("a + a prior", lambda: A + LINE.prior, ("StandardNormal", r"LogPrior\(")),
        Case("a prior + a", lambda: LINE.prior + A, ("StandardNormal", r"LogPrior\(")),
        Case("a goal + a prior", lambda: GOAL + LINE.prior, ("StandardNormal", r"LogPrior\(")),
        Case("a + a function", lambda: A + bright, ("bright|function", satisfies)),
        Case("a function + a", lambda: bright + A, ("bright|function", satisfies)),
        Case("a goal + a function", lambda: GOAL + bright, ("bright|function", satisfies)),
        Case("a + a lambda", lambda: A + (lambda x: x.mean(1)), ("function|lambda", satisfies)),
        Case("a + a torch loss", lambda: A + torch.nn.MSELoss(), ("MSELoss|function", f"{satisfies}|Matches")),
        Case("a + a class", lambda: A + ls.Shell, ("Shell", r"class|instance|\(\)")),
        Case("a + a generator", lambda: A + LINE, ("Line", "constraint")),
        Case("a + a searcher", lambda: A + ls.RandomSearch(), ("RandomSearch", "constraint")),
        Case("a + a score", lambda: A + A(torch.zeros(2, 4), torch.zeros(2, 4)), ("Score", "constraint")),
        Case("sum with a function", lambda: sum([A, bright]), ("bright|function", satisfies)),
        Case("a * b", lambda: A * B, ("Shell|Matches", r"number|\+")),
        Case("a * a word", lambda: "2" * A, ("'2'", "number")),
        Case("a * None", lambda: A * None, ("None", "number")),
        Case("a * a list", lambda: [1, 2] * A, ("list", "number")),
        Case("a * True", lambda: True * A, ("True", "number")),
        Case("a * NaN", lambda: float("nan") * A, ("nan", "number|finite")),
        Case("a * infinity", lambda: float("inf") * A, ("inf", "finite")),
        Case("a * a complex number", lambda: 1j * A, ("1j", "real|number")),
        Case("a * a tensor of two", lambda: A * torch.ones(2), ("tensor|2", "number")),
        Case("a tensor of two * a", lambda: torch.ones(2) * A, ("tensor|2", "number")),
        Case("an array of two * a", lambda: A * np.ones(2), ("ndarray|array", "number")),
        Case("a * a function", lambda: A * bright, ("bright|function", "number")),
        Case("a & b", lambda: A & B, (r"\+",)),
        Case("a and b", lambda: A and B, (r"\+",)),
        Case("not a", lambda: not A, (r"\+",)),
        Case("a | b", lambda: A | B, (r"\+|or",)),
        Case("a < 0.1", lambda: A < 0.1, ("below",)),
        Case("a <= 0.1", lambda: A <= 0.1, ("below",)),
        Case("a > 0.1", lambda: A > 0.1, ("below",)),
    ]


def _thresholds() -> list[Case]:
    wrong: list[tuple[Any, tuple[str, ...]]] = [
        ("0.1", ("'0\\.1'", "number")),
        (None, ("None", "number")),
        (True, ("True", "number")),
        (float("nan"), ("nan", "number")),
        ([0.1], ("list|\\[0\\.1\\]", "number")),
        (torch.tensor([0.1, 0.2]), ("tensor|0\\.1", "number")),
        (1j, ("1j", "number|real")),
        (B, ("Shell", "number")),
    ]
    return [
        *(
            Case(f"a.below({value!r})", lambda value=value: A.below(value), ("below|threshold", *tells))
            for value, tells in wrong
        ),
        Case("(a + b).below('1')", lambda: GOAL.below("1"), ("below|threshold", "'1'", "number")),
        Case("(a + b).below(nan)", lambda: GOAL.below(float("nan")), ("below|threshold", "nan", "number")),
        Case(
            "a Threshold of words",
            _search(lambda: ls.Goal(((1.0, A),), (Threshold(("a",), 0.1),))),
            ("threshold|weights", "number"),
        ),
        Case(
            "a Threshold of two weights",
            _search(lambda: ls.Goal(((1.0, A),), (Threshold((1.0, 1.0), 0.1),))),
            ("threshold|weights", "2", "1"),
        ),
        Case(
            "a Threshold of NaN",
            _search(lambda: ls.Goal(((1.0, A),), (Threshold((1.0,), float("nan")),))),
            ("threshold|most", "nan"),
        ),
    ]


def _requirements() -> list[Case]:
    below = r"below"
    return [
        Case("subject to None", lambda: A.subject_to(None), ("subject_to", "None", "below|constraint")),
        Case("subject to no threshold", lambda: A.subject_to(B), ("subject_to", "Shell|threshold", below)),
        Case("subject to a number", lambda: A.subject_to(0.1), ("subject_to", r"0\.1|float", below)),
        Case(
            "subject to a list",
            lambda: A.subject_to([B.below(0.1)]),
            ("subject_to", "list", r"\*|one by one|constraint|goal"),
        ),
        Case(
            "subject to a function",
            lambda: A.subject_to(bright),
            ("subject_to", "bright|function", "Satisfies|constraint"),
        ),
        Case("subject to a word", lambda: A.subject_to("b"), ("subject_to", "'b'|str", "below|constraint")),
        Case("subject to a bool", lambda: A.subject_to(True), ("subject_to", "True|bool", below)),
        Case("subject to a prior", lambda: A.subject_to(LINE.prior), ("subject_to", "StandardNormal", "LogPrior")),
        Case(
            "subject to a class", lambda: A.subject_to(ls.Shell), ("subject_to", "Shell", "class|instance|below|\\(\\)")
        ),
        Case(
            "subject to a weight of 0",
            lambda: A.subject_to(0 * B.below(0.1), "c"),
            ("subject_to", "'c'|str", "below|constraint"),
        ),
    ]


def _goals() -> list[Case]:
    return [
        Case("two problems and three", lambda: A + THREE, ("problems", "2", "3")),
        Case("two problems and three in a sum", lambda: sum([A, B, THREE]), ("problems", "2", "3")),
        Case("a limit of three problems", lambda: A + ls.Within(torch.zeros(3, 4), 1.0), ("problems", "2", "3")),
        Case("two limits", lambda: A + BALL + ls.Sphere(), ("limit", "one")),
        Case("a limit twice", lambda: A + BALL + BALL, ("limit", "one")),
        Case("a limit with a threshold", lambda: A + BALL.below(1.0), ("threshold|below", "limit|Within")),
        Case("two limits alone", lambda: BALL + ls.Sphere(), ("limit", "one|constraint|goal")),
        Case("a Goal of no terms", _search(lambda: ls.Goal(())), ("term", "at least one|empty|nothing|no term|\\(\\)")),
        Case("a Goal of a constraint", _search(lambda: ls.Goal(A)), ("terms", "pair|weight|\\+|tuple")),
        Case("a Goal of constraints", _search(lambda: ls.Goal((A, B))), ("terms", "pair|weight|\\+")),
        Case(
            "a Goal of a list of functions",
            _search(lambda: ls.Goal(((1.0, bright),))),
            ("terms|term", "bright|function", "constraint|Satisfies"),
        ),
        Case("a Goal of words", _search(lambda: ls.Goal((("1", A),))), ("weight|terms", "'1'|str", "number")),
        Case(
            "a Goal within a number",
            _search(lambda: ls.Goal(((1.0, A),), limit=1.0)),
            ("limit", r"1\.0", "Within|Limit|Sphere"),
        ),
        Case(
            "a Goal with thresholds that are numbers",
            _search(lambda: ls.Goal(((1.0, A),), (0.1,))),
            ("threshold", r"0\.1", "below|Threshold"),
        ),
        Case(
            "a goal of three, an init of two",
            lambda: ls.search(LINE, THREE, init=torch.zeros(2, 4), run=RUN),
            ("init", "2, 4", "3"),
        ),
    ]


CASES: list[Case] = [*_algebra(), *_thresholds(), *_requirements(), *_goals()]
