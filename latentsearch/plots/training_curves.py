"""The terms of a fit as they fall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latentsearch.errors import InvalidArgument
from latentsearch.plots._figure import new_figure
from latentsearch.training import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def training_curves(history: History) -> Figure:
    """Draw each term of a fit by step, and of the validation data with dashes.

    A one-line fit, such as [fit_critic][latentsearch.fit_critic], keeps no history: its parts and ``ls.fit`` do.

    Args:
        history: What [fit][latentsearch.fit] returned, or a callback's entry holds.

    Returns:
        A matplotlib figure, for ``figure.savefig("curves.png")``; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If it is no history, or nothing was logged.
        Unsupported: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch import plots
        >>> from latentsearch.critics import ValueCritic
        >>> critic, z = ValueCritic(ls.Continuous((2,)), width=8), torch.rand(64, 2)
        >>> history = ls.fit(critic, (z, z[:, 0]), ls.Fit(steps=6, log_every=2))
        >>> [line.get_label() for line in plots.training_curves(history).axes[0].lines]
        ['cross_entropy']
    """
    if not isinstance(history, History) or not history.step:
        got = "no entries" if isinstance(history, History) else type(history).__name__
        hint = "ls.fit returns one; Fit(log_every=) says how often it logs"
        raise InvalidArgument("training_curves.history", got=got, expected="a History with entries", hint=hint)
    figure, axes = new_figure("training_curves", 6.0, 3.6)
    colours: dict[str, Any] = {}
    for name, values in history.train.items():
        (line,) = axes.plot(history.train_step[name], values, label=name)
        colours[name] = line.get_color()
    for name, values in history.validation.items():
        axes.plot(history.step, values, "--", color=colours.get(name), label=f"{name}, held out")
    axes.set_xlabel("step")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
