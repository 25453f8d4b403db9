"""An encoder is frozen as its decoder is: wrapping finds out, and leaves it as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch.errors import InvalidArgument
from latentsearch.testing import toys


class Model(nn.Module):
    """A decoder that is elementwise, and an encoder with some layer in it."""

    latent_shape = (4,)

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("calls", torch.zeros(()))

    def decode(self, z: Tensor) -> Tensor:
        return z * 2

    def encode(self, output: Tensor) -> Tensor:
        inside: Tensor = self.layer(output)
        return inside / 2


class Counting(Model):
    """One whose running average moves at every call."""

    calls: Tensor

    def encode(self, output: Tensor) -> Tensor:
        self.calls += 1
        return super().encode(output)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(nn.BatchNorm1d(4)), r"ator.encode: got BatchNorm1d in train mode, .* encoder; call .eval\(\) first"),
        (Model(nn.Dropout(0.2)), r"encode: got Dropout in train mode"),
        (Counting(nn.Identity()).eval(), r"encode: got weights or buffers that each call changes"),
    ],
)  # fmt: skip
def test_an_encoder_in_train_mode_is_refused(model: Model, message: str) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for make in (ls.wrap, lambda m: ls.ContinuousGenerator(m.decode, (4,), encode=m.encode)):
        with pytest.raises(InvalidArgument, match=message):
            make(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_frozen_encoder_passes() -> None:
    ls.wrap(Model(nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.2))).eval())
    codes = toys.codes().generator
    ls.CodebookGenerator(
        lambda e: e.movedim(1, -1) ** 3, codes.codebook, (2, 2), encode=lambda x: codes.encode(x[..., 0])
    )  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("encode", "warning"),
    [
        (lambda x: x / 2 + 0.01 * torch.randn_like(x), r"encode gives other latents for the same outputs .*the mean"),
    ],
)
def test_an_encoder_that_draws_is_warned_of(encode: Callable[[Tensor], Tensor], warning: str) -> None:
    before = torch.get_rng_state()
    with pytest.warns(ls.WrapWarning, match=warning) as seen:
        ls.ContinuousGenerator(lambda z: z * 2, (4,), encode=encode)
    assert [found.filename for found in seen] == [__file__]
    assert torch.equal(torch.get_rng_state(), before)


def test_an_encoder_of_another_number_of_rows_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"encode: got 1 latents for 4 outputs, expected one an output"):
        ls.ContinuousGenerator(lambda z: z * 2, (4,), encode=lambda x: x[:1] / 2)
