"""torch optimisers over independent rows: held with their moments, and checked to be row-local before use."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentsearch.errors import InvalidArgument

OptimizerFactory = Callable[[list[Tensor]], torch.optim.Optimizer]


class RowOptimizer:
    """A leaf ``(N, ...)`` and the torch optimiser that moves it.

    Slots of the leaf's shape, such as Adam's moments, have rows; the others, such as its count of
    steps, serve all rows alike, since all rows start together.
    """

    def __init__(self, factory: OptimizerFactory, leaf: Tensor, slots: dict[str, Tensor] | None = None) -> None:
        self.factory = factory
        self.leaf = leaf.detach().clone().requires_grad_()
        self.optimizer = factory([self.leaf])
        if slots:
            # Adam counts its steps on the host, and moving the count to the device would slow each step.
            self.optimizer.state[self.leaf] = {n: s if s.ndim else s.cpu() for n, s in slots.items()}

    @property
    def value(self) -> Tensor:
        """The leaf without its gradient machinery; the next step changes it in place."""
        return self.leaf.detach()

    def step(self, gradient: Tensor) -> None:
        """Move the leaf against its gradient."""
        self.leaf.grad = gradient
        self.optimizer.step()

    def tensors(self) -> dict[str, Tensor]:
        """The leaf and the slots, for the loop to drop rows and to save."""
        slots = self.optimizer.state.get(self.leaf, {})
        return {"leaf": self.value} | {name: slot for name, slot in slots.items() if isinstance(slot, Tensor)}

    def rebuilt(self, tensors: dict[str, Tensor]) -> RowOptimizer:
        """The same optimiser around other rows."""
        slots = dict(tensors)
        return RowOptimizer(self.factory, slots.pop("leaf"), slots)


def check_row_local(what: str, factory: OptimizerFactory, steps: int = 3) -> None:
    """Raise unless two rows moved together end where each ends alone."""
    start = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.1, -4.0]], dtype=torch.float64)

    def moved(rows: slice, *, anew: bool = False) -> Tensor:
        held = RowOptimizer(factory, start[rows])
        for number in range(1, steps + 1):
            held.step(held.value.square() * number)
            held = held.rebuilt(held.tensors()) if anew else held
        return held.value

    try:
        together, alone = moved(slice(0, 2)), torch.cat([moved(slice(0, 1)), moved(slice(1, 2))])
        again = moved(slice(0, 2), anew=True)
    except Exception as error:
        raise InvalidArgument(
            what,
            got=f"a factory that fails with {type(error).__name__}: {error}",
            expected="a function from [tensor] to a torch optimiser whose step takes no closure",
            hint="write functools.partial(torch.optim.Adam, lr=0.1)",
        ) from error
    if not torch.allclose(together, again, rtol=1e-12, atol=0):
        raise InvalidArgument(
            what,
            got="an optimiser that keeps more than tensors in its state, such as a learning rate that it changes",
            expected="one whose state of a tensor is all that its next step depends on, as SGD's, Adam's and RMSprop's",
            hint="rows are dropped, saved and taken up again with that state alone",
        )
    if not torch.allclose(together, alone, rtol=1e-12, atol=0):
        raise InvalidArgument(
            what,
            got="an optimiser that mixes rows",
            expected="one that treats each number by itself, as SGD, Adam and RMSprop do",
            hint="Adafactor and LBFGS, and norms over the whole tensor, couple independent problems",
        )
