"""All that is looked at before the first step of a method, in the order in which it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from latentsearch._images import require_target
from latentsearch._memory import Chunks
from latentsearch._rounding import same_losses
from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.goal import Constraint, Goal, Score
from latentsearch.loop.draws import drawn_from
from latentsearch.loop.start import check_canonical, initial_latents, prior_samples
from latentsearch.loop.term_check import check_term
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Objective
from latentsearch.objective.evaluate import Form
from latentsearch.objective.gradient import WITHOUT_GRADIENT, no_gradient
from latentsearch.priors import require_fitted_to
from latentsearch.problem import Problem
from latentsearch.protocols import Generator, Prior
from latentsearch.run import Run
from latentsearch.spaces import Discrete

if TYPE_CHECKING:
    from latentsearch.loop.iterative import IterativeSearcher

_PROBED = 1024  # elements of an output that a checkpoint keeps, at least
_INIT, _FINGERPRINT = 1, 4  # streams of noise; the loop has the others


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a run begins with.

    Attributes:
        goal: What should come out, on the output's device and in its floating dtype.
        noise: The randomness of each row, ``(B * R,)``.
        z: Where each row starts, ``(B * R, *S)``.
        fingerprint: The scores of two latents, ``(2,)``, by which a goal is known again.
        probe: ``(2, n)``, some of what they decode to, by which a decoder is.
        form: What outputs and losses are like.
    """

    goal: Goal
    noise: Noise
    z: Tensor
    fingerprint: Score
    probe: Tensor
    form: Form


def preflight(method: IterativeSearcher, problem: Problem, chunk_rows: int | None = None) -> Prepared:
    """Find out before the first step what would fail in it, by decoding two latents; nothing is charged for that.

    What needs no decode has been checked by `BaseSearcher.search`: types, limits, priors, and the
    method's own `check`. What is left, in this order:

    1. where rows start: at latents of the space, within the hard limit;
    2. latents that terms hold: of the space, too;
    3. the scores of two latents: one a row, of the right dtype;
    4. fitted priors: of this decoder;
    5. a gradient at these two, if the method follows gradients.
    """
    generator, goal, problems, restarts = problem.generator, problem.goal, problem.goal.problems, method.restarts
    noise = Noise.from_seed(problem.seeds, problems, restarts, generator.device)
    prior = drawn_from(problem, samples=method.samples)
    z = initial_latents(problem, prior, noise.fold(_INIT), restarts)
    two = torch.cat([z[:1], prior_samples(generator, prior, noise[:1].fold(_FINGERPRINT))])
    seen = check_scores(generator, goal, two, chunk_rows)
    check_fitted(problem, prior)
    if method.needs_gradient:
        check_gradients(generator, seen, two, chunk_rows)
    flat = seen.output.detach().flatten(1)
    probe = flat[:, :: max(1, flat.shape[1] // _PROBED)]
    return Prepared(seen.goal, noise, z, seen.score, probe, Form(tuple(seen.output.shape[1:]), seen.score.loss.dtype))


class Seen(NamedTuple):
    """What a look at two latents has shown.

    Attributes:
        goal: What should come out, on the output's device and in its floating dtype.
        output: ``(2, *O)``, what the latents decode to.
        score: ``(2,)``, what the goal says of them.
    """

    goal: Goal
    output: Tensor
    score: Score


def check_scores(generator: Generator, goal: Goal, z: Tensor, chunk_rows: int | None = None) -> Seen:
    """Decode two latents ``(2, *S)`` and see that the goal can score them, before a run.

    Args:
        generator: The decoder.
        goal: What is to score its outputs.
        z: The latents.
        chunk_rows: The most rows to decode at once.

    Returns:
        What was seen.
    """
    with torch.no_grad():
        early = goal.to(z.device, generator.dtype)
        check_latents(generator, early)
        for term in early.constraints:
            if term.reads == "latent":
                term.validate(z, z)
        output = _decoded(generator, z, chunk_rows)
        dtype = output.dtype if output.is_floating_point() else None
        goal = goal.to(output.device, dtype)
        two = goal.select(torch.tensor([0, goal.problems - 1], device=z.device))
        for term, of_two in zip(goal.constraints, two.constraints, strict=True):
            check_term(term, of_two, output, z, chunk_rows)
            for name in term.pictured:
                declared = getattr(generator, "output_range", None)
                require_target(f"{term.name}.{name}", term.counted(name), output, declared)
        goal.limit.validate(output, z)
        score = Score.of(*Chunks(chunk_rows).run(lambda rows: _scored(two, output, z, rows), len(z)))
        return Seen(goal, output, score)


def _scored(goal: Goal, output: Tensor, z: Tensor, rows: slice) -> tuple[Tensor, ...]:
    index = torch.arange(len(z), device=z.device)[rows]
    return goal.select(index)(output[rows], z[rows]).parts


def _decoded(generator: Generator, z: Tensor, chunk_rows: int | None) -> Tensor:
    def part(rows: slice) -> tuple[Tensor]:
        output, count = generator.decode(z[rows]), len(z[rows])
        if not isinstance(output, Tensor) or output.shape[:1] != (count,):
            got = describe(output) if isinstance(output, Tensor) else type(output).__name__
            expected = f"a tensor of {count} rows for {count} latents"
            raise InvalidArgument("generator.decode", got=got, expected=expected)
        return (output,)

    return Chunks(chunk_rows).run(part, len(z))[0]


def check_latents(generator: Generator, goal: Goal) -> None:
    """Raise if a term holds latents that are none of the generator's, or codes that stand for others."""
    for term in goal.constraints:
        for name in term.latents:
            check_canonical(f"{term.name}.{name}", getattr(term, name), generator)


def check_fitted(problem: Problem, drawn: Prior) -> None:
    """Raise if the prior that latents are drawn from, or one that scores them, was fitted to another decoder's."""
    held = {f"{term.name}.{name}": getattr(term, name) for term in problem.goal.constraints for name in term.priors}
    for what, prior in {**held, "generator.prior": drawn}.items():
        require_fitted_to(what, prior, problem.generator)


def check_gradients(generator: Generator, seen: Seen, z: Tensor, chunk_rows: int | None = None) -> None:
    """Take one gradient at two latents ``(2, *S)`` and see that it reaches them, before a run.

    What reads codes must give for codes written as one-hot vectors what it gives for codes: methods that follow
    gradients hand it such, and a goal that is blind to the difference would never be reached.
    """
    two = seen.goal.select(torch.tensor([0, seen.goal.problems - 1], device=z.device))
    objective = Objective(generator, two, Run(chunk_rows=chunk_rows), Ledger(2, device=z.device))
    if isinstance(generator.space, Discrete) and two.reads_latent:
        _check_soft(generator, generator.space, two, z, seen.output)
    if seen.output.is_floating_point():
        _check_terms_differentiate(two, seen.output, z, chunk_rows)
    try:
        if isinstance(generator.space, Discrete):
            objective.linearise(z)
        else:
            objective.value_and_gradient(z)
    except RuntimeError as error:
        raise Unsupported(
            "the objective",
            got=f"a gradient that fails with {type(error).__name__}: {error}",
            expected="a decoder and a constraint that torch can differentiate",
            hint="make the decoder outside of torch.inference_mode: weights made within have no gradients"
            if "nference tensor" in str(error)
            else f"look for numpy and in-place changes in them; {WITHOUT_GRADIENT}",
        ) from error


def _check_terms_differentiate(goal: Goal, output: Tensor, z: Tensor, rows: int | None) -> None:
    """Raise if a term of outputs has no gradient of its own, whatever the decoder's is: it is named."""
    with torch.enable_grad():
        leaf = output[:rows].detach().requires_grad_()
        some = goal.select(torch.arange(len(leaf), device=z.device))
        for term in some.constraints:
            if term.reads == "output" and not _loss_of(term, leaf, z[:rows]).requires_grad:
                raise no_gradient(term.name)


def _loss_of(term: Constraint, output: Tensor, z: Tensor) -> Tensor:
    try:
        return term(output, z).loss
    except Exception as error:
        raise Unsupported(
            term.name,
            got=f"one that fails where gradients are taken, with {type(error).__name__}: {error}",
            expected="a constraint that torch can differentiate",
            hint=f"look for numpy in it; {WITHOUT_GRADIENT}",
        ) from error


def _check_soft(generator: Generator, space: Discrete, goal: Goal, z: Tensor, output: Tensor) -> None:
    """Raise unless each term gives the same loss for hard codes ``(2, *S)`` and for these as one-hot vectors."""
    soft = space.one_hot(z, generator.dtype)
    with torch.no_grad():
        for term in goal.constraints:
            if term.reads != "output":
                hard = term(output, z).loss
                try:
                    found = term(output if goal.reads_output else soft, soft).loss
                except Exception as error:
                    raise _no_soft(term, f"{type(error).__name__} for soft codes: {error}") from error
                _compare(term, hard, found)


def _compare(term: Constraint, hard: Tensor, soft: Tensor) -> None:
    if soft.shape != hard.shape:
        raise _no_soft(term, f"a loss of shape {tuple(soft.shape)} for two rows of soft codes")
    if not same_losses(soft, hard):
        got = f"losses {hard.tolist()} for two grids of codes, and {soft.tolist()} for the same as one-hot vectors"
        raise _no_soft(term, got)


def _no_soft(term: Constraint, got: str) -> Unsupported:
    return Unsupported(
        term.name,
        got=got,
        expected="the same loss for codes (N, *S) and for one-hot vectors (N, *S, K), which have a gradient",
        hint="write it for soft codes, of which F.one_hot(z, K) are the hard ones, with z.is_floating_point() to tell "
        "them apart; or say Satisfies(..., differentiable=False), and use EvolutionSearch",
    )
