# SPDX-License-Identifier: MIT
"""Delete a VPC whose rules are half of the table, beside one DELETE of the same rows.

``python -m benchmarks.half_table [rows] [rounds]``. The peers take turns, each time in new tables.
"""

from __future__ import annotations

import sys
from functools import partial

from batchq.testing import server
from benchmarks.interleave import Cost, interleave, timed
from benchmarks.measure import opened
from benchmarks.peers import Peer
from benchmarks.peers.bulk import deleting
from benchmarks.report import show
from benchmarks.results import Result
from benchmarks.sandbox import SETTINGS
from benchmarks.workloads.rules import KEYS, deletes


def _turn(conninfo: str, peer: Peer, _: range) -> Cost:
    with opened(conninfo, [peer], 1) as (side,):
        return timed(side.work, range(1))


def main(rows: int = 200_000, rounds: int = 5) -> None:
    """Measure and print."""
    with server(settings=SETTINGS) as postgres:
        for keys in KEYS:
            turns = {
                peer.name: partial(_turn, postgres.conninfo(), peer)
                for peer in deleting(deletes(keys, rows))
            }
            samples = interleave(turns, rounds=rounds, calls=1)
            show([Result("bulk delete of half a table", {"keys": keys, "rows": rows}, samples)])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
