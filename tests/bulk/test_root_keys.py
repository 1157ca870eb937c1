# SPDX-License-Identifier: MIT
"""Keys of every type, written in every way: the children of the row that the key finds are deleted.

Each is deleted now and in chunks, under settings that write values differently. Another parent
whose key is nearly the same keeps its children.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address
from itertools import cycle
from typing import Any
from uuid import UUID

import psycopg
import pytest
from attrs import frozen
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Jsonb

from batchq import gather, insert, run, sql
from batchq.bulk import (
    ChildDelete,
    ChunkSize,
    Deleted,
    DeleteTree,
    Fenced,
    preflight,
    resume,
    start,
)
from batchq.hierarchy import Parent
from batchq.language.errors import BatchError

PARENT = Parent(table="parent", key="id", deleted_at="time_deleted", generation="rcgen")
TREE = DeleteTree(
    name="parent",
    parent=PARENT,
    children=[
        ChildDelete(relation=PARENT.children("child", by="parent_id", deleted_at=None), order="n")
    ],
)
CHUNKED = DeleteTree(name="parent", parent=PARENT, children=TREE.children, inline_limit=0)
TWO = ChunkSize(initial=2, minimum=2, maximum=2)
LEASE = timedelta(minutes=2)
MISSING = LookupError("no such parent")
BENT = {
    "DateStyle": "SQL, DMY",
    "TimeZone": "Asia/Kolkata",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
}


class Web(str, enum.Enum):  # noqa: UP042  the very thing that StrEnum is not
    WEB = "web"


class Kind(enum.StrEnum):
    WEB = "web"


class Number(enum.IntEnum):
    SEVEN = 7


class Plain(enum.Enum):
    web = 1


class Registered(enum.Enum):
    """Dumped by a registered dumper."""

    WEB = "web"
    DB = "db"


@frozen
class Name:
    """A key class of the caller's own, with a dumper of its own."""

    text: str

    def __str__(self) -> str:
        return f"<{self.text}>"


class NameDumper(psycopg.adapt.Dumper):
    def dump(self, obj: Name) -> bytes:
        return obj.text.encode()


CASELESS = """
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)
"""
NOON = datetime(2024, 2, 1, 12, 0, tzinfo=UTC)
WEST = timezone(timedelta(hours=-3))
ONE, TWIN = UUID(int=0xA0EE << 112), UUID(int=0xA0EF << 112)

KEYS: dict[str, tuple[str, Any, str]] = {
    "str": ("text", "web", "'Kind.WEB'"),
    "str, Enum": ("text", Web.WEB, "'Web.WEB'"),
    "StrEnum": ("text", Kind.WEB, "'Kind.WEB'"),
    "Enum": ("text", Plain.web, "'Plain.web'"),
    "IntEnum": ("int", Number.SEVEN, "8"),
    "str, Enum of an enum": ("kind", Web.WEB, "'db'"),
    "registered Enum of an enum": ("kind", Registered.WEB, "'db'"),
    "str of an enum": ("kind", "web", "'db'"),
    "int": ("int", 7, "70"),
    "int of a bigint": ("bigint", 7_000_000_000, "7000000001"),
    "str of an int": ("int", " 07", "70"),
    "bool": ("bool", True, "false"),
    "UUID": ("uuid", ONE, f"'{TWIN}'"),
    "str of a UUID": ("uuid", f"{{{str(ONE).upper()}}}", f"'{TWIN}'"),
    "Decimal": ("numeric", Decimal("1.50"), "1.51"),
    "Decimal of another scale": ("numeric(10, 3)", Decimal("1.5"), "1.51"),
    "float": ("float8", 0.1, "0.10000000000000002"),
    "str of a real": ("real", "0.1", "0.1000001"),
    "date": ("date", date(2024, 2, 1), "'2024-01-02'"),
    "datetime": ("timestamptz", NOON, "'2024-02-01 15:30Z'"),
    "datetime of another zone": ("timestamptz", NOON.astimezone(WEST), "'2024-02-01 15:30Z'"),
    "naive datetime": ("timestamp", NOON.replace(tzinfo=None), "'2024-01-02 12:00'"),
    "time": ("time", time(12, 30), "'00:30'"),
    "timedelta": ("interval", -timedelta(days=3, hours=4), "'-3 days +4 hours'"),
    "bytes": ("bytea", b"\\\x00\xff", "'a'"),
    "char(n)": ("char(5)", "web", "'we'"),
    "char(n), padded": ("char(5)", "web  ", "'we'"),
    "varchar": ("varchar(10)", "web", "'we'"),
    "domain": ("named", "web", "'we'"),
    "domain over int": ("counted", 7, "70"),
    "without case": ("text COLLATE caseless", "WEB", "'we'"),
    "address": ("inet", ip_address("10.0.0.1"), "'10.0.0.1/8'"),
    "bits": ("bit(3)", "101", "'111'"),
    "array": ("int[]", "{1,2}", "'{1,2,3}'"),
    "range": ("int4range", "[1,4]", "'[1,4)'"),
    "range of times": ("tstzrange", f"[{NOON},)", "'[2024-01-02 12:00Z,)'"),
    "jsonb": ("jsonb", Jsonb({"a": 1}), "'{\"a\": 2}'"),
    "own dumper": ("text", Name("web"), "'<web>'"),
    "backslash and quotes": ("text", "a\\'%s$1", "'b'"),
    "fragment": ("int", sql("%(n)s - 1", n=8), "70"),
    "fragment without a value": ("int", sql("17 % 10 -- %"), "70"),
}
"""The type of the column, the key, and as SQL that of the parent beside it."""
BY_SETTINGS = "float8 real date timestamptz timestamp interval bytea tstzrange".split()
"""The types whose texts the settings in BENT change."""
SIDES = ["fence", "worker"]
BENDING = [
    (kind, side)
    for n, (kind, (type_, *_)) in enumerate(KEYS.items())
    for side in (SIDES if type_ in BY_SETTINGS or "backslash" in kind else [SIDES[n % 2]])
]
"""Each key with the caller's or the worker's settings bent; with both if they change its text."""


@pytest.fixture
def make(
    conn: psycopg.Connection[Any], connect: Callable[..., psycopg.Connection[Any]]
) -> Callable[..., psycopg.Connection[Any]]:
    """Make the tables for a type, and a connection with the adapters."""
    conn.execute("CREATE TYPE kind AS ENUM ('web', 'db')")
    conn.execute("CREATE DOMAIN named AS text CHECK (VALUE <> '')")
    conn.execute("CREATE DOMAIN counted AS int")

    def tables(type_: str, key: Any, other: str) -> psycopg.Connection[Any]:
        if "caseless" in type_:
            try:
                conn.execute(CASELESS)
            except psycopg.errors.FeatureNotSupported:
                pytest.skip("a server that was built without ICU has no such collations")
        conn.execute(
            f"CREATE TABLE parent (id {type_} PRIMARY KEY, "
            f"rcgen bigint NOT NULL DEFAULT 1, time_deleted timestamptz)"
        )
        conn.execute(
            f"CREATE TABLE child (n serial, parent_id {type_} NOT NULL REFERENCES parent, "
            f"UNIQUE (parent_id, n))"
        )
        conn.execute(TREE.jobs.ddl())  # type: ignore[arg-type]
        user = adapted(connect())
        run(user, insert("parent", {"id": key}))
        if type_.endswith("caseless"):
            conn.execute("UPDATE parent SET id = lower(id)")
        conn.execute("INSERT INTO child (parent_id) SELECT id FROM parent, generate_series(1, 5)")
        conn.execute(f"INSERT INTO parent VALUES ({other})")
        conn.execute(f"INSERT INTO child (parent_id) VALUES ({other})")
        return user

    return tables


def adapted(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    conn.adapters.register_dumper(Name, NameDumper)
    info = EnumInfo.fetch(conn, "kind")
    assert info is not None
    register_enum(info, conn, Registered, mapping={one: one.value for one in Registered})
    return conn


def bend(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    for name, value in BENT.items():
        conn.execute("SELECT set_config(%s, %s, false)", [name, value])
    return conn


def left(conn: psycopg.Connection[Any]) -> tuple[Any, ...] | None:
    return conn.execute(
        "SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child)"
    ).fetchone()


@pytest.mark.parametrize(("kind", "tree"), [*zip(KEYS, cycle([TREE, CHUNKED]), strict=False)])
def test_key_as_written_by_any_caller_works_for_preflight_and_delete_now(
    make: Any, conn: psycopg.Connection[Any], kind: str, tree: DeleteTree
) -> None:
    """The plan shows it with the key as the job would have it."""
    type_, key, other = KEYS[kind]
    user = make(type_, key, other)
    found = preflight(user, tree, key)
    assert ([one.rows for one in found.row_counts], found.errors) == ([5], ())
    assert start(user, TREE, key, missing=MISSING) == Deleted(5)
    assert left(conn) == (1, 1)


@pytest.mark.parametrize(("kind", "bent"), BENDING)
def test_key_as_written_by_any_caller_works_in_chunks(
    make: Any,
    conn: psycopg.Connection[Any],
    connect: Callable[..., psycopg.Connection[Any]],
    kind: str,
    bent: str,
) -> None:
    """The worker is another process, without the adapters, and knows the key from the job."""
    type_, key, other = KEYS[kind]
    user, worker = make(type_, key, other), connect()
    bend(user if bent == "fence" else worker)
    assert isinstance(start(user, CHUNKED, key, missing=MISSING), Fenced)
    (job,) = run(conn, CHUNKED.jobs.all("parent"))
    assert run(worker, CHUNKED.chunk(job, 1, LEASE)).rows == 1
    # psycopg reads no timestamp, such as a job has, that is written in another style than ISO.
    worker.execute("SET DateStyle = ISO")
    worker.execute("SET IntervalStyle = postgres")
    conn.execute("UPDATE bulk_job SET lease_until = NULL")
    report = resume(worker, [CHUNKED], owner="worker", chunk_size=TWO)
    assert (report.rows, report.jobs_done, report.detail) == (4, 1, "")
    assert left(conn) == (1, 1)


@pytest.mark.parametrize("bent", [False, True])
def test_key_has_one_text_however_written_under_any_settings(
    make: Any, conn: psycopg.Connection[Any], bent: bool
) -> None:
    """And the caller finds his settings as they were, in the steps after it."""
    user = make("timestamptz", NOON, "'2024-02-01 15:30Z'")
    if bent:
        bend(user)
    shown = sql(
        "SELECT string_agg(current_setting(name), ' ' ORDER BY n) AS s FROM "
        "unnest(%(names)s::text[]) WITH ORDINALITY AS of (name, n)",
        names=list(BENT),
    ).scalar(str)
    before = run(user, shown)
    fence = TREE.fence(NOON.astimezone(WEST), missing=MISSING)
    assert run(user, gather(fence, shown))[1] == before == run(user, shown)
    assert conn.execute("SELECT root FROM bulk_job").fetchone() == ("2024-02-01 12:00:00+00",)


def test_children_column_of_another_type_is_rejected(
    make: Any, conn: psycopg.Connection[Any]
) -> None:
    """As text they would be sought by what the caller wrote."""
    user = make("uuid", ONE, f"'{TWIN}'")
    conn.execute("ALTER TABLE child DROP CONSTRAINT child_parent_id_fkey")
    conn.execute("ALTER TABLE child ALTER parent_id TYPE text")
    with pytest.raises(BatchError, match="42883"):
        start(user, TREE, str(ONE).upper(), missing=MISSING)
    run(user, TREE.fence(ONE, missing=MISSING))
    assert "42883" in resume(user, [TREE], owner="test").detail
    assert left(conn) == (2, 6)


@pytest.mark.parametrize(
    ("types", "key"),
    [
        ("int bigint", 7),
        ("bigint int", 7),
        ("varchar text", "web"),
        ("text varchar", "web"),
        ("numeric int", Decimal("7.0")),
        ("date timestamptz", date(2024, 2, 1)),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_comparable_types_find_the_children(
    make: Any, conn: psycopg.Connection[Any], types: str, key: Any, chunked: bool
) -> None:
    parent, child = types.split()
    user = make(parent, key, "'2024-01-02'" if parent == "date" else "'8'")
    conn.execute("ALTER TABLE child DROP CONSTRAINT child_parent_id_fkey")
    conn.execute(f"ALTER TABLE child ALTER parent_id TYPE {child} USING parent_id::{child}")
    start(user, CHUNKED if chunked else TREE, key, missing=MISSING)
    resume(user, [CHUNKED], owner="test", chunk_size=TWO)
    assert left(conn) == (1, 1)
