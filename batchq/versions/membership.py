# SPDX-License-Identifier: MIT
"""Let processes join and leave a fleet, and read which have.

To join writes the row of the window, and to retire a version locks it. So one of the two waits for
the other: at READ COMMITTED the second then sees what the first has committed, and above it the
second fails as a serialization conflict. If joining only locked the row, a transaction at
REPEATABLE READ would wait for that lock and continue in its old snapshot, without the new member.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from batchq.engine.client_encoding import own
from batchq.engine.compile.quoting import quoted
from batchq.language.batch import Batch
from batchq.language.builders import insert, raw_sql, sql
from batchq.language.changes import delete, update
from batchq.language.compose import gather
from batchq.language.local_settings import ALL_ROWS, with_settings
from batchq.language.sql_template import sql_template
from batchq.versions.errors import NoFleet
from batchq.versions.tables import FleetTables, Member, Status, Window
from batchq.versions.window import in_tables, may_run, window_first

_SAME = raw_sql("newest")

_MEMBERS = """\
SELECT member, version, until, until > statement_timestamp() AS is_running
FROM {members} WHERE fleet = %(fleet)s ORDER BY member"""

# One statement, so that the window and the members are those of one snapshot.
_STATUS = """\
SELECT oldest, newest, settled_at, member, version, until,
    until > statement_timestamp() AS is_running, statement_timestamp() AS read_at
FROM {window} LEFT JOIN {members} USING (fleet) WHERE fleet = %(fleet)s ORDER BY member"""


@own
class _StatusRow(NamedTuple):
    oldest: int
    newest: int
    settled_at: datetime | None
    member: str | None
    version: int
    until: datetime
    is_running: bool
    read_at: datetime


def join(tables: FleetTables, version: int, member: str, lease: timedelta) -> Batch[Window]:
    """Return the batch of :meth:`Fleet.join`."""
    window = update(tables.window, {"newest": _SAME}, where={"fleet": tables.fleet})
    window = window.expect(1, missing=NoFleet(tables.fleet))
    window = in_tables(window, tables.fleet, tables.window)
    # The lease begins when the statement does, which is after the wait for the window. now() would
    # be the start of the transaction, before it.
    row = {
        "fleet": tables.fleet,
        "member": member,
        "version": version,
        "until": sql("statement_timestamp() + %(lease)s", lease=lease),
    }
    upsert = insert(tables.member, row).on_conflict_do_update(
        "fleet", "member", set=["version", "until"]
    )
    upsert = in_tables(upsert, tables.fleet, tables.member)
    joined = may_run(window, version).one(Window).label("window")
    return gather(joined, upsert.label("member")).map(window_first)


# These fail under a row-level security policy. It could hide a member, which would then be left out
# without a word, or would not leave.


def leave(tables: FleetTables, member: str) -> Batch[None]:
    """Return the batch of :meth:`Fleet.leave`."""
    leaves = delete(tables.member, where={"fleet": tables.fleet, "member": member})
    return with_settings(ALL_ROWS, in_tables(leaves, tables.fleet, tables.member).label("leave"))


def members(tables: FleetTables) -> Batch[list[Member]]:
    """Return the batch of :meth:`Fleet.members`."""
    found = sql_template(_MEMBERS, members=quoted(tables.member)).fill(fleet=tables.fleet)
    rows = in_tables(found.all(Member), tables.fleet, tables.member)
    return with_settings(ALL_ROWS, rows.label("members"))


def status(tables: FleetTables) -> Batch[Status]:
    """Return the batch of :meth:`Fleet.status`."""
    found = sql_template(_STATUS, window=quoted(tables.window), members=quoted(tables.member))
    rows = found.fill(fleet=tables.fleet).all(_StatusRow)
    rows = rows.expect(at_least=1, missing=NoFleet(tables.fleet))
    rows = in_tables(rows, tables.fleet, tables.window, tables.member)
    return with_settings(ALL_ROWS, rows.label("status")).map(_status)


def _status(rows: Iterable[_StatusRow]) -> Status:
    first, *_ = rows = list(rows)
    return Status(
        Window(first.oldest, first.newest, first.settled_at),
        [
            Member(row.member, row.version, row.until, row.is_running)
            for row in rows
            if row.member is not None
        ],
        first.read_at,
    )
