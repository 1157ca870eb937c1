# SPDX-License-Identifier: MIT
"""Trace which files a reader visits who follows a batch through the code, call by call.

A *stay* is a series of calls of functions of one file; a *return* is a stay in a file that was left
before. The fewer returns, the better a listing of the files shows what happens. The figures do
not depend on the machine. Code that attrs generates has no file, and is not counted.

    python -m benchmarks.walk [-v]        # -v: list the stays as well
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import psycopg
from attrs import frozen

import batchq
from batchq import Batch, UnmappedViolation, insert, run, unique
from batchq.bulk import ChildDelete, DeleteTree, start
from batchq.hierarchy import Parent
from batchq.testing import server

PACKAGE = Path(batchq.__file__).parent
WARM_UP = 25
"""Runs before those that are traced: everything is prepared and every cache is filled."""
_TIMES = 9

TABLES = """
CREATE TABLE vpc (
    id uuid CONSTRAINT vpc_pkey PRIMARY KEY, name text CONSTRAINT vpc_name_key UNIQUE,
    rcgen bigint NOT NULL DEFAULT 1, time_deleted timestamptz
);
CREATE TABLE vpc_firewall_rule (
    id uuid PRIMARY KEY, vpc_id uuid NOT NULL, name text NOT NULL
);
CREATE UNIQUE INDEX rules_by_vpc ON vpc_firewall_rule (vpc_id, id)
"""
FILL = """
INSERT INTO vpc_firewall_rule (id, vpc_id, name)
SELECT gen_random_uuid(), %s, 'rule-' || n FROM generate_series(1, 2000) AS n
"""

PARENT = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
RULES = PARENT.children("vpc_firewall_rule", by="vpc_id", deleted_at=None)
TREE = DeleteTree(name="vpc", parent=PARENT, children=[ChildDelete(relation=RULES, order="id")])


@frozen
class Vpc:
    """The model that a row becomes."""

    id: UUID
    name: str


class NameTaken(Exception):
    """The error that the mapping of the insert names."""


@frozen
class Walk:
    """The files of the functions that were called, in the order of the calls."""

    files: tuple[str, ...]

    @property
    def stays(self) -> list[tuple[str, int]]:
        """Return each stay's file and number of calls."""
        return [(file, len(list(calls))) for file, calls in groupby(self.files)]

    def __str__(self) -> str:
        """Format the figures as a row of the table."""
        stays, files = len(self.stays), len(set(self.files))
        return f"{len(self.files):7}{stays:7}{files:7}{stays - files:9}"


def traced(work: Callable[[], object]) -> Walk:
    """Return the walk of a piece of work; an error that the package raises ends it."""
    files: list[str] = []
    root = f"{PACKAGE}/"

    def profile(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(root):
            files.append(name[len(root) :])

    sys.setprofile(profile)
    try:
        work()
    except UnmappedViolation:
        pass
    finally:
        sys.setprofile(None)
    return Walk(tuple(files))


def main() -> None:
    """Trace and print."""
    with server() as postgres, psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
        conn.execute(TABLES)
        conn.execute(TREE.jobs.ddl().encode())
        walks = _insert(conn) | _bulk(conn)
    print(f"{'':44}{'calls':>7}{'stays':>7}{'files':>7}{'returns':>9}")
    for name, walk in walks.items():
        print(f"{name:44}{walk}")
        for file, calls in walk.stays if "-v" in sys.argv else ():
            print(f"    {file} ({calls})")


def _insert(conn: psycopg.Connection[Any]) -> dict[str, Walk]:
    """Walk an insert with a model and a mapping: built, run, and failing at another constraint."""
    for number in range(WARM_UP):
        run(conn, _batch(number))
    warm = [_batch(WARM_UP + number) for number in range(_TIMES)]
    taken = _batch(0, name="another name")  # fails at the primary key, which is not mapped
    return {
        "build, warm": traced(lambda: _batch(WARM_UP)),
        "run, warm": _fewest([partial(run, conn, batch) for batch in warm]),
        "run, an unmapped failure": _fewest([partial(run, conn, taken)] * _TIMES),
    }


def _fewest(works: Iterable[Callable[[], object]]) -> Walk:
    """Return the walk with the fewest calls: a wait for a busy server takes some more."""
    return min(map(traced, works), key=lambda walk: len(walk.files))


def _batch(number: int, name: str | None = None) -> Batch[Vpc]:
    row = {"id": UUID(int=number), "name": name or f"vpc-{number}"}
    return insert("vpc", row).one(Vpc).on(unique("vpc_name_key"), NameTaken)


def _bulk(conn: psycopg.Connection[Any]) -> dict[str, Walk]:
    """Walk the start of a delete of 2,000 rows, which leaves a job."""
    key = UUID(int=1)
    conn.execute(FILL, [key])
    missing = LookupError("no such vpc")

    def build() -> object:
        return TREE.delete_now(key, missing=missing), TREE.fence(key, missing=missing)

    walks = {
        "bulk: start's two batches, cold": traced(build),
        "bulk: start's two batches, warm": traced(build),
        "bulk: start, with its two runs": traced(lambda: start(conn, TREE, key, missing=missing)),
    }
    own = {
        f"{name}, bulk/ only": Walk(tuple(file for file in walk.files if file.startswith("bulk/")))
        for name, walk in walks.items()
    }
    return walks | own


if __name__ == "__main__":
    main()
