"""The bound of a decoder made of layers: intervals, passed from layer to layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.adapters import CodebookGenerator
from latentsearch.bounds._backward import forward_bounds
from latentsearch.bounds._first import FirstLayer, extremes
from latentsearch.bounds._layers import Interval, check_layer, flat_layers, refused
from latentsearch.bounds._losses import check_goal, loss_between
from latentsearch.bounds.bound import Bounded
from latentsearch.errors import Unsupported
from latentsearch.goal import Goal
from latentsearch.goal._addend import Addend
from latentsearch.objective import Objective
from latentsearch.protocols import Generator


@dataclass(frozen=True)
class IntervalBound:
    """The least loss within an interval that holds every output of a set of grids.

    Interval bound propagation [Gowal et al., *On the Effectiveness of Interval Bound Propagation
    for Training Verifiably Robust Models*, 2018, section 3] through the layers of a
    [CodebookGenerator][latentsearch.CodebookGenerator]'s decoder: each output is held between two
    bounds. The first layer, being linear, is bounded exactly: a sum over positions of the least and
    the most over the allowed codes. Later layers forget how their inputs depend on each other, so
    the bound loosens with depth and width.

    Layers: `Linear`, convolutions and transposed ones in one and two dimensions, elementwise functions, pooling,
    `Upsample`, batch norm and dropout in eval mode, `models.ResidualBlock`. Terms: `Matches`, `Downscales` of
    mode `"area"`, `Near`, `LogPrior` of `UniformCodes`, their sums and weights. Intervals are widened by 16 units
    of rounding a layer, so that a proof holds for losses as they are computed.

    The spread of a position is the first-order change of (highest loss minus lowest loss) over the interval
    that the position gives to the first layer: the gradient with respect to its ends, times their distance.

    A set of grids costs four evaluations: an interval has two ends, and a gradient doubles the cost of a
    pass.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.bounds import IntervalBound
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).eval()
        >>> generator = ls.CodebookGenerator(net, torch.randn(5, 4), (3,))
        >>> IntervalBound().check(generator, ls.Matches(torch.zeros(1, 3)))
    """

    evaluations: ClassVar[int] = 4

    def check(self, generator: Generator, goal: Addend) -> None:
        """Raise Unsupported, naming the layer or the term, if these cannot be bounded."""
        layers = _layers(generator)
        for layer in layers:
            check_layer(layer)
        halves = {each.dtype for layer in layers for each in layer.parameters()} & {torch.float16, torch.bfloat16}
        if halves:
            # A bound that holds for what is rounded so coarsely rules nothing out.
            hint = "a decoder in single precision can be bounded: wrap decoder.float()"
            raise Unsupported("IntervalBound", got=f"layers in {halves.pop()}", expected="torch.float32", hint=hint)
        assert isinstance(generator, CodebookGenerator)  # or its layers were refused
        check_goal(goal.goal, generator)

    def __call__(self, objective: Objective, allowed: Tensor, row: Tensor) -> Bounded:
        """Lower bounds of N sets of grids, ``allowed`` ``(N, P, K)``, with the spread of their positions."""
        first_layer = first_layer_of(objective)
        with torch.no_grad():
            table = first_layer.table()

        def part(rows: slice) -> Sequence[Tensor]:
            goal = objective.goal.select(row[rows])
            return bounded_by_intervals(first_layer, extremes(table, allowed[rows]), goal, allowed[rows])[0]

        return Bounded(*objective.chunks.run(part, len(allowed)))


def bounded_by_intervals(
    first_layer: FirstLayer, given: Interval, goal: Goal, allowed: Tensor
) -> tuple[Bounded, list[Interval]]:
    """The bound, and what came into each layer after the first and out of the last."""
    with torch.enable_grad():
        leaves = Interval(*(end.detach().requires_grad_() for end in given))
        x, layers = first_layer.enter(leaves)
        seen = forward_bounds(layers, x)
        loss = loss_between(goal, seen[-1], allowed)
        gap = (loss.high - loss.low).sum()
        found = torch.autograd.grad(gap, leaves, allow_unused=True) if gap.requires_grad else (None, None)
    gradient = sum((torch.zeros_like(given.low) if g is None else g.abs() for g in found), torch.zeros_like(given.low))
    spread = (gradient * (given.high - given.low)).sum(2)
    return Bounded(loss.low.detach(), spread), [Interval(x.low.detach(), x.high.detach()) for x in seen]


def first_layer_of(objective: Objective) -> FirstLayer:
    """The first layer of an objective's decoder, which `check` has accepted."""
    generator, shape = objective.generator, objective.grid.shape
    assert isinstance(generator, CodebookGenerator)
    return FirstLayer(_layers(generator), objective.codebook.each(shape), shape, generator.layout == "channels_first")


def _layers(generator: Generator) -> list[torch.nn.Module]:
    if not isinstance(generator, CodebookGenerator):
        raise refused(f"a {type(generator).__name__}")
    if generator.several:
        raise refused("a decoder of several grids")
    decoder = generator.decoder
    owner = getattr(decoder, "__self__", None)
    from latentsearch.models import VQVAE  # late: most who import the package never ask for a bound

    network = owner.decoder if isinstance(owner, VQVAE) and decoder == owner.decode_embedding else decoder
    after = [] if generator.output_transform is None else flat_layers(generator.output_transform)
    return [*flat_layers(network), *after]
