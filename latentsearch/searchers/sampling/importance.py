"""Importance resampling: of many draws of the prior, one in proportion to its likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch.goal import Score
from latentsearch.loop import Draw, score_each, take
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_draw
from latentsearch.protocols import Generator, Prior
from latentsearch.result import Status
from latentsearch.searchers.sampling._chain import Chain, energy
from latentsearch.spaces import LatentSpace

_DRAWS, _CHOICE = 1, 2  # streams of noise


@dataclass
class ResamplingState:
    """Where each chain stands.

    Attributes:
        z: ``(M, *S)``.
        loss: ``(M,)``, there.
        satisfied: ``(M,)`` bool, there.
        energy: ``(M,)``, the loss without the prior.
        number: Transitions made.
    """

    z: Tensor
    loss: Tensor
    satisfied: Tensor
    energy: Tensor
    number: int


@dataclass(frozen=True)
class ImportanceResampling(Chain):
    r"""Draw from a posterior: of the state and many draws of the prior, take one in proportion to its likelihood.

    Iterated sampling importance resampling (i-SIR): Andrieu, Lee and Vihola, *Uniform ergodicity of the iterated
    conditional SMC and geometric ergodicity of particle Gibbs samplers* (Bernoulli 2018,
    [arXiv:1312.6432](https://arxiv.org/abs/1312.6432)). Each transition leaves $p(z) \, e^{-L(z)}$ as it is,
    whatever the number of draws. It needs no gradient, takes any prior and any space, and has nothing to tune; but the
    draws must hit what is likely, so it is for goals that a fair share of draws meets, such as attributes. For
    sharp ones take [EllipticalSliceSearch][latentsearch.EllipticalSliceSearch].

    The likelihood is the goal without its [LogPrior][latentsearch.LogPrior], in nats, and the prior that of the
    LogPrior, else the generator's, given the codes that are allowed; a draw with others counts for nothing. **The
    answer of a row is where its chain ends**, a draw and not the best it saw: ``result.candidates.latent`` has one for
    each of the restarts, and ``result.latent`` is the first of them.

    Attributes:
        draws: Of the prior, a transition; what a step costs.
        transitions: After which a row is FINISHED; None: when the budget ends, as BUDGET.
        restarts: Independent chains a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> sampler = ls.ImportanceResampling(draws=20, transitions=4, restarts=3)
        >>> result = sampler.search(toy.generator, 50 * toy.constraint, seed=0)
        >>> result.candidates.latent.shape, result.evaluations
        (torch.Size([2, 3, 2, 2]), tensor([240., 240.], dtype=torch.float64))
    """

    draws: int = 32
    transitions: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("draws", 2)
        if self.transitions is not None:
            self._require_count("transitions")

    def step_cost(self, space: LatentSpace) -> int:
        return self.draws

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        return self.draws * cost_of_draw(prior)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> ResamplingState:
        # The first step fills this in: to score costs evaluations.
        dtype = torch.promote_types(objective.generator.dtype, torch.float32)
        unknown = torch.zeros(len(z), dtype=dtype, device=z.device)
        return ResamplingState(z, unknown, torch.zeros_like(unknown, dtype=torch.bool), unknown.clone(), 0)

    def step(self, objective: Objective, state: ResamplingState, noise: Noise) -> tuple[ResamplingState, Draw]:
        columns = self._candidates(objective, state, noise.fold(_DRAWS))
        # What is no number is never chosen, unless all are: then the first is, and the row ends as NONFINITE.
        logits = -columns["energy"].nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
        chosen = noise.fold(_CHOICE).categorical(logits)[:, None]
        picked = {name: take(column, chosen)[:, 0] for name, column in columns.items()}
        new = ResamplingState(**picked, number=state.number + 1)
        finished = self.transitions is not None and new.number >= self.transitions
        status = torch.full_like(chosen[:, 0], Status.FINISHED if finished else Status.RUNNING)
        return new, Draw(new.z, Score(new.loss, new.satisfied), status)

    def _candidates(self, objective: Objective, state: ResamplingState, noise: Noise) -> dict[str, Tensor]:
        """The state and the draws, U a row, with what is known of them: ``(M, U, ...)`` by name."""
        own = int(state.number == 0)  # the initial latent is yet to be scored
        drawn = self._drawn(objective, self.draws - own, noise).to(state.z.dtype)
        drawn = torch.cat([state.z[:, None].expand(-1, own, *state.z.shape[1:]), drawn], 1)
        draws: Tensor = objective.canonical(drawn.flatten(0, 1)).view(drawn.shape)
        score = score_each(objective, draws)
        flat = energy(objective, score.map(lambda t: t.flatten()), draws.flatten(0, 1)).view(score.loss.shape)
        # The prior counts given the codes that are allowed: a draw that holds others is none.
        flat = flat.masked_fill((draws != drawn).flatten(2).any(2), torch.inf)
        columns = {"z": draws, "loss": score.loss, "satisfied": score.passed, "energy": flat}
        if own:
            return columns
        return {name: torch.cat([getattr(state, name)[:, None], column], 1) for name, column in columns.items()}

    def _drawn(self, objective: Objective, count: int, noise: Noise) -> Tensor:
        """``(M, count, *S)`` draws of the prior."""
        row = torch.arange(len(noise), device=noise.keys.device).repeat_interleave(count)
        drawn = objective.prior.sample(noise.split(count), row)
        return drawn.view(len(noise), count, *drawn.shape[1:])
