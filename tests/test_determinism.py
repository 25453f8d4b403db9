"""Wrapping checks a decoder by what it does: rounding passes, noise and mixed rows do not; nothing is left changed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import training, zoo
from latentsearch._rounding import same_again, same_alone, same_in_company
from latentsearch.errors import InvalidArgument
from latentsearch.testing import generators

WIDTH = 256


def network(*extra: nn.Module, seed: int = 0) -> nn.Sequential:
    with training.initialised(seed):
        return nn.Sequential(nn.Linear(4, WIDTH), *extra, nn.Tanh(), nn.Linear(WIDTH, 64), nn.Sigmoid())


def wrapped(decoder: Callable[[Tensor], Tensor], **settings: Any) -> ls.ContinuousGenerator:
    return ls.ContinuousGenerator(decoder, (4,), **settings)


class Unsteady:
    """Adds other small errors in each call, as a graphics card does that adds up in another order."""

    def __init__(self, size: float, dtype: torch.dtype = torch.float32, units: bool = True) -> None:
        self.net = network().eval().to(dtype)
        self.size, self.units, self.calls = size, units, 0

    def __call__(self, z: Tensor) -> Tensor:
        output = self.net(z)
        self.calls += 1
        sign = ls.Noise.from_seed(self.calls, len(z)).integers(3, *output.shape[1:]) - 1
        unit = torch.finfo(output.dtype).eps if self.units else 1.0
        # To the last place of each number: 2^-k below it.
        place = 2.0 ** output.float().abs().log2().floor() if self.units else output
        return output + (self.size * unit * sign * place).to(output.dtype)


DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

# -- what passes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_two_units_in_the_last_place_are_no_noise(dtype: torch.dtype) -> None:
    decoder = Unsteady(2, dtype)
    z = torch.zeros(1, 4, dtype=dtype)
    assert not torch.equal(decoder(z), decoder(z))
    generator = wrapped(decoder, dtype=dtype)
    generators.decoding_is_deterministic(generator)
    generators.rows_are_independent(generator)


def under_autocast(z: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return FROZEN(z)


FROZEN = network().eval().requires_grad_(False)

PASSES: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
    "autocast": lambda: under_autocast,
    "autocast, and rounding": lambda: lambda z: under_autocast(z).float() * (1 + 1e-7 * torch.randn(())),
    "ONNX Runtime's differences": lambda: lambda z: FROZEN(z) + 1.2e-7 * torch.randn(len(z), 64),
    "train mode that changes nothing": lambda: network().train(),
    "dropout of nothing": lambda: network(nn.Dropout(0.0)).train(),
    "dropout in train mode that does not run": lambda: nn.ModuleList([network().eval(), nn.Dropout()])[0],
    "traced and frozen": lambda: torch.jit.freeze(torch.jit.trace(FROZEN, torch.zeros(2, 4))),
    "scripted": lambda: torch.jit.script(FROZEN),
    "exported": lambda: torch.export.export(
        FROZEN, (torch.zeros(2, 4),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    ).module(),
    "cache filled by the first call": lambda: Caching(),
}  # fmt: skip


class Caching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(64))

    def forward(self, z: Tensor) -> Tensor:
        self.table.copy_(torch.linspace(0, 1, 64))
        return FROZEN(z) + self.table


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("make", PASSES.values(), ids=PASSES)
def test_a_decoder_that_only_rounds_is_taken(make: Callable[[], Callable[[Tensor], Tensor]]) -> None:
    generator = wrapped(make())
    assert generator.decode(torch.zeros(2, 4)).shape == (2, 64)


def test_the_zoo_is_taken_with_rounding_in_it() -> None:
    vae = zoo.load("mnist-vae")
    unsteady = ls.ContinuousGenerator(lambda z: vae.decode(z) * (1 + 6e-8 * torch.randn(())), (20,))  # type: ignore[operator]
    assert unsteady.decode(torch.zeros(1, 20)).shape == (1, 1, 28, 28)


# -- what does not -----------------------------------------------------------------------------------


def scripted_in_train_mode() -> nn.Module:
    return torch.jit.script(network(nn.Dropout(0.1)).train())


def exported_in_train_mode() -> nn.Module:
    net = network(nn.Dropout(0.1)).train()
    return torch.export.export(net, (torch.zeros(2, 4),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()


class Averaging(nn.Module):
    """Mixes a little of the other rows in."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, z: Tensor) -> Tensor:
        output = FROZEN(z)
        return output + self.share * output.mean(0)


class Counting(nn.Module):
    """Keeps count of calls, and looks at it nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return FROZEN(z)


EVAL = r"call \.eval\(\) first"
REFUSED: dict[str, tuple[Callable[[], Callable[[Tensor], Tensor]], str]] = {
    "noise of a thousandth": (lambda: Unsteady(1e-3, units=False), "a deterministic decoder; look for dropout"),
    "noise of a thousandth of torch": (
        lambda: lambda z: FROZEN(z) * (1 + 1e-3 * torch.randn(len(z), 64)), "other outputs for the same latents",
    ),
    "noise in one pixel": (
        lambda: lambda z: FROZEN(z) + 0.1 * torch.rand(()) * F.one_hot(torch.tensor(5), 64), "other outputs",
    ),
    "a little of the other rows": (lambda: Averaging(2e-3), "rows whose output depends on the other rows"),
    "batch norm without statistics": (
        lambda: network(nn.BatchNorm1d(WIDTH, track_running_stats=False)).eval(), "without running statistics",
    ),
    "batch norm in a function": (lambda: (lambda net: lambda z: net(z))(network(nn.BatchNorm1d(WIDTH))), EVAL),
    "batch norm in a partial": (
        lambda: functools.partial(lambda z, run: run(z), run=network(nn.BatchNorm1d(WIDTH))), "BatchNorm1d in train.*",
    ),
    "batch norm in a holder": (lambda: Holder(network(nn.BatchNorm1d(WIDTH))).run, "BatchNorm1d in train mode"),
    "a counter": (Counting, "weights or buffers that each call changes, expected a frozen decoder; " + EVAL),
    "scripted in train mode": (scripted_in_train_mode, "before it is traced, scripted or exported"),
    "exported in train mode": (exported_in_train_mode, "before it is traced, scripted or exported"),
    "functional dropout": (lambda: Dropping(0.05), "other outputs.*" + EVAL),
} | {
    f"dropout {p}": (lambda p=p: network(nn.Dropout(p)), "Dropout in train mode.*" + EVAL)  # type: ignore[misc]
    for p in (0.001, 0.01, 0.1, 0.5)
}  # fmt: skip


class Holder:
    def __init__(self, net: nn.Module) -> None:
        self.parts = {"decoder": [net]}

    def run(self, z: Tensor) -> Tensor:
        output: Tensor = self.parts["decoder"][0](z)
        return output


class Dropping(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.p, self.net = p, network()

    def forward(self, z: Tensor) -> Tensor:
        return F.dropout(self.net(z), self.p, self.training)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_noise_and_mixed_rows_are_not(make: Callable[[], Callable[[Tensor], Tensor]], message: str) -> None:
    decoder = make()
    with pytest.raises(InvalidArgument, match=message):
        wrapped(decoder)


def test_codes_are_checked_alike() -> None:
    decoder = nn.Sequential(nn.ConvTranspose2d(3, 1, 2, stride=2), nn.Dropout(0.2))
    with pytest.raises(InvalidArgument, match=r"CodebookGenerator\.decoder: got Dropout in train mode"):
        ls.CodebookGenerator(lambda e: decoder(e), torch.eye(5, 3), (4, 4))


# -- what is left behind -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: network(nn.BatchNorm1d(WIDTH)), Counting, Caching, lambda: Dropping(0.1)])
def test_a_trial_leaves_weights_buffers_and_randomness_as_they_were(make: Callable[[], nn.Module]) -> None:
    net = make()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    random = torch.get_rng_state()
    with contextlib.suppress(InvalidArgument):
        wrapped(lambda z: net(z))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_a_large_decoder_is_tried_in_parts() -> None:
    def hungry(z: Tensor) -> Tensor:
        if len(z) > 2:
            raise torch.OutOfMemoryError("no memory for three")
        return FROZEN(z)

    assert wrapped(hungry).decode(torch.zeros(1, 4)).shape == (1, 64)


# -- the measures ------------------------------------------------------------------------------------


def test_rounding_is_that_of_the_dtype_the_values_were_made_in() -> None:
    values = ls.Noise.from_seed(3, 4).normal(500)
    single, half = values * (1 + 1e-5), values * (1 + 3e-3)
    assert same_again(single, values) and not same_again(half, values)
    assert not same_again(single.double(), values.double() * (1 + 1e-9))
    assert same_again(values.double(), (values * (1 + 2e-7)).double())  # made in float32
    assert same_again(half.bfloat16().float(), values.bfloat16().float())  # made in bfloat16
    assert same_in_company(single, values) and not same_in_company(half, values)
    assert same_alone(half, values) and not same_alone(values + 0.1, values)
    assert not same_again(values[:2], values) and same_again(values * torch.nan, values * torch.nan)


@pytest.mark.parametrize("searcher", [ls.GradientSearch(), ls.RandomSearch(batch=2)])
def test_trials_before_a_run_obey_the_chunk_size(searcher: ls.Searcher) -> None:
    most = []

    def decoder(z: Tensor) -> Tensor:
        most.append(len(z))
        return FROZEN(z)

    generator = wrapped(decoder, check=False)
    searcher.search(generator, ls.Matches(torch.zeros(1, 64)), seed=0, run=ls.Run(evaluations=4, chunk_rows=1))
    assert max(most) == 1


@pytest.mark.parametrize("seeded", ["wrapping", "weights", "draws"])
def test_cards_that_are_not_in_use_yet_keep_the_callers_seed(seeded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    torch.manual_seed(7)
    if seeded == "wrapping":
        wrapped(network().eval())
    elif seeded == "weights":
        network()
    else:
        flat = torch.distributions.Independent(torch.distributions.Uniform(-torch.ones(2), torch.ones(2)), 1)
        ls.priors.DistributionPrior(flat).sample(ls.Noise.from_seed(0, 3))
    assert seeds == [7]
