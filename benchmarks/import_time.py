# SPDX-License-Identifier: MIT
"""What ``import batchq`` costs on top of ``import psycopg``: whole interpreters, in turns.

python -m benchmarks.import_time [rounds]
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median, quantiles
from time import perf_counter

ROUNDS = 30
TARGET = 150


def main(rounds: int = ROUNDS) -> None:
    """Measure and print."""
    for module in ("psycopg", "batchq"):  # compile and read from disk what is not yet
        _milliseconds(module)
    differences = [_milliseconds("batchq") - _milliseconds("psycopg") for _ in range(rounds)]
    low, _, high = quantiles(differences, n=4)
    print(
        f"import batchq takes {median(differences):.0f} ms more than import psycopg "
        f"(middle half {low:.0f} - {high:.0f}, {rounds} rounds; target <= {TARGET})"
    )


def _milliseconds(module: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)  # noqa: S603  our own two
    return (perf_counter() - start) * 1000


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
