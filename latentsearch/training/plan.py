"""How a model is trained: the sister of ``Run``, which says how a search is run."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from latentsearch._checks import (
    in_short,
    is_number,
    misfit,
    require_count,
    require_flag,
    require_positive,
    require_share,
)
from latentsearch.errors import InvalidArgument
from latentsearch.training.history import Entry

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]
OptimizerFactory = Callable[[Any], torch.optim.Optimizer]
"""From parameters, or a list of parameter groups with settings of their own, to a torch optimiser."""

Schedule = Callable[[int, int], float]
"""From the step and the number of steps to the share of the learning rate."""

Callback = Callable[[Entry], bool | None]

adam: OptimizerFactory = functools.partial(torch.optim.Adam, lr=1e-3)


def cosine(step: int, steps: int) -> float:
    """From 1 at the first step down to 0 after the last, along half a cosine.

    Example:
        >>> from latentsearch.training import cosine
        >>> cosine(0, 100), cosine(50, 100)
        (1.0, 0.5)
    """
    return 0.5 + 0.5 * math.cos(math.pi * step / steps)


@dataclass(frozen=True)
class Group:
    """Parameters with an optimiser of their own.

    Attributes:
        parameters: From the model to its parameters, or to torch's parameter groups, each a
            dictionary with settings of its own.
        optimizer: From what ``parameters`` gives to a torch optimiser.
        steps: Steps in a row that it takes before the next group has its turn.

    Example:
        >>> from latentsearch.training import Fit, Group
        >>> slow_encoder = Group(
        ...     lambda model: [
        ...         {"params": model.encoder.parameters(), "lr": 1e-4},
        ...         {"params": model.decoder.parameters()},
        ...     ]
        ... )
        >>> Fit(steps=600, optimizer=slow_encoder).groups[""].steps
        1
    """

    parameters: Callable[[Any], Parameters] = nn.Module.parameters
    optimizer: OptimizerFactory = adam
    steps: int = 1

    def __post_init__(self) -> None:
        require_count("Group.steps", self.steps)
        for name in ("parameters", "optimizer"):
            if not callable(getattr(self, name)):
                raise InvalidArgument(f"Group.{name}", got=repr(getattr(self, name)), expected="a function")


@dataclass(frozen=True)
class Fit:
    """A plan for training: Adam with a cosine schedule, unless it says otherwise.

    Attributes:
        steps: Gradient steps in all, those of all groups together.
        batch_size: Rows a step, of tensors and data sets; loaders and streams make their own batches.
        optimizer: From parameters to a torch optimiser; a [Group][latentsearch.training.Group] for
            parameters with settings of their own; or several groups by name, which take turns: a
            model's ``training_terms`` then gives the terms of each group, and a group's step moves
            its own parameters alone.
        schedule: From step and number of steps to the share of each learning rate; None leaves it alone.
        clip: The most that the norm of a step's gradient may be.
        autocast: Compute the terms under ``torch.autocast`` in this dtype, for instance ``torch.bfloat16``; weights,
            their averages and what is validated stay as they are.
        average: Decay of an exponential moving average of the weights, such as 0.999. What is
            validated, and what the model ends with, are the averaged weights.
        best: A validation term, or ``"sum"`` for the sum of them: the model ends with the weights that
            scored lowest at an entry of the log.
        patience: Entries without a new best score after which the fit ends.
        log_every: Steps between entries of the log.
        callbacks: Each is called with an [Entry][latentsearch.training.Entry] at every entry of the
            log; returning True ends the fit.
        progress: True for a progress bar (``tqdm`` if installed, else a line on stderr).
        checkpoint: A file to save to and to resume from if it exists.
        checkpoint_every: Steps between checkpoints; those between log entries if not given.

    Example:
        >>> from functools import partial
        >>> import torch
        >>> from latentsearch.training import Fit, Group
        >>> sgd = partial(torch.optim.SGD, lr=0.1)
        >>> Fit(steps=600, optimizer=sgd, schedule=None, clip=1.0).steps
        600
        >>> critic_and_actor = {
        ...     "critic": Group(lambda model: model.critic.parameters(), steps=10),
        ...     "actor": Group(lambda model: model.actor.parameters()),
        ... }
        >>> list(Fit(steps=1100, optimizer=critic_and_actor).optimizer)
        ['critic', 'actor']
    """

    steps: int
    batch_size: int = 128
    optimizer: OptimizerFactory | Group | Mapping[str, Group] = adam
    schedule: Schedule | None = cosine
    clip: float | None = None
    autocast: torch.dtype | None = None
    average: float | None = None
    best: str | None = None
    patience: int | None = None
    log_every: int = 100
    callbacks: Sequence[Callback] = ()
    progress: bool = False
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every"):
            require_count(f"Fit.{name}", getattr(self, name))
        for name in ("patience", "checkpoint_every"):
            if getattr(self, name) is not None:
                require_count(f"Fit.{name}", getattr(self, name))
        if self.autocast not in (None, torch.bfloat16, torch.float16):
            expected = "torch.bfloat16, torch.float16 or None"
            raise InvalidArgument("Fit.autocast", got=repr(self.autocast), expected=expected)
        if self.clip is not None:
            require_positive("Fit.clip", self.clip)
        if self.average is not None:
            require_share("Fit.average", self.average)
        require_flag("Fit.progress", self.progress)
        if self.patience is not None and self.best is None:
            raise InvalidArgument(
                "Fit.patience", got=f"{self.patience} without best", expected="what is to improve", hint='best="sum"'
            )
        self._check_schedule()
        self._check_functions()
        if self.checkpoint is not None:
            _check_path(self.checkpoint)

    def _check_schedule(self) -> None:
        if self.schedule is None:
            return
        what, expected = "Fit.schedule", "a function of step and steps to a share of the learning rate, or None"
        if not callable(self.schedule):
            raise InvalidArgument(what, got=repr(self.schedule), expected=expected)
        try:
            share: object = self.schedule(0, self.steps)
        except Exception as error:
            got = f"a function that fails with {type(error).__name__}: {error}"
            raise InvalidArgument(what, got=got, expected=expected) from error
        if not isinstance(share, Tensor) and not is_number(share):
            raise InvalidArgument(what, got=f"a function that gives {in_short(share)}", expected=expected)

    def _check_functions(self) -> None:
        if not isinstance(self.callbacks, Sequence) or not all(callable(callback) for callback in self.callbacks):
            got = repr(self.callbacks)
            raise InvalidArgument("Fit.callbacks", got=got, expected="a list of functions of one Entry")
        for why in filter(None, (misfit(callback, None) for callback in self.callbacks)):
            got = f"a function of other arguments ({why})"
            raise InvalidArgument("Fit.callbacks", got=got, expected="functions of one Entry")
        groups = self.groups
        named = all(groups) if isinstance(self.optimizer, Mapping) else True
        if not groups or not named or not all(isinstance(group, Group) for group in groups.values()):
            expected = "a function from parameters to an optimiser, a Group, or a mapping of Groups by name"
            raise InvalidArgument("Fit.optimizer", got=repr(self.optimizer), expected=expected)

    @property
    def groups(self) -> Mapping[str, Group]:
        """The groups by name; one without a name where there is one optimiser for all."""
        match self.optimizer:
            case Mapping():
                return self.optimizer
            case Group():
                return {"": self.optimizer}
        return {"": Group(optimizer=self.optimizer)}


def _check_path(path: object) -> None:
    expected = "a path of a file"
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidArgument("Fit.checkpoint", got=in_short(path), expected=expected)
    if os.path.isdir(path):
        got, hint = f"the folder {os.fspath(path)!r}", "name a file in it, such as fit.safetensors"
        raise InvalidArgument("Fit.checkpoint", got=got, expected=expected, hint=hint)
