"""Whether the parts of a goal have data for the same problems."""

from __future__ import annotations

from latentsearch._checks import in_short, is_number
from latentsearch.errors import InvalidArgument
from latentsearch.goal._part import Part
from latentsearch.goal.threshold import Threshold


def check_terms(terms: object, thresholds: object, limit: object) -> None:
    """Raise unless what a goal is made of by hand are weights and constraints, thresholds on these, and a limit."""
    sums = "numbers as weights, and constraints, such as ((1.0, a), (2.0, b)); 1.0 * a + 2.0 * b makes the same"
    pairs = terms if isinstance(terms, tuple) else None
    if pairs is None or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise InvalidArgument("Goal.terms", got=in_short(terms), expected=sums)
    for weight, part in pairs:
        if not is_number(weight) or not isinstance(part, Part):
            raise InvalidArgument("Goal.terms", got=f"({in_short(weight)}, {in_short(part)})", expected=sums)
    for threshold in thresholds if isinstance(thresholds, tuple) else (thresholds,):
        good = isinstance(threshold, Threshold) and len(threshold.weights) == len(pairs)
        good = good and all(map(is_number, threshold.weights)) and threshold.most == threshold.most
        if not good:
            of = f" of {len(threshold.weights)} weights" if isinstance(threshold, Threshold) else ""
            expected = f"a Threshold of {len(pairs)} weights and a number{of and ', not' + of}; a.below(0.1) makes one"
            raise InvalidArgument("Goal.thresholds", got=repr(threshold), expected=expected)
    if not isinstance(limit, Part):
        raise InvalidArgument("Goal.limit", got=in_short(limit), expected="a Limit, such as Within(source, radius)")


def check_problems(parts: tuple[Part, ...]) -> None:
    """Raise unless the parts agree on the number of problems, and name those that do not."""
    for part in parts:
        _check_held(part)
    several = [part for part in parts if part.problems > 1]
    if len({part.problems for part in several}) > 1:
        raise InvalidArgument(
            "a sum of constraints",
            got=" and ".join(f"{part.name} for {part.problems} problems{_shapes(part)}" for part in several),
            expected="the same number of problems everywhere, or 1",
            hint="x[None] adds the dimension of problems to what serves all of them",
        )


def _check_held(part: Part) -> None:
    """Raise unless a part's tensors have one row a problem, or one for all."""
    for name in part.tensors:
        if not hasattr(part, name):
            got, expected = f"{name!r}, which it has not", "names of its attributes that hold one row a problem"
            raise InvalidArgument(f"{part.name}.tensors", got=got, expected=expected)
        rows = len(getattr(part, name))
        if rows not in (1, part.problems):
            raise InvalidArgument(
                f"{part.name}.problems",
                got=f"{part.problems} with {rows} rows of {name}",
                expected="the number of problems that its tensors have rows for",
                hint=f"set self.problems = len(self.{name}) where they are set",
            )


def _shapes(part: Part) -> str:
    """The shapes of what a term holds for its problems, such as `` (target (2, 3, 8, 8))``."""
    held = [(name, getattr(part, name)) for name in part.tensors]
    shapes = [f"{name} {tuple(tensor.shape)}" for name, tensor in held if len(tensor) == part.problems]
    return f" ({', '.join(shapes)})" if shapes else ""
