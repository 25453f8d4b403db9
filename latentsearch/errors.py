"""Errors that say what was got, what was expected, and how to fix it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class LatentSearchError(Exception):
    """Base of every error this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel between processes, whatever their constructors want.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[LatentSearchError], args: tuple[Any, ...], attributes: dict[str, Any]) -> LatentSearchError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


class InvalidArgument(LatentSearchError, ValueError):
    """An argument that cannot work, found before any decoding is paid for.

    Args:
        what: The argument or property at fault, for instance ``"Matches.target"``.
        got: What it was.
        expected: What it should have been.
        hint: What to change. Empty where ``expected`` says it all.

    Example:
        >>> import latentsearch as ls
        >>> print(ls.InvalidArgument("seed", got="'a'", expected="an integer"))
        seed: got 'a', expected an integer
    """

    def __init__(self, what: str, *, got: str, expected: str, hint: str = "") -> None:
        self.what, self.got, self.expected, self.hint = what, got, expected, hint
        # What another library said may end in a stop of its own.
        super().__init__(f"{what}: got {got.removesuffix('.')}, expected {expected}" + (f"; {hint}" if hint else ""))


class MissingFile(InvalidArgument, FileNotFoundError):
    """A path at which no file is."""

    # That of ValueError, which comes first, cannot make what is an OSError as well.
    __new__ = FileNotFoundError.__new__  # type: ignore[assignment]


class Unsupported(InvalidArgument, TypeError):
    """A searcher, generator and constraint that cannot work together."""


class BrokenLaw(LatentSearchError, AssertionError):
    """A law of the conformance kit that an instance breaks.

    Args:
        law: The law's name, as in the test id.
        instance: The class or object that breaks it.
        detail: What was seen, with shapes and sizes.
    """

    def __init__(self, law: str, instance: object, detail: str) -> None:
        self.law = law
        super().__init__(f"{type(instance).__name__} breaks the law '{law}': {detail}")


class SearchFailed(LatentSearchError, RuntimeError):
    """User code raised in mid-search; the best seen until then is kept here.

    Attributes:
        latent: Best hard latents so far, ``(B, *S)``.
        loss: Their losses, ``(B,)``; ``inf`` where nothing was scored yet.
    """

    def __init__(self, message: str, *, latent: Tensor, loss: Tensor) -> None:
        self.latent, self.loss = latent, loss
        super().__init__(message)


class BrokenFile(LatentSearchError, RuntimeError):
    """A file that is not what it should be: a result, a checkpoint, or weights."""


def describe(tensor: Tensor) -> str:
    """Shape, dtype and device of a tensor in words, for error messages."""
    kind = str(tensor.dtype).removeprefix("torch.")
    article = "an" if kind.startswith("int") else "a"
    return f"{article} {kind} tensor of shape {tuple(tensor.shape)} on {tensor.device}"
