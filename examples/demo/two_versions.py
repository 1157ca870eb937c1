# SPDX-License-Identifier: MIT
"""Act 7: two versions of the data store at once. It is the last act, since it retires version 6,
which the others run."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from rich.markup import escape

from batchq import run
from batchq.bulk import Budget, ChunkSize, Report, resume
from batchq.versions import NotYet, StillRunning, Unproven
from examples.datastore.datastore import DataStore
from examples.datastore.fleet import FLEET
from examples.datastore.models import NewProject, NewRouter, NewSilo
from examples.demo.console import check, console, headline
from examples.demo.next_release import DROP, EXPAND, FILL, NEXT, PROOF
from examples.demo.version_process import (
    Command,
    VersionProcess,
    member,
    refusal,
    version_process,
)

_ROUTES = 1_000
"""Those that version 6 has written before the act."""
_CHUNK = 100
_SIX, _SEVEN = "version 6", "version 7"
_MIGRATION, _PIPELINE, _FILLING, _SCRIPT = "migration", "pipeline", "backfill", "a script"
_STORED = """\
INSERT INTO router_route (id, router_id, name, destination, target, description, row_version)
SELECT gen_random_uuid(), %s, 'route-' || n, '10.0.0.0/8', 'drop', 'core old', 6
FROM generate_series(1, %s) AS n"""
_OLD_SCRIPT = """\
INSERT INTO router_route (id, router_id, name, destination, target)
VALUES (gen_random_uuid(), %s, 'script', '10.0.0.0/8', 'drop')"""
_FILLED_TWICE_OR_NOT = """\
SELECT rows_done - (SELECT count(*) FROM router_route WHERE description <> '')
FROM bulk_job WHERE task = 'route-labels'"""
_WRONG = """\
SELECT count(*) FROM router_route WHERE row_version < 7 OR labels IS NULL
OR description <> '' AND labels <> string_to_array(description, ' ')"""


def two_versions(conninfo: str, silo: NewSilo) -> None:
    """Expand for version 7, retire 6, fill the new column, and drop the old one."""
    headline(7, "Two versions at once: a column is replaced while both read and write")
    console.print(
        "Version 7 has labels in the place of a route's description, and a new target: nat. A "
        "process of each version\nwrites a route and reads the list, again and again.\n"
    )
    with psycopg.connect(conninfo, autocommit=True) as conn:
        router_id = _router_with_routes(conn, silo)
        with version_process(conninfo, NEXT.version, router_id) as seven:
            with version_process(conninfo, FLEET.version, router_id) as six:
                _expand(conn, six, seven)
                _while_both_run(conn, six, seven)
                _retire(conn, six)
            _contract(conn, router_id, seven)
            _answer(_SEVEN, seven.ask(Command.REPORT), "routes:")
            _answer(_SEVEN, seven.ask(Command.LEAVE), "leaves")


def _expand(conn: psycopg.Connection[Any], six: VersionProcess, seven: VersionProcess) -> None:
    _answer(_SIX, six.answer(), "joins")
    _answer(_SIX, six.ask(Command.REPORT), "routes:")
    _show(_SEVEN, "starts too early")
    _refusal(seven.answer(), "TooNew")
    with conn.transaction():
        conn.execute(EXPAND)
        run(conn, NEXT.expand(NEXT.version), nested=True)
    _show(_MIGRATION, "adds the column labels, and expands the schema for version 7")
    _answer(_SEVEN, seven.ask(Command.CONTINUE), "joins")


def _while_both_run(
    conn: psycopg.Connection[Any], six: VersionProcess, seven: VersionProcess
) -> None:
    _show(_SEVEN, "creates a route to nat")
    _refusal(seven.ask(Command.CREATE_NAT), "NotYet")
    _show(_MIGRATION, "drops the description")
    _refused(NotYet, lambda: _drop(conn))
    run(conn, FILL.start())
    filled = _fill(conn, "first", Budget(chunks=2, seconds=math.inf))
    _show(_FILLING, f"fills {filled.rows:,} rows, and is stopped: {filled.stop_reason.value}")
    _answer(_SIX, six.ask(Command.REPORT), "routes:")
    _answer(_SEVEN, seven.ask(Command.REPORT), "routes:")


def _retire(conn: psycopg.Connection[Any], six: VersionProcess) -> None:
    _show(_PIPELINE, "retires version 6")
    _refused(StillRunning, lambda: run(conn, NEXT.retire(below=NEXT.version)))
    _answer(_SIX, six.ask(Command.PAUSE), "pauses")
    conn.execute(
        "UPDATE version_member SET until = now() WHERE member = %s", [member(FLEET.version)]
    )
    window = run(conn, NEXT.retire(below=NEXT.version))
    check("the window", (window.oldest, window.newest), (7, 7))
    _show(_PIPELINE, "retires version 6, after the lease of its process has ended")
    _show(_SIX, "continues: its next batch is refused, and it ends")
    _refusal(six.ask(Command.CONTINUE), "TooOld")


def _contract(conn: psycopg.Connection[Any], router_id: UUID, seven: VersionProcess) -> None:
    _answer(_SEVEN, seven.ask(Command.CREATE_NAT), "creates")
    add, validate = PROOF.ddl()
    conn.execute(add.encode())
    _show(_MIGRATION, f"adds CHECK ({PROOF.condition}) NOT VALID")
    _show(_SCRIPT, "inserts a route as version 6 did, without a gate")
    _refused(psycopg.errors.CheckViolation, lambda: conn.execute(_OLD_SCRIPT, [router_id]))
    _show(_MIGRATION, "drops the description")
    _refused(Unproven, lambda: _drop(conn))
    filled = _fill(conn, "second", Budget(seconds=math.inf))
    check("backfills done", filled.jobs_done, 1)
    check("rows filled twice, or not", _count(conn, _FILLED_TWICE_OR_NOT), 0)
    check("rows with other labels than their description", _count(conn, _WRONG), 0)
    _show(_FILLING, f"fills the other {filled.rows:,} rows: those of version 6 since then, too")
    conn.execute(validate.encode())
    _show(_MIGRATION, "validates the CHECK, and drops the description")
    _refused(NotYet, lambda: _drop(conn, after=timedelta(hours=1)))
    _drop(conn)
    _show(_MIGRATION, "drops it with after=0, because the one process of version 6 has ended")


def _drop(conn: psycopg.Connection[Any], *, after: timedelta = timedelta(0)) -> None:
    with conn.transaction():
        proven = NEXT.contract(unused_since=NEXT.version, proofs=[PROOF], after=after)
        run(conn, proven, nested=True)
        conn.execute(DROP)


def _fill(conn: psycopg.Connection[Any], owner: str, budget: Budget) -> Report:
    size = ChunkSize(minimum=1, initial=_CHUNK, maximum=_CHUNK)
    return resume(conn, [FILL], owner=owner, budget=budget, chunk_size=size)


def _router_with_routes(conn: psycopg.Connection[Any], silo: NewSilo) -> UUID:
    """Have version 6 as the only one, with its rows; return a router for the two processes."""
    run(conn, FLEET.retire(below=FLEET.version))
    store = DataStore(conn)
    made = store.project_create(NewProject(silo_id=silo.id, name="routes")).default_vpc
    conn.execute(_STORED, [made.router.id, _ROUTES])
    return store.router_create(NewRouter(vpc_id=made.vpc.id, kind="custom", name="shared")).id


def _refused(expected: type[Exception], call: Callable[[], object]) -> None:
    """Check that a call is refused, and print by what."""
    try:
        call()
    except psycopg.Error as error:
        line = f"{type(error).__name__}: {error.sqlstate} by {error.diag.constraint_name}"
    except expected as error:
        line = refusal(error)
    else:
        line = "not refused"
    _refusal(line, expected.__name__)


def _refusal(line: str, begins: str) -> None:
    _check_line(line, begins)
    console.print(f"{'':<11}[yellow]{escape(line)}[/]")


def _answer(who: str, line: str, begins: str) -> None:
    _check_line(line, begins)
    _show(who, line)


def _check_line(line: str, begins: str) -> None:
    check(f"the beginning of {line!r}", line[: len(begins)], begins)


def _show(who: str, line: str) -> None:
    console.print(f"[bold]{who:<11}[/]{escape(line)}")


def _count(conn: psycopg.Connection[Any], query: str) -> int:
    row = conn.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
