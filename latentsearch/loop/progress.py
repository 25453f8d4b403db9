"""Progress of a search: tqdm where it is installed, else a line on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from latentsearch.run import Step

_EVERY = 0.5  # seconds between looks at the device


class Progress:
    """Shows the mean best loss and how many rows are left; shows nothing unless asked to."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.bar: Any = None
        self.shown = 0.0
        self.last: Step | None = None

    def __enter__(self) -> Progress:
        if self.enabled:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return self
            self.bar = tqdm(unit="step", desc="search")
        return self

    def show(self, step: Step) -> None:
        """Report a step, at most twice a second: reading a loss makes the host wait."""
        if not self.enabled:
            return
        self.last = step
        now = time.monotonic()
        if now - self.shown >= _EVERY:
            self.shown = now
            self._print(step)

    def _print(self, step: Step) -> None:
        loss, alive = float(step.best_loss.mean()), int(step.alive.sum())
        if self.bar is None:
            print(f"\rsearch: step {step.number}, loss {loss:.5g}, {alive} alive", end="", file=sys.stderr, flush=True)
        else:
            self.bar.set_postfix(loss=f"{loss:.5g}", alive=alive, refresh=False)
            self.bar.update(step.number - self.bar.n)

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.last is not None:
            self._print(self.last)
        if self.bar is not None:
            self.bar.close()
        elif self.enabled:
            print(file=sys.stderr)
