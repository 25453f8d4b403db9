"""The command line: ``python -m latentsearch info``, ``demo`` and ``examine``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec

import torch

import latentsearch
from latentsearch import demo, zoo
from latentsearch._checks import require_file_path
from latentsearch._sources import generator_named, images_named
from latentsearch.errors import InvalidArgument, LatentSearchError, Unsupported

_LEAST = 32  # below, some of the demo's methods cannot pay for a step


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: What follows ``python -m latentsearch``; ``sys.argv`` if not given.

    Returns:
        The exit code.

    Example:
        >>> from latentsearch.cli import main
        >>> main(["info"])
        latentsearch ...
        0
    """
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "info":
                _info()
            case "demo":
                _demo(options)
            case "examine":
                _examine(options)
    except LatentSearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m latentsearch", description=latentsearch.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="versions, devices, and the models that come with the package")
    command = commands.add_parser("demo", help="four goals about handwritten digits, in under a minute")
    command.add_argument("--out", default="latentsearch-demo", help="folder for grid.png and search.gif")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--evaluations", type=int, default=demo.EVALUATIONS, help="evaluations for one answer")
    command = commands.add_parser("examine", help="is a latent space searchable? writes a report, in about a minute")
    command.add_argument("model", metavar="MODEL.py:generator", help="a file of Python, and a generator in it")
    command.add_argument("data", metavar="DATA", help="images: a .npy, .safetensors or .pt file, or a folder of images")
    command.add_argument("--out", default="examination.html", help="the report")
    command.add_argument("--seed", type=int, default=0)
    return parser


def _examine(options: argparse.Namespace) -> None:
    # Before a minute of work rather than after it.
    if find_spec("matplotlib") is None:
        hint = "pip install 'latentsearch[plot]'"
        raise Unsupported("examine", got="no package matplotlib", expected="the extra `plot`", hint=hint)
    require_file_path("--out", options.out)
    generator = generator_named(options.model)
    images = images_named(options.data, generator)
    found = latentsearch.examine(generator, images, seed=options.seed, progress=sys.stderr.isatty())
    # Written before it is printed: who reads the first lines alone has it nevertheless.
    path = found.save(options.out)
    print(f"{found}\n\n{path}")


def _info() -> None:
    print(f"latentsearch {latentsearch.__version__}")
    print(f"torch        {torch.__version__}")
    print(f"devices      {', '.join(_devices())}")
    print("models")
    for name in zoo.names():
        figures = ", ".join(f"{figure} {value:.4g}" for figure, value in zoo.figures(name).items())
        print(f"  {name:<18} {figures}")


def _devices() -> list[str]:
    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    devices += [f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in range(torch.cuda.device_count())]
    return devices + (["mps"] if torch.backends.mps.is_available() else [])


def _demo(options: argparse.Namespace) -> None:
    if options.evaluations < _LEAST:
        raise InvalidArgument(
            "--evaluations", got=str(options.evaluations), expected=f"at least {_LEAST}, or nothing is found"
        )
    start, threads = time.perf_counter(), torch.get_num_threads()
    # The networks are too small to share, and threads that wait for each other crawl on a busy machine.
    torch.set_num_threads(1)
    try:
        demo.run_demo(
            options.out,
            seed=options.seed,
            evaluations=options.evaluations,
            progress=sys.stderr.isatty(),
            report=lambda line: print(line, flush=True),
        )
    finally:
        torch.set_num_threads(threads)
    print(f"{time.perf_counter() - start:.0f} s")
