"""What a command line names: a generator in a file of Python, and images in a file or a folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from latentsearch._images import example_output
from latentsearch.adapters import wrap
from latentsearch.errors import BrokenFile, InvalidArgument, describe
from latentsearch.protocols import Generator

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_KINDS = "a .npy, .safetensors or .pt file, or a folder of PNG or JPEG images"


def generator_named(text: str) -> Generator:
    """The generator of ``FILE.py:name``, or what a function of that name returns; a model is wrapped.

    Without a name it is that called ``generator``.

    Raises:
        InvalidArgument: If there is no such file or name, or it is something else.
    """
    path, _, name = (text if ":" in text else f"{text}:generator").rpartition(":")
    file = Path(path).expanduser()
    if not path or not name.isidentifier():
        raise InvalidArgument("MODEL", got=repr(text), expected="FILE.py:name", hint="such as model.py:generator")
    if not file.is_file():
        raise InvalidArgument("MODEL", got=f"no file {path}", expected="a file of Python")
    found: object = _attribute(file, name)
    if not isinstance(found, (Generator, torch.nn.Module)) and callable(found):
        found = _run("MODEL", f"{name}() of {file}", found)
    return found if isinstance(found, Generator) else wrap(found)


def _attribute(file: Path, name: str) -> object:
    spec = importlib.util.spec_from_file_location(f"_latentsearch_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise InvalidArgument("MODEL", got=str(file), expected="a file of Python, FILE.py:name")
    loader, module = spec.loader, importlib.util.module_from_spec(spec)
    # What stands beside the file is imported by it, as if it were run.
    sys.path.insert(0, str(file.resolve().parent))
    sys.modules[spec.name] = module
    _run("MODEL", str(file), lambda: loader.exec_module(module))
    if not hasattr(module, name):
        own = [key for key, value in vars(module).items() if isinstance(value, (Generator, torch.nn.Module))]
        hint = f"it has {', '.join(own)}" if own else "write generator = ls.wrap(model) there"
        raise InvalidArgument("MODEL", got=f"no {name} in {file}", expected="a generator of that name", hint=hint)
    return getattr(module, name)


def _run(what: str, name: str, function: Callable[[], object]) -> object:
    """What a user's code gives; that it fails is said in a line, and where is told by the error behind it."""
    try:
        return function()
    except (Exception, SystemExit) as error:
        got = f"{name}, which ends with {type(error).__name__}: {error}"
        raise InvalidArgument(what, got=got, expected="code that runs to its end", hint="run it by itself") from error


def images_named(text: str, generator: Generator) -> Tensor:
    """Images for a generator, from a file or a folder; bytes are brought into its range.

    Raises:
        InvalidArgument: If there is no such file, or nothing in it has the shape of the generator's outputs.
        BrokenFile: If it cannot be read.
    """
    example = example_output(generator)
    path, key = Path(text).expanduser(), ""
    if not path.exists() and ":" in text:
        before, _, key = text.rpartition(":")
        path = Path(before).expanduser()
    if path.is_dir():
        found = _of_folder(path, example)
    elif path.is_file():
        found = _fitting(path, key, _tensors(path), tuple(example.shape[1:]))
    else:
        raise InvalidArgument("DATA", got=f"no file or folder {text}", expected=_KINDS)
    return found if found.is_floating_point() else _of_bytes(found, generator)


def _of_bytes(images: Tensor, generator: Generator) -> Tensor:
    if images.dtype != torch.uint8:
        hint = "save them as floats in the range of the decoder's outputs"
        raise InvalidArgument("DATA", got=describe(images), expected="floating values, or bytes (uint8)", hint=hint)
    low, high = getattr(generator, "output_range", None) or (0.0, 1.0)
    return low + (high - low) * images.float() / 255


def _tensors(path: Path) -> Mapping[str, Tensor]:
    """Tensors of a file by name; never a pickle of anything else."""
    try:
        match path.suffix:
            case ".npy":
                import numpy

                return {"": torch.from_numpy(numpy.load(path, allow_pickle=False))}
            case ".safetensors":
                from safetensors.torch import load_file

                return load_file(path)
            case ".pt" | ".pth":
                found = torch.load(path, map_location="cpu", weights_only=True)
                named = found if isinstance(found, Mapping) else {"": found}
                return {str(name): value for name, value in named.items() if isinstance(value, Tensor)}
    except Exception as error:
        raise BrokenFile(f"{path} cannot be read: {error}") from error
    raise InvalidArgument("DATA", got=path.name, expected=_KINDS)


def _fitting(path: Path, key: str, tensors: Mapping[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    """The tensor of that name, or the one that has the shape of outputs."""
    held = ", ".join(f"{name or 'one'} {tuple(tensor.shape)}" for name, tensor in tensors.items()) or "nothing"
    if key and key in tensors:
        return tensors[key]
    fitting = {name: tensor for name, tensor in tensors.items() if tuple(tensor.shape[1:]) == shape}
    if key or not fitting:
        expected = f"{key} among them" if key else f"a tensor (N, {', '.join(map(str, shape))}), as the decoder gives"
        raise InvalidArgument("DATA", got=f"{path.name} with {held}", expected=expected)
    if len(fitting) > 1 and "images" not in fitting:
        hint = f"name one: {path}:{next(iter(fitting))}"
        expected = f"one tensor (N, {', '.join(map(str, shape))})"
        raise InvalidArgument("DATA", got=f"{path.name} with {held}", expected=expected, hint=hint)
    return fitting.get("images", next(iter(fitting.values())))


def _require_bytes(file: Path, mode: str) -> None:
    if mode.startswith(("I", "F")):
        got, hint = f"{file.name} of more than 8 bits a channel", "save them as floats in a .npy file"
        raise InvalidArgument("DATA", got=got, expected="images of 8 bits a channel", hint=hint)


def _of_folder(path: Path, example: Tensor) -> Tensor:
    """``(N, C, H, W)`` bytes, of all images in a folder and those below it, in the order of their names."""
    from PIL import Image
    from torchvision.transforms.v2.functional import pil_to_tensor

    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
    if example.ndim != 4 or example.shape[1] not in (1, 3):
        raise InvalidArgument(
            "DATA", got="a folder", expected=f"outputs such as the decoder gives, {describe(example)}"
        )
    if not files:
        raise InvalidArgument("DATA", got=f"no images in {path}", expected=_KINDS)
    mode = "L" if example.shape[1] == 1 else "RGB"
    images = []
    for file in files:
        try:
            with Image.open(file) as opened:
                _require_bytes(file, opened.mode)
                image = pil_to_tensor(opened.convert(mode))
        except OSError as error:
            raise BrokenFile(f"{file} cannot be read: {error}") from error
        if image.shape != example.shape[1:]:
            got, expected = f"{file.name} of {tuple(image.shape)}", f"{tuple(example.shape[1:])}, as the decoder gives"
            raise InvalidArgument("DATA", got=got, expected=expected, hint="crop or resize the images first")
        images.append(image)
    return torch.stack(images)
