"""What the networks over grids of codes share: their table of codes, and the histogram mixed into all they say."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from latentsearch._checks import in_short, is_number, require_count, require_share, require_weight
from latentsearch.errors import InvalidArgument
from latentsearch.priors._tied import TiedCodes
from latentsearch.spaces import Discrete


class CodeNetwork(nn.Module):
    """Base of the trainable priors over codes.

    Args:
        space: The grids.
        width: Of a code's vector.
        codebook: ``(K, D)`` or None.
        histogram: ``(*S, K)`` log-frequencies or None.
        mix: Share of the histogram.
        cost: Of a pass.
        temperature: Of every conditional.

    Attributes:
        space: The grids.
        cost: What one pass costs for one row, as a share of a decode.
        temperature: By which every conditional's logits are divided, 1 for what was learnt.
        settings: What the constructor is to be given, beside tensors, to make it again.
    """

    frequencies: Tensor
    temperature: float

    def __init__(
        self,
        space: Discrete,
        width: int,
        codebook: Tensor | None,
        histogram: Tensor | None,
        mix: float,
        cost: float,
        temperature: float,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(space, Discrete):
            raise InvalidArgument(f"{name}.space", got=repr(space), expected="a Discrete space")
        if codebook is not None:
            hint = "leave it out where positions have codebooks of their own"
            require_codebook(f"{name}.codebook", codebook, space, hint)
        if histogram is not None:
            require_histogram(f"{name}.histogram", histogram, space)
        require_share(f"{name}.mix", mix)
        self.space, self.mix = space, mix
        self.settings: dict[str, Any] = {
            "shape": list(space.shape),
            "codebook_size": space.codebook_size,
            "codebook_width": None if codebook is None else codebook.shape[1],
            "mix": mix,
        }
        self.set_cost(cost)
        self.set_temperature(temperature)
        self.codes = TiedCodes(space.codebook_size, width, codebook)
        uniform = torch.zeros(*space.shape, space.codebook_size) if histogram is None else histogram.detach().float()
        self.register_buffer("frequencies", uniform.log_softmax(-1))

    def set_cost(self, cost: float) -> None:
        """What a pass costs, now that it is known.

        Raises:
            InvalidArgument: If it is no number of at least 0.
        """
        require_weight(f"{type(self).__name__}.cost", cost)
        self.cost = self.settings["cost"] = float(cost)

    def set_temperature(self, temperature: float) -> None:
        """By which every conditional's logits are divided: below 1, draws are likelier.

        A network that is not large enough spreads over more than it was shown, and its draws are less likely than data.
        [fit_prior][latentsearch.fit_prior] finds the temperature at which they are as likely.

        Raises:
            InvalidArgument: If it is not positive.
        """
        if not is_number(temperature) or temperature <= 0:
            got, expected = repr(temperature), "a positive number, 1 for what was learnt"
            raise InvalidArgument(f"{type(self).__name__}.temperature", got=got, expected=expected)
        self.temperature = self.settings["temperature"] = float(temperature)

    def mixed(self, logits: Tensor, frequencies: Tensor | None = None) -> Tensor:
        """What a network says, ``(N, *S, K)`` logits on top of the histogram, with the histogram mixed in; tempered.

        Args:
            logits: Of all positions, or ``(n, K)`` of some.
            frequencies: ``(K,)``, those of one position, or ``(n, K)``.
        """
        frequencies = self.frequencies if frequencies is None else frequencies
        own = (logits.to(frequencies.dtype) + frequencies).log_softmax(-1)
        learnt = torch.logaddexp(own + math.log1p(-self.mix), frequencies + math.log(self.mix))
        return learnt if self.temperature == 1 else (learnt / self.temperature).log_softmax(-1)

    def expected(self, logs: Tensor, z: Tensor) -> Tensor:
        """``(...)`` float64: the log-probability of each position's code.

        Args:
            logs: Of all codes, ``(..., K)``.
            z: The codes, hard ``(...)``; or soft ones ``(..., K)``, for the expectation.
        """
        if z.is_floating_point():
            return (z * logs).sum(-1, dtype=torch.float64)
        return logs.gather(-1, z[..., None])[..., 0].double()


def require_network(caller: str, channels: int, blocks: int, dropout: float) -> None:
    """Raise unless a network can be made of these settings."""
    require_count(f"{caller}.channels", channels)
    require_count(f"{caller}.blocks", blocks)
    require_share(f"{caller}.dropout", dropout, ends="[)")


def require_codebook(what: str, codebook: object, space: Discrete, hint: str = "") -> None:
    """Raise unless it is ``(K, D)``."""
    if not isinstance(codebook, Tensor) or codebook.ndim != 2 or len(codebook) != space.codebook_size:
        expected = f"a tensor, one codebook for all positions, ({space.codebook_size}, D)"
        raise InvalidArgument(what, got=in_short(codebook), expected=expected, hint=hint)


def require_histogram(what: str, histogram: object, space: Discrete) -> None:
    """Raise unless it is ``(*S, K)``."""
    full = (*space.shape, space.codebook_size)
    if not isinstance(histogram, Tensor) or tuple(histogram.shape) != full:
        hint = "HistogramPrior.from_codes(codes, K).logits has them"
        raise InvalidArgument(what, got=in_short(histogram), expected=f"log-frequencies {full}", hint=hint)
