"""What single elements and single codes do to an output."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._paths import with_changed
from latentsearch.examination.between import known
from latentsearch.examination.examination import CodeUse, Elements, Reach
from latentsearch.examination.setting import Setting, discrete
from latentsearch.noise import Noise
from latentsearch.protocols import AliasedGenerator

_IMAGES, _ELEMENTS, _GRIDS = 8, 64, 64
_FELT = 0.01  # of the largest effect, or of the outputs' range: what counts as a change
_LEAST_MOVE = 0.1  # of the mean deviation of an element
_PLACE, _CODE, _PICK = 3, 4, 5  # streams of noise
AMOUNTS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # standard deviations


def elements(setting: Setting) -> Elements:
    """Each moved by its standard deviation, up and down, in some encodings; of more than 64, as many at random."""
    latents, spread = known(setting)[:_IMAGES], setting.spread.flatten()
    # Where all encodings agree, the decoder may heed an element nevertheless.
    spread = spread.clamp(min=float(spread.mean()) * _LEAST_MOVE)
    index = _chosen(setting, spread.numel())
    before, effect = setting.decode(latents), []
    for element in index.tolist():
        changes = []
        for move in (spread[element], -spread[element]):
            moved = latents.flatten(1).clone()
            moved[:, element] += move
            changes.append(setting.decode(moved.view_as(latents)) - before)
        effect.append(torch.stack(changes).square().double().mean().sqrt())
    found = torch.stack(effect)
    return Elements(found.cpu(), index, float((found > _FELT * found.max()).double().mean()))


def _chosen(setting: Setting, size: int) -> Tensor:
    most = min(_ELEMENTS, max(len(setting.images) // _IMAGES, _IMAGES))
    if size <= most:
        return torch.arange(size)
    return Noise.from_seed(setting.seed).fold(_PICK).uniform(size)[0].argsort()[:most].sort().values


def code_use(setting: Setting) -> CodeUse:
    """Of all encodings."""
    assert setting.latents is not None
    size = discrete(setting).codebook_size
    counts = torch.bincount(setting.latents.flatten(), minlength=size).double()
    share = counts / counts.sum()
    entropy = -(share * share.clamp(min=1e-300).log()).sum()
    own = _own_codes(setting)
    dead = (counts == 0) & own
    return CodeUse(int(own.sum()), 1 - float(dead.sum() / own.sum()), float(entropy.exp()), dead.cpu())


def _own_codes(setting: Setting) -> Tensor:
    """``(K,)`` bool: codes that stand for themselves at some position, and not for others everywhere."""
    space, generator = discrete(setting), setting.generator
    codes = torch.arange(space.codebook_size, device=generator.device)
    if not isinstance(generator, AliasedGenerator):
        return torch.ones_like(codes, dtype=torch.bool)
    grids = codes.view(-1, *[1] * len(space.shape)).expand(-1, *space.shape)
    return (generator.canonical(grids) == grids).flatten(1).any(1)


def reach(setting: Setting) -> tuple[Reach, Tensor]:
    """One code of each of some grids replaced, anywhere; and the changes where it is in the middle, to be drawn."""
    space, grids = discrete(setting), known(setting)[:_GRIDS]
    noise = setting.noise(_PLACE)
    anywhere = noise.integers(space.positions, len(grids))[0]
    before = setting.decode(grids)
    span = float(before.max() - before.min())
    change = (_replaced(setting, grids, anywhere) - before).abs().flatten(1).double()
    felt = change > _FELT * span
    size = (change.square() * felt).sum() / felt.sum().clamp(min=1)
    middle = _middle(space.shape)
    drawn = _replaced(setting, grids, torch.full_like(anywhere, middle)) - before
    return Reach(float(felt.double().mean()), float(size.sqrt())), drawn


def _replaced(setting: Setting, grids: Tensor, places: Tensor) -> Tensor:
    """Outputs of grids of which one code, at a place of each, is another one at random."""
    size = discrete(setting).codebook_size
    steps = 1 + setting.noise(_CODE).integers(max(size - 1, 1), len(grids))[0]
    flat, rows = grids.flatten(1).clone(), torch.arange(len(grids), device=grids.device)
    flat[rows, places] = (flat[rows, places] + steps) % size
    return setting.decode(flat.view_as(grids))


def _middle(shape: tuple[int, ...]) -> int:
    place = 0
    for side in shape:
        place = place * side + side // 2
    return place


def changed_elements(setting: Setting, found: Elements, rows: int = 8) -> tuple[Tensor, list[int]]:
    """``(rows, 7, C, H, W)``: the elements of most effect, by so many standard deviations; and which they are."""
    order = found.index[found.effect.argsort(descending=True)[:rows]].tolist()
    latent, spread = known(setting)[0], setting.spread.flatten()
    amounts = torch.tensor(AMOUNTS, dtype=latent.dtype, device=latent.device)
    value = latent.flatten()
    shown = [setting.decode(with_changed(latent, each, value[each] + spread[each] * amounts)) for each in order]
    return torch.stack(shown), order


def changed_codes(setting: Setting, rows: int = 4, columns: int = 7) -> Tensor:
    """``(rows, 7, C, H, W)``: the code in the middle of some grids, replaced by others, from common to rare ones."""
    grids, size = known(setting), discrete(setting).codebook_size
    counts = torch.bincount(grids.flatten(), minlength=size)
    ranked = counts.argsort(descending=True)[: int((counts > 0).sum())]
    chosen = ranked[torch.linspace(0, len(ranked) - 1, columns).round().long().unique()]
    place = _middle(discrete(setting).shape)
    return torch.stack([setting.decode(with_changed(grid, place, chosen)) for grid in grids[:rows]])
