"""The output's logits are those of given tokens, at all steps or where a mask says."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import check_per_problem, common_problems
from latentsearch._rows import sum_rows
from latentsearch._shapes import remedy
from latentsearch.constraints._masks import checked_mask
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Constraint, Score


class MatchesTokens(Constraint):
    r"""The output, logits over a vocabulary at every step, says given tokens: $-\sum_t m_t \log p(x_t)$ in nats.

    That is minus the log-probability of the tokens that the mask shows, as a decoder of sequences tells it: with
    [LogPrior][latentsearch.LogPrior] added, the loss is that of a posterior. Steps may have any number of axes: one for
    text and melodies, two for images of tokens.

    Args:
        tokens: ``(B, T)`` int64 in [0, V), or ``(B, *steps)``; one row a problem. The outputs are logits, or
            log-probabilities, ``(N, T, V)``, or ``(N, *steps, V)``.
        mask: Weights in [0, 1], ``(B, T)`` or ``(1, T)``; 1, or True, where a token counts.

    Raises:
        InvalidArgument: If the tokens are no whole numbers of the vocabulary, or the mask does not fit them, leaves
            [0, 1], or hides everything.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> goal = ls.MatchesTokens(torch.tensor([[0, 1, 1]]), mask=torch.tensor([[1, 1, 0]]))
        >>> logits = torch.tensor([[[0.0, 0.0], [9.0, 9.0], [9.0, 0.0]]])
        >>> goal(logits, torch.zeros(1, 8)).loss  # two tokens of probability 1/2
        tensor([1.3863])
    """

    tensors: ClassVar[tuple[str, ...]] = ("tokens", "mask")

    def __init__(self, tokens: Tensor, *, mask: Tensor | None = None) -> None:
        self.tokens = _checked_tokens(check_per_problem("MatchesTokens.tokens", tokens))
        # One row, of no elements, stands for "no mask": it is selected and moved like any other.
        self.mask = torch.zeros(1, 0, dtype=torch.float32, device=tokens.device)
        if mask is not None:
            self.mask = checked_mask("MatchesTokens.mask", mask, self.tokens)
        self.problems = common_problems("MatchesTokens", tokens=self.tokens, mask=self.mask)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        # Summed in float64: rounding of many log-probabilities would hide what one token changes.
        return Score(sum_rows(self.loss_map(output).double()).to(output.dtype))

    @property
    def cell_axes(self) -> int:
        return self.tokens.ndim - 1

    def loss_map(self, output: Tensor) -> Tensor:
        """``(N, *steps)``."""
        token = self.tokens.expand(output.shape[:-1])[..., None]
        surprise = -output.log_softmax(-1).gather(-1, token)[..., 0]
        if not self.mask.numel():
            return surprise
        # A token that cannot be, where the mask hides it, would be 0 times infinity.
        return torch.where(self.mask > 0, surprise, 0) * self.mask

    def loss_interval(self, low: Tensor, high: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        # A token is likelier the higher its own logit is, and the lower the others are.
        own = self.tokens.expand(low.shape[:-1])[..., None] == torch.arange(low.shape[-1], device=low.device)
        most, least = torch.where(own, high, low), torch.where(own, low, high)
        return self(most, most).loss, self(least, least).loss

    def validate(self, output: Tensor, latent: Tensor) -> None:
        _check_logits(output, self.tokens)
        size, largest = output.shape[-1], int(self.tokens.max())
        if largest >= size:
            raise InvalidArgument(
                "MatchesTokens.tokens",
                got=f"the token {largest}",
                expected=f"tokens in [0, {size}), since the outputs have {size} logits a step",
            )


def _checked_tokens(tokens: Tensor) -> Tensor:
    if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        hint = "of one-hot vectors or logits the tokens are x.argmax(-1)" if tokens.is_floating_point() else ""
        raise InvalidArgument("MatchesTokens.tokens", got=describe(tokens), expected="int64 tokens", hint=hint)
    if tokens.ndim < 2 or not tokens.numel():
        raise InvalidArgument(
            "MatchesTokens.tokens",
            got=describe(tokens),
            expected="tokens (B, T), one row a problem",
            hint="tokens[None]" if tokens.ndim == 1 else "",
        )
    if int(tokens.min()) < 0:
        hint = "put 0 there and mask it: MatchesTokens(tokens.clamp(min=0), mask=tokens >= 0)"
        got = f"the token {int(tokens.min())}"
        raise InvalidArgument("MatchesTokens.tokens", got=got, expected="tokens in [0, V)", hint=hint)
    return tokens.long()


def _check_logits(output: Tensor, tokens: Tensor) -> None:
    """Raise unless outputs are logits of tokens like these, ``(N, *steps, V)``."""
    steps = tokens.shape[1:]
    if output.shape[1:-1] != steps:
        hint = remedy("tokens", tuple(tokens.shape), lambda shape: shape[1:] == tuple(output.shape[1:-1]))
        if output.shape[2:] == steps:
            hint = "the vocabulary comes last: output_transform=lambda x: x.movedim(1, -1)"
        raise InvalidArgument(
            "MatchesTokens.tokens",
            got=f"{describe(tokens)} for outputs that are {describe(output)}",
            expected="tokens (B, *steps) for logits (N, *steps, V)",
            hint=hint,
        )
    if not output.is_floating_point():
        raise InvalidArgument("MatchesTokens", got=f"outputs that are {describe(output)}", expected="floating logits")
    total = output.sum(-1)
    if bool((output >= 0).all()) and torch.allclose(total, torch.ones_like(total), atol=1e-4):
        raise InvalidArgument(
            "MatchesTokens",
            got="probabilities: outputs that sum to 1 over the vocabulary",
            expected="logits, or log-probabilities",
            hint="leave the softmax out, or take the logarithm: output_transform=torch.log",
        )
