"""One search, as a figure and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from latentsearch import plots
from latentsearch._checks import in_short, require_span
from latentsearch._images import shown_range
from latentsearch.errors import InvalidArgument, describe
from latentsearch.report.page import Page
from latentsearch.result import SearchResult, Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 16  # problems, and answers to each, that are shown


def search_figure(result: SearchResult) -> Figure:
    """The best loss so far by evaluations, a line a problem: what ``result.plot()`` draws.

    Args:
        result: Of any search.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.report import search_figure
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> figure = search_figure(ls.search(toy.generator, toy.constraint, seed=0))
        >>> len(figure.axes[0].lines)
        2
    """
    _check("search_figure", result)
    trace, count = result.trace, len(result.status)
    shown = min(count, _MOST)
    own = {
        f"problem {b}": type(trace)(trace.loss[:, [b]], trace.evaluations[:, [b]], trace.seconds) for b in range(shown)
    }
    return plots.traces(own)


def search_page(
    result: SearchResult,
    *,
    targets: Tensor | None = None,
    title: str = "A search",
    value_range: tuple[float, float] | None = None,
) -> Page:
    """What was found, how it was found, and the answers of all restarts: what ``result.save_report(path)`` writes.

    Args:
        result: Of any search.
        targets: ``(B, C, H, W)``: images to show beside the answers, such as what was asked for.
        title: The heading.
        value_range: What is shown black and white; where the outputs lie if not given.

    Raises:
        InvalidArgument: If it is no result, or there are not as many targets as problems.
        Unsupported: If matplotlib is not installed.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.report import search_page
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> page = search_page(ls.search(toy.generator, toy.constraint, seed=0))
        >>> "evaluations" in page.html()
        True
    """
    _check("search_page", result)
    if value_range is not None:
        require_span("search_page.value_range", value_range)
    count = len(result.status)
    if targets is not None and (not isinstance(targets, Tensor) or len(targets) != count):
        got = describe(targets) if isinstance(targets, Tensor) else type(targets).__name__
        raise InvalidArgument("save_report.targets", got=got, expected=f"{count} images, one a problem")
    page = Page(title, f"{count} problems, {result.steps} steps, {result.seconds:.1f} s")
    _answers(page, result, targets, value_range)
    page.heading("How it went")
    page.figure(search_figure(result), "The best loss so far of each problem.")
    page.heading("Problems")
    page.table(["problem", "loss", "satisfied", "ended as", "evaluations"], _rows(result))
    if len(result.terms) > 1:
        page.heading("Terms")
        page.text("Weighted losses of each term, means over the problems.")
        page.table(["term", "loss"], [[name, f"{float(s.loss.mean()):.5g}"] for name, s in result.terms.items()])
    return page


def _check(caller: str, result: object) -> None:
    if not isinstance(result, SearchResult):
        hint = "plots.traces draws traces by name" if isinstance(result, Trace) else ""
        raise InvalidArgument(f"{caller}.result", got=in_short(result), expected="a SearchResult", hint=hint)


def _answers(page: Page, result: SearchResult, targets: Tensor | None, span: tuple[float, float] | None) -> None:
    output = result.output
    if output.ndim != 4 or output.shape[1] not in (1, 3):
        page.text(f"Outputs have the shape {tuple(output.shape[1:])}: they are no images, and not drawn.", note=True)
        return
    rows, labels = [output[:_MOST]], ["found"]
    if targets is not None:
        rows, labels = [targets[:_MOST], *rows], ["asked", *labels]
    low, high = span = span or shown_range(rows)
    shown = [row.detach().float().nan_to_num(low, high, low).clamp(low, high) for row in rows]
    page.figure(plots.image_grid(shown, labels, value_range=span), "A column a problem.")


def _rows(result: SearchResult) -> list[list[str]]:
    columns = zip(
        result.score.loss.tolist(),
        result.score.passed.tolist(),
        result.status,
        result.evaluations.tolist(),
        strict=True,
    )
    satisfied = result.score.satisfied is not None
    return [
        [
            str(b),
            f"{loss:.5g}",
            ("yes" if passed else "no") if satisfied else "no threshold",
            str(status),
            f"{spent:.5g}",
        ]
        for b, (loss, passed, status, spent) in enumerate(columns)
    ]
