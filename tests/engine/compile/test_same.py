# SPDX-License-Identifier: MIT
"""Insert or get, where a column or a trigger makes something else of a value.

Only a row that was there is judged, and by what this request's own value would have become.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from psycopg.types.json import Jsonb

from batchq import GuardFailed, format_error, gather, insert_or_get, run
from batchq.result import attempt

AT = datetime(2026, 1, 2, 3, 4, 5, 700_000, tzinfo=UTC)
LOCAL = AT.replace(tzinfo=None)

# (type, what is asked for, the same in another way or None, what differs)
COLUMNS = [
    ("numeric(10,2)", Decimal("12.345"), Decimal("12.35"), Decimal("12.36")),
    ("numeric(10,2)", 12.345, 12.35, 12.36),
    ("numeric(5,0)", Decimal("0.5"), 1, 2),
    ("numeric(2,-2)", 149, 100, 151),
    ("real", 0.1, 0.1000000001, 0.2),
    ("real", Decimal("0.1"), 0.1, 0.3),
    ("float8", float("nan"), None, 1.0),
    ("int", Decimal("2.5"), 3, 4),
    ("smallint", 1.4, 1, 2),
    ("varchar(3)", "abc  ", "abc", "abd"),
    ("char(9)", "ab", "ab   ", "b"),
    ("name", "a" * 70, "a" * 63, "b"),
    ("timestamptz(0)", AT, AT + timedelta(seconds=0.2), AT + timedelta(seconds=9)),
    ("timestamp(0)", LOCAL, None, LOCAL + timedelta(seconds=9)),
    ("timestamp", date(2026, 1, 2), datetime(2026, 1, 2), LOCAL),  # noqa: DTZ001  a local time
    ("date", LOCAL, date(2026, 1, 2), date(2026, 1, 3)),
    ("time(0)", LOCAL.time(), None, (LOCAL + timedelta(seconds=9)).time()),
    ("interval day to second(0)", timedelta(days=1, seconds=0.7), None, timedelta(days=2)),
    ("jsonb", Jsonb({"b": 1, "a": 2}), Jsonb({"a": 2, "b": 1}), Jsonb({"a": 3})),
    ("bit(4)", "1010", None, "1011"),
    ("state", "on", None, "off"),
    ("short", "abc  ", "abc", "abd"),
    ("bool", "yes", True, False),
    ("inet", "10.0.0.1/32", "10.0.0.1", "10.0.0.2"),
    ("uuid", "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}", None, "0" * 32),
    ("bytea", b"\\x00'", None, b""),
    ("money", "$1.005", None, "$2"),
]
TYPES = "CREATE TYPE state AS ENUM ('on', 'off'); CREATE DOMAIN short AS varchar(3)"


class DiffersError(Exception):
    pass


class Row(NamedTuple):
    id: int


def ask(value: Any, **options: Any):
    row = {"id": 1, "c": value}
    return insert_or_get(
        "t", row, Row, key=["id"], same=["c"], **{"raises": DiffersError, **options}
    )


def refused(conn, batch) -> Mapping[str, Any]:
    answer = attempt(conn, batch)
    assert isinstance(answer.error, DiffersError), answer
    assert answer.report.index == 0
    return answer.report.violation.row


def make(conn, kind: str, *more: str) -> None:
    text = f"{TYPES}; CREATE TABLE t (id int PRIMARY KEY, c {kind})"
    conn.pgconn.exec_(";".join((text, *more)).encode())


UPPER = (
    """CREATE FUNCTION upper() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN NEW.c = upper(NEW.c); RETURN NEW; END$$""",
    "CREATE TRIGGER upper BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION upper()",
)


@pytest.mark.parametrize(("kind", "value", "same", "other"), COLUMNS, ids=[c[0] for c in COLUMNS])
def test_a_value_is_the_same_again_whatever_its_column_makes_of_it(
    planned, kind, value, same, other
):
    if type(value) is not type(other):
        planned.prepare_threshold = None
    make(planned, kind)
    assert run(planned, ask(value)).created
    for again in (value, value, value if same is None else same):
        assert not run(planned, ask(again)).created
    for differing in (other, None):
        assert set(refused(planned, ask(differing))) == {"c"}
    assert planned.execute("SELECT count(*) FROM t", prepare=False).fetchone() == (1,)


@pytest.mark.parametrize("value", ["12.345", 12.345, Decimal("12.345")])
def test_different_row_is_reported_with_its_values(conn, value):
    make(conn, "numeric(10,2)")
    run(conn, ask(value))
    assert refused(conn, ask(Decimal("12.36"))) == {"c": Decimal("12.35")}
    with pytest.raises(GuardFailed, match=r"raises=YourError"):
        run(conn, ask(Decimal("12.36"), raises=None))


def test_new_row_changed_by_a_trigger_is_not_different(planned):
    make(planned, "text", *UPPER)
    assert run(planned, ask("web")).created
    assert not run(planned, ask("web")).created
    assert not run(planned, ask("WEB")).created
    assert refused(planned, ask("shop")) == {"c": "WEB"}


def test_change_by_a_later_trigger_is_seen_by_the_next_request_alone(conn):
    """That one cannot know what became of the value: the row holds another one than it brings."""
    after = "$$BEGIN UPDATE t SET c = c || random(); RETURN NULL; END$$"
    make(
        conn,
        "text",
        f"CREATE FUNCTION after() RETURNS trigger LANGUAGE plpgsql AS {after}",
        "CREATE TRIGGER after AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION after()",
    )
    assert run(conn, ask("web")).created
    assert refused(conn, ask("web"))


def test_the_second_of_two_in_a_batch_is_judged_by_the_row_of_the_first(planned):
    make(planned, "numeric(10,2)")
    both = gather(ask(Decimal("1.234")), ask(Decimal("1.23")))
    assert [one.created for one in run(planned, both)] == [True, False]
    planned.execute("TRUNCATE t", prepare=False)
    answer = attempt(planned, gather(ask(Decimal(1)), ask(Decimal(2))))
    assert isinstance(answer.error, DiffersError)
    assert planned.execute("SELECT count(*) FROM t", prepare=False).fetchone() == (0,)


def test_a_row_of_the_callers_own_transaction_is_there_already(planned):
    make(planned, "numeric(10,2)")
    with planned.transaction():
        assert run(planned, ask(Decimal("1.234")), nested=True).created
        assert not run(planned, ask(Decimal("1.234")), nested=True).created
        assert refused_nested(planned, ask(Decimal(2)))
        assert not run(planned, ask(Decimal("1.23")), nested=True).created


def refused_nested(conn, batch) -> bool:
    with pytest.raises(DiffersError):
        run(conn, batch, nested=True)
    return True


def test_a_row_that_is_passed_over_is_not_updated(conn):
    body = "$$BEGIN RAISE EXCEPTION 'updated'; END$$"
    make(
        conn,
        "numeric(10,2)",
        f"CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS {body}",
        "CREATE TRIGGER never BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION never()",
    )
    run(conn, ask(Decimal("1.234")))
    before = conn.execute("SELECT ctid, xmin FROM t").fetchall()
    for _ in range(2):
        assert not run(conn, ask(Decimal("1.234"))).created
    assert conn.execute("SELECT ctid, xmin FROM t").fetchall() == before


def test_the_row_may_be_in_a_partition_of_a_table_in_a_schema(conn):
    schema = conn.execute("SELECT current_schema()").fetchone()[0]
    conn.execute(
        "CREATE TABLE p (id int, c numeric(10,2), UNIQUE (id)) PARTITION BY LIST (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
    )
    row = {"id": 1, "c": Decimal("1.234")}
    for table in (f"{schema}.p", "p"):
        for value, differs in ((Decimal("1.234"), False), (Decimal(2), True)):
            batch = insert_or_get(
                table, {**row, "c": value}, Row, key=["id"], same=["c"], raises=DiffersError
            )
            answer = attempt(conn, batch)
            assert isinstance(getattr(answer, "error", None), DiffersError) == differs


def test_every_column_is_judged_and_the_first_that_is_named_decides(conn):
    conn.execute("CREATE TABLE d (id int PRIMARY KEY, n numeric(4,1), s text, k text)")

    def boot(**row):
        new = {"id": 1, "n": Decimal("1.25"), "s": None, "k": "x", **row}
        return insert_or_get(
            "d", new, Row, key=["id"], same=["n", "s"], raises=format_error(DiffersError, "{n} {k}")
        )

    assert run(conn, boot()).created
    assert not run(conn, boot(k="other")).created
    for row, column in (({"n": 2}, "n"), ({"s": "y"}, "s"), ({"n": 2, "s": "y"}, "n")):
        answer = attempt(conn, boot(**row))
        assert str(answer.error) == "1.3 x"
        assert next(iter(answer.report.violation.row)) == column


def test_key_altered_by_its_column_is_not_found_and_fails_the_batch(conn):
    conn.execute("CREATE TABLE k (id numeric(4,1) PRIMARY KEY)")
    with pytest.raises(GuardFailed, match="rolled back"):
        run(conn, insert_or_get("k", {"id": Decimal("1.25")}, Row, key=["id"]))
    assert run(conn, insert_or_get("k", {"id": Decimal("1.3")}, Row, key=["id"])).created
