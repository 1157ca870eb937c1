# SPDX-License-Identifier: MIT
"""What batchq reads for itself is text, whatever the encodings of database and client are.

psycopg gives bytes for text where the client's encoding is SQL_ASCII.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from batchq import format_error, insert, run, select, sql, unique, update
from batchq.bulk import (
    Backfill,
    Budget,
    ChildDelete,
    ChunkSize,
    DeleteTree,
    Jobs,
    Progress,
    StopReason,
    preflight,
    resume,
    start,
)
from batchq.bulk.throttles import query_throttle
from batchq.hierarchy import Parent
from batchq.limits import Limits
from batchq.result import attempt
from batchq.testing.databases import Database
from tests.support.encodings import ENCODINGS, database_in

CASES = [(None, "rule"), ("UTF8", "größe"), ("LATIN1", "größe"), ("SQL_ASCII", "größe")]
"""Of the client, None is as it comes; a name of tables, columns, trees, owners and constraints, and
of values."""
SMALL = ChunkSize(minimum=4, initial=4, maximum=4)
ROWS = 10
MISSING = LookupError("no such vpc")


@pytest.fixture(scope="module", params=ENCODINGS)
def encoded(request: Any, postgres: Database) -> Iterator[tuple[str, str]]:
    with database_in(postgres, request.param) as conninfo:
        yield request.param, conninfo


def open_as(conninfo: str, client: str | None) -> psycopg.Connection[Any]:
    options = {} if client is None else {"client_encoding": client}
    return psycopg.connect(conninfo, autocommit=True, **options)  # type: ignore[arg-type]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0] or 'as it comes'}-{case[1]}")
def case(request: Any) -> tuple[str | None, str]:
    return request.param


@pytest.fixture
def name(case: tuple[str | None, str]) -> str:
    return case[1]


@pytest.fixture
def conn(
    case: tuple[str | None, str], encoded: tuple[str, str]
) -> Iterator[psycopg.Connection[Any]]:
    """Connect to an empty schema, in a database and with a client of each encoding."""
    # What the test before left may have names that only its own client's encoding can show.
    with open_as(encoded[1], "SQL_ASCII") as cleaner:
        cleaner.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with open_as(encoded[1], case[0]) as connection:
        yield connection


def sent(conn: Any, text: str, *values: str) -> Any:
    """Run a text of any characters: psycopg takes a str as ASCII here."""
    info = conn.info.encoding
    return conn.execute(text.encode("utf-8" if info == "ascii" else info), values or None)


def as_str(value: Any) -> Any:
    if isinstance(value, list):
        return [as_str(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def planted(conn: Any, name: str, value: str | None = None) -> DeleteTree:
    """Rows whose order key is the name, or a value, and a number."""
    value = value or name
    parent = Parent(table=f"{name}_vpc", key="id", deleted_at="time_deleted", generation="rcgen")
    rules = parent.children(name, by="vpc_id", deleted_at=None)
    tree = DeleteTree(
        name=name,
        parent=parent,
        children=[ChildDelete(relation=rules, order=(name, "id"))],
        jobs=Jobs(table=f"{name}_job"),
    )
    sent(
        conn,
        f"""CREATE TABLE "{name}_vpc" (
            id text PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
        CREATE TABLE "{name}" (
            id int PRIMARY KEY, vpc_id text NOT NULL, "{name}" text NOT NULL, v int,
            UNIQUE (vpc_id, "{name}", id));
        INSERT INTO "{name}_vpc" VALUES ('{value}'), ('other');
        INSERT INTO "{name}" SELECT n, '{value}', '{value}' || n % 3, 1
            FROM generate_series(1, {ROWS}) n;
        INSERT INTO "{name}" VALUES (99, 'other', '{value}', 1)""",
    )
    sent(conn, tree.jobs.ddl())
    return tree


def test_tree_is_deleted_and_its_job_read_as_text_in_any_encoding(conn: Any, name: str) -> None:
    tree = planted(conn, name)
    job = run(conn, tree.fence(name, missing=MISSING))
    received: list[Any] = []
    options: Any = {"owner": name, "chunk_size": SMALL, "observers": [received.append]}
    report = resume(conn, [tree], budget=Budget(chunks=1), **options)
    assert (report.stop_reason, report.rows) == (StopReason.CHUNKS, 4)
    seen = run(conn, tree.jobs.get(job))
    assert seen is not None
    assert (seen.task, seen.root, seen.phase) == (name, name, "active")
    assert seen.cursor is not None
    assert [type(text) for text in seen.cursor] == [str, str]
    report = resume(conn, [tree], **options)
    assert (report.stop_reason, report.detail, report.jobs_done) == (StopReason.EXHAUSTED, "", 1)
    assert report.rows_by_table == {name: ROWS - 4}
    assert {one.task for one in received if isinstance(one, Progress)} == {name}
    assert sent(conn, f'SELECT id FROM "{name}"').fetchall() == [(99,)]
    assert sent(conn, f'SELECT count(*) FROM "{name}_vpc"').fetchone() == (1,)


def test_backfill_ends_and_preflight_is_ok_in_any_encoding(conn: Any, name: str) -> None:
    tree = planted(conn, name)
    sent(conn, f'CREATE UNIQUE INDEX ON "{name}" ("{name}", id)')
    backfill = Backfill(
        name=name,
        table=name,
        set={"v": 2},
        where=sql("v < 2"),
        order=(name, "id"),
        jobs=tree.jobs,
    )
    for work, key in ((backfill, None), (tree, name)):
        seen = preflight(conn, work, key)
        assert (seen.errors, seen.row_counts[0].rows) == ((), ROWS + (key is None))
        assert all(isinstance(line, str) for one in seen.statements for line in one.explain)
        assert all(one.explain or "output" in one.unexplained for one in seen.statements), seen
    run(conn, backfill.start())
    report = resume(conn, [backfill], owner=name, chunk_size=SMALL)
    assert (report.rows, report.jobs_done, report.detail) == (ROWS + 1, 1, "")
    sent(conn, f'ALTER TABLE "{name}" ALTER "{name}" DROP NOT NULL')
    found = preflight(conn, backfill).errors
    assert [(one.table, one.name) for one in found] == [(name, name)]


def test_small_tree_is_deleted_now_in_any_encoding(conn: Any, name: str) -> None:
    tree = planted(conn, name)
    assert start(conn, tree, name, missing=MISSING).rows == ROWS  # type: ignore[union-attr]


def test_failure_is_text_in_any_encoding(conn: Any, name: str) -> None:
    """The constraint that it is mapped by, what a guard found, what a limit says."""
    planted(conn, name)
    sent(conn, f'CREATE UNIQUE INDEX "{name}_once" ON "{name}" ("{name}") WHERE id > 50')
    row = {"id": 100, "vpc_id": "other", name: name, "v": 1}
    taken = attempt(conn, insert(name, row).on(unique(f"{name}_once"), ValueError))
    assert isinstance(taken.error, ValueError)
    (violation,) = taken.error.args
    assert (violation.table, violation.constraint) == (name, f"{name}_once")
    assert name in violation.detail
    first = select(name, ["vpc_id", name], where={"id": 99})
    seen = attempt(conn, first.expect(0, unexpected=lambda v: KeyError(dict(v.row))))
    assert isinstance(seen.error, KeyError)
    assert seen.error.args == ({"vpc_id": "other", name: name},)
    texts = attempt(conn, first.expect(0, unexpected=format_error(ValueError, "there is {vpc_id}")))
    assert str(texts.error) == "there is other"
    changed = update(name, {"v": 3}, where={"id": 99}).require({name: "x"}, raises=_found)
    assert attempt(conn, changed).error.args == (name,)


def _found(violation: Any) -> Exception:
    (value,) = violation.row.values()
    return ValueError(value)


def test_limits_name_resources_in_any_encoding(conn: Any, name: str) -> None:
    limits, scope = Limits(), uuid4()
    limits.create(conn)
    run(conn, limits.set_limit(name, 1, scope=scope))
    (short,) = run(conn, limits.shortfalls(limits.charge(name, scope=scope, id=uuid4(), amount=2)))
    assert short.resource == name
    sent(conn, "UPDATE resource_limit SET used = 1")
    (drift,) = run(conn, limits.reconcile(scope))
    assert (drift.resource, drift.was, drift.now) == (name, 1, 0)


def test_throttle_reason_is_text_in_any_encoding(conn: Any, name: str) -> None:
    throttle = query_throttle(conn, "SELECT %(reason)s::text", reason=name)
    assert throttle() == name


@pytest.fixture
def raw(postgres: Database) -> Iterator[str]:
    with database_in(postgres, "SQL_ASCII") as conninfo:
        yield conninfo


def test_key_unreadable_for_one_client_is_left_for_another(raw: str) -> None:
    """In SQL_ASCII a key is what its client has sent. Nothing is lost, and nothing is altered."""
    with open_as(raw, "LATIN1") as writer, open_as(raw, None) as other:
        tree = planted(writer, "rule", "größe")
        run(writer, tree.fence("größe", missing=MISSING))
        resume(writer, [tree], owner="writer", chunk_size=SMALL, budget=Budget(chunks=1))
        for session in (other, writer):
            report = resume(session, [tree], owner="any", chunk_size=SMALL)
            if session is other:
                assert (report.stop_reason, report.rows, report.jobs_done) == (
                    StopReason.FAILED,
                    0,
                    0,
                )
                assert "cannot be sent" in report.detail
        assert (report.jobs_done, report.rows) == (1, ROWS - 4)
        assert writer.execute("SELECT id FROM rule").fetchall() == [(99,)]


def test_value_in_a_guard_error_is_shown_even_if_not_utf8(raw: str) -> None:
    with open_as(raw, "LATIN1") as writer, open_as(raw, None) as other:
        writer.execute("CREATE TABLE rule (id int PRIMARY KEY, name text)")
        writer.execute("INSERT INTO rule VALUES (1, 'größe')")
        looking = select("rule", ["name"], where={"id": 1}).expect(0, unexpected=_found)
        assert attempt(writer, looking).error.args == ("größe",)
        (found,) = attempt(other, looking).error.args
        assert found.encode("utf-8", "surrogateescape") == "größe".encode("latin-1")
