"""Tensors and a JSON header in one safetensors file, written so that a crash cannot tear it.

Never a pickle: loading a file from a stranger runs no code. A checksum over all of it tells a damaged file from a whole
one, and what is loaded is a copy: what becomes of the file afterwards does not reach it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as deserialise
from safetensors.torch import save as serialise
from torch import Tensor

from latentsearch._checks import require_existing_file, require_file_path
from latentsearch._identity import bytes_of, first_difference
from latentsearch.errors import BrokenFile, InvalidArgument

_log = logging.getLogger("latentsearch")

_HEADER, _CHECKSUM = "latentsearch", "sha256"


def save(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a file whole or not at all: a temporary file beside it, then an atomic rename."""
    # What a link leads to is written, and the link stays.
    path = require_file_path("path", path, "result.safetensors").resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of this process and thread: others may write to the same path.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    # clone: safetensors refuses tensors that share storage, and views would drag their base along.
    plain = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(header)
    try:
        with open(temporary, "wb") as file:
            file.write(serialise(plain, metadata={_HEADER: text, _CHECKSUM: _checksum(plain, text)}))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def attempt(save: Callable[[], None], path: Path) -> None:
    """Save a checkpoint, or warn that it cannot be done: a full disk ends no search, and the file stays what it was."""
    try:
        save()
    except (OSError, InvalidArgument) as error:
        _log.warning("%s could not be written (%s): the work goes on, and the file stays what it was", path, error)


def load(
    path: str | os.PathLike[str], *, kind: str, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file that [save][] wrote, whose header says it is of this ``kind``.

    A file without a checksum, as older ones are, is taken as it is. Both mappings raise BrokenFile for what they lack.

    Raises:
        BrokenFile: If the file is no safetensors file, is cut short, is not what was written, or is of another kind.
        MissingFile: If there is none.
        InvalidArgument: If the path is none, or that of a folder.
    """
    data = _bytes_of(path)
    try:
        tensors = deserialise(data)
        metadata = _metadata(data)
        header = json.loads(metadata.get(_HEADER, "{}"))
    except (SafetensorError, ValueError, RecursionError, KeyError, RuntimeError) as error:
        raise BrokenFile(f"{path} is not a whole safetensors file ({error})") from error
    found = header.get("kind", "something else") if isinstance(header, dict) else "something else"
    if found != kind:
        raise BrokenFile(f"{path} holds {found!r}, and a {kind!r} was expected")
    if _CHECKSUM in metadata and metadata[_CHECKSUM] != _checksum(tensors, metadata[_HEADER]):
        raise BrokenFile(f"{path} is damaged: its checksum is not that of what it holds")
    moved = {name: tensor.to(device) for name, tensor in tensors.items()}
    return _Held(path, moved), _Held(path, header)


def require_kind(what: str, path: str | os.PathLike[str], kind: str) -> None:
    """Raise unless a file, if there is one, begins as one of a kind does; the rest of it is not read.

    Raises:
        BrokenFile: If it is of another kind, or no file of the package's.
    """
    found = require_file_path(what, path)
    if not found.exists():
        return
    with open(found, "rb") as file:
        start = file.read(8)
        start += file.read(min(int.from_bytes(start, "little"), found.stat().st_size))
    try:
        own = json.loads(_metadata(start).get(_HEADER, "{}")).get("kind", "something else")
    except (ValueError, RecursionError, AttributeError) as error:
        raise BrokenFile(f"{what}: {found} is not a whole safetensors file ({error})") from error
    if own != kind:
        raise BrokenFile(f"{what}: {found} holds {own!r}, and a {kind!r} was expected; give this one another path")


def require_identity(path: str | os.PathLike[str], work: str, then: object, now: Mapping[str, str]) -> None:
    """Raise BrokenFile unless what a file says of the work that it is of is what is said of it now.

    Args:
        path: Of the file.
        work: ``"search"`` or ``"fit"``.
        then: What the file says.
        now: A description for each part of it, as [describe_settings][] gives them.
    """
    then = then if isinstance(then, dict) else {}
    different = [name for name, value in now.items() if then.get(name) != value]
    if not different:
        return
    verb = "differs" if len(different) == 1 and not different[0].endswith("seeds") else "differ"
    shown = [first_difference(str(then[name]), now[name]) for name in different if name in then]
    raise BrokenFile(
        f"the checkpoint {path} is of another {work}: its {' and '.join(different)} {verb}"
        f"{f' ({shown[0]})' if shown and shown[0] else ''}. Give this {work} a path of its own, or delete the file"
    )


def _bytes_of(path: str | os.PathLike[str]) -> bytes:
    return require_existing_file("path", path).read_bytes()


class _Held(dict[str, Any]):
    """What a file holds, by name."""

    def __init__(self, path: str | os.PathLike[str], held: Mapping[str, Any]) -> None:
        super().__init__(held)
        self.path = path

    def __missing__(self, name: str) -> Any:
        raise BrokenFile(f"{self.path} has no {name!r}: it is not what this version of the package writes")


def _metadata(data: bytes) -> dict[str, str]:
    """The texts in the header of a safetensors file: eight bytes say how long that is."""
    length = int.from_bytes(data[:8], "little")
    found: dict[str, str] = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return found


def _checksum(tensors: Mapping[str, Tensor], header: str) -> str:
    """Of names, dtypes, shapes, numbers and the header."""
    found = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(bytes_of(tensor))
    return found.hexdigest()
