"""Where batches come from: every batch a function of its step, so that a resumed fit sees the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, default_collate

from latentsearch._checks import in_short, misfit
from latentsearch._identity import describe_settings, digest
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.training.randomness import drawn_from

Stream = Callable[[int, Noise], Any]
"""From a step and one row of noise to a batch."""

Data = Sequence[Tensor] | Dataset[Any] | Iterable[Any] | Stream
"""Tensors, a data set, an iterable that begins anew such as a data loader, or a function of the step."""

_ORDER, _STREAM = 2, 4  # streams of noise
_ELEMENTS = 1 << 20  # of a tensor that are looked at


class Batches(Protocol):
    """A source of batches.

    Attributes:
        identity: What tells it from other sources, as far as can be seen without reading all of it.
    """

    identity: str

    def batch(self, step: int) -> Sequence[Any]:
        """The parts of the batch at a step."""


def batches_of(what: str, data: Data, batch_size: int, noise: Noise) -> Batches:
    """The source that ``data`` stand for.

    Raises:
        InvalidArgument: If they are empty, of unequal lengths, or could not be begun again.
    """
    source = _by_number(what, data)
    if source is not None:
        return _Rows(source, batch_size, noise)
    if isinstance(data, Iterable):
        return _Epochs(what, data, noise.fold(_STREAM))
    if callable(data):
        return _Stream(what, data, noise.fold(_STREAM))
    raise InvalidArgument(what, got=in_short(data), expected=_EXPECTED)


def in_order(what: str, data: Data, batch_size: int) -> Iterator[Sequence[Any]]:
    """All of the data once, in their order; what they draw is the same each time.

    Raises:
        InvalidArgument: If they are empty, of unequal lengths, or have no end.
    """
    noise = Noise.from_seed(0).fold(_STREAM)
    source = _by_number(what, data)
    if source is not None:
        starts = range(0, source.count, batch_size)
        rows = (torch.arange(start, min(start + batch_size, source.count)) for start in starts)
        return (source.take(batch, noise.fold(number)) for number, batch in enumerate(rows))
    if not isinstance(data, Iterable):
        expected = "tensors, a data set or batches that end, not a function of the step"
        raise InvalidArgument(what, got=in_short(data), expected=expected)
    return _once(data, noise)


def _once(data: Iterable[Any], noise: Noise) -> Iterator[Sequence[Any]]:
    iterator: Iterator[Any] | None = None
    for number in itertools.count():
        with drawn_from(noise.fold(number)):
            iterator = iter(data) if iterator is None else iterator
            batch = next(iterator, None)
        if batch is None:
            return
        yield parts_of(batch)


def parts_of(batch: Any) -> Sequence[Any]:
    """A batch as the arguments of ``training_terms``: a tensor or a mapping is one argument."""
    return batch if isinstance(batch, (tuple, list)) else (batch,)


_EXPECTED = "tensors, a torch Dataset, an iterable such as a DataLoader, or a function of step and noise"


def _by_number(what: str, data: Data) -> _Tensors | _Items | None:
    """What has rows that can be taken by their number; None where the data are none of these."""
    if isinstance(data, Tensor):
        hint = "write (images,) for images alone"
        raise InvalidArgument(what, got=describe(data), expected="a sequence of tensors", hint=hint)
    _refuse_what_only_looks_like_data(what, data)
    # No tensors at all are refused as tensors: nothing else could be meant.
    if isinstance(data, Sequence) and all(isinstance(part, Tensor) for part in data):
        return _Tensors(what, data)
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        return _Items(what, data)
    return None


def _refuse_what_only_looks_like_data(what: str, data: object) -> None:
    """What could be gone through, or called, and gives no batches: words, dictionaries, classes and arrays."""
    if isinstance(data, (str, bytes, Mapping, type)):
        raise InvalidArgument(what, got=in_short(data), expected=_EXPECTED)
    parts = data if isinstance(data, (list, tuple)) else (data,)
    if any(type(part).__module__ == "numpy" for part in parts):
        hint = "torch.from_numpy(x) is an array as a tensor"
        raise InvalidArgument(what, got="numpy arrays", expected=_EXPECTED, hint=hint)


class _Tensors:
    """Rows of tensors in memory."""

    def __init__(self, what: str, tensors: Any) -> None:
        lengths = {tensor.shape[0] if tensor.ndim else 0 for tensor in tensors}
        if len(lengths) != 1 or 0 in lengths:
            raise InvalidArgument(
                what,
                got=f"tensors of {sorted(lengths)} rows",
                expected="a sequence of tensors with the same number of rows",
                hint="write (images,) for images alone",
            )
        self.tensors, self.count = tensors, lengths.pop()
        self.identity = f"{self.count} rows {digest(*map(_some, tensors))}"

    def take(self, rows: Tensor, noise: Noise) -> Sequence[Any]:
        return [tensor[rows] for tensor in self.tensors]


def identity_of(data: Data) -> str:
    """What tells data from others, as far as can be seen without reading all of them."""
    if isinstance(data, (list, tuple)) and all(isinstance(part, Tensor) for part in data):
        return digest(*map(_some, data))
    return _identity_of(data)


def _some(tensor: Tensor) -> Tensor:
    """The first and the last row and others between, so that reading gigabytes is not needed."""
    rows = max(2, min(len(tensor), _ELEMENTS // max(tensor[0].numel(), 1)))
    return tensor[torch.linspace(0, len(tensor) - 1, rows, dtype=torch.float64).round().long().to(tensor.device)]


def _identity_of(data: Any) -> str:
    """What tells a data set, a loader or a list of batches from others: its kind, length, and a few of its items."""
    if (dataset := getattr(data, "dataset", None)) is not None:
        order = type(getattr(data, "sampler", None)).__qualname__
        length = len(data) if isinstance(data, Sized) else "?"
        return f"{type(data).__qualname__} of {length}, {order}: {_identity_of(dataset)}"
    if not isinstance(data, Sized):
        return type(data).__qualname__
    named = f"{type(data).__qualname__} of {len(data)}"
    if not hasattr(data, "__getitem__"):
        return named
    # A data set may draw, to move or to crop its images.
    with drawn_from(Noise.from_seed(0)):
        shown = [data[at] for at in sorted({0, len(data) // 2, len(data) - 1})]
    return f"{named} {describe_settings(shown)}"


class _Items:
    """Items of a torch data set, read when they are needed."""

    def __init__(self, what: str, dataset: Any) -> None:
        self.dataset, self.count = dataset, len(dataset)
        if not self.count:
            raise InvalidArgument(what, got="an empty data set", expected="at least one item")
        self.identity = _identity_of(dataset)

    def take(self, rows: Tensor, noise: Noise) -> Sequence[Any]:
        # A data set may draw, to move or to crop its images.
        with drawn_from(noise):
            return parts_of(default_collate([self.dataset[row] for row in rows.tolist()]))


class _Rows:
    """Rows drawn without replacement: every epoch a fresh permutation, a pure function of the step."""

    def __init__(self, source: _Tensors | _Items, batch_size: int, noise: Noise) -> None:
        self._source, self._batch_size = source, batch_size
        self._order, self._noise = noise.fold(_ORDER), noise.fold(_STREAM)
        self._epoch, self._rows = -1, torch.empty(0, dtype=torch.int64)
        self.identity = source.identity

    def batch(self, step: int) -> Sequence[Any]:
        epoch, position = divmod(step, max(self._source.count // self._batch_size, 1))
        if epoch != self._epoch:
            self._epoch, self._rows = epoch, self._order.fold(epoch).uniform(self._source.count)[0].argsort()
        rows = self._rows[position * self._batch_size : (position + 1) * self._batch_size]
        return self._source.take(rows, self._noise.fold(step))


class _Stream:
    """A function of the step."""

    def __init__(self, what: str, function: Stream, noise: Noise) -> None:
        if why := misfit(function, 0, noise):
            got, expected = f"a function of other arguments ({why})", "one of the step and one row of noise"
            raise InvalidArgument(what, got=got, expected=expected)
        self._function, self._noise = function, noise
        self.identity = describe_settings(function)

    def batch(self, step: int) -> Sequence[Any]:
        return parts_of(self._function(step, self._noise.fold(step)))


class _Epochs:
    """An iterable that is gone through again and again; what a loader draws is a function of the step."""

    def __init__(self, what: str, data: Iterable[Any], noise: Noise) -> None:
        if isinstance(data, Iterator):
            hint = "give what it is made from, such as a DataLoader, or a function of step and noise"
            raise InvalidArgument(what, got=type(data).__name__, expected="an iterable that begins anew", hint=hint)
        self._what, self._data, self._noise = what, data, noise
        self._iterator: Iterator[Any] = iter(())
        self._next = 0
        self.identity = _identity_of(data)

    def batch(self, step: int) -> Sequence[Any]:
        if self._next != step:
            self._skip_to(step)
        self._next = step + 1
        return parts_of(self._draw(step))

    def _skip_to(self, step: int) -> None:
        """Go to a step as a fit that was not killed came there; epochs that can be counted are not gone through."""
        length = len(self._data) if isinstance(self._data, Sized) else 0
        self._iterator, begin = iter(()), step - step % length if length else 0
        for passed in range(begin, step):
            self._draw(passed)

    def _draw(self, step: int) -> Any:
        with drawn_from(self._noise.fold(step)):
            try:
                return next(self._iterator)
            except StopIteration:
                self._iterator = iter(self._data)
                first = next(self._iterator, None)
        if first is not None:
            return first
        raise InvalidArgument(self._what, got=f"an empty {type(self._data).__name__}", expected="at least one batch")
