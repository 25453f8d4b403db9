"""The optimisers of a fit, and whose turn it is."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentsearch.errors import InvalidArgument
from latentsearch.training.evaluation import Terms, called
from latentsearch.training.plan import Fit, Group


class Turn:
    """One group's optimiser and the parameters that its steps move."""

    def __init__(self, name: str, group: Group, plan: Fit, model: nn.Module) -> None:
        self.name, self.steps = name, group.steps
        self._schedule, self._clip, self._total = plan.schedule, plan.clip, plan.steps
        self.optimizer = _made(name, group, model)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self._leaves = [parameter for parameter in parameters if parameter.requires_grad]
        _check_leaves(_called("parameters", name), self._leaves, parameters, model)

    def own(self, terms: Mapping[str, Any]) -> Terms:
        """The terms of this group, of what a model gave."""
        if not self.name:
            return _scalars(terms)
        if self.name not in terms:
            got = f"the groups {sorted(terms)}"
            raise InvalidArgument("training_terms", got=got, expected=f"terms for the group {self.name!r}")
        return _scalars(called(terms[self.name]))

    def labelled(self, terms: Terms) -> Terms:
        """The terms by the names that a history calls them."""
        return {f"{self.name}.{term}": value for term, value in terms.items()} if self.name else terms

    def descend(self, terms: Terms, step: int) -> None:
        """One step against the gradient of the terms' sum; parameters of other groups are not reached."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.stack(list(terms.values())).sum()
        if not loss.requires_grad:
            hint = "they were detached, or computed under torch.no_grad, on the way from the parameters"
            raise InvalidArgument("training_terms", got="terms without a gradient", expected="some with", hint=hint)
        loss.backward(inputs=self._leaves)
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._leaves, self._clip)
        if self._schedule is not None:
            share = self._schedule(step, self._total)
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * share
        self.optimizer.step()

    # -- on disk -----------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """The optimiser's tensors, as ``parameter.slot``."""
        return {name: slot for name, slot in self._slots().items() if isinstance(slot, Tensor)}

    def numbers(self) -> dict[str, Any]:
        """Its other slots, and the numbers of its parameter groups, which some optimisers adapt."""
        slots = {name: slot for name, slot in self._slots().items() if not isinstance(slot, Tensor)}
        strange = {name: slot for name, slot in slots.items() if not isinstance(slot, (int, float, str, type(None)))}
        if strange:
            got = f"{type(self.optimizer).__name__}, whose state holds {strange}"
            raise InvalidArgument("Fit.optimizer", got=got, expected="a state of tensors and numbers, to be saved")
        groups = [
            {k: v for k, v in g.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
            for g in self.optimizer.param_groups
        ]
        return {"slots": slots, "groups": groups}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Restore what [tensors][] and [numbers][] gave."""
        state: dict[int, dict[str, Any]] = {}
        for name, slot in (tensors | numbers["slots"]).items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = slot
        plain = self.optimizer.state_dict()["param_groups"]
        groups = [now | then for now, then in zip(plain, numbers["groups"], strict=True)]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _slots(self) -> dict[str, Any]:
        state = self.optimizer.state_dict()["state"]
        return {f"{index}.{name}": slot for index, slots in state.items() for name, slot in slots.items()}


class Turns:
    """Groups one after the other, each for its steps, over and over: whose turn it is is a function of the step."""

    def __init__(self, model: nn.Module, plan: Fit) -> None:
        self.all = [Turn(name, group, plan, model) for name, group in plan.groups.items()]
        self._round = [turn for turn in self.all for _ in range(turn.steps)]

    def at(self, step: int) -> Turn:
        """Whose turn it is."""
        return self._round[step % len(self._round)]


def _called(setting: str, name: str) -> str:
    return f"Fit.optimizer[{name!r}].{setting}" if name else f"Fit.{setting}"


def _made(name: str, group: Group, model: nn.Module) -> torch.optim.Optimizer:
    what = _called("optimizer", name)
    try:
        chosen = list(group.parameters(model))
    except Exception as error:
        got = f"a function that fails with {type(error).__name__}: {error}"
        expected = "one from the model to its parameters"
        raise InvalidArgument(_called("parameters", name), got=got, expected=expected) from error
    if not chosen:
        raise InvalidArgument(what, got="no parameters to move", expected="a group of at least one parameter")
    try:
        optimizer = group.optimizer(chosen)
    except Exception as error:
        raise InvalidArgument(
            what,
            got=f"a factory that fails with {type(error).__name__}: {error}",
            expected="a function from parameters to a torch optimiser",
            hint="write functools.partial(torch.optim.Adam, lr=1e-3)",
        ) from error
    if not isinstance(optimizer, torch.optim.Optimizer):
        got = f"a factory of {type(optimizer).__name__}"
        raise InvalidArgument(what, got=got, expected="a function from parameters to a torch optimiser")
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise InvalidArgument(what, got=type(optimizer).__name__, expected="an optimiser whose step takes no closure")
    return optimizer


def _check_leaves(what: str, leaves: list[Tensor], parameters: list[Tensor], model: nn.Module) -> None:
    if not leaves:
        raise InvalidArgument(what, got="frozen parameters alone", expected="at least one that requires a gradient")
    own = {id(parameter) for parameter in model.parameters()}
    if any(id(parameter) not in own for parameter in parameters):
        hint = "register them in the model, or they are neither saved nor averaged"
        raise InvalidArgument(what, got="parameters that are not the model's", expected="parts of it", hint=hint)


def _scalars(terms: Any) -> Terms:
    """Terms as they are, if each is a scalar; the loss of all rows would broadcast in silence."""
    if not isinstance(terms, Mapping) or not terms:
        got = f"{type(terms).__name__} of {len(terms)}" if isinstance(terms, Mapping) else type(terms).__name__
        raise InvalidArgument("training_terms", got=got, expected="a dictionary of scalar tensors by name")
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.numel() != 1:
            got = f"{name!r}: {tuple(term.shape) if isinstance(term, Tensor) else type(term).__name__}"
            hint = "give training_terms a plan with groups of these names" if isinstance(term, Mapping) else ""
            raise InvalidArgument("training_terms", got=got, expected="scalar tensors by name", hint=hint)
    return terms
