"""The check on wrapping: decode a few rows, and name what is wrong before anybody searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from latentsearch._memory import Chunks
from latentsearch._rounding import difference, same_again, same_alone, same_in_company
from latentsearch._rows import per_row
from latentsearch._warnings import warn
from latentsearch._watch import Watch, modules_behind
from latentsearch.errors import InvalidArgument, LatentSearchError, describe
from latentsearch.noise import Noise
from latentsearch.priors import UniformCodes, require_fitted_to
from latentsearch.protocols import Generator, require_prior
from latentsearch.spaces import Discrete

_ROWS = 4


class WrapWarning(UserWarning):
    """Something about a wrapped decoder that works, and is probably not what was meant."""


def home_of(function: object) -> tuple[torch.device, torch.dtype] | None:
    """Device and dtype of the first floating parameter or buffer behind a callable."""
    for tensor in _weights_behind(function):
        if not is_lazy(tensor) and not tensor.is_meta and tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return None


def dtype_of(function: object, default: torch.dtype) -> torch.dtype:
    """In which what is behind a function computes, as far as that can be seen."""
    home = home_of(function)
    return default if home is None else home[1]


_ON_META = "its weights are on meta: load them first, or say device= where an offloaded model runs"


def hint_on_meta(function: object) -> str:
    """What to do about weights that are nowhere yet; empty where all are somewhere."""
    return _ON_META if any(tensor.is_meta for tensor in _weights_behind(function)) else ""


def _weights_behind(function: object) -> Iterator[Tensor]:
    return (tensor for module in modules_behind(function) for tensor in (*module.parameters(), *module.buffers()))


@torch.no_grad()
def check_generator(
    generator: Generator,
    watch: Watch,
    *,
    encode: Callable[[Tensor], Tensor] | None,
    output_range: tuple[float, float] | None,
) -> None:
    """Decode a few latents and see that a search could stand on them.

    Args:
        generator: What was wrapped.
        watch: Which sees the modules that run.
        encode: Outputs to latents, if there is an encoder.
        output_range: Where outputs must lie; None does not look.
    """
    name = type(generator).__name__
    if output_range is not None:
        _check_limits(name, output_range)
    _check_prior(f"{name}.prior", generator)
    z, others = _trial_latents(name, generator).split(_ROWS)
    output = _decoded(name, generator, watch, z)
    _check_again(name, generator, watch, z, output)
    _check_rows(name, generator, z, others, output)
    if output_range is not None:
        _check_range(name, output, output_range)
    if encode is not None:
        _check_encode(name, generator, encode, watch, output)


def _trial_latents(name: str, generator: Generator) -> Tensor:
    """A few draws from the prior; of codes uniform ones, since a learnt prior takes many passes for each."""
    noise = Noise.from_seed(0, 2 * _ROWS, device=generator.device)
    if isinstance(generator.space, Discrete):
        return UniformCodes(generator.space, generator.dtype).sample(noise)
    z = generator.prior.sample(noise)
    generator.space.check(f"a sample of {name}.prior", z)
    return z.to(generator.dtype)


def _check_prior(what: str, generator: Generator) -> None:
    require_prior(what, generator.prior)
    if generator.prior.space != generator.space:
        raise InvalidArgument(
            what,
            got=f"a prior over {generator.prior.space}",
            expected=f"one over the generator's latents, {generator.space}",
        )
    require_fitted_to(what, generator.prior, generator)


def _in_parts(name: str, generator: Generator, z: Tensor, hint: str) -> Tensor:
    """Outputs of a few latents, fewer at once where the memory does not hold them.

    Raises:
        InvalidArgument: If the decoder fails, though it has decoded before; with the hint.
    """
    try:
        return Chunks(None).run(lambda rows: (generator.decode(z[rows]),), len(z))[0]
    except LatentSearchError:
        raise
    except Exception as error:
        raise InvalidArgument(
            f"{name}.decoder",
            got=f"one that decodes two latents, and fails on {len(z)} later with {type(error).__name__}: {error}",
            expected="one that takes any number of rows, as often as it is asked",
            hint=hint,
        ) from error


_DYNAMIC = (
    "export with a dynamic batch, and look for shapes written as numbers, and for what is kept from call to call, such "
    "as a hidden state or a cache: begin each call anew"
)


def _decoded(name: str, generator: Generator, watch: Watch, z: Tensor) -> Tensor:
    output = _in_parts(name, generator, z, _DYNAMIC)
    check_frozen(f"{name}.decoder", watch)
    if not output.is_floating_point() or output.ndim < 2 or len(output) != len(z):
        raise InvalidArgument(
            f"{name}.decoder",
            got=f"{describe(output)} for {len(z)} latents",
            expected=f"floating outputs ({len(z)}, *O), with an axis beside that of rows at least",
        )
    if output.device != z.device:
        raise InvalidArgument(
            f"{name}.decoder",
            got=describe(output),
            expected=f"outputs on the latents' device, {z.device}",
        )
    if not bool(output.isfinite().all()):
        got, expected = "outputs with NaN or infinity", "finite outputs"
        raise InvalidArgument(f"{name}.decoder", got=got, expected=expected)
    return output


def check_frozen(what: str, watch: Watch) -> None:
    """Raise if a layer drops values or mixes rows. Here that is certain to be seen; outputs show it only by chance."""
    if watch.on_meta():
        raise InvalidArgument(
            what,
            got=f"{' and '.join(watch.on_meta())} with weights on meta",
            expected="weights that are loaded",
            hint=_ON_META,
        )
    if watch.stateful():
        raise InvalidArgument(
            what,
            got=f"{' and '.join(watch.stateful())} in train mode",
            expected=f"a frozen {'encoder' if what.endswith('.encode') else 'decoder'}",
            hint="call .eval() first",
        )


def _check_again(name: str, generator: Generator, watch: Watch, z: Tensor, output: Tensor) -> None:
    """Raise unless the same latents give the same outputs, up to rounding, and leave the decoder as it was."""
    watch.mark()
    again = _in_parts(name, generator, z, _DYNAMIC)
    if again.shape != output.shape:
        raise InvalidArgument(
            f"{name}.decoder",
            got=f"outputs {tuple(output.shape)}, and in a second call {tuple(again.shape)}",
            expected="the same for the same latents",
            hint="look for what is kept from call to call, such as a cache: begin each call anew",
        )
    if not same_again(again, output):
        raise InvalidArgument(
            f"{name}.decoder",
            got=f"other outputs for the same latents (by up to {difference(again, output):.3g})",
            expected="a deterministic decoder",
            hint=watch.hint(),
        )
    if watch.changed():
        raise InvalidArgument(
            f"{name}.decoder",
            got="weights or buffers that each call changes",
            expected="a frozen decoder",
            hint=watch.hint(),
        )


def _check_rows(name: str, generator: Generator, z: Tensor, others: Tensor, output: Tensor) -> None:
    """Raise if a row's output depends on which rows are beside it, or on how many."""
    first = output.clone()
    even = torch.arange(len(z), device=z.device) % 2 == 0
    mixed = [torch.where(per_row(kept, z), z, others) for kept in (even, ~even)]
    beside = [_in_parts(name, generator, each, _DYNAMIC).clone() for each in mixed]
    if not torch.equal(output, first):
        got, expected = "outputs that later calls write over", "outputs of their own memory"
        hint = "give copies of them: output_transform=torch.clone, or .clone() at the decoder's end"
        raise InvalidArgument(f"{name}.decoder", got=got, expected=expected, hint=hint)
    alone = [_in_parts(name, generator, row, _MIXED) for row in z.split(1)]
    if alone[0].shape != first[:1].shape:
        raise InvalidArgument(
            f"{name}.decoder",
            got=f"an output of shape {tuple(alone[0].shape)} for one latent, and {tuple(first.shape)} for {len(z)}",
            expected="(N, *O) for any N",
            hint="look for .squeeze(), which takes the axis of a batch of one away; .squeeze(1) does not",
        )
    together = same_in_company(torch.where(per_row(even, first), beside[0], beside[1]), first)
    if together and same_alone(torch.cat(alone), first):
        return
    raise InvalidArgument(
        f"{name}.decoder",
        got="rows whose output depends on the other rows of the batch",
        expected="row n of the output to depend on latent n alone",
        hint=_MIXED,
    )


_MIXED = (
    "batch norm in train mode, or without running statistics, and attention over the batch do this; call .eval(), or "
    "decode in a loop over rows"
)


def _check_limits(name: str, expected: object) -> None:
    good = (
        isinstance(expected, (tuple, list))
        and len(expected) == 2
        and all(isinstance(v, (int, float)) for v in expected)
    )
    if not good or not expected[0] < expected[1]:  # type: ignore[index]  # which is what good says
        asked = "two numbers, the lower one first, such as (0, 1)"
        raise InvalidArgument(f"{name}.output_range", got=repr(expected), expected=asked)


def _check_range(name: str, output: Tensor, expected: tuple[float, float]) -> None:
    low, high = expected
    slack = 0.1 * (high - low)
    least, most = float(output.min()), float(output.max())
    if least >= low - slack and most <= high + slack:
        return
    hint = "check output_transform"
    if (low, high) == (0, 1) and -1.1 <= least < 0 and most <= 1.1:
        hint = "a decoder onto [-1, 1] needs output_transform=lambda x: (x + 1) / 2"
    if (low, high) == (0, 1) and most > 2:
        hint = "a decoder of bytes needs output_transform=lambda x: x / 255, one of logits torch.sigmoid"
    raise InvalidArgument(
        f"{name}.output_range", got=f"outputs in [{least:.3g}, {most:.3g}]", expected=str(expected), hint=hint
    )


def _check_encode(
    name: str, generator: Generator, encode: Callable[[Tensor], Tensor], watch: Watch, output: Tensor
) -> None:
    """Encode, decode again: the result must look more like where it came from than like other rows."""
    what = f"{name}.encode"
    try:
        code: object = encode(output)
        if not isinstance(code, Tensor):
            hint = "of the encoder of a VAE: encode=lambda x: net(x)[0], and posterior= for mean and standard deviation"
            raise InvalidArgument(what, got=f"a {type(code).__name__}", expected="latents, a tensor", hint=hint)
        # The decoder has been looked at: what is found now is the encoder's.
        check_frozen(what, watch)
        generator.space.check(what, code)
        _check_encoder(what, encode, watch, output, code)
        again = generator.decode(code)
    except LatentSearchError:
        raise
    except Exception as error:
        raise InvalidArgument(
            what,
            got=f"a function that fails on the decoder's outputs with {type(error).__name__}: {error}",
            expected="outputs (N, *O) to latents (N, *S)",
            hint="an encoder that expects another range can be wrapped: lambda x: net(2 * x - 1)",
        ) from error
    own = (again - output).square().flatten(1).mean(1)
    other = (again - output.roll(1, 0)).square().flatten(1).mean(1)
    if bool((own > other).all()):
        warn(
            f"{name}: decode(encode(x)) does not return: it is farther from x (mean square {float(own.mean()):.3g}) "
            f"than from another output ({float(other.mean()):.3g}). Look at the order of the codes, the range that "
            "the encoder expects, and whether it returns quantised latents",
            WrapWarning,
        )


def _check_encoder(what: str, encode: Callable[[Tensor], Tensor], watch: Watch, output: Tensor, code: Tensor) -> None:
    """Raise if encoding changes the encoder, or does not give a latent an output; warn if it gives other latents."""
    if len(code) != len(output):
        raise InvalidArgument(what, got=f"{len(code)} latents for {len(output)} outputs", expected="one an output")
    watch.mark()
    again = encode(output)
    if watch.changed():
        raise InvalidArgument(
            what,
            got="weights or buffers that each call changes",
            expected="a frozen encoder",
            hint=watch.hint(),
        )
    if not same_again(again, code):
        warn(
            f"{what} gives other latents for the same outputs (by up to {difference(again, code):.3g}): no search that "
            "starts there can be repeated. Return the mean of what it draws from, or call .eval() first",
            WrapWarning,
        )
