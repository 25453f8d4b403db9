"""One training loop for the reference models: seeded, resumable, with a history."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from latentsearch import _checkpoint
from latentsearch.errors import BrokenFile, InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.relaxations import made


class Trainable(Protocol):
    """What [fit][latentsearch.models.fit] asks of a model, beside being an ``nn.Module``."""

    def training_terms(self, *batch: Any) -> dict[str, Tensor]:
        """The scalar terms of the loss on a batch: the data's tensors, then one row of noise."""


@dataclass
class History:
    """What a fit logged.

    Attributes:
        step: The steps logged at.
        train: Each term's mean over the steps since the last entry.
        validation: Each term on the validation data, in evaluation mode.
    """

    step: list[int] = field(default_factory=list)
    train: dict[str, list[float]] = field(default_factory=dict)
    validation: dict[str, list[float]] = field(default_factory=dict)


@contextmanager
def initialised(seed: int) -> Iterator[None]:
    """Build a model inside, and its first weights depend on ``seed`` alone.

    torch's global random state is put back on leaving.

    Example:
        >>> from torch import nn
        >>> from latentsearch.models import initialised
        >>> with initialised(0):
        ...     layer = nn.Linear(2, 2)
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def fit(
    model: nn.Module,
    data: Sequence[Tensor],
    *,
    steps: int,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    decay: bool = True,
    seed: int = 0,
    validation: Sequence[Tensor] | None = None,
    log_every: int = 100,
    checkpoint: str | os.PathLike[str] | None = None,
    report: Callable[[int, History], None] | None = None,
) -> History:
    """Train a reference model with Adam, by default with a cosine schedule down to nothing.

    The same seed, data and thread count give the same weights, and a fit that was killed goes on
    from its checkpoint to the same weights as if it had not been. The model is left in evaluation
    mode. It is trained on the device that it is on; data elsewhere are brought there batch by batch.

    Args:
        model: A module with ``training_terms(*batch, noise)``, whose sum is minimised.
        data: Tensors with the same first dimension; a batch takes the same rows of each.
        steps: Gradient steps in all.
        batch_size: Rows a step.
        learning_rate: Adam's, at the start.
        decay: Whether it falls to nothing over the steps; else it stays as it is.
        seed: For the order of the data and the model's own noise; first weights are the caller's
            (see [initialised][latentsearch.models.initialised]).
        validation: Like ``data``; scored at every log entry.
        log_every: Steps between log entries and checkpoints.
        checkpoint: A file to save to and to resume from.
        report: Called with the step and the history at every log entry.

    Returns:
        The history, including what was logged before a resume.

    Raises:
        InvalidArgument: If the data are empty or of unequal lengths, or a number is not positive.
        BrokenFile: If the checkpoint belongs to another fit.
        FloatingPointError: If the loss is not finite at a log entry; what was saved before stays.
    """
    for name, value in (("steps", steps), ("batch_size", batch_size), ("log_every", log_every)):
        if value < 1:
            raise InvalidArgument(f"fit.{name}", got=repr(value), expected="at least 1")
    count = _check_data(data)
    if validation is not None:
        _check_data(validation, "validation")
    if not isinstance(model, nn.Module):
        raise InvalidArgument("fit.model", got=type(model).__name__, expected="an nn.Module with training_terms")
    if next(model.parameters(), None) is None:
        raise InvalidArgument(
            "fit.model", got=f"{type(model).__name__} without parameters", expected="one that can learn"
        )
    noise = Noise.from_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _cosine(steps) if decay else _constant)
    identity = f"{type(model).__name__} steps={steps} batch={batch_size} lr={learning_rate} seed={seed} rows={count}"
    identity += ("" if decay else " decay=False") + _described(model)
    order = _Order(noise.fold(2), count, batch_size)
    history, first = History(), 0
    if checkpoint is not None and Path(checkpoint).exists():
        history, first = _resume(checkpoint, identity, model, optimizer, schedule)
    model.train()
    sums: dict[str, Tensor] = {}
    logged = first
    for step in range(first, steps):
        rows = order.batch(step)
        terms = _terms(model, [tensor[rows] for tensor in data], noise.fold(1).fold(step))
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        schedule.step()
        sums = {name: sums.get(name, 0) + term.detach() for name, term in terms.items()}
        if (step + 1) % log_every == 0 or step + 1 == steps:
            means = {name: float(total) / (step + 1 - logged) for name, total in sums.items()}
            _check_finite(means, step + 1)
            _log(history, step + 1, means, model, validation, noise)
            sums, logged = {}, step + 1
            if checkpoint is not None:
                _save(checkpoint, identity, step + 1, model, optimizer, history)
            if report is not None:
                report(step + 1, history)
    model.eval()
    return history


def _terms(model: nn.Module, batch: Sequence[Tensor], noise: Noise) -> dict[str, Tensor]:
    """The model's terms on a batch, brought to where its weights are."""
    device = next((tensor.device for tensor in itertools.chain(model.parameters(), model.buffers())), batch[0].device)
    terms: dict[str, Tensor] = model.training_terms(*(part.to(device) for part in batch), noise.to(device))  # type: ignore[operator]
    return terms


def _described(model: nn.Module) -> str:
    """What tells fits of one class apart: its settings and its estimator, where it has any."""
    text = f" settings={model.settings}" if hasattr(model, "settings") else ""
    if not (hasattr(model, "estimator") and hasattr(model, "schedule")):
        return text
    if getattr(model, "warm_up", 0):
        text += f" warm_up={model.warm_up}"
    if is_dataclass(model.schedule):  # of a function there is no text that is the same in the next process
        text += f" schedule={model.schedule}"
    # Of a factory what it makes at the first step; of a module its class.
    estimator = made(model.estimator, model.schedule(0))  # type: ignore[arg-type, operator]
    return f"{text} estimator={estimator if is_dataclass(estimator) else type(estimator).__name__}"


def _check_finite(means: dict[str, float], step: int) -> None:
    """Before anything is saved, or a NaN would take the place of the last good weights."""
    if not all(map(math.isfinite, means.values())):
        raise FloatingPointError(
            f"fit: the loss was not finite in the steps up to {step}, {means}; look over the data, take a lower "
            "learning_rate, or go on from the checkpoint of the entry before"
        )


def _check_data(data: Sequence[Tensor], name: str = "data") -> int:
    if isinstance(data, Tensor):
        raise InvalidArgument(
            f"fit.{name}", got=describe(data), expected="a sequence of tensors", hint="write (images,) for images alone"
        )
    lengths = {tensor.shape[0] for tensor in data}
    if len(lengths) != 1 or 0 in lengths:
        raise InvalidArgument(
            f"fit.{name}",
            got=f"tensors of {sorted(lengths)} rows",
            expected="a sequence of tensors with the same number of rows",
            hint="write (images,) for images alone",
        )
    return lengths.pop()


def _constant(step: int) -> float:
    return 1.0


def _cosine(steps: int) -> Callable[[int], float]:
    return lambda step: 0.5 + 0.5 * math.cos(math.pi * step / steps)


class _Order:
    """The rows of each batch: every epoch a fresh permutation, a pure function of the step."""

    def __init__(self, noise: Noise, count: int, batch_size: int) -> None:
        self._noise, self._count, self._batch_size = noise, count, batch_size
        self._epoch, self._rows = -1, torch.empty(0, dtype=torch.int64)

    def batch(self, step: int) -> Tensor:
        epoch, position = divmod(step, max(self._count // self._batch_size, 1))
        if epoch != self._epoch:
            self._epoch, self._rows = epoch, self._noise.fold(epoch).uniform(self._count)[0].argsort()
        return self._rows[position * self._batch_size : (position + 1) * self._batch_size]


def _log(
    history: History,
    step: int,
    means: dict[str, float],
    model: nn.Module,
    validation: Sequence[Tensor] | None,
    noise: Noise,
) -> None:
    history.step.append(step)
    for name, mean in means.items():
        history.train.setdefault(name, []).append(mean)
    if validation is not None:
        for name, value in evaluate(model, validation, noise=noise).items():
            history.validation.setdefault(name, []).append(value)


@torch.no_grad()
def evaluate(
    model: nn.Module, data: Sequence[Tensor], *, batch_size: int = 500, noise: Noise | None = None
) -> dict[str, float]:
    """Each term of a model's loss over all of ``data``, in evaluation mode.

    Args:
        model: A module with ``training_terms``.
        data: Tensors with the same first dimension.
        batch_size: Rows at a time.
        noise: One row, for models that draw; seed 0 if not given. It may be on any device, as the data may.
    """
    noise = Noise.from_seed(0) if noise is None else noise
    training, count = model.training, _check_data(data)
    sums: dict[str, float] = {}
    model.eval()
    try:
        for start in range(0, count, batch_size):
            batch = [tensor[start : start + batch_size] for tensor in data]
            for name, term in _terms(model, batch, noise.fold(3).fold(start)).items():
                sums[name] = sums.get(name, 0.0) + float(term) * len(batch[0]) / count
    finally:
        model.train(training)
    return sums


def _save(
    path: str | os.PathLike[str],
    identity: str,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    history: History,
) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": slot for name, slot in slots.items()}
    header = {"kind": "fit", "identity": identity, "step": step, "history": history.__dict__}
    _checkpoint.save(path, tensors, header)


def _resume(
    path: str | os.PathLike[str],
    identity: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> tuple[History, int]:
    tensors, header = _checkpoint.load(path, kind="fit")
    if header["identity"] != identity:
        raise BrokenFile(f"{path} belongs to another fit ({header['identity']}), and this one is {identity}")
    prefix = "model."
    model.load_state_dict({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = tensor
    step: int = header["step"]
    # The schedule is a function of the step alone: put it there, and the learning rate follows.
    state = schedule.state_dict() | {"last_epoch": step}
    schedule.load_state_dict(state)
    groups = optimizer.state_dict()["param_groups"]
    for group, base in zip(groups, schedule.base_lrs, strict=True):
        group["lr"] = base * schedule.lr_lambdas[0](step)
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
    return History(**header["history"]), step
