"""Tensors and a JSON header in one safetensors file, written so that a crash cannot tear it.

Never a pickle: loading a file from a stranger runs no code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from latentsearch.errors import BrokenFile

_HEADER = "latentsearch"


def save(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a file whole or not at all: a temporary file beside it, then an atomic rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    # clone: safetensors refuses tensors that share storage, and views would drag their base along.
    plain = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    try:
        with open(temporary, "wb") as file:
            file.write(serialise(plain, metadata={_HEADER: json.dumps(header)}))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(
    path: str | os.PathLike[str], *, kind: str, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file that [save][] wrote, whose header says it is of this ``kind``.

    Raises:
        BrokenFile: If the file is no safetensors file, is cut short, or is of another kind.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise BrokenFile(f"{path} is not a whole safetensors file ({error})") from error
    header: dict[str, Any] = json.loads(metadata.get(_HEADER, "{}"))
    if header.get("kind") != kind:
        raise BrokenFile(f"{path} holds {header.get('kind', 'something else')!r}, and a {kind!r} was expected")
    return tensors, header
