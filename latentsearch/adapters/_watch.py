"""A decoder's modules, watched while it is tried: which of them run, and what they change."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.module import register_module_forward_pre_hook
from typing_extensions import Self

from latentsearch._rng import set_aside


class Watch:
    """Sees every module that runs within, however deep in functions it sits, and undoes what it changes.

    Weights, buffers and torch's global random state are as they were in the end. What was compiled
    runs uncompiled meanwhile: a watched call is another one to the compiler.

    Args:
        modules: Those known beforehand, which may run without being called, by a method of theirs.

    Attributes:
        ran: The modules, in the order of their first call.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.known = list(modules)
        self.ran: dict[int, nn.Module] = {}
        self._before: dict[int, tuple[Tensor, Tensor]] = {}
        self._marked: dict[int, Tensor] = {}

    def __enter__(self) -> Self:
        for module in self.known:
            self._remember(module, recurse=True)
        self._stack = ExitStack()
        # Seeded, so that the verdict is the same whenever it is sought.
        self._stack.enter_context(set_aside(seed=0))
        if "torch._dynamo" in sys.modules:
            self._stack.enter_context(torch.compiler.set_stance("force_eager"))
        self._stack.callback(register_module_forward_pre_hook(self._seen).remove)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()
        with torch.no_grad():
            for tensor, before in self._before.values():
                if tensor.shape == before.shape and not torch.equal(tensor, before):
                    tensor.copy_(before)

    def mark(self) -> None:
        """From now on changes count: a first call may well fill caches."""
        self._marked = {key: tensor.detach().clone() for key, (tensor, _) in self._before.items()}

    def changed(self) -> bool:
        """Whether weights or buffers are others than at the mark."""
        return any(
            not torch.equal(tensor.nan_to_num(), marked.nan_to_num())
            for key, (tensor, _) in self._before.items()
            if (marked := self._marked.get(key)) is not None
        )

    def stateful(self) -> list[str]:
        """The kinds of those that ran and, being in train mode, mix or drop."""
        # The type comes first: a frozen TorchScript module does not say whether it is in train mode.
        found = (m for m in self.ran.values() if isinstance(m, _BatchNorm | _DropoutNd) and m.training)
        return sorted({type(m).__name__ for m in found if not (isinstance(m, _DropoutNd) and m.p == 0)})

    def hint(self) -> str:
        """What helps against changing outputs, by what ran."""
        ran = (*self.known, *self.ran.values())
        if any(isinstance(m, torch.jit.ScriptModule | torch.fx.GraphModule) for m in ran):
            return "call .eval() on the model before it is traced, scripted or exported"
        if any(getattr(m, "training", False) for m in ran):
            return "call .eval() first"
        return "look for dropout, sampled noise, or a running statistic that each call moves"

    def _seen(self, module: nn.Module, _: object) -> None:
        if id(module) not in self.ran:
            self.ran[id(module)] = module
            # Of a scripted module nobody sees the inner ones.
            self._remember(module, recurse=isinstance(module, torch.jit.ScriptModule))

    def _remember(self, module: nn.Module, *, recurse: bool) -> None:
        for tensor in (*module.parameters(recurse), *module.buffers(recurse)):
            if id(tensor) not in self._before:
                self._before[id(tensor)] = tensor, tensor.detach().clone()
