"""What a wish is: a loss and a judgement for each row, and the algebra that combines wishes."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from latentsearch._maps import resampled
from latentsearch.errors import InvalidArgument, Unsupported, describe


class Score(NamedTuple):
    """How well each row does.

    Attributes:
        loss: ``(N,)`` floating; lower is better.
        satisfied: ``(N,)`` bool; always False where the constraint does not judge.
    """

    loss: Tensor
    satisfied: Tensor


class Constraint(ABC):
    """A wish about outputs, about latents, or about both.

    Subclasses are called with ``(output, latent)`` and obey the row law: row n of the score depends
    on row n of the arguments, and on row n of the constraint's own per-problem tensors, alone.
    Discrete latents come hard, or soft where a gradient with respect to them is wanted.

    Attributes:
        problems: B, how many problems there is data for; 1 serves any number of rows.
        needs_output: False if only the latent is read, so that the decoder need not run.
        needs_latent: True if the latent is read.
        judges: Whether there is a threshold, hence an opinion on ``satisfied``.
        differentiable: Whether the loss has a useful gradient.
        tensors: Names of the attributes that hold one row a problem, ``(B, ...)`` or ``(1, ...)``.
        latents: Those of them that are latents of the generator's; of codes they hold none that stand for others.
    """

    problems: int = 1
    needs_output: bool = True
    needs_latent: bool = False
    judges: bool = False
    differentiable: bool = True
    tensors: ClassVar[tuple[str, ...]] = ()
    latents: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        """Score N rows: output ``(N, *O)``, latent ``(N, *S)`` or soft ``(N, *S, K)``."""

    @property
    def name(self) -> str:
        """The name of this term in reports."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self.name}({self.problems} problems)" if self.problems > 1 else self.name

    @property
    def limit(self) -> Limit | None:
        """The hard limit on latents, if there is one."""
        return None

    @property
    def least_squares(self) -> bool:
        """Whether the loss is a sum of squares, which ``residuals`` gives."""
        return False

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        """``(N, n)``, whose squares sum to the loss of each row, where ``least_squares`` is True."""
        expected = "one whose loss is a sum of squares, such as Matches or Downscales"
        raise Unsupported(f"{self.name}.residuals", got=type(self).__name__, expected=expected)

    @property
    def pixel_separable(self) -> bool:
        """Whether the loss is a sum over the pixels of a picture, so that there is a ``loss_map``."""
        return False

    def loss_map(self, output: Tensor) -> Tensor:
        """``(N, h, w)``: what each pixel of outputs ``(N, *O)`` adds to the loss; a row sums to its loss.

        The map covers the picture at a resolution of its own. A hard limit adds nothing to it.

        Raises:
            Unsupported: If the loss is no sum over pixels, as ``pixel_separable`` says.
        """
        raise not_separable("loss_map", self)

    def terms(self, output: Tensor, latent: Tensor) -> dict[str, Score]:
        """The report: each term's weighted score, under a name of its own."""
        return {self.name: self(output, latent)}

    def validate(self, output: Tensor, latent: Tensor) -> None:
        """Raise InvalidArgument if outputs and latents like these cannot be scored. Called once, before a run."""

    def select(self, index: Tensor) -> Constraint:
        """The constraint whose row n serves problem ``index[n]``; itself if it has one problem.

        Args:
            index: ``(N,)`` int64 in [0, B).
        """
        if self.problems == 1:
            return self
        return self._mapped(lambda t: t if t.shape[0] == 1 else t[index.to(t.device)], problems=len(index))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Constraint:
        """The constraint with its own tensors on ``device``, the floating ones as ``dtype``."""
        return self._mapped(lambda t: t.to(device, dtype if t.is_floating_point() else None), self.problems)

    def _mapped(self, function: Any, problems: int) -> Self:
        if not self.tensors:
            return self
        clone = copy.copy(self)
        for attribute in self.tensors:
            object.__setattr__(clone, attribute, function(getattr(self, attribute)))
        clone.problems = problems
        return clone

    def below(self, threshold: float) -> Constraint:
        """This constraint, satisfied where its loss is at most ``threshold``."""
        return Below(self, threshold)

    def __add__(self, other: object) -> Constraint:
        if not isinstance(other, Constraint):
            if callable(other):
                hint = "wrap the function: Satisfies(function)"
                raise InvalidArgument("a + b", got="a bare function", expected="a Constraint", hint=hint)
            return NotImplemented
        return Sum((*_addends(self), *_addends(other)))

    def __radd__(self, other: object) -> Constraint:
        # sum([a, b]) starts from 0.
        return self if other == 0 and isinstance(other, int) else NotImplemented

    def __mul__(self, weight: object) -> Constraint:
        if not isinstance(weight, (int, float)):
            return NotImplemented
        return Weighted(self, float(weight))

    __rmul__ = __mul__


class Limit(Constraint):
    """A hard limit on latents: the loss is 0 within and infinite beyond, so nothing beyond is ever an answer.

    Searchers ask it to put latents back within, so that they need not find out by trial.
    """

    needs_output = False
    needs_latent = True

    @property
    def limit(self) -> Limit:
        return self

    @property
    def least_squares(self) -> bool:
        return True

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        # Within there is nothing to pay; what is beyond is told by the loss alone.
        return output.new_zeros(len(output), 0)

    @property
    def pixel_separable(self) -> bool:
        return True

    def loss_map(self, output: Tensor) -> Tensor:
        # Within, the loss is 0 everywhere, at any resolution.
        return output.new_zeros(len(output), 1, 1)

    @property
    @abstractmethod
    def center(self) -> Tensor:
        """``(B, *S)``: a latent within, where searches start if they are not told."""

    def room(self, latent: Tensor) -> Tensor:
        """``(N, *S)`` bool: the codes of hard grids within that may change alone, to some code at least."""
        return torch.ones_like(latent, dtype=torch.bool)

    @abstractmethod
    def project(self, latent: Tensor, favour: Tensor | None = None) -> Tensor:
        """The nearest latents within; those that are within already, as they are.

        Args:
            latent: ``(N, *S)``, or soft ``(N, *S, K)``.
            favour: ``(N, *S)``: by how much each number of a hard latent is worth keeping, where there is a choice.
        """


def terms_of(constraint: Constraint) -> list[Constraint]:
    """What a wish is a sum of, without weights and thresholds."""
    if isinstance(constraint, Sum):
        return [term for part in constraint.parts for term in terms_of(part)]
    return terms_of(constraint.inner) if isinstance(constraint, (Weighted, Below)) else [constraint]


def _addends(constraint: Constraint) -> tuple[Constraint, ...]:
    return constraint.parts if isinstance(constraint, Sum) else (constraint,)


def common_problems(what: str, sizes: Iterable[int]) -> int:
    """The one number of problems among sizes that agree or are 1."""
    several = set(sizes) - {1}
    if len(several) > 1:
        raise InvalidArgument(
            what,
            got=f"parts for {' and '.join(map(str, sorted(several)))} problems",
            expected="the same number of problems everywhere, or 1",
        )
    return several.pop() if several else 1


def _in_brackets(constraint: Constraint, kinds: type | tuple[type, ...]) -> str:
    return f"({constraint!r})" if isinstance(constraint, kinds) else repr(constraint)


def _check_problems(parts: tuple[Constraint, ...]) -> None:
    """Raise unless the parts agree on the number of problems, and name those that do not."""
    terms = [term for part in parts for term in terms_of(part) if term.problems > 1]
    if len({term.problems for term in terms}) > 1:
        held = [f"{term.name} for {term.problems} problems{_shapes(term)}" for term in terms]
        raise InvalidArgument(
            "a sum of constraints",
            got=" and ".join(held),
            expected="the same number of problems everywhere, or 1",
            hint="x[None] adds the dimension of problems to what serves all of them",
        )


def _shapes(term: Constraint) -> str:
    """The shapes of what a term holds for its problems, such as `` (target (2, 3, 8, 8))``."""
    held = [(name, getattr(term, name)) for name in term.tensors]
    shapes = [f"{name} {tuple(tensor.shape)}" for name, tensor in held if len(tensor) == term.problems]
    return f" ({', '.join(shapes)})" if shapes else ""


def check_per_problem(what: str, tensor: object, *, finite: bool = False, hint: str = "") -> Tensor:
    """A tensor fit to hold one row a problem: at least one row, no NaN, and no infinity where it must be finite."""
    if not isinstance(tensor, Tensor) or tensor.ndim == 0 or tensor.shape[0] == 0:
        got = describe(tensor) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise InvalidArgument(what, got=got, expected="a tensor with one row a problem", hint="x[None] adds the row")
    if tensor.is_floating_point():
        for kind, bad in (("NaN", tensor.isnan()), ("infinity", tensor.isinf() & finite)):
            if bool(bad.any()):
                rows = bad.reshape(len(bad), -1).any(1).nonzero().flatten().tolist()
                expected = "finite numbers" if finite else "numbers"
                raise InvalidArgument(what, got=f"{kind} in rows {rows}", expected=expected, hint=hint)
    return tensor


def not_separable(what: str, constraint: Constraint) -> Unsupported:
    """The error for a wish whose loss is wanted by pixels and has none."""
    parts = constraint.parts if isinstance(constraint, Sum) else (constraint,)
    names = ", ".join(part.name for part in parts if not part.pixel_separable)
    return Unsupported(
        what,
        got=f"{names}, whose loss is no sum over the pixels of a picture",
        expected="terms such as Matches and Downscales, over outputs (N, C, H, W)",
        hint="use CoordinateSearch, which takes any differentiable wish",
    )


def nothing_satisfied(loss: Tensor) -> Tensor:
    """The judgement of a constraint that does not judge."""
    return torch.zeros_like(loss, dtype=torch.bool)


class Weighted(Constraint):
    """``weight * inner``: the loss is scaled, the judgement left alone."""

    def __init__(self, inner: Constraint, weight: float) -> None:
        if not math.isfinite(weight):
            raise InvalidArgument("weight", got=str(weight), expected="a finite number")
        if inner.limit is not None and weight <= 0:
            hint = "weigh the other terms, and leave the limit alone"
            raise InvalidArgument("weight", got=f"{weight} on a hard limit", expected="a positive number", hint=hint)
        self.inner, self.weight = inner, weight
        self.problems, self.judges, self.differentiable = inner.problems, inner.judges, inner.differentiable
        self.needs_output, self.needs_latent = inner.needs_output, inner.needs_latent

    def __repr__(self) -> str:
        return f"{self.weight:g} * {_in_brackets(self.inner, Sum)}"

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def limit(self) -> Limit | None:
        return self.inner.limit

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss, satisfied = self.inner(output, latent)
        return Score(self.weight * loss, satisfied)

    @property
    def pixel_separable(self) -> bool:
        return self.inner.pixel_separable

    def loss_map(self, output: Tensor) -> Tensor:
        return self.weight * self.inner.loss_map(output)

    def terms(self, output: Tensor, latent: Tensor) -> dict[str, Score]:
        inner = self.inner.terms(output, latent)
        return {name: Score(self.weight * score.loss, score.satisfied) for name, score in inner.items()}

    @property
    def least_squares(self) -> bool:
        return self.inner.least_squares and self.weight >= 0

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        return math.sqrt(self.weight) * self.inner.residuals(output, latent)

    def validate(self, output: Tensor, latent: Tensor) -> None:
        self.inner.validate(output, latent)

    def select(self, index: Tensor) -> Constraint:
        return self if self.problems == 1 else Weighted(self.inner.select(index), self.weight)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Constraint:
        return Weighted(self.inner.to(device, dtype), self.weight)


class Below(Constraint):
    """``inner.below(threshold)``: the same loss, satisfied where it is at most the threshold."""

    judges = True

    def __init__(self, inner: Constraint, threshold: float) -> None:
        if not isinstance(threshold, (int, float)) or math.isnan(threshold):
            raise InvalidArgument("threshold", got=repr(threshold), expected="a number")
        self.inner, self.threshold = inner, float(threshold)
        self.problems, self.differentiable = inner.problems, inner.differentiable
        self.needs_output, self.needs_latent = inner.needs_output, inner.needs_latent

    def __repr__(self) -> str:
        return f"{_in_brackets(self.inner, (Sum, Weighted))}.below({self.threshold:g})"

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def limit(self) -> Limit | None:
        return self.inner.limit

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss, satisfied = self.inner(output, latent)
        below = loss <= self.threshold
        return Score(loss, below & satisfied if self.inner.judges else below)

    @property
    def least_squares(self) -> bool:
        return self.inner.least_squares

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        return self.inner.residuals(output, latent)

    @property
    def pixel_separable(self) -> bool:
        return self.inner.pixel_separable

    def loss_map(self, output: Tensor) -> Tensor:
        return self.inner.loss_map(output)

    def terms(self, output: Tensor, latent: Tensor) -> dict[str, Score]:
        # The threshold is on the sum; its parts keep their own judgement.
        return self.inner.terms(output, latent) if isinstance(self.inner, Sum) else super().terms(output, latent)

    def validate(self, output: Tensor, latent: Tensor) -> None:
        self.inner.validate(output, latent)

    def select(self, index: Tensor) -> Constraint:
        return self if self.problems == 1 else Below(self.inner.select(index), self.threshold)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Constraint:
        return Below(self.inner.to(device, dtype), self.threshold)


class Sum(Constraint):
    """``a + b``: losses add up; satisfied where every part that judges is."""

    def __init__(self, parts: tuple[Constraint, ...]) -> None:
        if sum(part.limit is not None for part in parts) > 1:
            raise InvalidArgument(
                "a sum of constraints",
                got="several hard limits",
                expected="one at most, such as one Within a wish",
                hint="take the smaller ball, or write the other as a soft Near",
            )
        self.parts = parts
        _check_problems(parts)
        self.problems = common_problems("a sum of constraints", (part.problems for part in parts))
        self.needs_output = any(part.needs_output for part in parts)
        self.needs_latent = any(part.needs_latent for part in parts)
        self.judges = any(part.judges for part in parts)
        self.differentiable = all(part.differentiable for part in parts)

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.parts))

    @property
    def limit(self) -> Limit | None:
        return next((part.limit for part in self.parts if part.limit is not None), None)

    @property
    def least_squares(self) -> bool:
        return all(part.least_squares for part in self.parts)

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        return torch.cat([part.residuals(output, latent) for part in self.parts], 1)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        scores = [part(output, latent) for part in self.parts]
        loss = scores[0].loss
        for score in scores[1:]:
            loss = loss + score.loss
        verdicts = [score.satisfied for part, score in zip(self.parts, scores, strict=True) if part.judges]
        if not verdicts:
            return Score(loss, nothing_satisfied(loss))
        return Score(loss, torch.stack(verdicts).all(0) if len(verdicts) > 1 else verdicts[0])

    @property
    def pixel_separable(self) -> bool:
        return all(part.pixel_separable for part in self.parts)

    def loss_map(self, output: Tensor) -> Tensor:
        if not self.pixel_separable:
            raise not_separable("loss_map", self)
        maps = [part.loss_map(output) for part in self.parts]
        size = (max(each.shape[1] for each in maps), max(each.shape[2] for each in maps))
        return torch.stack([resampled(each, size) for each in maps]).sum(0)

    def terms(self, output: Tensor, latent: Tensor) -> dict[str, Score]:
        report: dict[str, Score] = {}
        for part in self.parts:
            for name, score in part.terms(output, latent).items():
                report[_unused(name, report)] = score
        return report

    def validate(self, output: Tensor, latent: Tensor) -> None:
        for part in self.parts:
            part.validate(output, latent)

    def select(self, index: Tensor) -> Constraint:
        return self if self.problems == 1 else Sum(tuple(part.select(index) for part in self.parts))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Constraint:
        return Sum(tuple(part.to(device, dtype) for part in self.parts))


def _unused(name: str, taken: dict[str, Score]) -> str:
    """``name``, or ``name 2``, ``name 3`` ... where it is taken."""
    if name not in taken:
        return name
    count = 2
    while f"{name} {count}" in taken:
        count += 1
    return f"{name} {count}"
