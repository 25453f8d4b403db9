"""The terms of a fit as they fall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latentsearch.errors import InvalidArgument
from latentsearch.plots._figure import new_figure
from latentsearch.training import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def training_curves(history: History) -> Figure:
    """Draw each term of a fit by step, and of the validation data with dashes.

    Args:
        history: What [fit][latentsearch.fit] returned, or a callback's entry holds.

    Returns:
        A matplotlib figure, for ``figure.savefig("curves.png")``; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If nothing was logged.
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
    if not history.step:
        hint = "Fit(log_every=) says how often a fit logs"
        raise InvalidArgument("training_curves.history", got="no entries", expected="some", hint=hint)
    figure, axes = new_figure("training_curves", 6.0, 3.6)
    for name, values in history.train.items():
        (line,) = axes.plot(history.step[-len(values) :], values, label=name)
        if held_out := history.validation.get(name):
            axes.plot(history.step[-len(held_out) :], held_out, "--", color=line.get_color(), label=f"{name}, held out")
    axes.set_xlabel("step")
    axes.legend(frameon=False)
    return figure
