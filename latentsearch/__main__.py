"""``python -m latentsearch``."""

import sys

from latentsearch.cli import main

if __name__ == "__main__":
    sys.exit(main())
