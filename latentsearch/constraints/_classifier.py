"""Networks that judge outputs or latents: what is looked at before a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from latentsearch.errors import InvalidArgument, describe
from latentsearch.spaces import Continuous, Discrete

Of = Literal["output", "latent"]
Judge = Callable[[Tensor], Tensor]


def require_judge(what: str, network: object, of: object) -> None:
    """Raise unless a network is callable and frozen, and reads outputs or latents."""
    name, _ = what.split(".")
    if not callable(network):
        expected = "a module or function to logits"
        raise InvalidArgument(what, got=type(network).__name__, expected=expected)
    if isinstance(network, nn.Module) and any(part.training for part in network.modules()):
        hint = f"{what.split('.')[1]}.eval()"
        raise InvalidArgument(what, got="a module in train mode", expected="a frozen one", hint=hint)
    if of not in ("output", "latent"):
        raise InvalidArgument(f"{name}.of", got=repr(of), expected="'output' or 'latent'")


def require_kind(what: str, network: object, *, exclusive: bool) -> None:
    """Raise if a critic that says whether its logits are of classes says the other thing."""
    said = getattr(network, "exclusive", None)
    if isinstance(said, bool) and said != exclusive:
        kinds = {True: "classes, of which one holds", False: "attributes, of which each may hold"}
        hint = "ls.HasAttributes takes it" if exclusive else "ls.Classified takes it"
        raise InvalidArgument(what, got=f"a critic of {kinds[said]}", expected=f"one of {kinds[exclusive]}", hint=hint)


def require_threshold(what: str, threshold: float | None) -> None:
    """Raise unless a threshold is a probability, or None."""
    if threshold is not None and not 0 < threshold < 1:
        raise InvalidArgument(what, got=repr(threshold), expected="a probability in (0, 1), or None")


def logits_of(what: str, network: Judge, seen: Tensor, of: Of, *, alone: bool = False) -> Tensor:
    """The logits of some rows, ``(N, A)``, or ``(N,)`` where one logit may stand alone.

    Raises:
        InvalidArgument: If the network fails on these, or gives something else.
    """
    hint = "a classifier that expects another size or range can be wrapped: lambda x: net(resize(x))"
    try:
        logits: object = network(seen)
    except Exception as error:
        if of == "output" and isinstance(getattr(network, "space", None), (Continuous, Discrete)):
            hint = 'it looks at latents: say of="latent"'
        weights = network.parameters() if isinstance(network, nn.Module) else ()
        elsewhere = {weight.device for weight in weights} - {seen.device}
        if elsewhere:
            home = seen.device
            hint = f"it is on {elsewhere.pop()}, and {of}s on {home}: {what.split('.')[1]}.to('{home}')"
        raise InvalidArgument(
            what,
            got=f"a {what.split('.')[1]} that fails on {describe(seen)} with {type(error).__name__}: {error}",
            expected=f"one that takes the generator's {of}s",
            hint=hint,
        ) from error
    shaped = isinstance(logits, Tensor) and logits.ndim in ((1, 2) if alone else (2,)) and len(logits) == len(seen)
    if not isinstance(logits, Tensor) or not shaped:
        got = describe(logits) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        expected = "logits (N,) or (N, attributes)" if alone else "logits (N, classes)"
        raise InvalidArgument(what, got=f"{got} for {len(seen)} {of}s", expected=expected, hint=hint)
    return logits
