"""The direct arg-max estimator: the difference of two arg-max of perturbed logits."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.relaxations._checks import require_count
from latentsearch.relaxations._codes import one_hot
from latentsearch.relaxations._gumbel import perturbed
from latentsearch.relaxations.estimator import Loss, injected, neighbourhood, own_rows

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
        two_sided: Take the difference of the arg-max at $\epsilon$ and at $-\epsilon$, over $2\epsilon$: the
            bias falls with $\epsilon^2$ in place of $\epsilon$, for no more losses. Not in the paper.
        top: Look at the ``top`` likeliest codes of each position alone; None for all. This leaves a bias that no
            small epsilon takes away: an unlikely draw may move to a likely code, and never the reverse. That of
            [LocalExpectation][latentsearch.relaxations.LocalExpectation] leaves none.
        joint: Perturb each of the $K^n$ grids, without the approximation; for tiny spaces.

    Example:
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: z.sum(1).float()
        >>> DirectArgmax(epsilon=-1.0)(logits, f, Noise.from_seed(0, 1)).item() in (0.0, 1.0, 2.0, 3.0, 4.0)
        True
    """

    epsilon: float | Tensor = -1.0
    two_sided: bool = False
    top: int | None = None
    joint: bool = False

    unbiased: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not isinstance(self.epsilon, Tensor) and not abs(self.epsilon) > 0:
            raise InvalidArgument("DirectArgmax.epsilon", given=repr(self.epsilon), wanted="a number other than 0")
        require_count("DirectArgmax.top", self.top)

    def rows(self, shape: tuple[int, ...], codes: int) -> int:
        """The draw's loss, and that of every code at every position."""
        positions = torch.Size(shape).numel()
        return 1 + (codes**positions if self.joint else positions * min(self.top or codes, codes))

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator].

        Raises:
            InvalidArgument: If ``joint`` and there are more than 4096 grids.
        """
        rule = self._jointly if self.joint else self._by_position
        value, far, near = rule(logits, f, noise)
        width = 2 * self.epsilon if self.two_sided else self.epsilon
        return injected(value, logits, (one_hot(far, logits) - one_hot(near, logits)) / width)

    def _by_position(self, logits: Tensor, f: Loss, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """The draw's loss, and the two grids whose difference is taken, each position by itself."""
        codes = logits.shape[-1]
        scores = perturbed(logits.detach(), noise)
        z = scores.argmax(-1)
        value = f(z, own_rows(logits))
        scores = scores.flatten(1, -2)
        if self.top is None or self.top >= codes:
            far, near = self._ends(scores, neighbourhood(f, z, codes))
        else:
            # The draw is a candidate whatever its chance, and its loss is known.
            likely, drawn = logits.detach().flatten(1, -2).topk(self.top, -1).indices, z.flatten(1)[..., None]
            known = value.detach().view(-1, 1, 1).expand(*drawn.shape)
            code = torch.cat([drawn, likely], -1)
            loss = torch.cat([known, neighbourhood(f, z, codes, likely)], -1)
            far, near = (code.gather(-1, at[..., None]) for at in self._ends(scores.gather(-1, code), loss))
        return value, far.view_as(z), near.view_as(z)

    def _jointly(self, logits: Tensor, f: Loss, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """The same among all grids, each with Gumbel noise of its own."""
        flat = logits.detach().flatten(1, -2)
        grids = _all_grids(*flat.shape[1:]).to(logits.device)
        scores = perturbed(flat[:, torch.arange(grids.shape[1], device=logits.device), grids].sum(-1), noise)
        z = grids.view(-1, *logits.shape[1:-1])
        value = f(z[scores.argmax(-1)], own_rows(logits))
        with torch.no_grad():
            row = own_rows(logits).repeat_interleave(len(z))
            loss = f(z.repeat(len(logits), *[1] * (z.ndim - 1)), row).view(scores.shape)
        far, near = self._ends(scores, loss)
        return value, z[far], z[near]

    def _ends(self, scores: Tensor, loss: Tensor) -> tuple[Tensor, Tensor]:
        """The two arg-max over the last dimension, of which the second is the draw itself if not two-sided."""
        epsilon = self.epsilon.view(-1, *[1] * (loss.ndim - 1)) if isinstance(self.epsilon, Tensor) else self.epsilon
        near = scores - epsilon * loss if self.two_sided else scores
        return (scores + epsilon * loss).argmax(-1), near.argmax(-1)


def _all_grids(positions: int, codes: int) -> Tensor:
    """``(K^P, P)``."""
    if codes**positions > _MOST_GRIDS:
        wanted = f"at most {_MOST_GRIDS} grids, or joint=False"
        raise InvalidArgument("DirectArgmax.joint", given=f"{codes}^{positions} grids", wanted=wanted)
    return torch.tensor(list(itertools.product(range(codes), repeat=positions)))
