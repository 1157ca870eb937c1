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
from attrs import evolve, frozen

import batchq
from batchq import Batch, UnmappedViolation, insert, run, unique
from batchq.bulk import ChildDelete, start
from batchq.testing import server
from benchmarks.interleave import WARM_UP
from benchmarks.sandbox import sandbox
from benchmarks.workloads.rules import deletes
from examples.datastore.errors import AlreadyExists
from examples.datastore.models import Router
from examples.datastore.parents import RULES
from examples.datastore.vpc_delete import TREE

PACKAGE = Path(batchq.__file__).parent
_TIMES, _FIRST = 9, 1_000  # other ids than those of the VPCs
_RULES = evolve(TREE, children=[ChildDelete(relation=RULES, order="id")], guards=[], hard=True)


@frozen
class Walk:
    """The files of the functions that were called, in the order of the calls."""

    files: tuple[str, ...]

    @property
    def stays(self) -> list[tuple[str, int]]:
        """Return each stay's file and number of calls."""
        return [(file, len(list(calls))) for file, calls in groupby(self.files)]

    @property
    def returns(self) -> int:
        """How many stays are in a file that was left before."""
        return len(self.stays) - len(set(self.files))

    def __str__(self) -> str:
        """Format the figures as a row of the table."""
        stays, files = len(self.stays), len(set(self.files))
        return f"{len(self.files):7}{stays:7}{files:7}{self.returns:9}"


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
    with (
        server() as postgres,
        sandbox(postgres.conninfo()) as place,
        place.connect() as conn,
    ):
        (vpc,) = deletes("random", rows=2_000).inputs(place, 1)
        walks = insert_walks(conn) | _bulk(conn, vpc)
    print(f"{'':44}{'calls':>7}{'stays':>7}{'files':>7}{'returns':>9}")
    for name, walk in walks.items():
        print(f"{name:44}{walk}")
        for file, calls in walk.stays if "-v" in sys.argv else ():
            print(f"    {file} ({calls})")


def insert_walks(conn: psycopg.Connection[Any]) -> dict[str, Walk]:
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


def _batch(number: int, name: str | None = None) -> Batch[Router]:
    ids = {"id": UUID(int=_FIRST + number), "vpc_id": UUID(int=0)}
    row = {**ids, "kind": "custom", "name": name or f"router-{number}"}
    taken = AlreadyExists("router", row["name"])
    return insert("vpc_router", row).one(Router).on(unique("lookup_router_by_vpc"), taken)


def _bulk(conn: psycopg.Connection[Any], key: UUID) -> dict[str, Walk]:
    """Walk the start of a delete of 2,000 rows, which leaves a job."""
    walk = traced(partial(start, conn, _RULES, key, missing=LookupError("no such vpc")))
    own = Walk(tuple(file for file in walk.files if file.startswith("bulk/")))
    return {"bulk: start": walk, "bulk: start, bulk/ only": own}


if __name__ == "__main__":
    main()
