# SPDX-License-Identifier: MIT
"""One of several, NULL among them, in every place that compares: it finds what it says, or fails.

A choice that silently matches nothing is a guard that never fires.
"""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from batchq import (
    InvalidBatch,
    UnmappedViolation,
    delete,
    gather,
    insert,
    insert_or_get,
    run,
    select,
    sql,
    update,
)
from batchq.result import attempt
from tests.support.existence import absent, present
from tests.support.row_values import Unmet


class Kind(str, enum.Enum):  # noqa: UP042  not a StrEnum: its str() is its name
    WEB = "web"


class Str(enum.StrEnum):
    WEB = "web"


class Pure(enum.Enum):
    web = "x"


class Int(enum.IntEnum):
    SEVEN = 7


class Disk(NamedTuple):
    id: int
    instance: int | None


class Text(str):
    __slots__ = ()


TABLES = """
CREATE TABLE disk (id int PRIMARY KEY, name text, instance int, state text);
INSERT INTO disk VALUES (1, 'a', NULL, 'ready'), (2, 'b', 7, 'ready'), (3, 'c', 8, NULL);
"""


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


# (choice, the disks that it finds) by column
CHOICES = [
    ("name", ["a", "b"], [1, 2]),
    ("name", ("a", "b"), [1, 2]),
    ("name", ("x",), []),
    ("name", ["a", None], [1]),
    ("name", (), []),
    ("instance", (7,), [2]),
    ("instance", [7, 8], [2, 3]),
    ("instance", [None, 7], [1, 2]),
    ("instance", (None, 7, None), [1, 2]),
    ("instance", [None], [1]),
    ("instance", [], []),
    ("state", [None, "ready"], [1, 2, 3]),
    ("state", [None, "busy"], [3]),
    ("state", ["busy"], []),
]


@pytest.mark.parametrize(("column", "choice", "found"), CHOICES, ids=repr)
def test_choice_finds_its_values_and_guards_fire_accordingly(planned, column, choice, found):
    for _ in range(2):
        rows = select("disk", ["id"], where={column: choice})
        assert sorted(row[0] for row in run(planned, rows.all(tuple))) == found
        assert run(planned, update("disk", {"id": sql("id")}, {column: choice}).count()) == len(
            found
        )
        for guard, fires in ((absent, bool(found)), (present, not found)):
            answer = attempt(planned, guard(rows, raises=Unmet))
            assert isinstance(answer.error if fires else None, Unmet) == fires, (guard, answer)
        for disk in (1, 2, 3):
            change = update("disk", {"id": disk}, where={"id": disk})
            for guarded in (
                change.require({column: choice}, raises=Unmet),
                change.ensure({column: choice}, raises=Unmet),
                select("disk", where={"id": disk})
                .for_update()
                .expect(1, missing=KeyError)
                .require({column: choice}, raises=Unmet),
            ):
                answer = attempt(planned, guarded)
                assert hasattr(answer, "error") == (disk not in found), (disk, answer)
                if disk not in found:
                    assert isinstance(answer.error, Unmet)
    assert run(planned, delete("disk", where={column: choice}).count()) == len(found)


def test_a_free_disk_is_attached_and_one_of_another_instance_is_not(planned):
    def attach(disk):
        return update("disk", {"instance": 7}, where={"id": disk}).require(
            {"instance": [None, 7]}, raises=Unmet
        )

    assert [run(planned, attach(disk)) for disk in (1, 2, 1)] == [None, None, None]
    answer = attempt(planned, attach(3))
    assert isinstance(answer.error, Unmet)
    assert answer.error.found == {"instance": 8}


VALUES = [
    ("text", ["web", Kind.WEB, Str.WEB, Pure.web, Text("web")]),
    ("varchar(9)", ["web", Kind.WEB]),
    ("char(9)", ["web", Kind.WEB]),
    ("name", ["web"]),
    ("en", ["web", Kind.WEB, Pure.web]),
    ("dm", ["web", Kind.WEB]),
    ("smallint", [7, Int.SEVEN]),
    ("int", [7, Int.SEVEN, Decimal(7), 7.0]),
    ("bigint", [1 << 40, Int.SEVEN]),
    ("numeric", [7, Decimal("7.50"), 7.5]),
    ("float8", [7.5, float("nan"), 7]),
    ("bool", [True, False]),
    ("bytea", [b"x", bytearray(b"x"), memoryview(b"x")]),
    ("uuid", [UUID(int=7), str(UUID(int=7))]),
    ("date", [date(2026, 1, 2), datetime(2026, 1, 2)]),  # noqa: DTZ001  a local time
    ("timestamp", [datetime(2026, 1, 2, 3), date(2026, 1, 2)]),  # noqa: DTZ001  as above
    ("timestamptz", [datetime(2026, 1, 2, 3, tzinfo=UTC)]),
    ("time", [time(1)]),
    ("interval", [timedelta(1)]),
    ("jsonb", [Jsonb({"a": 1}), Jsonb([1]), Jsonb(None)]),
    ("inet", [ip_address("10.0.0.1"), "10.0.0.1"]),
    ("cidr", [ip_network("10.0.0.0/8")]),
    ("int4range", [Range(1, 5)]),
    ("int4multirange", [Multirange([Range(1, 5)])]),
]


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=[kind for kind, _ in VALUES])
def test_a_value_in_a_list_finds_what_it_finds_alone(conn, kind, values):
    conn.prepare_threshold = None  # the table is another one each time
    conn.execute("CREATE TYPE en AS ENUM ('web'); CREATE DOMAIN dm AS text")
    for value in values:
        conn.execute(
            f"DROP TABLE IF EXISTS t; CREATE TABLE t (c {kind}); INSERT INTO t VALUES (NULL)"
        )
        run(conn, insert("t", {"c": value}))
        for choice, rows in ((value, 1), ([value], 1), ((value,), 1), ([None, value], 2)):
            assert run(conn, select("t", ["c"], where={"c": choice}).count()) == rows, choice


ARRAYS = [
    ("text[]", ["a"]),
    ("text[]", []),
    ("text[]", [None]),
    ("text[]", ["a", None]),
    ("text[]", [7]),
    ("varchar(3)[]", ["a"]),
    ("int[]", [7]),
    ("int[]", ["7"]),
    ("int[]", []),
    ("bigint[]", [7, None]),
    ("uuid[]", [UUID(int=7)]),
    ("tags", ["a"]),
]
TEACHES = r'a list means "one of these": .* array column .* sql\("c = %\(value\)s::text\[\]"'


@pytest.mark.parametrize(("kind", "choice"), ARRAYS, ids=repr)
def test_array_column_fails_with_how_to_compare_it(planned, kind, choice):
    planned.execute("CREATE DOMAIN tags AS text[]", prepare=False)
    planned.execute(f"CREATE TABLE t (c {kind}); INSERT INTO t VALUES (NULL)", prepare=False)
    one = select("t", ["c"], where=sql("true"))
    for statement in (
        select("t", ["c"], where={"c": choice}).all(tuple),
        delete("t", where=[sql("true"), {"c": choice}]),
        select("t", ["c"], where={"c": choice}).expect(0),
        delete("t", where=sql("true")).require({"c": choice}),
        delete("t", where=sql("true")).ensure({"c": choice}),
        one.one(tuple).require({"c": choice}),
    ):
        with pytest.raises(UnmappedViolation, match=TEACHES):
            run(planned, statement)
    assert run(planned, one.count()) == 1


def test_array_is_compared_as_a_whole_as_the_error_advises(planned):
    planned.execute(
        "CREATE TABLE t (c text[]); INSERT INTO t VALUES ('{a,NULL}'), ('{a}')", prepare=False
    )
    whole = sql("c = %(value)s::text[]", value=["a", None])
    assert run(planned, select("t", ["c"], where=whole).all(tuple)) == [(["a", None],)]


def test_other_type_error_does_not_mention_arrays(conn):
    with pytest.raises(UnmappedViolation) as caught:
        run(conn, select("disk", [sql("nothing(1)")], where={"id": 1}).all(tuple))
    assert caught.value.violation.sqlstate == "42883"
    assert "array" not in str(caught.value)


@pytest.mark.parametrize("value", [(1, 2), [1], {1}, {"a": 1}], ids=repr)
def test_a_row_to_insert_or_get_is_not_found_by_a_value_that_means_several(value):
    with pytest.raises(InvalidBatch, match=r"'instance' is a \w+, and a row is found again"):
        insert_or_get("disk", {"id": 1, "instance": value}, Disk, key=["instance"])


@pytest.mark.parametrize(("disk", "found"), [(1, [1]), (2, [2]), (3, [3])])
def test_an_output_finds_what_its_value_would_find_null_included(planned, disk, found):
    """Otherwise a forbid() of an output that turned out NULL would let every row pass."""
    made = select("disk", ["instance"], where={"id": disk}).one(tuple)
    same = {"instance": made.output("instance")}
    for _ in range(2):
        rows = run(planned, gather(made, select("disk", ["id"], where=same).all(tuple)))[1]
        assert [row[0] for row in rows] == found
        for guarded in (
            select("disk", ["id"], where=same).expect(0, unexpected=Unmet),
            update("disk", {"id": 9}, where={"id": 1 + disk % 3}).require(same, raises=Unmet),
        ):
            assert isinstance(attempt(planned, gather(made, guarded)).error, Unmet)
        change = update("disk", {"id": disk}, where={"id": disk}).require(same, raises=Unmet)
        assert run(planned, gather(made, change))[1] is None
