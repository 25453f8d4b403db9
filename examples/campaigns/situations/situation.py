"""A situation, and what all of them share: a decoder whose answers are known, and a look at what must not change."""

from __future__ import annotations

import copy
import functools
import random
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import latentsearch as ls

RUN = ls.Run(evaluations=120)
LATENT, OUTPUT = 3, 5


@dataclass(frozen=True)
class Situation:
    """What a user meets.

    Attributes:
        name: A few words.
        source: Where it was reported; empty where practice alone is the source.
        play: Returns if the package does what its user would expect, and raises AssertionError otherwise.
    """

    name: str
    source: str
    play: Callable[[], None]


def collector(into: list[Situation]) -> Callable[..., Callable[[Callable[[], None]], Callable[[], None]]]:
    """A decorator that adds a function to a list of situations; whatever it raises becomes an AssertionError."""

    def situation(name: str, source: str = "") -> Callable[[Callable[[], None]], Callable[[], None]]:
        def add(play: Callable[[], None]) -> Callable[[], None]:
            @functools.wraps(play)
            def played() -> None:
                try:
                    play()
                except AssertionError:
                    raise
                except Exception as error:
                    raise AssertionError(f"raised {said(error)}") from error

            into.append(Situation(name, source, played))
            return played

        return add

    return situation


def said(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {str(error)[:400]}".replace("\n", " ")


def expect(condition: bool | Tensor, message: str) -> None:
    """Raise AssertionError unless the condition holds; unlike ``assert`` it stays in optimised runs."""
    if not bool(condition):
        raise AssertionError(message)


def refused(action: Callable[[], Any], *words: str) -> None:
    """The action must end in an error of the package that has at least one of the words."""
    try:
        result = action()
    except ls.LatentSearchError as error:
        text = str(error).lower()
        expect(any(word.lower() in text for word in words), f"no word of {words} in {said(error)}")
        return
    except Exception as error:
        raise AssertionError(f"no error of the package: {said(error)}") from error
    raise AssertionError(f"accepted, where one of {words} should be named; returned {str(result)[:120]}")


def refused_or_right(action: Callable[[], None], *words: str) -> None:
    """The action must return, which says that its own checks hold, or be refused with one of the words."""
    try:
        action()
    except ls.LatentSearchError as error:
        text = str(error).lower()
        expect(any(word.lower() in text for word in words), f"no word of {words} in {said(error)}")


# -- a decoder whose answers are known ---------------------------------------------------------------


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with weights from a seed of their own, so that torch's global random state stays as it is."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source) / 2)
    return module


class Plain(nn.Module):
    """Latents of 3 numbers to outputs of 5, by two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(LATENT, 8), nn.Linear(8, OUTPUT)

    def body(self, z: Tensor) -> Tensor:
        """What every variant of this decoder computes."""
        return self.outer(self.inner(z).tanh())

    def forward(self, z: Tensor) -> Tensor:
        """The same; variants come in by another road."""
        return self.body(z)


def plain() -> Plain:
    """The decoder that all others are compared with; whatever the settings of the moment, in float32 on the CPU."""
    return copy.deepcopy(_PLAIN)


def made(kind: type[nn.Module], *arguments: Any) -> Any:
    """A module in evaluation mode, with the weights that the seed gives."""
    with torch.random.fork_rng([]):
        module = kind(*arguments)
    return seeded(module).eval()


_PLAIN = made(Plain)


def target(rows: int = 2) -> Tensor:
    """Outputs that the plain decoder can give."""
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        return _PLAIN(torch.randn(rows, LATENT, generator=source, dtype=torch.float32, device="cpu"))


SEARCHERS: dict[str, Any] = {"gradient": ls.GradientSearch(), "random": ls.RandomSearch()}


@functools.cache
def reference(method: str, rows: int = 2) -> ls.SearchResult:
    """What a search finds with the plain decoder, undisturbed."""
    generator = ls.ContinuousGenerator(plain(), shape=(LATENT,))
    return SEARCHERS[method].search(generator, ls.Matches(target(rows)), seed=0, run=RUN)


def same_answer(found: ls.SearchResult, wanted: ls.SearchResult, tolerance: float = 1e-3) -> None:
    """The answers agree, and each output is what the plain decoder makes of its latent."""
    expect(found.latent.shape == wanted.latent.shape, f"latents {tuple(found.latent.shape)}")
    gap = float((found.latent - wanted.latent).abs().max())
    expect(gap <= tolerance, f"other latents than undisturbed, by up to {gap:.3g}")
    with torch.no_grad():
        gap = float((_PLAIN(found.latent.float()) - found.output.float()).abs().max())
    expect(gap <= tolerance, f"result.output is not what result.latent decodes to, by up to {gap:.3g}")


def agrees(
    decoder: Any,
    *modules: nn.Module,
    methods: tuple[str, ...] = ("gradient", "random"),
    tolerance: float = 1e-3,
    goal: Any = None,
    **settings: Any,
) -> None:
    """Searches with this decoder find what they find with the plain one, and leave the modules as they were."""
    goal = ls.Matches(target()) if goal is None else goal
    with untouched(*modules):
        generator = ls.ContinuousGenerator(decoder, shape=(LATENT,), **settings)
        for method in methods:
            result = SEARCHERS[method].search(generator, goal, seed=0, run=RUN)
            same_answer(result, reference(method), tolerance)


# -- what must not change ----------------------------------------------------------------------------


def settings_now() -> dict[str, Any]:
    """Everything global that a library has no business to change."""
    return {
        "torch's random state": torch.get_rng_state().tolist(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "whether gradients are on": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
        "threads": torch.get_num_threads(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "precision of matrix products": torch.get_float32_matmul_precision(),
        "python's random state": random.getstate(),
        "numpy's random state": np.random.get_state()[1].tolist(),
        "numpy's handling of errors": np.geterr(),
        "filters of warnings": list(warnings.filters),
        "the handler of Ctrl-C": signal.getsignal(signal.SIGINT),
    }


def _snapshot(modules: tuple[nn.Module, ...]) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for number, module in enumerate(modules):
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            gradient = None if tensor.grad is None else tensor.grad.clone()
            found[f"{number}.{name}"] = tensor.detach().clone(), gradient, tensor.requires_grad
        for name, part in module.named_modules():
            hooks = len(part._forward_hooks) + len(part._forward_pre_hooks)
            found[f"{number}.{name}.training"] = part.training, hooks
    return found


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.device.type == "meta" or (a.dtype == b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num()))
    return type(a) is type(b) and a == b


@contextmanager
def untouched(*modules: nn.Module) -> Iterator[None]:
    """What is within leaves weights, buffers, gradients, modes, hooks and global settings as they were."""
    # What torch imports at its first optimiser brings filters of warnings of its own.
    reference("gradient")
    before, settings, wrong = _snapshot(modules), settings_now(), []
    try:
        yield
    except AssertionError as error:
        wrong.append(str(error))
    for name, value in _snapshot(modules).items():
        old = before.get(name)
        if old is None or not all(map(_same, value, old)):
            wrong.append(f"changed: {name} of the user's module")
    wrong += [f"changed: {name}" for name, value in settings_now().items() if value != settings[name]]
    expect(not wrong, "; ".join(wrong))
