"""A file that one search at a time writes to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from latentsearch.errors import InvalidArgument


@contextmanager
def locked(what: str, path: str | os.PathLike[str] | None) -> Iterator[None]:
    """Hold a file for as long as one works on it; what dies lets go of it.

    Beside the file there is another meanwhile, which goes away in the end. Nothing is held where there is no path.

    Args:
        what: The argument that names the file, for the message.
        path: The file, which need not exist.

    Raises:
        InvalidArgument: If another search or fit holds it, in this process or another, or nothing can be written there.
    """
    if path is None:
        yield
        return
    beside = _beside(path)
    held = _hold(what, path, beside)
    # What was killed in the middle of writing left a part behind.
    for part in beside.parent.glob(f"{beside.name.removesuffix('.lock')}.*.part"):
        part.unlink(missing_ok=True)
    try:
        yield
    finally:
        # In this order: nobody can take a file that is about to go. (Where an open one cannot go, it stays.)
        try:
            with suppress(OSError):
                beside.unlink()
        finally:
            os.close(held)


def _beside(path: str | os.PathLike[str]) -> Path:
    # What a link leads to is one file, whatever it is called.
    path = Path(path).expanduser().resolve()
    return path.with_name(f".{path.name}.lock")


def _hold(what: str, path: str | os.PathLike[str], beside: Path) -> int:
    while True:
        try:
            beside.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(beside, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            got, expected = f"{os.fspath(path)}, which cannot be written ({error})", "a path that can"
            raise InvalidArgument(what, got=got, expected=expected) from error
        try:
            _lock(descriptor)
            # Whoever held it may have taken the file away between our opening and our holding it.
            if beside.exists() and os.path.samestat(os.fstat(descriptor), beside.stat()):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            raise InvalidArgument(
                what,
                got=f"{os.fspath(path)}, which another search or fit is writing to",
                expected="a path of its own",
                hint="wait for the other, or give this one another path",
            ) from error
        os.close(descriptor)


try:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

except ImportError:  # Windows
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
