# SPDX-License-Identifier: MIT
"""What a guard costs: batches of single-row updates, each guarded in one way, beside plain ones.

All on one connection, in turns; what is printed are medians of the ratios of one round each. A
batch is built and composed outside of the time, so that it is the guard that is seen.

    python -m benchmarks.guards [rounds] [updates a turn]
"""

from __future__ import annotations

import gc
import platform
import sys
from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import psycopg

from batchq import Batch, Statement, gather, run, sql, update
from batchq.testing import server

ROUNDS, UPDATES = 40, 400
"""So many updates in a turn, in batches of each size."""
SIZES = (1, 8, 50)
"""Updates in one batch, each of another row: the frame and the round trip are shared by so many."""
TARGET = 1.15

TABLE = """
CREATE TABLE project (
    id bigint PRIMARY KEY, name text NOT NULL, description text NOT NULL, state text NOT NULL,
    rcgen bigint NOT NULL, time_created timestamptz NOT NULL DEFAULT now(), time_deleted timestamptz
) WITH (fillfactor = 50)
"""
FILL = """
INSERT INTO project (id, name, description, state, rcgen)
SELECT n, 'project-' || n, repeat('x', 60), 'ready', 1 FROM generate_series(1, 10000) AS n
"""
ROWS = 10_000
PLAIN = "plain"

GONE, STALE = LookupError("gone"), ValueError("stale")

Guarded = Callable[[Statement[None]], Batch[Any]]
FORMS: dict[str, Guarded] = {
    PLAIN: lambda plain: plain,
    "expect(1)": lambda plain: plain.expect(1, missing=GONE),
    "expect(1), require": lambda plain: plain.expect(1, missing=GONE).require(
        {"rcgen": 1}, raises=STALE
    ),
    "expect(1), require, require": lambda plain: (
        plain.expect(1, missing=GONE)
        .require({"time_deleted": None}, raises=GONE)
        .require({"rcgen": 1}, raises=STALE)
    ),
    "expect(1), check": lambda plain: plain.expect(1, missing=GONE).ensure(
        {"state": "ready"}, raises=STALE
    ),
}


def main(rounds: int = ROUNDS, updates: int = UPDATES) -> None:
    """Measure and print."""
    with (
        server(settings={"synchronous_commit": "off", "autovacuum": "off"}) as postgres,
        psycopg.connect(postgres.conninfo(), autocommit=True, prepare_threshold=0) as conn,
    ):
        conn.execute(TABLE, prepare=False)
        conn.execute(FILL, prepare=False)
        print(f"Python {platform.python_version()}, PostgreSQL {postgres.version}, unix socket")
        for size in SIZES:
            print(f"batches of {size}: time beside plain updates, median of {rounds} rounds")
            seen = _rounds(conn, rounds, size, updates // size)
            for name, ratios in seen.items():
                low, _, high = quantiles(ratios, n=4)
                spread = f"(middle half {low:.2f}-{high:.2f})"
                print(f"  {name:<30} {median(ratios):5.2f}   {spread}   aim {TARGET}")


def _rounds(
    conn: psycopg.Connection[Any], rounds: int, size: int, batches: int
) -> dict[str, list[float]]:
    seen: dict[str, list[float]] = {name: [] for name in FORMS if name != PLAIN}
    for name in FORMS:
        _turn(conn, name, size, batches)  # warm: prepared, and planned for good
    for _ in range(rounds):
        conn.execute("VACUUM project", prepare=False)
        turns = {name: _turn(conn, name, size, batches) for name in FORMS}
        for name, ratios in seen.items():
            ratios.append(turns[name] / turns[PLAIN])
    return seen


def _turn(conn: psycopg.Connection[Any], name: str, size: int, batches: int) -> float:
    made = [_batch(FORMS[name], size, number) for number in range(batches)]
    gc.collect()
    start = perf_counter()
    for batch in made:
        run(conn, batch)
    return perf_counter() - start


def _batch(form: Guarded, size: int, number: int) -> Batch[Any]:
    first = number * size % ROWS + 1
    same = {"description": sql("description")}
    return gather(
        *(form(update("project", same, where={"id": row})) for row in range(first, first + size))
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
