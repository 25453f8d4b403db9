"""The hard limit: a ball around a source that no search leaves."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import check_per_problem, common_problems
from latentsearch._rows import per_row, sum_rows
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Limit
from latentsearch.goal.limit import Priority

_HALVINGS = 40  # of the interval in which a multiplier is sought
_STEEPEST = 80.0  # its upper end: e^-80 is a normal number in float32


class Within(Limit):
    r"""The latent stays within a ball around a source: an edit, not a search at large.

    For codes the radius is in the Hamming distance, the number of positions whose code differs; for
    continuous latents it is in the Euclidean distance. A goal with a limit has the loss of its terms inside, and
    an infinite one outside. Searchers know the limit and move within it, and start at
    the source where no ``init`` is given.

    Source: *Exploring Test Time Optimization for Discrete Neural Representation Learners*, section 6,
    which proposes the task.

    Args:
        source: The centre, ``(B, *S)``: codes, or continuous latents.
        radius: How far a latent may be, a number or one a problem, ``(B,)``; whole for codes.

    Raises:
        InvalidArgument: If the radius is not positive, or not whole for codes.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> limit = ls.Within(torch.tensor([[1, 2, 3]]), radius=1)
        >>> limit.contains(torch.tensor([[1, 2, 0], [0, 0, 3]]))
        tensor([ True, False])
        >>> limit.project(torch.tensor([[0, 0, 3]]))
        tensor([[0, 2, 3]])
    """

    tensors: ClassVar[tuple[str, ...]] = ("source", "radius")

    def __init__(self, source: Tensor, radius: float | Tensor) -> None:
        self.source = check_per_problem("Within.source", source, finite=True)
        codes = not source.is_floating_point()
        if codes and source.dtype != torch.int64:
            raise InvalidArgument("Within.source", got=describe(source), expected="int64 codes, or floating latents")
        self.radius = _numbers(radius, source)
        good = self.radius.isfinite() & (self.radius > 0)
        if codes:
            good = good & (self.radius == self.radius.round())
        if not len(good) or not bool(good.all()):
            expected = "a positive whole number of codes" if codes else "a positive distance"
            raise InvalidArgument("Within.radius", got=repr(radius), expected=f"{expected}, or one a problem")
        self.problems = common_problems("Within", source=source, radius=self.radius)

    @property
    def center(self) -> Tensor:
        return self.source

    def contains(self, latent: Tensor) -> Tensor:
        distance = self._distance(latent)
        # Expectations over soft codes are off by rounding; distances between hard ones are whole.
        far = distance.sqrt() if self.source.is_floating_point() else distance - 0.5
        return far <= self.radius

    def _distance(self, latent: Tensor) -> Tensor:
        """``(N,)``: codes that differ, or the squared distance, since its root has no gradient at the source."""
        if self.source.is_floating_point():
            return sum_rows((latent - self.source).square())
        if latent.is_floating_point():
            return sum_rows(1 - latent.gather(-1, self._source_like(latent)[..., None])[..., 0])
        return sum_rows((latent != self.source).to(self.radius.dtype))

    def movable(self, latent: Tensor) -> Tensor:
        if self.source.is_floating_point():
            return super().movable(latent)
        return (latent != self.source) | per_row(self._distance(latent) < self.radius, latent)

    def project(self, latent: Tensor, priority: Priority | None = None) -> Tensor:
        if self.source.is_floating_point():
            return self._scaled(latent)
        return self._mixed(latent) if latent.is_floating_point() else self._reverted(latent, priority)

    def _scaled(self, latent: Tensor) -> Tensor:
        """The nearest point of the ball, strictly inside, so that rounding does not put it out again."""
        offset = latent - self.source
        eps = torch.finfo(offset.dtype).eps
        length = sum_rows(offset.square()).sqrt()
        reach = self.radius * (1 - 16 * eps) / length.clamp(min=torch.finfo(offset.dtype).tiny)
        within = self._distance(latent).sqrt() <= self.radius
        return torch.where(per_row(within, latent), latent, self.source + per_row(reach, offset) * offset)

    def _reverted(self, latent: Tensor, priority: Priority | None) -> Tensor:
        """Of the changed codes as many as the radius allows, by priority; the others are the source's."""
        flat, source = latent.flatten(1), self.source.flatten(1)
        changed = flat != source
        worth = torch.zeros_like(flat, dtype=self.radius.dtype)
        if priority is not None:
            worth = priority(self.source.expand_as(latent)).flatten(1)
        worth = torch.where(changed & ~worth.isnan(), worth, -torch.inf)
        # Codes that are the source's come last, also behind changed ones that nothing speaks for.
        order = worth.argsort(dim=1, descending=True, stable=True)
        order = order.gather(1, (~changed).gather(1, order).byte().argsort(dim=1, stable=True))
        rank = order.argsort(1)
        return torch.where(rank < self.radius[:, None], flat, source.expand_as(flat)).view_as(latent)

    def _mixed(self, latent: Tensor) -> Tensor:
        r"""The product of distributions nearest in $KL(q' \| q)$ whose expected distance is within the radius.

        Their log odds of the source's codes are raised by one multiplier a row, found by halving.
        """
        source = self._source_like(latent)[..., None]
        least = torch.finfo(latent.dtype).tiny ** 0.75
        same = latent.gather(-1, source)[..., 0].clamp(min=least).flatten(1)
        odds = (1 - same).clamp(min=least).log() - same.log()  # of a change
        with torch.no_grad():
            multiplier = self._multiplier(odds)
            active = multiplier > 0
            decrease = (odds - multiplier[:, None]).sigmoid()
            decrease = (decrease * (1 - decrease)).sum(1).clamp(min=least)
        # One step of Newton changes nothing but the gradient, which is then that of the solution.
        beyond = (odds - multiplier[:, None]).sigmoid().sum(1) - self.radius
        multiplier = torch.where(active, multiplier + beyond / decrease - (beyond / decrease).detach(), 0)
        weight = per_row((-multiplier).exp(), latent).expand_as(latent).scatter(-1, source, 1.0)
        mixed = (latent + torch.zeros_like(latent).scatter(-1, source, least)) * weight
        return torch.where(per_row(active, latent), mixed / mixed.sum(-1, keepdim=True), latent)

    def _multiplier(self, odds: Tensor) -> Tensor:
        """``(N,)``: how far the log odds ``(N, P)`` of changes must fall; 0 where they need not."""
        low, high = torch.zeros_like(odds[:, 0]), torch.full_like(odds[:, 0], 2 * _STEEPEST)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            beyond = (odds - middle[:, None]).sigmoid().sum(1) > self.radius
            low, high = torch.where(beyond, middle, low), torch.where(beyond, high, middle)
        return torch.where(odds.sigmoid().sum(1) > self.radius, high.clamp(max=_STEEPEST), 0)

    def _source_like(self, soft: Tensor) -> Tensor:
        return self.source.expand(soft.shape[:-1])

    def validate(self, output: Tensor, latent: Tensor) -> None:
        if self.source.shape[1:] != latent.shape[1:] or self.source.is_floating_point() != latent.is_floating_point():
            raise InvalidArgument(
                "Within.source",
                got=describe(self.source),
                expected=f"latents of the generator, such as {describe(latent)}",
            )


def _numbers(radius: object, source: Tensor) -> Tensor:
    """A number, or one a problem, as ``(1,)`` or ``(B,)``; nothing at all where it is neither."""
    device, dtype = source.device, torch.promote_types(source.dtype, torch.float32)
    if isinstance(radius, Tensor):
        return radius.to(device, dtype).reshape(-1)[: 0 if radius.dtype == torch.bool else None]
    values = list(radius) if isinstance(radius, Iterable) and not isinstance(radius, str) else [radius]
    numbers = [float(v) for v in values if isinstance(v, Real) and not isinstance(v, bool)]
    return torch.tensor(numbers if len(numbers) == len(values) else [], dtype=dtype, device=device)
