"""What `import latentsearch` costs on top of `import torch`: the ratio of their times.

    python examples/benchmarks/import_time.py [--rounds 7] [--limit 1.15]

Each round times both imports in fresh interpreters, one after the other, and the median of the
rounds' ratios is compared with the limit: a machine that is busy slows both alike. Exits with 1
above the limit.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

_PROBE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds(module: str) -> float:
    """Wall time of one import in a fresh interpreter, the interpreter's own start not counted."""
    done = subprocess.run([sys.executable, "-c", _PROBE.format(module)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--limit", type=float, default=1.15)
    arguments = parser.parse_args()
    for module in ("torch", "latentsearch"):  # once unmeasured, so that files are cached and compiled
        seconds(module)
    ratios = []
    for _ in range(arguments.rounds):
        base = seconds("torch")
        ratios.append(seconds("latentsearch") / base)
    ratio = statistics.median(ratios)
    print(f"import latentsearch / import torch = {ratio:.3f} (median of {len(ratios)} rounds; limit {arguments.limit})")
    return int(ratio > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
