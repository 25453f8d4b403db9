"""What was measured of answers, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from latentsearch.judge.intervals import Interval


@dataclass(frozen=True)
class Measure:
    """One line of a judgement.

    Attributes:
        answers: Of all answers, which is what one answer taken at random is worth on average.
        interval: Where ``answers`` would lie for other problems, in 95 cases of 100; None where that is not known.
        best: Of the best answer to each problem by the search's own loss; None where that is not known or not meant.
        data: What real data score: the mark to meet, not always to beat. None where that is not known.
        unit: ``"%"`` for shares, ``""`` for other numbers.
    """

    answers: float
    interval: Interval | None = None
    best: float | None = None
    data: float | None = None
    unit: Literal["%", ""] = ""

    def cells(self) -> tuple[str, ...]:
        """The four figures as text, empty where there is none."""
        ends = () if self.interval is None else self.interval
        between = " to ".join(map(self._text, ends))
        return self._text(self.answers), between, self._text(self.best), self._text(self.data)

    def _text(self, figure: float | None) -> str:
        if figure is None:
            return ""
        return f"{100 * figure:.1f} %" if self.unit else f"{figure:.3g}"


@dataclass(frozen=True)
class Judgement(Mapping[str, Measure]):
    """Measures by name, in the order of a report; ``print`` shows a table.

    Attributes:
        measures: What could be measured with what was given; the rest is absent.
        problems: B.
        answers: R, the answers to each problem.
        notes: What the figures are relative to, in sentences.

    Example:
        >>> from latentsearch import judge
        >>> print(judge.Judgement({"in band": judge.Measure(0.84, best=0.91, data=0.9, unit="%")}, 200, 8))
        200 problems, 8 answers each
                 answers  95 % interval  best of 8    data
        in band   84.0 %                    91.0 %  90.0 %
    """

    measures: Mapping[str, Measure]
    problems: int
    answers: int
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Measure:
        return self.measures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.measures)

    def __len__(self) -> int:
        return len(self.measures)

    def figures(self) -> dict[str, dict[str, float]]:
        """The figures as plain numbers by name, for a log in JSON; those that are not known are absent."""
        return {name: _figures(measure) for name, measure in self.measures.items()}

    def __str__(self) -> str:
        head = ("", "answers", "95 % interval", f"best of {self.answers}", "data")
        rows = [head, *((name, *measure.cells()) for name, measure in self.measures.items())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        shown = [i for i in range(len(head)) if any(row[i] for row in rows[1:]) or i == 2]
        lines = [
            "  ".join(row[i].ljust(widths[i]) if i == 0 else row[i].rjust(widths[i]) for i in shown).rstrip()
            for row in rows
        ]
        plural = "" if self.answers == 1 else "s"
        title = f"{self.problems} problems, {self.answers} answer{plural} each"
        return "\n".join([title, *lines, *self.notes])

    __repr__ = __str__


def _figures(measure: Measure) -> dict[str, float]:
    found = {"answers": measure.answers, "best": measure.best, "data": measure.data}
    if measure.interval is not None:
        found |= {"low": measure.interval.low, "high": measure.interval.high}
    return {name: figure for name, figure in found.items() if figure is not None}
