"""Straight-through gradient descent over grids of codes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latentsearch.loop import OptimizerFactory, check_row_local
from latentsearch.problem import Problem
from latentsearch.searchers.straight_through._code_descent import CodeDescent


@dataclass(frozen=True)
class StraightThroughSearch(CodeDescent):
    r"""Copy the gradient at the codes over to an embedding, and step until the codes change.

    Algorithm 2 of *Exploring Test Time Optimization for Discrete Neural Representation Learners*
    (appendix A.4), read as follows. The embedding e **accumulates**: it is not projected onto the
    codebook. The gradient is taken at the code $z = \mathrm{NN}(e)$ and applied to e,
    $e \leftarrow e - \alpha \nabla_z L$. The inner loop ends when the *codes* change; while
    they do not, the gradient is the same, so the number of steps until they do is computed and no
    decoding is spent on them. A grid visited before ends the row as REPEATED; more than
    ``patience`` steps without a change end it as STALLED.

    Two more settings are what the paper's section 6 names as future work. With ``lr=None`` the step
    size of each row sets itself: $\alpha = 1 / (c \lambda)$, with the curvature $\lambda$ fitted to
    what past moves of the codes really cost, and a damping c that doubles where the loss rises and
    shrinks by a twentieth where it falls. With ``on_repeat="mask"`` the grids visited are a tabu list: a
    move that leads to one of them, or nowhere, is replaced by the one swap of a code that costs least, by
    distance from e, and the embedding goes with it, so that no grid is visited twice and the search goes on
    until its budget ends (or, in a tiny space, until all grids around were visited).

    Attributes:
        lr: $\alpha$. Its scale is that of the loss and of the codebook. The default suits the mean
            square of ``Matches`` on small images; the paper's is 0.1, on a loss whose scale it
            does not tell. Try others by factors of ten, up and down; or None, for steps that set
            themselves.
        patience: $\lambda$, the steps that may pass without a code changing.
        optimizer: A factory of torch optimisers, such as ``partial(torch.optim.Adam, lr=0.1)``, in
            place of plain steps of size ``lr``, which is then not read; every step is then decoded.
        on_repeat: ``"stop"`` as published, ``"continue"``, or ``"mask"``.
        snap: Put e back on the codebook after every step: another dynamic, not the published one.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> result = ls.StraightThroughSearch(lr=0.5).search(toy.generator, toy.constraint, seed=0)
        >>> result.status[0].name
        'STALLED'
    """

    optimizer: OptimizerFactory | None = None

    @property
    def _optimizer(self) -> OptimizerFactory | None:
        return self.optimizer

    def check(self, problem: Problem) -> None:
        super().check(problem)
        if self.optimizer is not None:
            check_row_local("StraightThroughSearch.optimizer", self.optimizer)

    def _mask(self, gradient: Tensor) -> Tensor:
        return gradient
