"""Two latents tried before a run: can they be decoded, scored, and differentiated?"""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._memory import Chunks
from latentsearch._rounding import same_losses
from latentsearch.algebra import Constraint, Score, terms_of
from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.objective import EmbeddingView, Ledger, Objective
from latentsearch.objective.evaluate import WITHOUT_GRADIENT
from latentsearch.protocols import Generator
from latentsearch.run import Run
from latentsearch.spaces import Discrete


def check_scores(
    generator: Generator, constraint: Constraint, z: Tensor, chunk_rows: int | None = None
) -> tuple[Constraint, Score]:
    """Decode two latents ``(2, *S)`` and see that the constraint can score them, before a run.

    Args:
        generator: The decoder.
        constraint: What is to score its outputs.
        z: The latents.
        chunk_rows: The most rows to decode at once.

    Returns:
        The constraint on the output's device and in its floating dtype, and the two scores.
    """
    with torch.no_grad():
        output = _decoded(generator, z, chunk_rows)
        dtype = output.dtype if output.is_floating_point() else None
        constraint = constraint.to(output.device, dtype)
        constraint.validate(output, z)
        two = constraint.select(torch.tensor([0, constraint.problems - 1], device=z.device))
        score = two(output, z)
    for part, expected in (
        ("loss", score.loss.is_floating_point()),
        ("satisfied", score.satisfied.dtype == torch.bool),
    ):
        tensor = getattr(score, part)
        if tuple(tensor.shape) != (len(z),) or not expected:
            raise InvalidArgument(
                f"{constraint.name}'s {part}",
                got=describe(tensor),
                expected=f"one {'floating' if part == 'loss' else 'bool'} value a row, shape ({len(z)},)",
                hint="reduce over all dimensions but the first, for instance .flatten(1).mean(1)",
            )
    return constraint, score


def _decoded(generator: Generator, z: Tensor, chunk_rows: int | None) -> Tensor:
    def part(rows: slice) -> tuple[Tensor]:
        output, count = generator.decode(z[rows]), len(z[rows])
        if not isinstance(output, Tensor) or output.shape[:1] != (count,):
            got = describe(output) if isinstance(output, Tensor) else type(output).__name__
            expected = f"a tensor of {count} rows for {count} latents"
            raise InvalidArgument("generator.decode", got=got, expected=expected)
        return (output,)

    return Chunks(chunk_rows).run(part, len(z))[0]


def check_latents(generator: Generator, constraint: Constraint) -> None:
    """Raise if a term holds latents that are none of the generator's, or codes that stand for others."""
    for term in terms_of(constraint):
        for name in term.latents:
            check_canonical(f"{term.name}.{name}", getattr(term, name), generator)


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


def check_gradients(generator: Generator, constraint: Constraint, z: Tensor, chunk_rows: int | None = None) -> None:
    """Take one gradient at two latents ``(2, *S)`` and see that it reaches them, before a run.

    What reads codes must give for codes written as one-hot vectors what it gives for codes: methods that follow
    gradients hand it such, and a wish that is blind to the difference would be searched for in vain.
    """
    problem = torch.tensor([0, constraint.problems - 1], device=z.device)
    run = Run(chunk_rows=chunk_rows)
    objective = Objective(generator, constraint.select(problem), run, Ledger(2, device=z.device))
    if isinstance(generator.space, Discrete) and constraint.needs_latent:
        with torch.no_grad():
            output = _decoded(generator, z, chunk_rows) if constraint.needs_output else z
        _check_soft(generator, generator.space, constraint.select(problem), z, output)
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
            hint=f"look for numpy and in-place changes in them; {WITHOUT_GRADIENT}",
        ) from error


def _check_soft(generator: Generator, space: Discrete, constraint: Constraint, z: Tensor, output: Tensor) -> None:
    """Raise unless each term gives the same loss for hard codes ``(2, *S)`` and for these as one-hot vectors."""
    soft = space.one_hot(z, generator.dtype)
    with torch.no_grad():
        for term in terms_of(constraint):
            if term.needs_latent:
                hard = term(output, z).loss
                try:
                    found = term(output if constraint.needs_output else soft, soft).loss
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
