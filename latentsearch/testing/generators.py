"""The laws of generators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from latentsearch._rounding import difference, same_again, same_alone, same_in_company
from latentsearch.errors import Unsupported
from latentsearch.noise import Noise
from latentsearch.protocols import AliasedGenerator, AutoEncoder, EmbeddingGenerator, Generator, LocalGenerator
from latentsearch.spaces import Discrete
from latentsearch.testing._laws import (
    Check,
    Laws,
    always,
    checks_of,
    close,
    draw,
    gap,
    require,
    require_kind,
    run_all,
    soft_draw,
)

# -- on what it depends which laws apply -------------------------------------------------------------


def holds_modules(generator: Generator) -> bool:
    """Whether there are weights that decoding could change."""
    return any(_modules(generator))


def is_in_float64(generator: Generator) -> bool:
    """Whether finite differences are exact enough to check a gradient."""
    return generator.dtype == torch.float64


def is_over_codes(generator: Generator) -> bool:
    """Whether latents are grids of codes."""
    return isinstance(generator.space, Discrete)


def has_embeddings(generator: Generator) -> bool:
    """Whether codes are decoded through embeddings."""
    return isinstance(generator, EmbeddingGenerator)


def redecodes(generator: Generator) -> bool:
    """Whether it decodes again only what one changed code reaches."""
    return isinstance(generator, LocalGenerator) and is_over_codes(generator)


def has_aliases(generator: Generator) -> bool:
    """Whether codes can stand for others."""
    return isinstance(generator, AliasedGenerator) and is_over_codes(generator)


def encodes(generator: Generator) -> bool:
    """Whether it was made with an encoder; without one, ``encode`` raises Unsupported."""
    if not isinstance(generator, AutoEncoder):
        return False
    try:
        generator.encode(generator.decode(_hard(generator, 1)))
    except Unsupported:
        return False
    except Exception:
        return True  # broken in another way, which the law is to show, and not the collection of tests
    return True


# -- the laws ----------------------------------------------------------------------------------------


def _hard(generator: Generator, rows: int, stream: int = 0) -> Tensor:
    return draw(generator.space, rows, generator.dtype, generator.device, stream)


def _soft(generator: Generator, rows: int) -> Tensor:
    return soft_draw(generator.space, rows, generator.dtype, generator.device)


def prior_samples_lie_in_space(generator: Generator) -> None:
    """The prior draws one hard latent a row, on the generator's device."""
    for rows in (1, 2, 5):
        z = generator.prior.sample(Noise.from_seed(0, rows, device=generator.device))
        inside = generator.space.contains(z) and len(z) == rows and z.device == generator.device
        require(inside, prior_samples_lie_in_space, generator, f"{rows} rows gave {z.dtype} {tuple(z.shape)}")


def outputs_have_one_row_a_latent(generator: Generator) -> None:
    """N latents give N floating outputs, all of one shape."""
    shapes = set()
    for rows in (1, 2, 5):
        output = generator.decode(_hard(generator, rows))
        good = output.is_floating_point() and output.ndim >= 2 and len(output) == rows
        require(
            good, outputs_have_one_row_a_latent, generator, f"{rows} latents gave {output.dtype} {tuple(output.shape)}"
        )
        shapes.add(output.shape[1:])
    require(len(shapes) == 1, outputs_have_one_row_a_latent, generator, f"several output shapes: {shapes}")


def decoding_is_deterministic(generator: Generator) -> None:
    """The same latents give the same outputs, up to rounding; dropout does not."""
    z = _hard(generator, 4)
    first, second = generator.decode(z), generator.decode(z.clone())
    detail = f"two calls on the same latents differ by up to {difference(first, second):.3g}"
    require(same_again(first, second), decoding_is_deterministic, generator, detail)


def rows_are_independent(generator: Generator) -> None:
    """Other rows in the batch, splitting and permuting change nothing; batch norm in train mode does."""
    z, law = _hard(generator, 4), rows_are_independent
    whole = generator.decode(z)
    beside = generator.decode(torch.cat([z[:2], _hard(generator, 2, stream=1)]))
    require(same_in_company(beside[:2], whole[:2]), law, generator, "2 rows differ beside other ones")
    order = torch.tensor([2, 0, 3, 1], device=z.device)
    require(same_in_company(generator.decode(z[order]), whole[order]), law, generator, "permuted rows differ")
    split = torch.cat([generator.decode(z[:1]), generator.decode(z[1:])])
    require(same_alone(split, whole), law, generator, "1 + 3 rows differ from the 4 together")


def weights_are_left_alone(generator: Generator) -> None:
    """Decoding and differentiating change no parameter, no buffer and no ``.grad``."""
    modules = list(_modules(generator))
    before = [_snapshot(module) for module in modules]
    z = _soft(generator, 3).requires_grad_()
    torch.autograd.grad(generator.decode(z).sum(), z)
    for module, (tensors, grads) in zip(modules, before, strict=True):
        now, grads_now = _snapshot(module)
        changed = [name for name in tensors if not torch.equal(tensors[name], now[name])]
        require(not changed, weights_are_left_alone, generator, f"decoding changed {changed}")
        require(grads == grads_now, weights_are_left_alone, generator, "decoding left gradients behind")


def _modules(holder: Any, depth: int = 3) -> Iterator[nn.Module]:
    """The modules an object holds, as attributes or behind bound methods."""
    for value in vars(holder).values() if depth and hasattr(holder, "__dict__") else ():
        owner = getattr(value, "__self__", value)
        if isinstance(owner, nn.Module):
            yield owner
        elif type(owner).__module__.startswith("latentsearch"):
            yield from _modules(owner, depth - 1)


def _snapshot(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, bool]]:
    tensors = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    return tensors, {name: parameter.grad is None for name, parameter in module.named_parameters()}


def gradients_stay_in_their_row(generator: Generator) -> None:
    """Output n has no gradient with respect to latent m."""
    z = _soft(generator, 3).requires_grad_()
    output = generator.decode(z)
    for row in range(3):
        (gradient,) = torch.autograd.grad(output[row].sum(), z, retain_graph=True)
        others = torch.arange(3) != row
        leak = float(gradient[others].abs().max())
        require(leak == 0, gradients_stay_in_their_row, generator, f"output {row} pulls on other rows by {leak:.3g}")


def gradients_match_finite_differences(generator: Generator) -> None:
    """In float64, the directional derivative agrees with a central difference."""
    z = _soft(generator, 1)
    noise = Noise.from_seed(23, 1, device=z.device)
    direction = noise.normal(*z.shape[1:], dtype=z.dtype)
    weights = noise.fold(1).normal(*generator.decode(z).shape[1:], dtype=z.dtype)

    def value(at: Tensor) -> Tensor:
        return (generator.decode(at) * weights).sum()

    leaf = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(leaf), leaf)
    analytic = float((gradient * direction).sum())
    # Several step sizes: one may straddle a kink of a ReLU.
    errors = []
    for h in (1e-4, 1e-5, 1e-6):
        numeric = float((value(z + h * direction) - value(z - h * direction)).detach() / (2 * h))
        errors.append(abs(numeric - analytic) / max(abs(numeric), abs(analytic), 1e-6))
    detail = f"the gradient is off by {min(errors):.2g} of its size"
    require(min(errors) < 1e-4, gradients_match_finite_differences, generator, detail)


def hard_codes_equal_one_hot_codes(generator: Generator) -> None:
    """A hard grid and its one-hot soft form decode alike."""
    assert isinstance(generator.space, Discrete)
    z = _hard(generator, 3)
    hard, soft = generator.decode(z), generator.decode(generator.space.one_hot(z, generator.dtype))
    require(close(soft, hard), hard_codes_equal_one_hot_codes, generator, f"they differ by {gap(soft, hard):.3g}")


def embeddings_decode_to_the_same(generator: Generator) -> None:
    """``decode_embedding(embed(z))`` is ``decode(z)``."""
    assert isinstance(generator, EmbeddingGenerator)
    z = _hard(generator, 3)
    whole, parts = generator.decode(z), generator.decode_embedding(generator.embed(z))
    require(close(parts, whole), embeddings_decode_to_the_same, generator, f"they differ by {gap(parts, whole):.3g}")


def changed_codes_redecode_to_the_same(generator: Generator) -> None:
    """``redecode`` of grids with one code changed is ``decode`` of them, at the borders too."""
    assert isinstance(generator, LocalGenerator) and isinstance(generator.space, Discrete)
    law, last = changed_codes_redecode_to_the_same, generator.space.positions - 1
    z, other = _hard(generator, 6), _hard(generator, 6, stream=1)
    drawn = Noise.from_seed(29, 6, device=z.device).integers(last + 1)
    position = torch.cat([drawn.new_tensor([0, last]), drawn[2:]])[:, None]
    changed = z.flatten(1).scatter(1, position, other.flatten(1).gather(1, position)).view_as(z)
    again = generator.redecode(changed, position[:, 0], generator.decode(z))
    whole = generator.decode(changed)
    detail = f"{tuple(again.shape)} in place of {tuple(whole.shape)}"
    require(again.shape == whole.shape, law, generator, detail)
    require(close(again, whole), law, generator, f"they differ by {gap(again, whole):.3g}")
    share = generator.redecode_share
    require(0 < share <= 1, law, generator, f"a share of {share} of a decode, which is not in (0, 1]")


def encodings_lie_in_space(generator: Generator) -> None:
    """``encode`` gives hard latents of the space, one a row."""
    assert isinstance(generator, AutoEncoder)
    z = generator.encode(generator.decode(_hard(generator, 3)))
    inside = generator.space.contains(z) and len(z) == 3
    require(inside, encodings_lie_in_space, generator, f"3 outputs gave {z.dtype} {tuple(z.shape)}")


def codes_decode_as_those_they_stand_for(generator: Generator) -> None:
    """``canonical`` changes no output, of soft codes neither, and done twice it does no more than once."""
    assert isinstance(generator, AliasedGenerator) and isinstance(generator.space, Discrete)
    law, z, soft = codes_decode_as_those_they_stand_for, _hard(generator, 5), _soft(generator, 3)
    once, mixed = generator.canonical(z), generator.canonical(soft)
    inside = generator.space.contains(once) and once.shape == z.shape and mixed.shape == soft.shape
    require(inside, law, generator, f"{tuple(z.shape)} gave {once.dtype} {tuple(once.shape)}")
    require(torch.equal(generator.canonical(once), once), law, generator, "a second time changes codes again")
    require(torch.equal(generator.decode(once), generator.decode(z)), law, generator, "hard codes decode to another")
    require(close(generator.decode(mixed), generator.decode(soft)), law, generator, "soft codes decode to another")
    one_hot = generator.canonical(generator.space.one_hot(z, generator.dtype))
    same = torch.equal(one_hot, generator.space.one_hot(once, generator.dtype))
    require(same, law, generator, "one-hot codes give way to others than hard ones")


LAWS: Laws = {
    prior_samples_lie_in_space: always,
    outputs_have_one_row_a_latent: always,
    decoding_is_deterministic: always,
    rows_are_independent: always,
    weights_are_left_alone: holds_modules,
    gradients_stay_in_their_row: always,
    gradients_match_finite_differences: is_in_float64,
    hard_codes_equal_one_hot_codes: is_over_codes,
    embeddings_decode_to_the_same: has_embeddings,
    changed_codes_redecode_to_the_same: redecodes,
    codes_decode_as_those_they_stand_for: has_aliases,
    encodings_lie_in_space: encodes,
}


def generator_checks(generator: Generator) -> list[Check]:
    """The laws of generators, as checks on this one."""
    return checks_of(generator, LAWS)


def check_generator(generator: Generator) -> None:
    """Raise at the first law of generators that this one breaks.

    Args:
        generator: The generator to look at.

    Raises:
        BrokenLaw: Naming the law, the class and what was seen.

    Example:
        >>> from latentsearch.testing import check_generator, toys
        >>> check_generator(toys.codes().generator)
    """
    require_kind(generator, Generator, "a Generator: space, prior, device, dtype and decode")
    run_all(generator_checks(generator))
