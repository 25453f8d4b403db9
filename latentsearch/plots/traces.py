"""How searches went, beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING

from latentsearch._checks import in_short
from latentsearch.errors import InvalidArgument
from latentsearch.plots._figure import new_figure
from latentsearch.result import SearchResult, Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def traces(searches: Mapping[str, SearchResult | Trace], *, levels: Mapping[str, float] | None = None) -> Figure:
    """Draw the best loss so far by evaluations, a mean over problems, a line a search.

    Both axes are logarithmic where all losses are positive. A problem counts from its first proposal on, so a line
    begins where all problems have one. Of a search whose losses are not finite there is a name without a line.

    Args:
        searches: Results, or their traces, by name.
        levels: Losses to compare with, by name, such as that of the encoder's latents: horizontal lines.

    Returns:
        A matplotlib figure; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If there is no search, or something else among them.
        Unsupported: If matplotlib is not installed.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import plots
        >>> from latentsearch.testing import toys
        >>> toy, run = toys.bowl(), ls.Run(evaluations=200)
        >>> methods = {"descent": ls.GradientSearch(), "draws": ls.RandomSearch()}
        >>> found = {
        ...     name: method.search(toy.generator, toy.constraint, seed=0, run=run) for name, method in methods.items()
        ... }
        >>> [line.get_label() for line in plots.traces(found).axes[0].lines]
        ['descent', 'draws']
    """
    if not isinstance(searches, Mapping) or not searches:
        raise InvalidArgument(
            "traces.searches", got=repr(searches), expected="results by name", hint="{'mine': result}"
        )
    _check_levels(levels)
    figure, axes = new_figure("traces", 6.0, 3.6)
    lowest, drawn = 1.0, 0
    for name, search in searches.items():
        trace = search.trace if isinstance(search, SearchResult) else search
        if not isinstance(trace, Trace):
            raise InvalidArgument(f"traces.searches[{name!r}]", got=type(trace).__name__, expected="a SearchResult")
        loss = trace.loss.double().mean(1)
        begun = loss.isfinite()
        spent = trace.evaluations.mean(1)[begun].tolist()
        axes.plot(spent, loss[begun].tolist(), label=name, drawstyle="steps-post")
        lowest = min([lowest, *loss[begun].tolist()])
        drawn += int(begun.sum())
    for name, level in (levels or {}).items():
        if not math.isfinite(level):
            continue
        axes.axhline(level, color="grey", linestyle="--", linewidth=1, label=name)
        lowest = min(lowest, level)
    # Of nothing, as of searches that saw NaN alone, no logarithm is taken.
    if lowest > 0 and drawn:
        axes.set(xscale="log", yscale="log")
    axes.set(xlabel="evaluations a problem", ylabel="loss")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _check_levels(levels: object) -> None:
    if levels is not None and not isinstance(levels, Mapping):
        raise InvalidArgument("traces.levels", got=in_short(levels), expected="losses by name")
    for name, level in (levels or {}).items():
        # NaN is the level of nothing, and has no line.
        if not isinstance(level, Real) or isinstance(level, bool):
            raise InvalidArgument(f"traces.levels[{name!r}]", got=in_short(level), expected="a number")
