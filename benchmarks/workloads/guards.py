# SPDX-License-Identifier: MIT
"""Updates of single rows, each guarded in one way, beside plain ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from batchq import Batch, Statement, gather, sql, update
from benchmarks.sandbox import Sandbox
from benchmarks.workloads import Workload

_ROWS = 10_000
_MISSING, _STALE = LookupError("missing"), ValueError("stale")

PLAIN = "plain"
_GUARDS: dict[str, Callable[[Statement[None]], Batch[Any]]] = {
    PLAIN: lambda plain: plain,
    "expect(1)": lambda plain: plain.expect(1, missing=_MISSING),
    "expect(1), require": lambda plain: plain.expect(1, missing=_MISSING).require(
        {"rcgen": 1}, raises=_STALE
    ),
    "expect(1), require, require": lambda plain: (
        plain.expect(1, missing=_MISSING)
        .require({"time_deleted": None}, raises=_MISSING)
        .require({"rcgen": 1}, raises=_STALE)
    ),
    "expect(1), ensure": lambda plain: plain.expect(1, missing=_MISSING).ensure(
        {"kind": "custom"}, raises=_STALE
    ),
}


def guards(statements: int) -> Workload:
    """Return batches of so many updates, guarded in each form."""

    def inputs(place: Sandbox, calls: int) -> list[list[UUID]]:
        with place.connect() as conn:
            # With room in each page, so that an update does not have to move a row to another.
            conn.execute("ALTER TABLE vpc_router SET (fillfactor = 50)")
            conn.execute(
                "INSERT INTO vpc_router (id, vpc_id, kind, name) SELECT "
                "lpad(to_hex(n), 32, '0')::uuid, gen_random_uuid(), 'custom', 'router-' || n "
                "FROM generate_series(1, %s) AS n",
                (_ROWS,),
            )
            conn.execute("VACUUM ANALYZE vpc_router")
        numbers = range(calls * statements)
        ids = [UUID(int=number % _ROWS + 1) for number in numbers]
        return [ids[start : start + statements] for start in numbers[::statements]]

    return Workload("guards", inputs, {form: partial(_updates, form) for form in _GUARDS})


def _updates(form: str, ids: list[UUID]) -> Batch[Any]:
    unchanged = {"name": sql("name")}
    return gather(*(_GUARDS[form](update("vpc_router", unchanged, where={"id": i})) for i in ids))
