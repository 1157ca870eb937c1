# SPDX-License-Identifier: MIT
"""The preflight: what it finds and how it is printed; it leaves no trace."""

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
def test_preflight_shows_that_an_index_finds_a_page(conn, table, index, when):
    conn.execute("SET enable_sort = off")  # of 50 routers, reading all of them is as good
    shown = [
        one for one in preflight(conn, TREE, 1).statements if one.title.endswith(f"{table}: {when}")
    ]
    assert shown
    for one in shown:
        assert any(f"using {index} on {table}" in line for line in one.explain)


def test_preflight_counts_live_rows_up_to_the_limit(conn):
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
def test_preflight_uses_the_trees_inline_limit(conn, children, inline):
    conn.execute(
        "INSERT INTO rule SELECT 100000 + n, 5, 'k' FROM generate_series(1, %s) AS n", [children]
    )
    tree = DeleteTree(name="vpc", parent=VPC, children=[RULES], inline_limit=10)
    seen = preflight(conn, tree, 5, count_limit=1)
    assert seen.inline is inline
    assert seen.statements[0].title == ("delete now: lock vpc" if inline else "fence: lock vpc")


def test_preflight_reports_a_rejected_statement_in_the_servers_words(conn):
    wrong = Backfill(name="v2", table="rule", set={"row_version": sql("'two'")}, where={"id": 1})
    found_errors = preflight(conn, wrong).errors
    assert {one.code for one in found_errors} == {FindingCode.REJECTED}
    assert [one.table for one in found_errors] == [
        "stage 1 of 1, rule: first chunk",
        "stage 1 of 1, rule: later chunks",
    ]
    assert "invalid input syntax" in found_errors[0].detail


def test_preflight_reports_a_key_of_another_type_once(conn):
    found_errors = preflight(conn, TREE, "one").errors
    assert len(found_errors) == 1
    assert (found_errors[0].code, found_errors[0].table) == (FindingCode.REJECTED, "vpc")
    assert "invalid input syntax" in found_errors[0].detail


@pytest.mark.parametrize("key", [77, 4])
def test_preflight_finds_that_no_live_parent_has_the_key(conn, key):
    conn.execute("UPDATE vpc SET time_deleted = now() WHERE id = 4")
    seen = preflight(conn, TREE, key)
    assert seen.ok  # a test of a schema has no rows
    assert [(one.code, one.table, one.name) for one in seen.warnings] == [
        (FindingCode.NO_PARENT, "vpc", str(key))
    ]
    assert seen.warnings[0].detail == "no row whose time_deleted is NULL has this id"


def test_preflight_of_a_reader_explains_no_write(conn, connect):
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


def test_preflight_needs_a_read_only_session_only(connect):
    reader = connect(options="-c default_transaction_read_only=on", autocommit=False)
    search_path = connect().execute("SHOW search_path").fetchone()[0]
    reader.execute(f"SET search_path = {search_path}")
    reader.commit()
    seen = preflight(reader, TREE, 1)
    assert seen.ok
    assert reader.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.execute("DELETE FROM rule")


def test_preflight_leaves_the_database_byte_identical(postgres):
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
    """Return the number of the next transaction, and the digest of each file of the database."""
    (number,) = conn.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())").fetchone()
    (oid,) = conn.execute(
        "SELECT oid FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    conn.execute("CHECKPOINT")
    files = sorted((directory / "data" / "base" / str(oid)).iterdir())
    # A cache of the catalog, written by the first connection.
    kept = [file for file in files if file.name != "pg_internal.init"]
    return number, {file.name: sha256(file.read_bytes()).hexdigest() for file in kept}


async def test_apreflight_and_pools_find_the_same(conn, database):
    seen = preflight(conn, TREE, 1)
    with ConnectionPool(database, min_size=1, open=True) as pool:
        assert preflight(pool, TREE, 1) == seen
    async with AsyncConnectionPool(database, min_size=1, open=False) as pool:
        assert await apreflight(pool, TREE, 1) == seen
    async with await psycopg.AsyncConnection.connect(database) as connection:
        assert await apreflight(connection, TREE, 1) == seen
        assert [one.table for one in (await apreflight(connection, TREE, "one")).errors] == ["vpc"]


def test_preflight_in_a_transaction_is_an_error(conn):
    with conn.transaction(), pytest.raises(Exception, match="not IDLE"):
        preflight(conn, TREE, 1)


@pytest.mark.parametrize(("work", "key"), [(TREE, None), (REWRITE, 1)])
def test_preflight_needs_a_key_for_a_tree_and_none_for_a_backfill(conn, work, key):
    with pytest.raises(ValueError, match=f"preflight\\('{work.name}', key={key}\\)"):
        preflight(conn, work, key)


def test_preflight_can_be_printed_and_raised(conn):
    seen = preflight(conn, TREE, 1)
    seen.raise_for_errors()
    lines = str(seen).splitlines()
    assert lines == list(seen.lines())
    assert lines[0] == "vpc of 1: in chunks"
    assert "3. fence: insert bulk_job" in lines
    conn.execute("DROP TABLE bulk_job; DROP INDEX rules_by_vpc", prepare=False)
    rejected = preflight(conn, TREE, 1)
    with pytest.raises(PreflightFailed) as caught:
        rejected.raise_for_errors()
    assert caught.value.preflight is rejected
    text = str(caught.value)
    assert text.startswith(
        "'vpc' should not be started, the preflight has found 2 errors:\nNO_JOB_TABLE "
    )
    assert 'CREATE INDEX CONCURRENTLY ON "rule" ("vpc_id", "kind", "id");' in text
    assert f"Error: {text.splitlines()[1]}" in str(rejected)


def test_preflight_finds_tables_of_any_name(conn):
    schema, odd = "we ird%", 'T"x%s'
    conn.execute(
        f"""
        CREATE SCHEMA "{schema}";
        CREATE TABLE "{schema}"."p'$1" (
            "k %" int PRIMARY KEY, "g""en" bigint NOT NULL, "hidden?" timestamptz);
        CREATE TABLE "{schema}"."T""x%s" (
            "i %d" int NOT NULL, "by $2" int NOT NULL, "Dead" timestamptz);
        CREATE UNIQUE INDEX "odd $" ON "{schema}"."T""x%s" ("by $2", "i %d") WHERE "Dead" IS NULL;
        INSERT INTO "{schema}"."p'$1" VALUES (1, 1);
        INSERT INTO "{schema}"."T""x%s" SELECT n, 1 FROM generate_series(1, 5000) AS n;
        """,
        prepare=False,
    )
    try:
        parent = Parent(table=f"{schema}.p'$1", key="k %", generation='g"en', deleted_at="hidden?")
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
