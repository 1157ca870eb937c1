# SPDX-License-Identifier: MIT
"""Move a fleet's window: expand it, retire versions, and check that a contract may run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from batchq.conditions import gt, le, lt
from batchq.engine.compile.quoting import unqualified
from batchq.language.batch import Batch
from batchq.language.builders import insert, raw_sql, sql
from batchq.language.changes import update
from batchq.language.compose import gather
from batchq.language.local_settings import ALL_ROWS, with_settings
from batchq.language.quoted_names import quoted_name
from batchq.language.selects import select
from batchq.language.statement import Statement
from batchq.language.violation import Violation
from batchq.versions.errors import StillRunning
from batchq.versions.proof import Proof
from batchq.versions.tables import FleetTables, Window
from batchq.versions.window import (
    expanded,
    in_tables,
    not_yet,
    retired_below,
    window_first,
    window_of,
)

_NOW = raw_sql("statement_timestamp()")
"""The start of the statement: after the wait for a lock in the one before."""


def expand(tables: FleetTables, version: int) -> Statement[Window]:
    """Return the batch of :meth:`Fleet.expand`."""
    row = {"fleet": tables.fleet, "oldest": 0, "newest": version}
    there = quoted_name(unqualified(tables.window))
    greater = raw_sql(f"greatest({there}.newest, excluded.newest)")
    upsert = insert(tables.window, row).on_conflict_do_update("fleet", set={"newest": greater})
    return in_tables(upsert.one(Window), tables.fleet, tables.window)


def retire(tables: FleetTables, below: int) -> Batch[Window]:
    """Return the batch of :meth:`Fleet.retire`."""
    # Not for_update(), which rejects REPEATABLE READ: joining writes the row, so there it is a
    # conflict.
    window = expanded(window_of(tables)._locked("no key update", fresh=False), below)
    older = {"fleet": tables.fleet, "version": lt(below), "until": gt(_NOW)}
    running = select(tables.member, ["member", "version"], where=older)
    running = in_tables(running.expect(0, unexpected=_still_running), tables.fleet, tables.member)
    lower = {"fleet": tables.fleet, "oldest": lt(below)}
    raised = update(tables.window, {"oldest": below, "settled_at": _NOW}, where=lower)
    return gather(
        window.label("window"),
        # A policy that hid a member from this role would let its version be retired.
        with_settings(ALL_ROWS, running.label("members")),
        raised.label("retire"),
        window_of(tables).one(Window).label("result"),
    ).map(_last)


def contract(
    tables: FleetTables, unused_since: int, proofs: Iterable[Proof], after: timedelta
) -> Batch[Window]:
    """Return the batch of :meth:`Fleet.contract`."""
    window = retired_below(window_of(tables), unused_since).require(
        # The start of the transaction, so that the time before it counts alone.
        {"settled_at": le(sql("now() - %(after)s", after=after))},
        raises=partial(not_yet, unused_since),
        columns=["oldest"],
    )
    checks = [proof.check() for proof in proofs]
    return gather(window.one(Window).label("window"), *checks).map(window_first)


def _last(results: tuple[object, object, object, Window]) -> Window:
    return results[-1]


def _still_running(found: Violation) -> StillRunning:
    return StillRunning(found.row["member"], found.row["version"])
