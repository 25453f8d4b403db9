"""Networks over grids of codes: what may see what, and draws that are those of the plain method."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch.priors import MaskedDiffusion, PixelCNN
from latentsearch.testing import Check, parametrize_with_checks
from latentsearch.training import initialised

GRID = ls.Discrete((4, 5), 6)
FEW = ls.Discrete((2, 2), 2)


def by_chance(network: nn.Module) -> nn.Module:
    """With weights as if it had been trained, to nothing in particular; in float64."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.4)
    return network.double().eval()


def pixelcnn(space: ls.Discrete = GRID, classes: int = 0) -> PixelCNN:
    with initialised(3):
        network = by_chance(PixelCNN(space, channels=8, blocks=3, classes=classes))
    assert isinstance(network, PixelCNN)
    return network


def masked(space: ls.Discrete = GRID, **settings: object) -> MaskedDiffusion:
    with initialised(3):
        network = by_chance(MaskedDiffusion(space, channels=8, blocks=2, **settings))  # type: ignore[arg-type]
    assert isinstance(network, MaskedDiffusion)
    return network


def grids(rows: int, space: ls.Discrete = GRID) -> Tensor:
    return ls.Noise.from_seed(7, rows).integers(space.codebook_size, *space.shape)


# Different orders of a network that has learnt nothing true disagree: that is what its docstring warns of.
DISAGREE = {
    "conditionals_agree_with_log_prob": "conditionals are of any order, log_prob is of one",
    "resampling_follows_the_conditional_law": "the masked positions are drawn after all others, whatever the order",
}


@parametrize_with_checks([masked(FEW)], expected_failures=DISAGREE)
def test_a_masked_network_keeps_the_laws_that_do_not_compare_orders(check: Check) -> None:
    check()


# -- PixelCNN ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 7, 13, 19])
def test_a_code_is_seen_only_after_it(position: int) -> None:
    network, z = pixelcnn(), grids(3)
    changed = z.flatten(1).clone()
    changed[:, position] = (changed[:, position] + 1) % 6
    before, after = (network.causal_logits(each).flatten(1, 2) for each in (z, changed.view_as(z)))
    moved = (before != after).any(2).any(0)
    assert not moved[: position + 1].any()
    # The next is always told; nothing that comes later is out of reach of three layers and a row.
    assert position == 19 or moved[position + 1]


def plainly(network: PixelCNN, noise: ls.Noise, label: Tensor | None = None) -> Tensor:
    """A pass a code: how draws are defined."""
    z = torch.zeros(len(noise), network.space.positions, dtype=torch.int64)
    for position in range(network.space.positions):
        logits = network.causal_logits(z.view(-1, *network.space.shape), label).flatten(1, -2)
        z[:, position] = noise.fold(position).categorical(logits[:, position])
    return z.view(-1, *network.space.shape)


@pytest.mark.parametrize("space", [GRID, ls.Discrete((7,), 5)])
@torch.no_grad()
def test_draws_are_those_of_a_pass_a_code(space: ls.Discrete) -> None:
    network, noise = pixelcnn(space), ls.Noise.from_seed(1, 40)
    assert torch.equal(network.sample(noise), plainly(network, noise))


@torch.no_grad()
def test_classes_are_what_is_given() -> None:
    network, noise = pixelcnn(classes=3), ls.Noise.from_seed(1, 6)
    label = torch.tensor([0, 1, 2, 2, 1, 0])
    given = network.given(label)
    assert torch.equal(given.sample(noise), plainly(network, noise, label))
    z = grids(6)
    each = torch.stack([network.given(y).log_prob(z) for y in range(3)])
    assert torch.equal(given.log_prob(z), each.gather(0, label[None])[0])
    torch.testing.assert_close(network.log_prob(z), each.logsumexp(0) - torch.tensor(3.0).double().log())
    assert not torch.equal(each[0], each[1])
    for wrong in (3, -1, 0.5):
        with pytest.raises(ls.InvalidArgument, match="given"):
            network.given(wrong)  # type: ignore[arg-type]
    with pytest.raises(ls.InvalidArgument, match="classes=10"):
        pixelcnn().given(0)


# -- masked diffusion --------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [None, 1, 3])
@torch.no_grad()
def test_what_is_kept_stays_and_the_rest_is_drawn_in_so_many_passes(
    steps: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, z, noise = masked(steps=steps), grids(3), ls.Noise.from_seed(1, 3)
    mask = torch.zeros_like(z, dtype=torch.bool)
    mask[0, :2], mask[1, 3, 4] = True, True
    rows: list[int] = []
    inner = network.log_conditionals

    def counted(z: Tensor, known: Tensor) -> Tensor:
        rows.append(len(z))
        return inner(z, known)

    monkeypatch.setattr(network, "log_conditionals", counted)
    drawn = network.resample(z, mask, noise)
    assert torch.equal(drawn[~mask], z[~mask]) and (drawn[mask] != z[mask]).any()
    expected = [10, 1, 0] if steps is None else [min(10, steps), 1, 0]
    assert network.passes(mask).tolist() == expected
    assert sum(rows) == sum(expected)


@torch.no_grad()
def test_one_step_draws_all_at_once() -> None:
    network, noise = masked(steps=1), ls.Noise.from_seed(1, 30)
    nothing = torch.zeros(30, *GRID.shape, dtype=torch.int64)
    alone = network.log_conditionals(nothing, nothing.bool())
    assert torch.equal(network.sample(noise), noise.fold(0).categorical(alone.flatten(1, -2)).view_as(nothing))
    z = grids(4)
    torch.testing.assert_close(
        network.log_prob(z), alone[:4].gather(-1, z[..., None])[..., 0].flatten(1).sum(1), rtol=1e-12, atol=0
    )


def test_steps_are_at_most_the_positions() -> None:
    for wrong in (0, 21, 2.5):
        with pytest.raises(ls.InvalidArgument, match="20 positions"):
            MaskedDiffusion(GRID, channels=8, blocks=1, steps=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [None, 6])
@pytest.mark.parametrize("soft", [False, True])
def test_log_prob_sums_the_conditionals_of_its_order_and_asks_for_each_position_once(
    steps: int | None, soft: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, z, asked = masked(steps=steps), grids(3), []
    z = GRID.one_hot(z, torch.float64).mul(3).softmax(-1) if soft else z
    group, slow = network._groups(torch.ones(1, 4, 5, dtype=torch.bool))[0].view(4, 5), torch.zeros(3).double()
    for step in range(int(group.max()) + 1):
        logs = network.log_conditionals(z, (group < step).expand(3, 4, 5))
        each = (z * logs).sum(-1) if soft else logs.gather(-1, z[..., None])[..., 0]
        slow += each[:, group == step].sum(1)
    head = network.codes.logits
    monkeypatch.setattr(network.codes, "logits", lambda features: asked.append(len(features)) or head(features))
    assert torch.allclose(network.log_prob(z), slow) and sum(asked) == 3 * 20
    assert network.log_prob(z[:0]).shape == (0,)
