"""Generator composed with goal over the rows still searched: whatever scores does not loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._codebook import Codebook
from latentsearch._memory import Chunks
from latentsearch.goal import Goal, Limit, Score, Unlimited
from latentsearch.goal._addend import Addend
from latentsearch.goal.limit import Priority
from latentsearch.noise import Noise
from latentsearch.objective.embedding import EmbeddingView
from latentsearch.objective.evaluate import Evaluator, Form
from latentsearch.objective.gradient import Differentiated, check_differentiable, no_gradient
from latentsearch.objective.ledger import Ledger
from latentsearch.objective.prior import ChargedPrior
from latentsearch.objective.swaps import by_swaps
from latentsearch.protocols import Generator, LocalGenerator, Prior
from latentsearch.run import Run
from latentsearch.spaces import Discrete

# Elements of output that patches are pasted into at once: more than the cache holds only wait for the memory.
_PASTED = {"cpu": 1 << 22}
_PASTED_ELSEWHERE = 1 << 27


class Linear(NamedTuple):
    """The objective near a grid of codes, to first order.

    Putting code j at position p changes the loss by about
    ``gradient[p] @ (e_j - e_z[p]) + table[p, j] - table[p, z[p]]``, with the embeddings e of codes there.

    Attributes:
        score: The score at the grid.
        gradient: ``(N, *S, D)`` with respect to the embeddings.
        table: ``(N, *S, K)``, the gradient of what reads the latent itself; None if nothing does.
    """

    score: Score
    gradient: Tensor
    table: Tensor | None


class Objective:
    """Scores latents for the rows still searched, counting what it costs.

    A row scored costs 1, a row scored with its gradient 2, whether or not a term needs the decoder;
    a row decoded again where one code changed costs its share of 1. Rows that have ended cost nothing.

    Args:
        generator: The decoder.
        goal: What is searched for, for B problems.
        run: Chunks, patches, autocast and compilation.
        ledger: Whose rows are scored; one row a problem if not given.
        prior: What to draw from; the goal's, or else the generator's, if not given.
        form: What outputs and losses are like, each time; None where that is not known.

    Attributes:
        generator: The decoder.
        ledger: The rows held, and what they spent.
        chunks: The chunk size in force.
        prior: What a method draws from and asks, at a charge.
    """

    def __init__(
        self,
        generator: Generator,
        goal: Addend,
        run: Run = Run(),
        ledger: Ledger | None = None,
        prior: Prior | None = None,
        form: Form | None = None,
    ) -> None:
        self.generator = generator
        self.ledger = Ledger(goal.goal.problems, device=generator.device) if ledger is None else ledger
        self.chunks = Chunks(run.chunk_rows)
        self.per_problem = goal.goal
        self._selected: tuple[Tensor, Goal] | None = None
        self._patches = run.patches
        self._directions: Tensor | None = None
        self._codes = EmbeddingView(generator)
        self.prior = ChargedPrior(self._known_prior() if prior is None else prior, self.ledger, self._codes)
        self._evaluator = Evaluator(generator, self._codes, run, form)
        self._evaluate = self._evaluator.evaluate

    def _known_prior(self) -> Prior:
        own: Prior | None = self.per_problem.prior
        return self.generator.prior if own is None else own

    @property
    def goal(self) -> Goal:
        """The goal with one row a held row."""
        held = self.ledger.held
        if self._selected is None or self._selected[0] is not held:
            self._selected = (held, self.per_problem.select(self.ledger.problem))
        return self._selected[1]

    # -- scoring ---------------------------------------------------------------------------------

    def __call__(self, z: Tensor, row: Tensor | None = None) -> Score:
        """Score latents, hard or soft.

        If ``z`` requires a gradient, the loss carries one: it is computed at once, chunk by chunk,
        and a second derivative raises.

        Args:
            z: ``(N, *S)`` or ``(N, *S, K)``.
            row: ``(N,)`` which held row each z serves; None where z has exactly one row for each.
        """
        if z.requires_grad and torch.is_grad_enabled():
            loss, satisfied = Differentiated.apply(z, self, row)
            return Score(loss, satisfied)
        self.ledger.charge(row, 1)
        goal = self.goal if row is None else self.goal.select(row)

        def part(rows: slice) -> tuple[Tensor, ...]:
            with torch.no_grad():
                return self._evaluate("decode", z[rows], z[rows], _slice(goal, rows, len(z)))

        return Score.of(*self.chunks.run(part, len(z)))

    def maps(self, z: Tensor, row: Tensor | None = None) -> tuple[Score, Tensor]:
        """The score of hard latents, and what each cell adds to the loss: ``(N, *cells)``, with as many axes as S.

        Args:
            z: ``(N, *S)``.
            row: ``(N,)`` which held row each z serves; None where z has exactly one row for each.

        Raises:
            Unsupported: If the loss is no sum over such cells.
        """
        self.ledger.charge(row, 1)
        goal = self.goal if row is None else self.goal.select(row)

        def part(rows: slice) -> tuple[Tensor, ...]:
            with torch.no_grad():
                return self._evaluate("decode", z[rows], z[rows], _slice(goal, rows, len(z)), "loss_map")

        loss, satisfied, loss_map = self.chunks.run(part, len(z))
        return Score(loss, satisfied), loss_map

    def value_and_gradient(self, z: Tensor, row: Tensor | None = None) -> tuple[Score, Tensor]:
        """The score of continuous or soft latents, and dL/dz of each row, along what is feasible."""
        self.ledger.charge(row, 2)
        goal = self.goal if row is None else self.goal.select(row)

        def part(rows: slice) -> tuple[Tensor, ...]:
            leaf = z[rows].detach().requires_grad_()
            with torch.enable_grad():
                score = Score.of(*self._evaluate("decode", leaf, leaf, _slice(goal, rows, len(z))))
                check_differentiable(score.loss)
                (gradient,) = torch.autograd.grad(score.loss.sum(), leaf, allow_unused=True)
            if gradient is None:
                raise no_gradient()
            return gradient, *_detached(score)

        gradient, *found = self.chunks.run(part, len(z))
        return Score.of(*found), goal.limit.tangent(z, gradient)

    def linearise(self, z: Tensor) -> Linear:
        """The score of hard grids ``(N, *S)``, one a held row, and its first-order change for any swap.

        It costs 2 evaluations, and what a [Swappable][latentsearch.Swappable] term takes to say it better.
        """
        self.ledger.charge(None, 2 + self.goal.swap_cost)

        def part(rows: slice) -> tuple[Tensor, ...]:
            goal = by_swaps(_slice(self.goal, rows, len(z)))
            leaves = [self.embed(z[rows]).detach().requires_grad_()]
            latent = z[rows]
            if goal.reads_latent:
                latent = self.grid.one_hot(latent, leaves[0].dtype).requires_grad_()
                leaves.append(latent)
            with torch.enable_grad():
                score = Score.of(*self._evaluate("decode_embedding", leaves[0], latent, goal))
                check_differentiable(score.loss)
                found = torch.autograd.grad(score.loss.sum(), leaves, allow_unused=True)
            if found[0] is None and goal.reads_output:
                raise no_gradient()
            gradients = [torch.zeros_like(a) if g is None else g for a, g in zip(leaves, found, strict=True)]
            return *gradients, *_detached(score)

        count = 2 if self.goal.reads_latent else 1
        parts = self.chunks.run(part, len(z))
        return Linear(Score.of(*parts[count:]), parts[0], parts[1] if count == 2 else None)

    def embedding_gradient(self, z: Tensor) -> tuple[Score, Tensor]:
        """The score of hard grids and dL/de of each embedding, ``(N, *S, D)``.

        Terms that read the codes themselves, such as a prior, have no gradient in embedding space;
        theirs is the direction that explains their value at the K codes best, by least squares.
        """
        linear = self.linearise(z)
        if linear.table is None:
            return linear.score, linear.gradient
        if self._directions is None:
            codebook = self.codebook.vectors
            self._directions = torch.linalg.pinv(codebook - codebook.mean(-2, keepdim=True))
        extra = (self._directions @ linear.table[..., None])[..., 0]
        return linear.score, linear.gradient + extra

    def residuals(self, z: Tensor, row: Tensor) -> tuple[Score, Tensor]:
        """The score of hard latents, and what the loss is a sum of squares of: ``(N, n)``; costs 1 evaluation each.

        Args:
            z: ``(N, *S)``.
            row: ``(N,)`` which held row each z serves.
        """
        self.ledger.charge(row, 1)
        goal = self.goal.select(row)

        def part(rows: slice) -> tuple[Tensor, ...]:
            with torch.no_grad():
                return self._evaluate("decode", z[rows], z[rows], _slice(goal, rows, len(z)), "residuals")

        loss, satisfied, residuals = self.chunks.run(part, len(z))
        return Score(loss, satisfied), residuals

    def sensitivities(self, z: Tensor, probes: int, noise: Noise) -> tuple[Linear, Tensor]:
        r"""Where a sum of squares can be seen from the embeddings: gradients of random sums of its residuals.

        With the residuals' Jacobian J at the embeddings, a probe is $v = J^T u$ with $u \sim N(0, I)$, and the mean
        of $(v \cdot \delta)^2$ over probes estimates $\|J \delta\|^2$, the second-order change of the loss by
        $\delta$. A value and its gradient cost 2, and a probe 1 evaluation.

        Args:
            z: ``(M, *S)`` hard grids, one a held row.
            probes: n.
            noise: M rows.

        Returns:
            The objective to first order, and the probes ``(M, n, *S, D)``.
        """
        self.ledger.charge(None, 2 + probes)

        def part(rows: slice) -> tuple[Tensor, ...]:
            leaf = self.embed(z[rows]).detach().requires_grad_()
            with torch.enable_grad():
                goal = _slice(self.goal, rows, len(z))
                loss, satisfied, residuals = self._evaluate("decode_embedding", leaf, z[rows], goal, "residuals")
                (gradient,) = torch.autograd.grad(loss.sum(), leaf, retain_graph=True)
                seen: list[Tensor] = []
                for number in range(probes):
                    weights = noise[rows].fold(number).normal(residuals.shape[1], dtype=residuals.dtype)
                    seen += torch.autograd.grad((weights * residuals).sum(), leaf, retain_graph=True)
            return loss.detach(), satisfied, gradient, torch.stack(seen, 1)

        loss, satisfied, gradient, seen = self.chunks.run(part, len(z))
        return Linear(Score(loss, satisfied), gradient, None), seen

    def swaps(self, z: Tensor, position: Tensor, code: Tensor) -> Score:
        """Score grids that differ from the held rows' by one code each.

        Where the generator can decode again what one code reaches, the held rows' grids are decoded
        once and then a patch a swap, if that is cheaper: it costs 1 + C times the share of a patch
        a held row in place of C.

        Args:
            z: ``(M, *S)`` hard grids, one a held row.
            position: ``(M, C)`` int64, which position of the flattened grid is changed.
            code: ``(M, C)`` int64, the code that is put there.

        Returns:
            Loss and satisfied, ``(M, C)`` each.
        """
        count = position.shape[1]
        grids = z.flatten(1)[:, None].expand(-1, count, -1).scatter(2, position[..., None], code[..., None])
        row = torch.arange(len(z), device=z.device).repeat_interleave(count)
        grids = grids.flatten(0, 1).unflatten(1, z.shape[1:])
        cost = 1 + count * self._patch_share if self.goal.reads_output else count
        score = self(grids, row) if cost >= count else self._patched(z, grids, position.flatten(), row, cost)
        return score.map(lambda t: t.view(-1, count))

    def _patched(self, z: Tensor, grids: Tensor, position: Tensor, row: Tensor, cost: float) -> Score:
        """Score grids that differ from those they serve at one position, by patches on decoded ``z``."""
        self.ledger.charge(None, cost)
        output = self.decode(z)

        def part(rows: slice) -> tuple[Tensor, ...]:
            # Outputs and targets are picked chunk by chunk: those of all swaps at once may not fit the memory.
            serves = row[rows]
            known, own = output.index_select(0, serves), self.goal.select(serves)
            with torch.no_grad():
                patch = (position[rows], known)
                return self._evaluate("redecode", grids[rows], grids[rows], own, patch=patch)

        pasted = _PASTED.get(output.device.type, _PASTED_ELSEWHERE)
        most = max(pasted // max(output[0].numel(), 1), 1)
        return Score.of(*self.chunks.run(part, len(grids), most))

    @property
    def _patch_share(self) -> float:
        """What a patch costs; rounded up to a binary fraction, of which sums are exact in any order."""
        if not self._patches or not isinstance(self.generator, LocalGenerator):
            return 1.0
        return math.ceil(self.generator.redecode_share * (1 << 20)) / (1 << 20)

    # -- the hard limit --------------------------------------------------------------------------

    @property
    def limit(self) -> Limit:
        """The latents that are feasible for the held rows."""
        return self.goal.limit

    def project(self, z: Tensor, row: Tensor | None = None, priority: Priority | None = None) -> Tensor:
        """The nearest feasible latents, hard or soft; those that are feasible, as they are.

        Args:
            z: ``(N, *S)`` or ``(N, *S, K)``.
            row: ``(N,)`` which held row each z serves; None where z has exactly one row for each.
            priority: From the limit's centres ``(N, *S)`` to how much each element of hard latents is worth
                keeping, ``(N, *S)``; asked only where there is a limit.
        """
        limit = self.limit if row is None else self.limit.select(row)
        # A code that stands for the centre's is no change.
        return z if isinstance(limit, Unlimited) else limit.project(self.canonical(z), priority)

    def movable(self, z: Tensor) -> Tensor:
        """``(M, *S)`` bool: the positions of feasible hard latents, one a held row, whose code may change alone."""
        return self.limit.movable(self.canonical(z))

    # -- discrete spaces -------------------------------------------------------------------------

    @property
    def grid(self) -> Discrete:
        """The space of the grids; Unsupported where latents are no codes."""
        return self._codes.grid

    @property
    def codebook(self) -> Codebook:
        """The embeddings of codes; one-hot vectors for a generator without."""
        return self._codes.codebook

    @property
    def neighbours(self) -> int:
        """How many grids differ from one in one code, those with codes that stand for others left out."""
        return self._codes.neighbours

    def embed(self, z: Tensor) -> Tensor:
        """Hard grids ``(N, *S)`` or soft ones ``(N, *S, K)`` to embeddings ``(N, *S, D)``."""
        return self._codes.embed(z)

    def canonical(self, z: Tensor) -> Tensor:
        """Puts codes in the place of those that stand for them. Constraints see what it gives."""
        return self._codes.canonical(z)

    # -- what it costs ---------------------------------------------------------------------------

    def charge(self, cost: float) -> None:
        """Charge every held row for work that is not a decode but costs as much as ``cost`` of them."""
        self.ledger.charge(None, cost)

    @property
    def left(self) -> Tensor:
        """``(M,)`` float64: how many more evaluations each held row's problem can pay for, a live restart."""
        return self.ledger.left

    # -- around a run ----------------------------------------------------------------------------

    def decode(self, z: Tensor) -> Tensor:
        """Outputs of hard latents; not charged to anyone."""

        def part(rows: slice) -> tuple[Tensor]:
            with torch.no_grad():
                return (self._evaluator.decode("decode", z[rows]),)

        return self.chunks.run(part, len(z))[0]

    def scoring(self, goal: Goal) -> Objective:
        """Another goal for the same rows, at the same expense: what a method makes of parts of the goal."""
        other = copy.copy(self)
        other.per_problem, other._selected = goal, None
        return other

    def rescore(self, z: Tensor) -> Score:
        """Scores of one hard latent for each of all rows ``(B * R, *S)``; not charged to anyone."""
        problem = torch.arange(len(z), device=z.device) // self.ledger.restarts

        def part(rows: slice) -> tuple[Tensor, ...]:
            with torch.no_grad():
                return self._evaluate("decode", z[rows], z[rows], self.per_problem.select(problem[rows]))

        return Score.of(*self.chunks.run(part, len(z)))

    def report(self, z: Tensor) -> tuple[Tensor, Score, dict[str, Score]]:
        """Outputs, score and terms of one hard latent a problem ``(B, *S)``; not charged to anyone."""
        problems = torch.arange(len(z), device=z.device)
        names: list[str] = []

        def part(rows: slice) -> Sequence[Tensor]:
            goal = self.per_problem.select(problems[rows])
            with torch.no_grad():
                # A copy: a decoder that returns its argument would tie outputs to latents.
                output = self._evaluator.decode("decode", z[rows].clone())
                terms = goal.report(output, z[rows])
                names[:] = list(terms)
                scores = (goal(output, z[rows]), *terms.values())
                return (output, *(t for score in scores for t in (score.loss, score.passed)))

        output, loss, satisfied, *terms = self.chunks.run(part, len(z))
        pairs = zip(names, terms[::2], terms[1::2], strict=True)
        return output, Score(loss, satisfied), {name: Score(a, b) for name, a, b in pairs}


def _detached(score: Score) -> tuple[Tensor, ...]:
    """The tensors of a score, as what it was decoded for is over."""
    return tuple(part.detach() for part in score.parts)


def _slice(goal: Goal, rows: slice, count: int) -> Goal:
    """The goal of some rows; itself where they are all."""
    if rows.start == 0 and rows.stop == count:
        return goal
    return goal.select(torch.arange(rows.start, rows.stop))
