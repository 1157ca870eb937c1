# SPDX-License-Identifier: MIT
"""The dry run: what it finds out and how it is shown, and that it leaves no trace."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from batchq import sql
from batchq.bulk import Backfill, ChildDelete, DeleteTree, Jobs
from batchq.bulk.preflight.findings import FindingCode
from batchq.bulk.preflight.preflight import apreflight, preflight
from batchq.bulk.preflight.result import PreflightFailed
from batchq.hierarchy import Parent
from batchq.testing import server
from tests.support.bulk_fixtures import REWRITE, ROWS, RULES, TABLES, TREE, VPC

PAGES = [
    ("router", "routers_by_vpc"),
    ("route", "routes_by_router"),
    ("rule", "rules_by_vpc"),
    ("tag", "tags_by_vpc"),
]


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES + ROWS, prepare=False)
    conn.execute(Jobs().ddl(), prepare=False)


@pytest.mark.parametrize("when", ["first chunk", "later chunks"])
@pytest.mark.parametrize(("table", "index"), PAGES)
def test_it_shows_that_a_page_is_found_by_its_index(conn, table, index, when):
    conn.execute("SET enable_sort = off")  # of 50 routers, reading all of them is as good
    shown = [
        one for one in preflight(conn, TREE, 1).statements if one.title.endswith(f"{table}: {when}")
    ]
    assert shown
    for one in shown:
        assert any(f"using {index} on {table}" in line for line in one.explain)


def test_it_counts_the_living_and_their_children_and_stops_counting_in_time(conn):
    counts = preflight(conn, TREE, 1, count_limit=4500).row_counts
    assert [(one.table, one.rows, one.more) for one in counts] == [
        ("route", 4500, True),
        ("router", 50, False),
        ("rule", 4500, True),
        ("tag", 4000, False),
    ]
    exact = [count.rows for count in preflight(conn, TREE, 1, count_limit=5000).row_counts]
    assert exact == [5000, 50, 5000, 4000]
    estimates = [one.estimate for one in counts]
    assert all(0.5 < guess / rows < 2 for guess, rows in zip(estimates, exact, strict=True))
    assert "more than 4,500 (the planner expects" in str(counts[0])


@pytest.mark.parametrize(("children", "inline"), [(10, True), (11, False)])
def test_a_tree_is_small_up_to_its_own_bound(conn, children, inline):
    conn.execute(
        "INSERT INTO rule SELECT 100000 + n, 5, 'k' FROM generate_series(1, %s) AS n", [children]
    )
    tree = DeleteTree(name="vpc", parent=VPC, children=[RULES], inline_limit=10)
    seen = preflight(conn, tree, 5, count_limit=1)
    assert seen.inline is inline
    assert seen.statements[0].title == ("delete now: lock vpc" if inline else "fence: lock vpc")


def test_what_the_server_does_not_plan_is_refused_in_its_own_words(conn):
    wrong = Backfill(name="v2", table="rule", set={"row_version": sql("'two'")}, where={"id": 1})
    refusals = preflight(conn, wrong).errors
    assert {one.code for one in refusals} == {FindingCode.REJECTED}
    assert [one.table for one in refusals] == [
        "stage 1 of 1, rule: first chunk",
        "stage 1 of 1, rule: later chunks",
    ]
    assert "invalid input syntax" in refusals[0].detail


def test_a_key_of_another_type_is_refused_where_it_is_first_compared(conn):
    refusals = preflight(conn, TREE, "one").errors
    assert len(refusals) == 1
    assert (refusals[0].code, refusals[0].table) == (FindingCode.REJECTED, "vpc")
    assert "invalid input syntax" in refusals[0].detail


def test_who_may_only_read_sees_everything_but_how_it_is_written(conn, connect):
    schema = conn.execute("SELECT current_schema").fetchone()[0]
    conn.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader", prepare=False)
    try:
        conn.execute(
            f"GRANT USAGE ON SCHEMA {schema} TO reader; "
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader"
        )
        reader = connect()
        reader.execute("SET ROLE reader")
        seen = preflight(reader, TREE, 1)
        assert (seen.ok, [count.table for count in seen.row_counts]) == (
            True,
            ["route", "router", "rule", "tag"],
        )
        assert "permission denied" in seen.statements[0].unexplained
        assert next(one for one in seen.statements if one.title == "end: tag").explain
    finally:
        conn.execute("DROP OWNED BY reader; DROP ROLE reader", prepare=False)


def test_it_needs_no_more_than_a_session_that_cannot_write(connect):
    reader = connect(options="-c default_transaction_read_only=on", autocommit=False)
    search_path = connect().execute("SHOW search_path").fetchone()[0]
    reader.execute(f"SET search_path = {search_path}")
    reader.commit()
    seen = preflight(reader, TREE, 1)
    assert seen.ok
    assert reader.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.execute("DELETE FROM rule")


def test_it_leaves_the_database_byte_identical(postgres):
    with (
        server(postgres.installation, settings={"autovacuum": "off"}) as own,
        psycopg.connect(own.conninfo(), autocommit=True) as conn,
    ):
        conn.execute(TABLES + ROWS, prepare=False)
        conn.execute(TREE.jobs.ddl(), prepare=False)
        # What any reader would write, hint bits and pruned pages, is written by then: the second
        # time for what the first has changed in the catalog.
        conn.execute("VACUUM (FREEZE, ANALYZE)")
        conn.execute("VACUUM (FREEZE)")
        before = snapshot(conn, own.directory)
        assert preflight(conn, TREE, 1).ok
        assert preflight(conn, REWRITE).ok
        assert not preflight(
            conn,
            DeleteTree(
                name="no",
                parent=Parent(table="no", key="id", deleted_at="time_deleted", generation="rcgen"),
                children=[],
            ),
            1,
        ).ok
        assert snapshot(conn, own.directory) == before
        conn.execute("UPDATE rule SET kind = kind WHERE id = 1")
        assert snapshot(conn, own.directory) != before


def snapshot(conn, directory: Path):
    """The next transaction's number, and the digest of each file of the database."""
    (number,) = conn.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())").fetchone()
    (oid,) = conn.execute(
        "SELECT oid FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    conn.execute("CHECKPOINT")
    files = sorted((directory / "data" / "base" / str(oid)).iterdir())
    # A cache of the catalog's, written by whoever connects first.
    kept = [file for file in files if file.name != "pg_internal.init"]
    return number, {file.name: sha256(file.read_bytes()).hexdigest() for file in kept}


async def test_async_connections_and_pools_see_the_same(conn, database):
    seen = preflight(conn, TREE, 1)
    with ConnectionPool(database, min_size=1, open=True) as pool:
        assert preflight(pool, TREE, 1) == seen
    async with AsyncConnectionPool(database, min_size=1, open=False) as pool:
        assert await apreflight(pool, TREE, 1) == seen
    async with await psycopg.AsyncConnection.connect(database) as connection:
        assert await apreflight(connection, TREE, 1) == seen
        assert [one.table for one in (await apreflight(connection, TREE, "one")).errors] == ["vpc"]


def test_a_connection_that_is_in_a_transaction_is_left_alone(conn):
    with conn.transaction(), pytest.raises(Exception, match="not IDLE"):
        preflight(conn, TREE, 1)


@pytest.mark.parametrize(("work", "key"), [(TREE, None), (REWRITE, 1)])
def test_a_tree_has_a_key_and_a_rewrite_has_none(conn, work, key):
    with pytest.raises(ValueError, match=f"preflight\\('{work.name}', key={key}\\)"):
        preflight(conn, work, key)


def test_a_plan_is_read_by_people_and_checked_by_machines(conn):
    seen = preflight(conn, TREE, 1)
    seen.raise_for_errors()
    lines = str(seen).splitlines()
    assert lines == list(seen.lines())
    assert lines[0] == "vpc of 1: in chunks"
    assert "3. fence: insert bulk_job" in lines
    conn.execute("DROP TABLE bulk_job; DROP INDEX rules_by_vpc", prepare=False)
    refused = preflight(conn, TREE, 1)
    with pytest.raises(PreflightFailed) as caught:
        refused.raise_for_errors()
    assert caught.value.preflight is refused
    text = str(caught.value)
    assert text.startswith(
        "'vpc' should not be started, the preflight has found 2 errors:\nNO_JOB_TABLE "
    )
    assert 'CREATE INDEX CONCURRENTLY ON "rule" ("vpc_id", "kind", "id");' in text
    assert f"Error: {text.splitlines()[1]}" in str(refused)


def test_names_are_found_whatever_they_are(conn):
    schema, odd = "we ird%", 'T"x%s'
    conn.execute(
        f"""
        CREATE SCHEMA "{schema}";
        CREATE TABLE "{schema}"."p'$1" (
            "k %" int PRIMARY KEY, "g""en" bigint NOT NULL, "gone?" timestamptz);
        CREATE TABLE "{schema}"."T""x%s" (
            "i %d" int NOT NULL, "by $2" int NOT NULL, "Dead" timestamptz);
        CREATE UNIQUE INDEX "odd $" ON "{schema}"."T""x%s" ("by $2", "i %d") WHERE "Dead" IS NULL;
        INSERT INTO "{schema}"."p'$1" VALUES (1, 1);
        INSERT INTO "{schema}"."T""x%s" SELECT n, 1 FROM generate_series(1, 5000) AS n;
        """,
        prepare=False,
    )
    try:
        parent = Parent(table=f"{schema}.p'$1", key="k %", generation='g"en', deleted_at="gone?")
        children = parent.children(f"{schema}.{odd}", by="by $2", deleted_at="Dead")
        tree = DeleteTree(
            name="odd", parent=parent, children=[ChildDelete(relation=children, order="i %d")]
        )
        conn.execute(tree.jobs.ddl())
        seen = preflight(conn, tree, 1)
        assert seen.errors == ()
        assert [one.rows for one in seen.row_counts] == [5000]
        assert not [one for one in seen.statements if one.unexplained.startswith("the server")]
        conn.execute(f'DROP INDEX "{schema}"."odd $"')
        lacking = preflight(conn, tree, 1)
        assert [one.code for one in lacking.errors] == [
            FindingCode.NO_INDEX,
            FindingCode.NOT_UNIQUE,
        ]
        conn.execute(lacking.errors[0].remedy)
        assert preflight(conn, tree, 1).ok
    finally:
        conn.execute(f'DROP SCHEMA "{schema}" CASCADE')
