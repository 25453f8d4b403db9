"""Modules, watched while functions that use them are tried: which of them run, and what they change."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import types
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parameter import is_lazy
from typing_extensions import Self

from latentsearch._rng import set_aside


def modules_behind(function: object) -> list[nn.Module]:
    """The modules a callable uses: itself, what a method is bound to, what a function's body names."""
    if isinstance(function, functools.partial):
        held = [function.func, *function.args, *function.keywords.values()]
        return [module for part in held for module in modules_behind(part)]
    held = [function, getattr(function, "__self__", None)]
    if isinstance(function, types.FunctionType):
        held += inspect.getclosurevars(function).nonlocals.values()
        held += [function.__globals__.get(name) for name in function.__code__.co_names]
    return [module for module in held if isinstance(module, nn.Module)]


class Watch:
    """Sees every module that runs within, however deep in functions it sits, and undoes what it changes.

    Weights, buffers and torch's global random state are as they were in the end. What other threads do meanwhile is
    theirs: it is neither seen nor undone. What was compiled runs uncompiled meanwhile: a watched call is another one to
    the compiler.

    Args:
        modules: Those known beforehand, which may run without being called, by a method of theirs.
        weights: Whether weights are looked at as well as buffers, which takes copies of them.

    Attributes:
        ran: The modules, in the order of their first call.
    """

    def __init__(self, modules: Iterable[nn.Module] = (), *, weights: bool = True) -> None:
        self.known, self._weights = list(modules), weights
        self.ran: dict[int, nn.Module] = {}
        self._thread = threading.get_ident()
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
            self._stack.enter_context(_quiet_about_hooks(self.known))
        self._stack.callback(register_module_forward_pre_hook(self._seen).remove)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()
        with torch.no_grad():
            for tensor, before in self._before.values():
                if tensor.shape == before.shape and not _same(tensor, before):
                    tensor.copy_(before)

    def mark(self) -> None:
        """From now on changes count: a first call may well fill caches."""
        self._marked = {key: tensor.detach().clone() for key, (tensor, _) in self._before.items()}

    def changed(self) -> bool:
        """Whether weights or buffers are others than at the mark."""
        return any(
            not _same(tensor, marked)
            for key, (tensor, _) in self._before.items()
            if (marked := self._marked.get(key)) is not None
        )

    def stateful(self) -> list[str]:
        """The kinds of those that ran and, being in train mode, mix or drop."""
        return stateful(self.ran.values())

    def on_meta(self) -> list[str]:
        """The kinds of those that ran with weights that are nowhere; an offloaded module fetches its own in between."""
        found = (m for m in self.ran.values() if any(t.is_meta for t in m.parameters(recurse=False)))
        return sorted({type(m).__name__ for m in found if not (m._forward_pre_hooks or "forward" in vars(m))})

    def hint(self) -> str:
        """What helps against changing outputs, by what ran."""
        ran = (*self.known, *self.ran.values())
        if any(isinstance(m, torch.jit.ScriptModule | torch.fx.GraphModule) for m in ran):
            return "call .eval() on the model before it is traced, scripted or exported"
        if any(getattr(m, "training", False) for m in ran):
            return "call .eval() first"
        return (
            "look for dropout, such as F.dropout(x) without training=False, for sampled noise, and for what is kept "
            "from call to call, such as a running statistic or a cache"
        )

    def _seen(self, module: nn.Module, _: object) -> None:
        if threading.get_ident() == self._thread and id(module) not in self.ran:
            self.ran[id(module)] = module
            # Of a scripted module nobody sees the inner ones.
            self._remember(module, recurse=isinstance(module, torch.jit.ScriptModule))

    def _remember(self, module: nn.Module, *, recurse: bool) -> None:
        weights = module.parameters(recurse) if self._weights else ()
        for tensor in (*weights, *module.buffers(recurse)):
            # Those on meta are elsewhere when the module runs, and lazy ones come to be.
            if id(tensor) not in self._before and not tensor.is_meta and not is_lazy(tensor):
                self._before[id(tensor)] = tensor, tensor.detach().clone()


@contextmanager
def _quiet_about_hooks(known: list[nn.Module]) -> Iterator[None]:
    """Without the warning that compiled modules give of global hooks such as ours, which goes away."""
    compiled = sys.modules["torch._dynamo"].OptimizedModule
    if not any(isinstance(part, compiled) for module in known for part in module.modules()):
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using .torch.compile.module.. when there are global hooks")
        yield


def stateful(modules: Iterable[nn.Module]) -> list[str]:
    """The kinds of modules that, being in train mode, mix rows or drop values."""
    # The type comes first: a frozen TorchScript module does not say whether it is in train mode.
    found = (m for m in modules if isinstance(m, _BatchNorm | _DropoutNd) and m.training)
    return sorted({type(m).__name__ for m in found if not (isinstance(m, _DropoutNd) and m.p == 0)})


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same; NaN is like NaN."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.equal(a, b) or torch.equal(a.nan_to_num(), b.nan_to_num())
