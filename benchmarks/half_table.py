# SPDX-License-Identifier: MIT
"""Delete a VPC whose rules are half of the table, beside one DELETE of the same rows.

``python -m benchmarks.half_table [rows] [rounds]``. The peers take turns, each time in new tables.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from statistics import median

from batchq.testing import server
from benchmarks.measure import opened
from benchmarks.peers.bulk import Chunked
from benchmarks.peers.psycopg3 import Autocommit
from benchmarks.sandbox import SETTINGS
from benchmarks.workloads.rules import KEYS, deletes


def main(rows: int = 200_000, rounds: int = 5) -> None:
    """Measure and print."""
    with server(settings=SETTINGS) as postgres:
        for keys in KEYS:
            workload = deletes(keys, rows)
            single = Autocommit(workload, "one DELETE")
            peers = [single, *(Chunked(workload, size) for size in (1_000, 10_000, None))]
            ratios: dict[str, list[float]] = defaultdict(list)
            for number in range(rounds):
                took: dict[str, float] = {}
                for peer in peers[number % len(peers) :] + peers[: number % len(peers)]:
                    with opened(postgres.conninfo(), [peer], 1) as (side,):
                        start = time.perf_counter()
                        side.work(range(1))
                        took[peer.name] = time.perf_counter() - start
                for name, seconds in took.items():
                    ratios[name].append(seconds / took[single.name])
            cells = [f"{name} 1/{median(found):.1f}" for name, found in ratios.items()]
            print(f"{keys} keys, {rows:,} rows of {2 * rows:,}: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
