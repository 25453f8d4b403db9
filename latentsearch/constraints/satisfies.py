"""Any constraint that a plain function can express."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, overload

import torch
from torch import Tensor

from latentsearch._checks import (
    check_per_problem,
    common_problems,
    require_flag,
    require_function,
    require_noise,
    require_one_of,
)
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Constraint, Score
from latentsearch.goal._addend import Addend
from latentsearch.goal.constraint import Reads
from latentsearch.noise import Noise


class Satisfies(Constraint):
    """A constraint as a plain function of outputs, latents or both, one value a row.

    The function gets ``(N, *O)`` outputs (or ``(N, *S)`` latents, or both), and after them
    ``targets`` if there are any, and ``noise`` if it draws. It returns ``(N,)`` floating values, a loss; or, with
    ``boolean=True``, bools: the loss is then 0 where they hold and 1 where not. A preflight check calls it on two rows
    together and on each alone, so that a function which mixes rows, such as ``x - x.mean(0)``, is
    caught.

    Args:
        function: The constraint.
        of: What it reads: ``"output"``, ``"latent"`` (codes are hard, or soft ``(N, *S, K)`` in
            searchers that follow gradients), or ``"both"``.
        targets: Per-problem data ``(B, ...)``, handed to the function row by row.
        differentiable: False if gradients through it are useless; gradient searchers then refuse.
        boolean: Whether the function returns bools; there is no gradient through those.
        stochastic: Whether the function draws: it then gets a [Noise][latentsearch.Noise] of N rows to draw from, such
            as ``noise.integers(5, 16)``, ``(N, 16)``. See [Stochastic][latentsearch.Stochastic].
        name: For reports; the function's own name if not given.

    Raises:
        InvalidArgument: If the function mixes rows or does not return one value a row; before a run.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> dark = ls.Satisfies(lambda x: x.mean((1, 2, 3)), name="dark").below(0.1)
        >>> dark(torch.zeros(2, 1, 4, 4), torch.zeros(2, 8)).satisfied
        tensor([True, True])

        One that draws, here crops of 6x6:

        >>> def seen_in_crops(x, noise):
        ...     top, left = noise.integers(3, 2, 16).unbind(1)            # (N, 16) each
        ...     crops = x.unfold(2, 6, 1).unfold(3, 6, 1)                  # (N, C, 3, 3, 6, 6)
        ...     crops = crops[torch.arange(len(x))[:, None], :, top, left]  # (N, 16, C, 6, 6)
        ...     return crops.flatten(1).mean(1)
        >>> goal = ls.Satisfies(seen_in_crops, stochastic=True).with_noise(ls.Noise.from_seed(0))
        >>> goal(torch.ones(2, 1, 8, 8), torch.zeros(2, 4)).loss
        tensor([1., 1.])
    """

    tensors: ClassVar[tuple[str, ...]] = ("targets", "keys")

    def __init__(
        self,
        function: Callable[..., Tensor],
        *,
        of: Reads = "output",
        targets: Tensor | None = None,
        differentiable: bool = True,
        boolean: bool = False,
        stochastic: bool = False,
        name: str | None = None,
    ) -> None:
        if isinstance(function, Addend):
            got, expected = f"{function!r}, which is a constraint already", "a function"
            raise InvalidArgument("Satisfies.function", got=got, expected=expected, hint="search for it as it is")
        require_function("Satisfies.function", function, "a function")
        require_one_of("Satisfies.of", of, ("output", "latent", "both"))
        require_flag("Satisfies.differentiable", differentiable)
        require_flag("Satisfies.boolean", boolean)
        require_flag("Satisfies.stochastic", stochastic)
        if name is not None and not isinstance(name, str):
            raise InvalidArgument("Satisfies.name", got=repr(name), expected="a word, or None")
        self.function, self.reads = function, of
        self.boolean, self.differentiable = boolean, differentiable and not boolean
        self.stochastic = stochastic
        self._name: str = name or str(getattr(function, "__name__", type(function).__name__))
        # One row of no elements stands for "no targets", and for "no noise".
        self.targets, self.keys = torch.zeros(1, 0, dtype=torch.float32), torch.zeros(1, 0, dtype=torch.int64)
        if targets is not None:
            self.targets = check_per_problem("Satisfies.targets", targets)
        self.problems = self.targets.shape[0]

    @property
    def name(self) -> str:
        return self._name

    @property
    def _has_targets(self) -> bool:
        # Of a batch of no rows targets have no elements either.
        return self.targets.shape[1:] != (0,)

    def with_targets(self, targets: Tensor) -> Satisfies:
        """The same constraint with other per-problem data ``(B, ...)``."""
        clone = copy.copy(self)
        clone.targets = check_per_problem("Satisfies.targets", targets)
        # Noise is that of the problems there were.
        clone.keys, clone.problems = self.keys.new_zeros(1, 0), len(targets)
        return clone

    @property
    def needs_noise(self) -> bool:
        return self.stochastic and self.keys.ndim > 1

    def with_noise(self, noise: Noise) -> Satisfies:
        """The same constraint with noise to draw from, a row for each problem; unchanged if it does not draw."""
        require_noise(f"Satisfies({self.name}).with_noise", noise)
        if not self.stochastic:
            return self
        clone = copy.copy(self)
        clone.keys = noise.keys
        clone.problems = common_problems(f"Satisfies({self.name})", targets=self.targets, noise=noise.keys)
        return clone

    @property
    def satisfied_at(self) -> float | None:
        return 0.0 if self.boolean else None

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        value = self.function(*self._arguments(output, latent))
        if self.boolean and isinstance(value, Tensor) and value.dtype == torch.bool:
            dtype = output.dtype if output.is_floating_point() else torch.float32
            return Score((~value).to(dtype), value)
        return Score(value)

    def _arguments(self, output: Tensor, latent: Tensor) -> tuple[Tensor | Noise, ...]:
        read: tuple[Tensor | Noise, ...] = (output, latent)
        if self.reads != "both":
            read = (output,) if self.reads == "output" else (latent,)
        if self._has_targets:
            read = (*read, self.targets.expand(len(latent), *self.targets.shape[1:]))
        return (*read, self._noise(len(latent))) if self.stochastic else read

    def _taken(self) -> str:
        """What the function is called with, in words."""
        read = {"output": ["outputs"], "latent": ["latents"], "both": ["outputs", "latents"]}[self.reads]
        more = ["targets"] * self._has_targets + ["noise"] * self.stochastic
        return f"a batch of {' and '.join([*read, *more])}"

    def _if_called_otherwise(self, given: int) -> str:
        """What makes a search call the function with as many arguments as it takes."""
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):
            return ""
        if _takes(signature, given):
            return ""
        if _takes(signature, given + 1):
            more = 'targets= has data of each problem, and of="both" gives outputs and latents'
            return more if self.stochastic else f"what draws says stochastic=True, and takes the noise last; {more}"
        fewer = self.stochastic and _takes(signature, given - 1)
        return "leave stochastic=True out, or take the noise, last" if fewer else ""

    def _noise(self, rows: int) -> Noise:
        """The noise of so many rows; those of one problem have the same."""
        if self.needs_noise:
            raise InvalidArgument(
                f"Satisfies({self.name})",
                got="no noise to draw from",
                expected="a row for each problem, as a search gives it",
                hint="by hand goal.with_noise(ls.Noise.from_seed(seed, problems))",
            )
        return Noise(self.keys.expand(rows))

    def validate(self, output: Tensor, latent: Tensor) -> None:
        some = self.select(torch.tensor([0, self.problems - 1])[: len(output)])
        try:
            value = self.function(*some._arguments(output, latent))
        except Exception as error:
            raise InvalidArgument(
                f"Satisfies({self.name})",
                got=f"a function that fails with {type(error).__name__}: {error}",
                expected=f"one that takes {self._taken()}",
                hint=self._if_called_otherwise(len(some._arguments(output, latent))),
            ) from error
        rows = len(output)
        if not isinstance(value, Tensor) or tuple(value.shape) != (rows,):
            raise InvalidArgument(
                f"Satisfies({self.name})",
                got=describe(value) if isinstance(value, Tensor) else type(value).__name__,
                expected=f"one value a row: shape ({rows},) for {rows} rows",
                hint="data of several problems go in targets=, which the function gets row by row"
                if isinstance(value, Tensor) and value.ndim == 1
                else "reduce over all dimensions but the first, for instance .flatten(1).mean(1); a rule for one "
                "image becomes torch.tensor([rule(x) for x in batch])",
            )
        if not value.is_floating_point() and value.dtype != torch.bool:
            raise InvalidArgument(
                f"Satisfies({self.name})", got=f"{value.dtype} values", expected="floating losses", hint="add .float()"
            )
        if self.boolean != (value.dtype == torch.bool):
            raise InvalidArgument(
                f"Satisfies({self.name})",
                got="a function that returns bools" if not self.boolean else "boolean=True and a function of numbers",
                expected="bools exactly where boolean=True",
                hint="a loss gets a threshold by Satisfies(f).below(threshold)" if self.boolean else "say boolean=True",
            )


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


@overload
def constraint(function: Callable[..., Tensor], /) -> Satisfies: ...
@overload
def constraint(
    *,
    of: Reads = ...,
    targets: Tensor | None = ...,
    differentiable: bool = ...,
    boolean: bool = ...,
    stochastic: bool = ...,
    name: str | None = ...,
) -> Callable[[Callable[..., Tensor]], Satisfies]: ...


def constraint(function: Callable[..., Tensor] | None = None, /, **settings: Any) -> Any:
    """Turn a plain function into a constraint; a decorator with or without settings.

    Args:
        function: As in [Satisfies][latentsearch.Satisfies].
        **settings: Its settings: ``of``, ``targets``, ``differentiable``,
            ``boolean``, ``stochastic``, ``name``.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> @ls.constraint
        ... def dark(output):
        ...     return output.mean((1, 2, 3))
        >>> dark.name
        'dark'
        >>> @ls.constraint(of="latent", differentiable=False)
        ... def even(z):
        ...     return (z % 2).flatten(1).sum(1).float()
        >>> even(torch.zeros(1, 2), torch.tensor([[1, 2, 3]])).loss
        tensor([2.])
    """
    if function is not None:
        return Satisfies(function, **settings)
    return lambda f: Satisfies(f, **settings)
