"""Progress bars: tqdm's where it is installed, else a line on stderr; they never end what they show."""

from __future__ import annotations

import sys
import time
from typing import Any

_EVERY = 0.5  # seconds between looks at the device


class Bar:
    """Shows how far something has come, and what is known of it; it goes away when that is done.

    Where nothing can be written any more, as when stderr is closed, nothing is shown, and the work goes on.

    Args:
        enabled: Whether to show anything.
        name: What is under way.
        unit: What is counted.
        total: How much there is of it; None where that is not known.
        first: How much of it was done before.
    """

    def __init__(self, enabled: bool, name: str, unit: str, total: float | None = None, first: float = 0) -> None:
        self.name, self.unit, self.total, self.first = name, unit, total, first
        self.enabled = enabled
        self.bar: Any = None
        self.start, self.shown, self.width = time.monotonic(), -_EVERY, 0
        if enabled:
            self._guarded(self._open)

    @property
    def due(self) -> bool:
        """Whether it is time to show something: at most twice a second, for reading a loss makes the host wait."""
        return self.enabled and time.monotonic() - self.shown >= _EVERY

    def show(self, done: float, **figures: object) -> None:
        """Say how much is done, and some figures."""
        if self.enabled:
            self.shown = time.monotonic()
            self._guarded(lambda: self._write(done, figures))

    def close(self) -> None:
        """Take it away."""
        if self.enabled:
            self._guarded(self._erase)

    def _guarded(self, write: Any) -> None:
        try:
            write()
        except Exception:  # whatever a terminal, a notebook or a closed pipe says: a bar is worth no search
            self.enabled = False

    def _open(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return
        self.bar = tqdm(total=self.total, initial=self.first, unit=f" {self.unit}", desc=self.name, leave=False)

    def _write(self, done: float, figures: dict[str, object]) -> None:
        if self.bar is not None:
            self.bar.set_postfix(figures, refresh=False)
            self.bar.update(done - self.bar.n)
            return
        of = "" if self.total is None else f" of {self.total:g}"
        said = ", ".join([f"{done:g}{of} {self.unit}", *(f"{name} {value}" for name, value in figures.items())])
        line = f"{self.name}: {said}{self._left(done)}"
        print(f"\r{line:<{self.width}}", end="", file=sys.stderr, flush=True)
        self.width = len(line)

    def _left(self, done: float) -> str:
        """How long it will take, in words, where that can be told."""
        if self.total is None or done <= self.first:
            return ""
        rate = (time.monotonic() - self.start) / (done - self.first)
        return f", {max(self.total - done, 0) * rate:.0f} s left"

    def _erase(self) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.width:
            print(f"\r{'':<{self.width}}\r", end="", file=sys.stderr, flush=True)
