"""What `import latentsearch` costs on top of `import torch`: the ratio of the two together to torch alone.

    python examples/benchmarks/import_time.py [--rounds 7] [--limit 1.25]

Each round is a fresh interpreter that imports torch and then latentsearch, and times both: between two
interpreters torch's own time differs by more than all that is measured here. The median of the rounds'
ratios is compared with the limit. Exits with 1 above the limit.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

_PROBE = (
    "import time; start = time.perf_counter(); import torch; middle = time.perf_counter(); import latentsearch; "
    "print((time.perf_counter() - start) / (middle - start))"
)


def ratio() -> float:
    """Of wall times in a fresh interpreter, whose own start is not counted."""
    done = subprocess.run([sys.executable, "-c", _PROBE], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--limit", type=float, default=1.25)
    arguments = parser.parse_args()
    ratio()  # once unmeasured, so that files are cached and compiled
    found = statistics.median(ratio() for _ in range(arguments.rounds))
    print(f"import latentsearch / import torch = {found:.3f} (median of {arguments.rounds}; limit {arguments.limit})")
    return int(found > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
