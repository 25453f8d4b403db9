"""Where each row starts."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._context import ordinary
from latentsearch._rows import per_row
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Limit
from latentsearch.noise import Noise
from latentsearch.objective import EmbeddingView, draws_of
from latentsearch.problem import Problem
from latentsearch.protocols import Generator, Prior
from latentsearch.spaces import Continuous


def check_canonical(what: str, latent: Tensor, generator: Generator) -> None:
    """Raise if latents hold codes that stand for others: no answer would hold them, no distance count from them."""
    generator.space.check(what, latent)
    beside = int((EmbeddingView(generator).canonical(latent) != latent).sum())
    if beside:
        raise InvalidArgument(
            what,
            got=f"{beside} codes that stand for others, as those never used in training do",
            expected="codes that are used",
            hint="generator.canonical(source) has them",
        )


def initial_latents(problem: Problem, prior: Prior, noise: Noise, restarts: int) -> Tensor:
    """One hard latent a row, ``(B * R, *S)``: from ``init`` where it says, else from the prior.

    Codes that stand for others give way to them: an encoder may well find a code that training never used.
    Within a limit the first restart starts at its centre, if it has one, and the others at projected draws.
    """
    generator, init, limit = problem.generator, problem.init, problem.goal.limit
    limit = limit.to(generator.device, generator.dtype)
    own = limit.select(torch.arange(len(noise), device=generator.device) // restarts)
    if limit.centered:
        check_canonical(f"{limit.name}'s centre", limit.center, generator)
        init = limit.center if init is None else init
    if init is None:
        return own.project(prior_samples(generator, prior, noise))
    init = _checked(init, generator)
    z = EmbeddingView(generator).canonical(_spread(problem, prior, init, noise, restarts))
    first = torch.arange(len(z), device=z.device) % restarts == 0
    told = torch.ones_like(first) if init.ndim == 2 + len(generator.space.shape) else first
    _check_feasible(own, z, told, restarts)
    return torch.where(per_row(told, z), z, own.project(z, lambda _: noise.fold(1).uniform(*z.shape[1:])))


def _check_feasible(limit: Limit, z: Tensor, told: Tensor, restarts: int) -> None:
    """Raise if latents that the user gave are beyond the limit."""
    outside = ~limit.contains(z) & told
    if bool(outside.any()):
        problems = (outside.nonzero()[:, 0] // restarts).unique().tolist()
        raise InvalidArgument(
            "init",
            got=f"latents beyond the hard limit for problems {problems}",
            expected=f"latents that {limit.name} allows",
            hint=f"leave init out, or start at the nearest that are, {limit.name}.project(init)",
        )


def _spread(problem: Problem, prior: Prior, init: Tensor, noise: Noise, restarts: int) -> Tensor:
    """``init`` as one latent a row; restarts that it says nothing of start at draws from the prior."""
    space, problems = problem.generator.space, problem.goal.problems
    with_restarts = init.ndim == 2 + len(space.shape)
    flat = init.flatten(0, 1) if with_restarts else init
    space.check("init", flat)
    if tuple(init.shape[:2]) == (problems, restarts) and with_restarts:
        return flat.clone()
    if with_restarts or init.shape[0] not in (1, problems):
        raise InvalidArgument(
            "init",
            got=describe(init),
            expected=f"one latent for each of {problems} problems, or {problems} x {restarts} with restarts",
            hint="the number of problems is the number of targets in the constraint",
        )
    z = flat.expand(problems, *space.shape).repeat_interleave(restarts, 0).clone()
    if restarts > 1:
        others = torch.arange(problems * restarts, device=z.device) % restarts > 0
        z[others] = prior_samples(problem.generator, prior, noise[others])
    return z


def prior_samples(generator: Generator, prior: Prior, noise: Noise) -> Tensor:
    """Draws of the prior, ``(N, *S)``, as latents of the generator's."""
    codes = None if isinstance(generator.space, Continuous) else EmbeddingView(generator)
    z = draws_of(prior, codes, noise)
    generator.space.check("a sample of the prior", z)
    return z.to(generator.dtype) if codes is None else codes.canonical(z)


def _checked(init: object, generator: Generator) -> Tensor:
    if not isinstance(init, Tensor):
        raise InvalidArgument("init", got=type(init).__name__, expected="a tensor of latents")
    if init.device != generator.device:
        device = str(generator.device)
        raise InvalidArgument("init", got=describe(init), expected=f"latents on {device}", hint=f"init.to({device!r})")
    init = ordinary(init).detach()
    return init.to(generator.dtype) if isinstance(generator.space, Continuous) and init.is_floating_point() else init
