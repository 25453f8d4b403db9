"""The direct arg-max estimator: the difference of two arg-max of perturbed logits."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import require_count, require_flag, require_nonzero
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.relaxations._codes import one_hot
from latentsearch.relaxations.estimator import (
    Loss,
    asked,
    injected,
    neighbourhood,
    own_rows,
    positionwise,
    require_per_row,
)

_MOST_GRIDS = 4096


@dataclass(frozen=True)
class DirectArgmax:
    r"""Draw $z^{\phi+\gamma}$, the arg-max of logits and Gumbel noise, and move it by adding $\epsilon$ times the loss.

    $$\nabla\, \mathbb{E}_\gamma[f(z^{\phi+\gamma})] = \lim_{\epsilon \to 0} \tfrac1\epsilon\,
    \mathbb{E}_\gamma[\nabla\phi(z^{\epsilon f+\phi+\gamma}) - \nabla\phi(z^{\phi+\gamma})],$$

    with the same noise in both. At a small $\epsilon$ the estimate is mostly nothing and sometimes
    very large; at a large one it is biased. With a negative $\epsilon$ the second arg-max is drawn
    to lower losses, and the difference is the other way round: the same limit.

    A grid of n positions has $K^n$ codes, too many to perturb each. As in the paper each position has K
    Gumbel variables, and the second arg-max sees the loss of each code at a position with the first
    draw at all others: $nK$ losses, whose sum over positions approximates the loss of all changed at once.

    Source: Lorberbom, Gane, Jaakkola and Hazan, *Direct optimization through arg max for discrete
    variational auto-encoder* (2018), theorem 1 and section 5.2.

    Attributes:
        epsilon: $\epsilon$, a number other than 0, or one for each row, ``(N, 1, ..., 1)``; it multiplies
            losses, so it has their scale.
        two_sided: Take the difference of the arg-max at $\epsilon$ and at $-\epsilon$, over $2\epsilon$, for no more
            losses. As $\epsilon$ goes to 0 the bias falls with $\epsilon^2$ in place of $\epsilon$; at a large one it
            may be the larger. Not in the paper.
        top: Ask for the losses of the ``top`` likeliest codes of each position alone; None for all. A likely draw
            then never moves to an unlikely code, so an unlikely draw moves to likely ones for both, which
            comes to the same as epsilon goes to 0. What is left out are moves among unlikely codes.
        joint: Perturb each of the $K^n$ grids, without the approximation; for tiny spaces.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import DirectArgmax
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: z.sum(1).float()
        >>> DirectArgmax(epsilon=-1.0)(logits, f, ls.Noise.from_seed(0, 1)).item() in (0.0, 1.0, 2.0, 3.0, 4.0)
        True
    """

    epsilon: float | Tensor = -1.0
    two_sided: bool = False
    top: int | None = None
    joint: bool = False

    unbiased: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_nonzero("DirectArgmax.epsilon", self.epsilon)
        if self.top is not None:
            require_count("DirectArgmax.top", self.top)
        require_flag("DirectArgmax.two_sided", self.two_sided)
        require_flag("DirectArgmax.joint", self.joint)

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """The draw's loss, and that of every code at every position."""
        positions = torch.Size(shape).numel()
        return 1 + (codes**positions if self.joint else positions * min(self.top or codes, codes))

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator].

        Raises:
            InvalidArgument: If ``joint`` and there are more than 4096 grids.
        """
        require_per_row("DirectArgmax.epsilon", self.epsilon, logits)
        rule = self._jointly if self.joint else self._by_position
        value, move = rule(logits, f, noise)
        return injected(value, logits, move.view_as(logits) / self.epsilon)

    def _by_position(self, logits: Tensor, f: Loss, noise: Noise) -> tuple[Tensor, Tensor]:
        """The draw's loss, and the difference of the two arg-max of each position by itself, ``(N, P, K)``."""
        fixed = positionwise(logits.detach())
        scores, codes = noise.perturbed(fixed), logits.shape[-1]
        drawn = scores.argmax(-1)
        z = drawn.view(logits.shape[:-1])
        value = asked(f, z, own_rows(logits))
        if self.top is None or self.top >= codes:
            loss = neighbourhood(f, z, codes)
            far, draw, near = (one_hot(end, fixed) for end in self._ends(scores, loss))
            return value, _spoilt(self._move(far, draw, near), loss)
        return value, self._among_likely(fixed, scores, drawn, value.detach(), f, z)

    def _among_likely(self, fixed: Tensor, scores: Tensor, drawn: Tensor, value: Tensor, f: Loss, z: Tensor) -> Tensor:
        """The same among the likeliest codes and the draw, whose loss is known whatever its chance."""
        assert self.top is not None
        likely, known = fixed.topk(self.top, -1).indices, value.view(-1, 1, 1).expand(*drawn.shape, 1)
        code = torch.cat([drawn[..., None], likely], -1)
        loss = torch.cat([known, neighbourhood(f, z, fixed.shape[-1], likely)], -1)
        ends = self._ends(scores.gather(-1, code), loss)
        far, draw, near = (one_hot(code.gather(-1, end[..., None])[..., 0], fixed) for end in ends)
        # From a to b at epsilon and from b to a at -epsilon are as likely: one draw may stand for both.
        other = ~(likely == drawn[..., None]).any(-1, keepdim=True)
        return _spoilt(torch.where(other, far - near, self._move(far, draw, near)), loss)

    def _jointly(self, logits: Tensor, f: Loss, noise: Noise) -> tuple[Tensor, Tensor]:
        """The same among all grids, each with Gumbel noise of its own."""
        flat = positionwise(logits.detach())
        grids = _all_grids(*flat.shape[1:]).to(logits.device)
        scores = noise.perturbed(flat[:, torch.arange(grids.shape[1], device=logits.device), grids].sum(-1))
        z = grids.view(-1, *logits.shape[1:-1])
        value = asked(f, z[scores.argmax(-1)], own_rows(logits))
        with torch.no_grad():
            row = own_rows(logits).repeat_interleave(len(z))
            loss = asked(f, z.repeat(len(logits), *[1] * (z.ndim - 1)), row).view(scores.shape)
        return value, _spoilt(self._move(*(one_hot(grids[end], flat) for end in self._ends(scores, loss))), loss)

    def _ends(self, scores: Tensor, loss: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The arg-max over the last dimension at epsilon, at 0, which is the draw, and at minus epsilon."""
        epsilon = self.epsilon.view(-1, *[1] * (loss.ndim - 1)) if isinstance(self.epsilon, Tensor) else self.epsilon
        return (scores + epsilon * loss).argmax(-1), scores.argmax(-1), (scores - epsilon * loss).argmax(-1)

    def _move(self, far: Tensor, draw: Tensor, near: Tensor) -> Tensor:
        """From the draw to the far end, or half of the way from the other end."""
        return (far - near) / 2 if self.two_sided else far - draw


def _spoilt(move: Tensor, loss: Tensor) -> Tensor:
    """NaN in the rows that have a loss of NaN, which an arg-max takes for the highest."""
    broken = loss.flatten(1).isnan().any(1).view(-1, *[1] * (move.ndim - 1))
    return torch.where(broken, torch.nan, move)


def _all_grids(positions: int, codes: int) -> Tensor:
    """``(K^P, P)``."""
    if codes**positions > _MOST_GRIDS:
        expected = f"at most {_MOST_GRIDS} grids, or joint=False"
        raise InvalidArgument("DirectArgmax.joint", got=f"{codes}^{positions} grids", expected=expected)
    return torch.tensor(list(itertools.product(range(codes), repeat=positions)))
