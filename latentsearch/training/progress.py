"""Progress of a fit: tqdm where it is installed, else a line on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor

_EVERY = 0.5  # seconds between looks at the device


class Progress:
    """Shows the step and the loss; shows nothing unless asked to."""

    def __init__(self, enabled: bool, first: int, steps: int) -> None:
        self.enabled, self.steps, self.shown = enabled, steps, 0.0
        self.bar: Any = None
        if enabled:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return
            self.bar = tqdm(total=steps, initial=first, unit="step", desc="fit")

    def show(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Report a step and its terms, at most twice a second: reading a loss makes the host wait."""
        now = time.monotonic()
        if not self.enabled or (now - self.shown < _EVERY and step < self.steps):
            return
        self.shown = now
        loss = f"{sum(float(term.detach()) for term in terms.values()):.5g}"
        if self.bar is None:
            print(f"\rfit: step {step} of {self.steps}, loss {loss}", end="", file=sys.stderr, flush=True)
        else:
            self.bar.set_postfix(loss=loss, refresh=False)
            self.bar.update(step - self.bar.n)

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self.bar is not None:
            self.bar.close()
        elif self.enabled:
            print(file=sys.stderr)
