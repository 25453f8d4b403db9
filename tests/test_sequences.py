"""Signals and tokens over time: what should hold of them, and searches for codes of one axis."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import training
from latentsearch.noise import Noise
from latentsearch.testing import toys

NO_LATENT = torch.zeros(1, 1)
TOKENS = torch.tensor([[0, 2, 1], [1, 1, 0]])


def losses(constraint: ls.Constraint, output: Tensor) -> list[float]:
    return constraint(output, NO_LATENT).loss.tolist()


def sequences(steps: int = 24, vocabulary: int = 6) -> ls.CodebookGenerator:
    """Logits over time, two steps a code: ``(N, 2 * steps, V)``."""
    with training.initialised(0):
        net = nn.Sequential(nn.ConvTranspose1d(4, 8, 4, 2, 1), nn.Tanh(), nn.Conv1d(8, vocabulary, 3, padding=1))
    codebook = 2 * Noise.from_seed(0).normal(12, 4)[0]
    return ls.CodebookGenerator(net.eval(), codebook, (steps,), output_transform=lambda x: 20 * x.mT)


# -- tokens ------------------------------------------------------------------------------------------


def test_the_loss_is_minus_the_log_probability_of_the_tokens() -> None:
    output = Noise.from_seed(0, 2).normal(3, 4)
    each = torch.distributions.Categorical(logits=output).log_prob(TOKENS)
    assert losses(ls.MatchesTokens(TOKENS), output) == pytest.approx((-each.sum(1)).tolist(), rel=1e-6)
    seen = torch.tensor([[True, False, True], [False, True, False]])
    expected = [-float(each[0, 0] + each[0, 2]), -float(each[1, 1])]
    assert losses(ls.MatchesTokens(TOKENS, mask=seen), output) == pytest.approx(expected, rel=1e-6)
    half = ls.MatchesTokens(TOKENS, mask=torch.full((1, 3), 0.5))
    assert losses(half, output) == pytest.approx((-0.5 * each.sum(1)).tolist(), rel=1e-6)
    # Log-probabilities serve as well as logits, and whole numbers of other dtypes as well as int64.
    again = ls.MatchesTokens(TOKENS.int())
    assert losses(again, output.log_softmax(-1)) == pytest.approx(losses(ls.MatchesTokens(TOKENS), output), rel=1e-6)


def test_steps_may_have_several_axes() -> None:
    tokens, output = Noise.from_seed(0, 2).integers(5, 3, 4), Noise.from_seed(1, 2).normal(3, 4, 5)
    flat = ls.MatchesTokens(tokens.flatten(1))(output.flatten(1, 2), NO_LATENT).loss
    image = ls.MatchesTokens(tokens)
    assert torch.equal(image(output, NO_LATENT).loss, flat) and image.cell_axes == 2
    assert image.loss_map(output).shape == (2, 3, 4)


def test_what_a_mask_hides_may_be_impossible() -> None:
    output = torch.zeros(1, 2, 2, requires_grad=True)
    barred = output + torch.tensor([[0.0, 0.0], [0.0, -torch.inf]])
    goal = ls.MatchesTokens(torch.tensor([[0, 1]]), mask=torch.tensor([[1, 0]]))
    loss = goal(barred, NO_LATENT).loss
    (gradient,) = torch.autograd.grad(loss.sum(), output)
    assert loss.tolist() == pytest.approx([math.log(2)]) and gradient.isfinite().all()


def test_many_steps_do_not_hide_what_one_token_changes() -> None:
    # In float32 from left to right the sum of 1e5 terms is off by more than a thousandth.
    output = torch.tensor([0.0, 1.0]).expand(1, 100_000, 2)
    loss = ls.MatchesTokens(torch.zeros(1, 100_000).long())(output, NO_LATENT).loss
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(1e5 * math.log1p(math.e), rel=1e-7)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no tensor": (lambda: ls.MatchesTokens([[1]]), r"tokens: got list, .*one row a problem; torch.tensor\(x\)"),  # type: ignore[arg-type]
    "logits": (lambda: ls.MatchesTokens(torch.zeros(1, 3)), r"float32 .*expected int64 tokens; .*x.argmax\(-1\)"),
    "bools": (lambda: ls.MatchesTokens(TOKENS > 0), "got a bool .*expected int64 tokens"),
    "one sequence": (lambda: ls.MatchesTokens(TOKENS[0]), r"expected tokens \(B, T\), one row.*tokens\[None\]"),
    "no steps": (lambda: ls.MatchesTokens(TOKENS[:, :0]), r"expected tokens \(B, T\)"),
    "negative": (lambda: ls.MatchesTokens(TOKENS - 1), "got the token -1, expected tokens in .*mask=tokens >= 0"),
    "mask's range": (lambda: ls.MatchesTokens(TOKENS, mask=TOKENS), r"MatchesTokens.mask: got values from 0 to 2"),
    "mask hides all": (lambda: ls.MatchesTokens(TOKENS, mask=0 * TOKENS), "got a mask that hides everything"),
    "mask of logits": (lambda: ls.MatchesTokens(TOKENS, mask=torch.ones(2, 3, 1)), r"broadcasts to \(2, 3\)"),
    "mask without its row": (lambda: ls.MatchesTokens(TOKENS, mask=torch.ones(3)), r"as many dim.*mask\[None\]"),
    "other problems": (lambda: ls.MatchesTokens(TOKENS, mask=torch.ones(3, 3)), "tokens for 2 problems and mask for 3"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_tokens_and_masks_that_cannot_work_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=message):
        make()


LOGITS = torch.zeros(2, 3, 3)
UNFIT = {
    "vocabulary": (torch.zeros(2, 3, 2), r"got the token 2, expected tokens in \[0, 2\), .* have 2 logits a step"),
    "vocabulary first": (torch.zeros(2, 5, 3), r"for logits \(N, \*steps, V\); .*output_transform=lambda x: x.movedim"),
    "steps": (
        torch.zeros(2, 4, 3),
        r"\(2, 3\) on cpu for outputs that are .*\(2, 4, 3\).*expected tokens \(B, \*",
    ),
    "no steps": (torch.zeros(2, 3), r"expected tokens \(B, \*steps\) for logits \(N, \*steps, V\)"),
    "whole numbers": (LOGITS.long(), "expected floating logits"),
    "probabilities": (LOGITS.softmax(-1), "got probabilities: .*expected logits.*leave the softmax out"),
}


@pytest.mark.parametrize(("output", "message"), UNFIT.values(), ids=UNFIT)
def test_outputs_that_are_no_logits_of_the_tokens_are_refused(output: Tensor, message: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=message):
        ls.MatchesTokens(TOKENS).validate(output, NO_LATENT)
    ls.MatchesTokens(TOKENS).validate(LOGITS, NO_LATENT)


def test_a_search_refuses_them_before_its_first_step() -> None:
    generator = sequences()
    for method in (ls.AutoSearch(), ls.ColouredSearch(), ls.CoordinateSearch()):
        with pytest.raises(ls.InvalidArgument, match=r"got the token 6, expected tokens in \[0, 6\)"):
            method.search(generator, ls.MatchesTokens(torch.full((1, 48), 6)), seed=0)


# -- signals -----------------------------------------------------------------------------------------


def test_signals_are_masked_over_time_in_every_channel() -> None:
    target, output = torch.zeros(1, 2, 4), torch.arange(8.0).view(1, 2, 4)
    mask = torch.tensor([[[1.0, 0, 0, 0.5]]])
    goal = ls.Matches(target, mask=mask)
    assert losses(goal, output) == pytest.approx([(0 + 9 / 2 + 16 + 49 / 2) / 3])
    assert goal.goal.loss_map(output, 1)[0].tolist() == pytest.approx([16 / 3, 0, 0, (9 + 49) / 2 / 3])
    with pytest.raises(ls.InvalidArgument, match=r"Matches.mask.*as many dimensions; .*mask\[:, None\]"):
        ls.Matches(torch.zeros(2, 3, 4), mask=torch.ones(2, 4))


def test_the_decoders_own_error_is_a_noise_level_of_signals_too() -> None:
    residuals = Noise.from_seed(0, 4000).normal(2, 8) * torch.tensor([0.1, 0.3])[:, None]
    seen = torch.tensor([1.0, 0.0])[None, :, None]
    quiet, both = (
        ls.Matches(torch.zeros(1, 2, 8), mask=mask, noise="decoder").calibrated(residuals).noise.item()
        for mask in (seen, None)
    )
    # Neighbours are taken to tell half as much as independent elements: mean squares count twice.
    assert quiet == pytest.approx(0.1 * 2**0.5, rel=0.02)
    assert both == pytest.approx((0.01 + 0.09) ** 0.5, rel=0.02)
    slow = ls.Downscales(torch.zeros(1, 2, 4), 2, mode="area", noise="decoder").calibrated(residuals)
    assert slow.noise.item() == pytest.approx((0.05 / 2 * 2) ** 0.5, rel=0.02)


@pytest.mark.parametrize("mode", ["area", "bicubic"])
def test_a_signal_is_shrunk_as_an_image_that_is_alike_in_every_row(mode: str) -> None:
    signals = Noise.from_seed(0, 2).normal(3, 16)
    images = signals[:, :, None].expand(-1, -1, 8, -1)
    small = ls.Downscales(torch.zeros(1, 3, 4), 4, mode=mode).shrink(signals)  # type: ignore[arg-type]
    rows = ls.Downscales(torch.zeros(1, 3, 2, 4), 4, mode=mode).shrink(images)  # type: ignore[arg-type]
    assert small.shape == (2, 3, 4)
    torch.testing.assert_close(small[:, :, None].expand(-1, -1, 2, -1), rows)


def test_volumes_are_shrunk_by_means_alone() -> None:
    volumes = torch.arange(8.0).view(1, 1, 2, 2, 2)
    assert ls.Downscales(torch.zeros(1, 1, 1, 1, 1), 2, mode="area").shrink(volumes).item() == 3.5
    with pytest.raises(ls.InvalidArgument, match=r"Downscales.mode: got 'bicubic' for .*expected 'area'"):
        ls.Downscales(torch.zeros(1, 1, 1, 1, 1), 2)
    with pytest.raises(ls.InvalidArgument, match=r"expected outputs of 3 dimensions, .* divisible by 2 from the third"):
        ls.Downscales(torch.zeros(1, 1, 4), 2).validate(torch.zeros(1, 1, 9), NO_LATENT)


# -- searches ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [300, 1500, None])
def test_colours_are_chosen_for_tokens_and_signals_as_for_images(budget: int | None) -> None:
    codes, tokens = Noise.from_seed(1, 2).integers(12, 24), sequences()
    signals = ls.CodebookGenerator(tokens.decoder, tokens.codebook, (24,))
    for generator, goal in (
        (tokens, ls.MatchesTokens(tokens.decode(codes).argmax(-1))),
        (signals, ls.Matches(signals.decode(codes))),
    ):
        assert "ColouredSearch" in repr(ls.AutoSearch().choose(generator, goal, ls.Run(evaluations=budget)))


def test_tokens_that_are_hidden_in_part_are_found() -> None:
    generator = sequences()
    planted = Noise.from_seed(1, 2).integers(12, 24)
    tokens = generator.decode(planted).argmax(-1)
    seen = torch.arange(48) % 3 > 0
    goal = ls.MatchesTokens(tokens, mask=seen.expand(1, -1))
    best = goal(generator.decode(planted), planted).loss
    result = ls.search(generator, goal, seed=0, run=ls.Run(evaluations=600))
    # Other codes may say the same tokens with more certainty.
    assert (result.score.loss <= best).all()
    assert (result.output.argmax(-1) == tokens)[:, seen].float().mean() > 0.9


def test_swaps_of_sequences_cost_their_share() -> None:
    generator = sequences(48)
    assert generator.patches.crop == (5,) and generator.redecode_share == 5 / 48
    goal = ls.MatchesTokens(generator.decode(toys.codes(1, (48,), 12).solution).argmax(-1))
    search = ls.CoordinateSearch(batch=16, patience=None)
    by_patches, whole = (
        search.search(generator, goal, seed=0, run=ls.Run(evaluations=200, patches=patches))
        for patches in (True, False)
    )
    assert by_patches.steps > 1.5 * whole.steps and (by_patches.evaluations < whole.evaluations).all()


def test_the_best_tokens_can_be_proven_by_bounds() -> None:
    with training.initialised(0):
        layers = nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 24), nn.Unflatten(1, (6, 4))
    generator = ls.CodebookGenerator(nn.Sequential(*layers).eval(), 2 * Noise.from_seed(0).normal(9, 4)[0], (3,))
    goal = ls.MatchesTokens(Noise.from_seed(3, 2).integers(4, 6), mask=torch.tensor([[1, 1, 0, 1, 1, 1]]))
    proven, listed = (
        method.search(generator, goal, seed=0, run=ls.Run(evaluations=None))
        for method in (ls.BranchAndBoundSearch(), ls.ExhaustiveSearch())
    )
    assert {status.name for status in (*proven.status, *listed.status)} == {"OPTIMAL"}
    assert torch.equal(proven.latent, listed.latent)
