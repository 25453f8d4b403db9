"""Networks that judge outputs or latents: what is looked at before a run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from latentsearch._checks import in_short, is_number, require_function, require_one_of
from latentsearch._watch import modules_behind, stateful
from latentsearch.errors import InvalidArgument, describe
from latentsearch.spaces import Continuous, Discrete

Of = Literal["output", "latent"]
Judge = Callable[[Tensor], Tensor]


def require_judge(what: str, network: object, of: object) -> None:
    """Raise unless a network is callable and frozen, and reads outputs or latents."""
    name, _ = what.split(".")
    require_function(what, network, "a module or function to logits")
    if isinstance(network, type):
        got, hint = in_short(network), f"make one: {network.__name__}(...)"
        raise InvalidArgument(what, got=got, expected="a module or function to logits", hint=hint)
    # Whatever else is behind a function is seen when it is tried, before a search.
    if isinstance(network, nn.Module) and (kinds := stateful(network.modules())):
        got, hint = f"a module with {' and '.join(kinds)} in train mode", f"{what.split('.')[1]}.eval()"
        raise InvalidArgument(what, got=got, expected="a frozen one", hint=hint)
    require_one_of(f"{name}.of", of, ("output", "latent"))


def require_kind(what: str, network: object, *, exclusive: bool) -> None:
    """Raise if a critic that says whether its logits are of classes says the other thing."""
    said = getattr(network, "exclusive", None)
    if isinstance(said, bool) and said != exclusive:
        kinds = {True: "classes, of which one holds", False: "attributes, of which each may hold"}
        hint = "ls.HasAttributes takes it" if exclusive else "ls.Classified takes it"
        raise InvalidArgument(what, got=f"a critic of {kinds[said]}", expected=f"one of {kinds[exclusive]}", hint=hint)


def require_threshold(what: str, threshold: float | None) -> None:
    """Raise unless a threshold is a probability, or None."""
    if threshold is not None and not (is_number(threshold) and 0 < threshold < 1):
        raise InvalidArgument(what, got=repr(threshold), expected="a probability in (0, 1), or None")


def logits_of(what: str, network: Judge, seen: Tensor, of: Of, *, alone: bool = False) -> Tensor:
    """The logits of some rows, ``(N, A)``, or ``(N,)`` where one logit may stand alone.

    Raises:
        InvalidArgument: If the network fails on these, or gives something else.
    """
    kind = what.split(".")[1]
    try:
        logits: object = network(seen)
    except Exception as error:
        raise InvalidArgument(
            what,
            got=f"a {kind} that fails on {describe(seen)} with {type(error).__name__}: {error}",
            expected=f"one that takes the generator's {of}s",
            hint=_remedy(kind, network, seen, of),
        ) from error
    shaped = isinstance(logits, Tensor) and logits.ndim in ((1, 2) if alone else (2,)) and len(logits) == len(seen)
    if not isinstance(logits, Tensor) or not shaped:
        got = describe(logits) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        expected = "logits (N,) or (N, attributes)" if alone else "logits (N, classes)"
        hint = _RESIZED if isinstance(logits, Tensor) else _picked(logits)
        raise InvalidArgument(what, got=f"{got} for {len(seen)} {of}s", expected=expected, hint=hint)
    if squashed := _last_squash(network, seen):
        inverse = "log" if squashed == "softmax" else "logit"
        hint = f"leave the {squashed} out, or take its inverse: lambda x: net(x).{inverse}()"
        raise InvalidArgument(what, got=f"probabilities: its last step is a {squashed}", expected="logits", hint=hint)
    return logits


def _last_squash(network: Judge, seen: Tensor) -> str:
    """The sigmoid or softmax that a network ends in, as autograd has it; "" for none, or where it does not see."""
    if not seen.is_floating_point():
        return ""
    try:
        with torch.enable_grad():
            # No leaf: networks may change what they are given in place.
            step = network(seen.detach().requires_grad_() * 1).grad_fn
    except Exception:
        return ""
    while step is not None and _SAME_VALUES.match(type(step).__name__):
        step = step.next_functions[0][0]
    squashed = _SQUASHES.fullmatch(type(step).__name__)
    return squashed.group(1).lower() if squashed else ""


_SQUASHES = re.compile(r"(Sigmoid|Hardsigmoid|Softmax)Backward\d")
# Steps of autograd that leave probabilities what they are: shapes, dtypes, and limits that keep logarithms finite.
_SAME_VALUES = re.compile(
    r"(View|UnsafeView|ReshapeAlias|Alias|Squeeze|Unsqueeze|Select|Slice|Expand|Transpose|Permute|T|Clone|ToCopy|"
    r"Clamp|ClampMin|ClampMax)Backward\d"
)

_RESIZED = "a classifier that expects another size or range can be wrapped: lambda x: net(resize(x))"


def _remedy(kind: str, network: Judge, seen: Tensor, of: Of) -> str:
    """What may help a network that fails: by where it is, what it computes in, and what it looks at."""
    if of == "output" and isinstance(getattr(network, "space", None), (Continuous, Discrete)):
        return 'it looks at latents: say of="latent"'
    weights = [weight for module in modules_behind(network) for weight in module.parameters()]
    elsewhere = {weight.device for weight in weights} - {seen.device}
    if elsewhere:
        return f"it is on {elsewhere.pop()}, and {of}s on {seen.device}: {kind}.to('{seen.device}')"
    other = {weight.dtype for weight in weights if weight.is_floating_point()} - {seen.dtype}
    if other and seen.is_floating_point():
        return f"it computes in {other.pop()}: {kind}.float(), or lambda x: net(x.to(weights' dtype)).float()"
    return _RESIZED


def _picked(found: object) -> str:
    """How logits are picked out of what holds them."""
    if isinstance(found, (tuple, list)):
        return "pick them: lambda x: net(x)[0]"
    return "pick them: lambda x: net(x)['logits']" if isinstance(found, dict) else "pick them: lambda x: net(x).logits"
