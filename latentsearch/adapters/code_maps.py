r"""From standard normals and a position's probabilities to its code, and back.

A map is what turns an autoregressive prior over codes into a function of Gaussian noise. Both ways
are exact: normals become codes in the proportions of the probabilities, and given a code the
normals behind it are drawn from their posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from latentsearch._checks import require_positive
from latentsearch._normal import gumbel_of_normal, log_ndtri, normal_between, within_edge
from latentsearch._structural import Structural
from latentsearch.adapters.code_order import principal_order
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.spaces import Discrete


@runtime_checkable
class CodeMap(Protocol, metaclass=Structural):
    """How each position's code depends on normals of its own and on the log-probabilities of its codes."""

    def shape(self, space: Discrete) -> tuple[int, ...]:
        """The shape of the normals behind one grid."""

    def choose(self, eps: Tensor, log_p: Tensor) -> Tensor:
        """Normals and ``(N, *S, K)`` normalised log-probabilities to codes ``(N, *S)``."""

    def soften(self, eps: Tensor, log_p: Tensor) -> Tensor:
        """The same, relaxed: ``(N, *S, K)`` on the simplex, with a gradient in both."""

    def invert(self, codes: Tensor, log_p: Tensor, noise: Noise) -> Tensor:
        """Normals that ``choose`` maps to these codes, drawn given the codes."""


@dataclass(frozen=True)
class GumbelMax:
    r"""K normals a position, of which each code gets one.

    Normals become Gumbel variables, $g = -\log(-\log \Phi(\varepsilon))$, and the code is
    $\arg\max_k (\log p_k + g_k)$. In exponentials, $E = e^{-g}$, it is the first to arrive in a race
    with rates $p_k$, of which the inverse is plain: the race is won at a time T that is exponential
    whoever wins, and the others' remaining times are exponential again, as such variables have no memory:
    $E_c = p_c T$, $E_k = p_k T + E'_k$.

    The relaxation is the Gumbel-softmax of [Jang, Gu and Poole 2017](https://arxiv.org/abs/1611.01144).

    Attributes:
        temperature: Of the relaxation, through which gradients go.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.adapters import GumbelMax
        >>> log_p = torch.tensor([[[0.7, 0.2, 0.1]]]).log()
        >>> eps = GumbelMax().invert(torch.tensor([[1]]), log_p, ls.Noise.from_seed(0))
        >>> eps.shape, GumbelMax().choose(eps, log_p)
        (torch.Size([1, 1, 3]), tensor([[1]]))
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_positive("GumbelMax.temperature", self.temperature)

    def shape(self, space: Discrete) -> tuple[int, ...]:
        """``(*S, K)``."""
        return (*space.shape, space.codebook_size)

    def choose(self, eps: Tensor, log_p: Tensor) -> Tensor:
        """``(N, *S, K)`` normals to codes ``(N, *S)``."""
        return (gumbel_of_normal(eps) + log_p).argmax(-1)

    def soften(self, eps: Tensor, log_p: Tensor) -> Tensor:
        """``(N, *S, K)`` in float64."""
        return ((gumbel_of_normal(eps) + log_p) / self.temperature).softmax(-1)

    def invert(self, codes: Tensor, log_p: Tensor, noise: Noise) -> Tensor:
        """``(N, *S, K)`` in float64."""
        size = log_p.shape[-1]
        uniform = noise.uniform(*codes.shape[1:], size + 1, dtype=torch.float64)
        later, first = (-uniform.log()).split([size, 1], -1)
        arrival = log_p.double().exp() * first
        won = codes[..., None] == torch.arange(size, device=codes.device)
        return log_ndtri(-torch.where(won, arrival, arrival + later))


@dataclass(frozen=True, eq=False)
class Quantiles:
    r"""One normal a position: its rank is the rank of the code, along a line on which similar codes lie close.

    With F the cumulative probabilities along the line, the code is $F^{-1}(\Phi(\varepsilon))$, and
    given the code $\varepsilon = \Phi^{-1}(F(c) - U p_c)$ with U uniform. A grid is then a vector of P
    numbers, which CMA-ES and searches on spheres find easier than P * K, and a small step leads to a similar code.

    The relaxation is the mean over normals that are $\varepsilon$ and a little more: code k has the
    probability that $\varepsilon + \tau \xi$ falls into its interval, $\xi$ being standard normal.

    In float32 a code that has a probability of less than 1e-6 may have an interval without a number in it,
    and come back from its inverse as its neighbour on the line.

    Attributes:
        order: ``(K,)`` int64, or ``(*S, K)``: the codes as they lie along the line.
        temperature: $\tau$, the spread of the relaxation through which gradients go.

    Raises:
        InvalidArgument: If the order does not hold each code once.

    Example:
        >>> import torch
        >>> from latentsearch.adapters import Quantiles
        >>> line = Quantiles(torch.tensor([2, 0, 1]))
        >>> log_p = torch.tensor([0.5, 0.3, 0.2]).log().expand(3, 1, 3)
        >>> line.choose(torch.tensor([[-2.0], [0.0], [2.0]]), log_p).flatten()
        tensor([2, 0, 1])
    """

    order: Tensor
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_positive("Quantiles.temperature", self.temperature)
        order, whole = self.order, isinstance(self.order, Tensor) and self.order.dtype == torch.int64
        if not whole or not order.ndim or not torch.equal(order.sort(-1).values, _counting(order).expand_as(order)):
            got = describe(order) if isinstance(order, Tensor) else type(order).__name__
            hint = "Quantiles.of(generator.codebook) makes one"
            expected = "int64 (K,) or (*S, K) with each code once"
            raise InvalidArgument("Quantiles.order", got=got, expected=expected, hint=hint)

    @classmethod
    def of(cls, codebook: Tensor, temperature: float = 1.0) -> Quantiles:
        """The line along the first principal axis of a codebook ``(K, D)`` or ``(*S, K, D)``."""
        return cls(principal_order(codebook), temperature)

    def shape(self, space: Discrete) -> tuple[int, ...]:
        """S."""
        size, shape = self.order.shape[-1], tuple(self.order.shape[:-1])
        fits = not shape or torch.broadcast_shapes(shape, space.shape) == space.shape
        if size != space.codebook_size or not fits:
            expected = f"({space.codebook_size},), or ({', '.join(map(str, (*space.shape, space.codebook_size)))})"
            raise InvalidArgument("Quantiles.order", got=describe(self.order), expected=expected)
        return space.shape

    def choose(self, eps: Tensor, log_p: Tensor) -> Tensor:
        """``(N, *S)`` normals to codes ``(N, *S)``."""
        rank = (self._borders(log_p) < within_edge(eps)[..., None]).sum(-1, keepdim=True)
        return self._order(log_p).gather(-1, rank)[..., 0]

    def soften(self, eps: Tensor, log_p: Tensor) -> Tensor:
        """``(N, *S, K)`` in float64."""
        below = torch.special.ndtr((self._borders(log_p) - within_edge(eps)[..., None]) / self.temperature)
        edge = torch.zeros_like(below[..., :1])
        along = torch.cat([edge, below, edge + 1], -1).diff(dim=-1)
        return along.gather(-1, self._order(log_p).argsort(-1))

    def invert(self, codes: Tensor, log_p: Tensor, noise: Noise) -> Tensor:
        """``(N, *S)`` in float64."""
        below, above = self._masses(log_p)
        nothing = torch.zeros_like(below[..., :1])
        rank = self._order(log_p).argsort(-1).gather(-1, codes[..., None])
        own = log_p.double().exp().gather(-1, codes[..., None])
        share = noise.uniform(*codes.shape[1:], 1, dtype=torch.float64)
        below = torch.cat([nothing, below], -1).gather(-1, rank) + (1 - share) * own
        above = torch.cat([above, nothing], -1).gather(-1, rank) + share * own
        return normal_between(below, above)[..., 0]

    def _order(self, log_p: Tensor) -> Tensor:
        return self.order.to(log_p.device).expand(log_p.shape)

    def _masses(self, log_p: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, *S, K - 1)`` each: what lies below and above every border between neighbours on the line."""
        p = log_p.double().exp().gather(-1, self._order(log_p))
        # Both are sums of positive numbers: 1 minus the one would lose the other's tail.
        return p.cumsum(-1)[..., :-1], p.flip(-1).cumsum(-1).flip(-1)[..., 1:]

    def _borders(self, log_p: Tensor) -> Tensor:
        return normal_between(*self._masses(log_p))


def _counting(order: Tensor) -> Tensor:
    return torch.arange(order.shape[-1], device=order.device)
