# SPDX-License-Identifier: MIT
"""Order keys of every type and names of any kind: a chunk starts where the last one ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from batchq.bulk import (
    Budget,
    ChildDelete,
    DeleteTree,
)
from batchq.hierarchy import Parent
from tests.support.vpcs import VPC, VPC_TABLE, begin, go_on

RULES = VPC.children("rule", by="vpc_id", deleted_at=None)
ROWS = 23


def planted(
    conn: psycopg.Connection[Any], columns: str, values: str, order: Any = "k"
) -> DeleteTree:
    """Give both VPCs the same rules, of which ``n`` counts; fence the first."""
    names = [order] if isinstance(order, str) else order
    key, never_null = ", ".join(names), ", ".join(f"ALTER {name} SET NOT NULL" for name in names)
    conn.execute(f"{VPC_TABLE} CREATE TABLE rule (vpc_id int NOT NULL, {columns})")
    conn.execute(f"ALTER TABLE rule {never_null}; CREATE UNIQUE INDEX ON rule (vpc_id, {key})")
    series = f"generate_series(1, {ROWS}) AS n, generate_series(1, 2) AS vpc"
    conn.execute(f"INSERT INTO rule SELECT vpc, {values} FROM {series} ORDER BY md5(n::text)")
    tree = DeleteTree(name="vpc", parent=VPC, children=[ChildDelete(relation=RULES, order=order)])
    conn.execute(tree.jobs.ddl())  # type: ignore[arg-type]
    begin(conn, tree)
    return tree


def left(conn: Any, table: str = "rule") -> dict[int, int]:
    return dict(conn.execute(f"SELECT vpc_id, count(*) FROM {table} GROUP BY 1").fetchall())


KEYS = {
    "text": ("k text", "n || repeat('ä', n % 3)", "k"),
    "odd texts": ("k text", r"""E'"{},\\%s NULL ''' || n""", "k"),
    "char": ("k char(5)", "n", "k"),
    "uuid": ("k uuid", "md5(n::text)::uuid", "k"),
    "timestamptz": (
        "k timestamptz",
        "'2024-10-27 00:59:59.999997+00'::timestamptz + n * interval '1 microsecond'",
        "k",
    ),
    "infinity": (
        "k date",
        "CASE n WHEN 1 THEN '-infinity' WHEN 2 THEN 'infinity' ELSE date '0044-03-15 BC' + n END",
        "k",
    ),
    "bytea": ("k bytea", r"decode(md5(n::text), 'hex') || '\000\\'", "k"),
    "numeric": ("k numeric", "CASE n WHEN 5 THEN 'NaN' ELSE (-1) ^ n * n / 7e20::numeric END", "k"),
    "float8": ("k float8", "1 + n * 2.220446049250313e-16::float8", "k"),
    "timestamp": ("k timestamp", "'2024-10-27 01:59:59.9'::timestamp + n * '7 min'::interval", "k"),
    "interval": ("k interval", "'-1 day 1 s'::interval * n", "k"),
    "boolean and bigint": ("b boolean, k bigint", "n % 2 = 0, n", ("b", "k")),
    "kind and id": ("kind text, id int", "'k' || n % 3, n", ("kind", "id")),
    "four types": (
        "a date, b text, c uuid, d numeric",
        "date '2024-01-12' + n / 9, 'b' || n / 6, md5((n / 3)::text)::uuid, n",
        ("a", "b", "c", "d"),
    ),
    "inet": ("k inet", "inet '10.0.0.250' + n", "k"),
}


@pytest.mark.parametrize("key", KEYS)
def test_key_of_any_type_misses_no_row_between_chunks(
    conn: psycopg.Connection[Any], key: str
) -> None:
    tree = planted(conn, *KEYS[key])
    report = go_on(conn, tree, 4)
    assert (report.rows, report.rows_after_fence, report.jobs_done) == (ROWS, 0, 1)
    assert report.chunks == ROWS // 4 + 1
    assert left(conn) == {2: ROWS}


@pytest.mark.parametrize("deterministic", [True, False])
def test_collation_may_sort_unlike_bytes(
    conn: psycopg.Connection[Any], deterministic: bool
) -> None:
    """And take for one what is not, in a unique index as in the order."""
    try:
        conn.execute(
            "CREATE COLLATION odd (provider = icu, locale = 'und-u-ks-level2', "
            f"deterministic = {deterministic})"
        )
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.InternalError):
        pytest.skip("this server was built without ICU")
    texts = "(ARRAY['a', 'A', 'ä', 'Z', 'z-', '_', '-a'])[1 + n % 7] || n"
    tree = planted(conn, "k text COLLATE odd", texts)
    report = go_on(conn, tree, 4)
    assert (report.rows, report.rows_after_fence, report.jobs_done) == (ROWS, 0, 1)
    assert left(conn) == {2: ROWS}


def test_enum_sorts_as_declared(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TYPE kind AS ENUM ('z', 'a', 'm %', 'B')")
    kind = "('{z,a,m %,B}'::kind[])[1 + n % 4]"
    tree = planted(conn, "kind kind, id int", f"{kind}, n", ("kind", "id"))
    assert go_on(conn, tree, 4).rows_after_fence == 0
    assert left(conn) == {2: ROWS}


def test_cursor_is_the_last_deleted_key(conn: psycopg.Connection[Any]) -> None:
    """A lower one would have the next chunk look at the dead rows of this one."""
    tree = planted(conn, *KEYS["kind and id"])
    for n in (4, 8, 12):
        go_on(conn, tree, 4, budget=Budget(chunks=1))
        last = "SELECT ARRAY[kind, id::text] FROM rule WHERE vpc_id = 2 ORDER BY kind, id OFFSET %s"
        place = conn.execute("SELECT cursor FROM bulk_job").fetchone()
        assert place == conn.execute(last, [n - 1]).fetchone()


SETTINGS = {
    "DateStyle": ["ISO, DMY", "ISO, MDY", "ISO, YMD"],
    "TimeZone": ["Asia/Kolkata", "America/St_Johns", "UTC", "Europe/Dublin"],
    "bytea_output": ["escape", "hex"],
    "IntervalStyle": ["sql_standard", "iso_8601"],
}


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("DateStyle", "timestamptz"),
        ("DateStyle", "four types"),
        ("TimeZone", "timestamptz"),
        ("TimeZone", "timestamp"),
        ("bytea_output", "bytea"),
        ("IntervalStyle", "interval"),
    ],
)
def test_cursor_is_read_by_a_session_with_other_settings(
    conn: psycopg.Connection[Any], connect: Callable[..., Any], setting: str, key: str
) -> None:
    """Each chunk by another session; nothing has to be found at the end."""
    tree, reports = planted(conn, *KEYS[key]), []
    for n in range(ROWS):
        session, values = connect(), SETTINGS[setting]
        session.execute("SELECT set_config(%s, %s, false)", [setting, values[n % len(values)]])
        reports.append(go_on(session, tree, 4, budget=Budget(chunks=1)))
    assert {report.detail for report in reports} == {""}
    assert sum(report.rows for report in reports) == ROWS
    assert sum(report.rows_after_fence for report in reports) == 0
    assert left(conn) == {2: ROWS}


# -- where a ctid is not the place of one row ------------------------------------------------------

PARTITIONS = "PARTITION BY RANGE (id)", "PARTITION OF {0} FOR VALUES FROM ({1}) TO ({2})"
CHILDREN = "", "() INHERITS ({0})"
SHARDS = """
CREATE TABLE {table} (
    id int NOT NULL, {by} int, time_deleted timestamptz, rcgen bigint NOT NULL DEFAULT 0
) {parted};
CREATE TABLE {table}_a {first};
CREATE TABLE {table}_b {second};
INSERT INTO {table}_a SELECT n, 1 + n % 2 FROM generate_series(1, 20) AS n;
INSERT INTO {table}_b SELECT n, 2 - n % 2 FROM generate_series(101, 120) AS n;
"""
"""Two tables in one; in each place of both stands a row, of parent 1 here and of parent 2 there."""


def shards(table: str, by: str, kind: tuple[str, str]) -> str:
    parted, one = kind
    first, second = one.format(table, 0, 100), one.format(table, 100, 200)
    return SHARDS.format(table=table, by=by, parted=parted, first=first, second=second)


@pytest.fixture(params=[PARTITIONS, CHILDREN], ids=["partitions", "inheritance"])
def sharded(request: Any, conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    conn.execute(VPC_TABLE)
    conn.execute(shards("rule", "vpc_id", request.param))
    conn.execute(shards("route", "router_id", request.param))
    conn.execute(
        "CREATE TABLE router (id int PRIMARY KEY, vpc_id int, rcgen bigint DEFAULT 0, "
        "time_deleted timestamptz)"
    )
    conn.execute("INSERT INTO router VALUES (1, 1), (2, 2)")
    return conn


KINDS_OF_DELETE = {
    "deleted": ({"deleted_at": None}, {}),
    "hidden": ({"deleted_at": "time_deleted"}, {}),
    "hidden, then deleted": ({"deleted_at": "time_deleted"}, {"hard": True}),
    "let go": ({"deleted_at": "time_deleted"}, {"set": {"vpc_id": None}}),
}


@pytest.mark.parametrize("kind", KINDS_OF_DELETE)
@pytest.mark.parametrize("rows", [1, 3, 7, 50])
def test_row_of_another_parent_with_the_same_key_is_kept(
    sharded: psycopg.Connection[Any], kind: str, rows: int
) -> None:
    children, drained = KINDS_OF_DELETE[kind]
    rules = VPC.children("rule", by="vpc_id", **children)  # type: ignore[arg-type]
    tree = DeleteTree(name="vpc", parent=VPC, children=[ChildDelete(relation=rules, **drained)])  # type: ignore[arg-type]
    sharded.execute(tree.jobs.ddl())  # type: ignore[arg-type]
    begin(sharded, tree)
    report = go_on(sharded, tree, rows)
    assert (report.rows, report.rows_after_fence, report.jobs_done) == (20, 0, 1)
    living = "SELECT count(*) FROM rule WHERE time_deleted IS NULL AND vpc_id = "
    assert sharded.execute(f"{living} 1").fetchone() == (0,)
    assert sharded.execute(f"{living} 2").fetchone() == (20,)


@pytest.mark.parametrize("rows", [1, 3, 7, 50])
def test_row_below_another_parent_with_the_same_key_is_kept(
    sharded: psycopg.Connection[Any], rows: int
) -> None:
    routes = Parent(
        table="router", key="id", deleted_at="time_deleted", generation="rcgen"
    ).children("route", by="router_id", deleted_at=None)
    routers = VPC.children("router", by="vpc_id", deleted_at="time_deleted")
    below = [ChildDelete(relation=routes)]
    child = ChildDelete(relation=routers, hard=True, children=below)
    tree = DeleteTree(name="vpc", parent=VPC, children=[child])
    sharded.execute(tree.jobs.ddl())  # type: ignore[arg-type]
    begin(sharded, tree)
    report = go_on(sharded, tree, rows)
    assert (report.rows, report.rows_after_fence, report.jobs_done) == (21, 0, 1)
    found = sharded.execute("SELECT router_id, count(*) FROM route GROUP BY 1").fetchall()
    assert found == [(2, 20)]
