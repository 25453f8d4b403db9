r"""Randomness that belongs to rows.

A shared random stream breaks the row law: drop one solved problem and the randomness of
all others changes. Here every row has a 64-bit key of its own and every draw is a pure function of that key,
so a row's randomness depends on nothing but its seed and what it is asked for. The generator is
splitmix64 [Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014],
run as a counter: word *i* of a stream is ``mix(key + (i + 1) * GAMMA)``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._checks import in_short, is_whole, require_count
from latentsearch.errors import InvalidArgument, describe

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_SPLIT = 0x53504C4954  # the constant that split folds
_BLOCK = 1 << 15  # words mixed at a time on the CPU: 256 KiB stay in the cache


def _signed(word: int) -> int:
    """The int64 with the same 64 bits as ``word``."""
    word &= _MASK
    return word - (1 << 64) if word >> 63 else word


def mix_int(word: int) -> int:
    """splitmix64's output function on one Python integer, as an int64."""
    word &= _MASK
    word = ((word ^ (word >> 30)) * _MIX_1) & _MASK
    word = ((word ^ (word >> 27)) * _MIX_2) & _MASK
    return _signed(word ^ (word >> 31))


def _xor_shift_(words: Tensor, shift: int) -> None:
    # torch has no unsigned shift: shift arithmetically, then clear the copies of the sign bit.
    words.bitwise_xor_((words >> shift).bitwise_and_((1 << (64 - shift)) - 1))


def mix_(words: Tensor) -> Tensor:
    """splitmix64's output function on an int64 tensor, in place; returns its argument."""
    _xor_shift_(words, 30)
    words.mul_(_signed(_MIX_1))
    _xor_shift_(words, 27)
    words.mul_(_signed(_MIX_2))
    _xor_shift_(words, 31)
    return words


def problem_seeds(seed: int | Sequence[int] | None, problems: int) -> tuple[int, ...]:
    """One seed for each problem.

    An integer is spread over the problems; a sequence is taken as it is. To run problem ``b`` of
    a batch alone and with the same randomness, give it ``seed=[problem_seeds(seed, B)[b]]``.

    Args:
        seed: One integer, one integer per problem, or None for fresh entropy.
        problems: B, the number of problems.

    Raises:
        InvalidArgument: If a seed is no whole number, or a sequence has another length than ``problems``.

    Example:
        >>> import latentsearch as ls
        >>> len(ls.problem_seeds(7, 3)), ls.problem_seeds([4, 5], 2)
        (3, (4, 5))
    """
    require_count("problems", problems, 0)
    if seed is None:
        seed = int(torch.empty((), dtype=torch.int64).random_(generator=_fresh()).item())
    if is_whole(seed):
        return tuple(mix_int(mix_int(int(seed)) + (b + 1) * _GAMMA) for b in range(problems))
    several = not isinstance(seed, Tensor) and getattr(seed, "ndim", 1) == 1
    if not several or not isinstance(seed, Collection) or not all(map(is_whole, seed)):
        hint = ("give int(seed)" if seed.ndim == 0 else "give seed.tolist()") if isinstance(seed, Tensor) else ""
        raise InvalidArgument("seed", got=repr(seed), expected="an integer or one per problem", hint=hint)
    if len(seed) != problems:
        raise InvalidArgument(
            "seed", got=f"{len(seed)} seeds", expected=f"one integer, or one for each of {problems} problems"
        )
    return tuple(int(s) for s in seed)


def _fresh() -> torch.Generator:
    generator = torch.Generator()
    generator.seed()
    return generator


@dataclass(frozen=True)
class Noise:
    """A source of randomness for N rows: each row's draws depend on its own key alone.

    Draws are pure: the same call on the same noise gives the same numbers. Ask for different
    numbers by folding a constant in first.

    Attributes:
        keys: ``(N,)`` int64, one key a row.

    Example:
        >>> import latentsearch as ls
        >>> noise = ls.Noise.from_seed(0, problems=3)
        >>> draw = noise.fold(1).normal(2)
        >>> draw.shape, bool((noise[1:].fold(1).normal(2) == draw[1:]).all())
        (torch.Size([3, 2]), True)
    """

    keys: Tensor

    def __post_init__(self) -> None:
        keys: object = self.keys
        if not isinstance(keys, Tensor) or keys.dtype != torch.int64 or keys.ndim != 1:
            got = describe(keys) if isinstance(keys, Tensor) else in_short(keys)
            hint = "Noise.from_seed(seed, problems) makes some"
            if isinstance(keys, Tensor) and keys.dtype == torch.int64 and keys.ndim == 0:
                hint = "one row is noise[:1]"
            raise InvalidArgument("Noise.keys", got=got, expected="an int64 tensor of shape (N,)", hint=hint)

    @staticmethod
    def from_seed(
        seed: int | Sequence[int] | None,
        problems: int = 1,
        restarts: int = 1,
        device: torch.device | str = "cpu",
    ) -> Noise:
        """Keys for ``problems * restarts`` rows, ordered ``b * restarts + r``."""
        require_count("restarts", restarts, 0)
        keys = [mix_int(mix_int(s) ^ mix_int(r + 1)) for s in problem_seeds(seed, problems) for r in range(restarts)]
        return Noise(torch.tensor(keys, dtype=torch.int64, device=device))

    def __len__(self) -> int:
        return self.keys.shape[0]

    def __getitem__(self, index: Tensor | slice) -> Noise:
        """The noise of some rows."""
        return Noise(self.keys[index])

    def to(self, device: torch.device | str) -> Noise:
        """The same noise on another device, where the same draws come out."""
        return Noise(self.keys.to(device))

    def fold(self, constant: int) -> Noise:
        """An independent stream for the same rows; each use folds a constant of its own."""
        try:
            word = mix_int(constant + _GAMMA)
        except TypeError:
            raise InvalidArgument("Noise.fold", got=in_short(constant), expected="a whole number") from None
        return Noise(mix_(self.keys ^ word))

    def split(self, count: int) -> Noise:
        """``N * count`` rows: ``count`` independent streams under each row, kept together."""
        require_count("Noise.split", count, 0)
        offsets = torch.tensor([mix_int(i + _GAMMA) for i in range(count)], device=self.keys.device)
        # Folded first: else stream i would be the same as fold(i).
        return Noise(mix_((self.fold(_SPLIT).keys[:, None] ^ offsets).flatten()))

    def bits(self, count: int) -> Tensor:
        """``(N, count)`` int64 words of 64 random bits."""
        device = self.keys.device
        steps = torch.arange(1, count + 1, dtype=torch.int64, device=device).mul_(_signed(_GAMMA))
        words = torch.empty(len(self), count, dtype=torch.int64, device=device)
        torch.add(self.keys[:, None], steps, out=words)
        flat = words.view(-1)
        block = _BLOCK if device.type == "cpu" else max(flat.numel(), 1)
        for start in range(0, flat.numel(), block):
            mix_(flat[start : start + block])
        return words

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """``(N, *shape)`` uniform on the open interval (0, 1); never 0 and never 1."""
        size, dtype = _size(shape), _floating(dtype)
        if dtype == torch.float64:
            # The midpoint of 2^52 cells is the finest that never rounds to 1.
            words = (self.bits(size) >> 12).bitwise_and_((1 << 52) - 1)
            return words.to(torch.float64).add_(0.5).mul_(2.0**-52).view(len(self), *shape)
        lanes = self.bits((size + 1) // 2).view(torch.int32)[:, :size]
        # A 24-bit midpoint rounds to 1.0 in float32, hence 23 bits.
        cells = (lanes >> 9).bitwise_and_((1 << 23) - 1)
        draw = cells.to(torch.float32).add_(0.5).mul_(2.0**-23).to(dtype).reshape(len(self), *shape)
        # Half precision would round the last of them to 1.
        return draw if dtype == torch.float32 else draw.clamp_(max=1 - torch.finfo(dtype).eps / 2)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """``(N, *shape)`` standard normal, by inversion."""
        draw: Tensor = torch.special.ndtri(self.uniform(*shape, dtype=_at_least_float32(dtype)))
        return draw.to(dtype)

    def gumbel(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """``(N, *shape)`` standard Gumbel, by inversion."""
        draw = self.uniform(*shape, dtype=_at_least_float32(dtype))
        return draw.log_().neg_().log_().neg_().to(dtype)

    def integers(self, high: int | Tensor, *shape: int) -> Tensor:
        """``(N, *shape)`` int64 uniform on [0, high), for high up to 2^31; bias below 2^-32 a value.

        ``high`` is a number, or a tensor that broadcasts to ``shape``.
        """
        if not isinstance(high, Tensor):
            require_count("Noise.integers.high", high)
        words = (self.bits(_size(shape)) >> 32).bitwise_and_((1 << 32) - 1)
        return words.view(len(self), *shape).mul_(high) >> 32

    def categorical(self, logits: Tensor) -> Tensor:
        """``(N, *S)`` int64 drawn from ``softmax(logits)`` by the Gumbel-max trick; logits ``(N, *S, K)``."""
        return self.perturbed(logits).argmax(-1)

    def perturbed(self, logits: Tensor) -> Tensor:
        """Logits ``(N, *S, K)`` plus Gumbel noise, whose arg-max is a draw from their softmax; in float32 at least.

        Raises:
            InvalidArgument: If there are not as many rows of noise as of logits, which would share it.
        """
        if len(logits) != len(self):
            got = f"noise of {len(self)} rows for logits of {len(logits)}"
            raise InvalidArgument(
                "Noise",
                got=got,
                expected="a row for each",
                hint="noise.split(count) makes more, noise[:count] takes some",
            )
        return logits + self.gumbel(*logits.shape[1:], dtype=_at_least_float32(logits.dtype))


def _size(shape: tuple[int, ...]) -> int:
    """How many numbers a row has."""
    for side in shape:
        # The type is looked at first: draws are many, and most sides are plain integers.
        if (type(side) is not int and not is_whole(side)) or side < 0:
            expected, hint = "whole numbers of at least 0", "write noise.normal(2, 3), each side by itself"
            raise InvalidArgument("the shape of a draw", got=repr(shape), expected=expected, hint=hint)
    return math.prod(shape)


def _floating(dtype: torch.dtype) -> torch.dtype:
    """A dtype that draws can have."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InvalidArgument("the dtype of a draw", got=repr(dtype), expected="a floating one, such as torch.float32")
    return dtype


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if _floating(dtype) == torch.float64 else torch.float32
