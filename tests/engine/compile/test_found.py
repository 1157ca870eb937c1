# SPDX-License-Identifier: MIT
"""What a guard on a row found: that row's values, as a query would have returned them. None of them
is in any text that ends up in a log.
"""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address, ip_interface
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

from batchq import BatchError, format_error, gather, insert, run, select, sql, update
from batchq.engine.compile.sentinel import TOKEN
from batchq.result import attempt
from tests.support.row_values import Colour, Unmet, row_by_guard

# One column each: its type, a value of it, and where psycopg loads another one, that.
VALUES = {
    "bool": ("bool", True),
    "bool that is not": ("bool", False),
    "int": ("int", -5),
    "bigint": ("bigint", 2**62),
    "float": ("float8", 0.1),
    "numeric": ("numeric", Decimal("123456789012345678901234567890.10")),
    "NaN": ("numeric", Decimal("NaN")),
    "uuid": ("uuid", UUID("12345678-1234-5678-1234-567812345678")),
    "timestamptz": ("timestamptz", datetime(2024, 2, 29, 12, 30, 0, 5, tzinfo=UTC)),
    "date": ("date", date(1, 1, 1)),
    "interval": ("interval", timedelta(days=3, seconds=1)),
    "inet": ("inet", ip_address("::1")),
    "inet with a network": ("inet", ip_interface("10.0.0.1/8")),
    "bytea": ("bytea", b"\0\\\xff'\""),
    "no bytes": ("bytea", b""),
    "jsonb": ("jsonb", {"a": [1, None, 'q"\\'], "é": "☃"}),
    "array": ("text[]", ["a,b", 'c"d', "e\\f", None, "", "NULL", "{}"]),
    "array of arrays": ("int[]", [[1, 2], [3, 4]]),
    "range": ("int4range", Range(1, 5)),
    "enum": ("colour", Colour.RED),
    "NULL": ("text", None),
    "NULL of an array": ("int[]", None),
    "NULL of an enum": ("colour", None),
    "domain": ("positive", 5),
    "domain of a domain": ("small", 5),
    "NULL of a domain": ("small", None),
}
TEXTS = {
    "empty": "",
    "NULL": "NULL",
    "quotes": 'it\'s "quoted" \'\'twice"" `so`',
    "backslashes": "a\\b\\\\c\\n\\",
    "newlines": "a\nb\r\n\tc\v\f",
    "blanks": "  a  ",
    "percent": "100% %s %(x)s %%",
    "unicode": "☃ é 𝄞 \u202e \ue001\ue002",
    "of a row": '(a,"b",,)',
    "of an array": '{a,"b",NULL}',
    "of JSON": '["a", null, "\\u0000"]',
    "that imitates a sentinel": f"{TOKEN}rows:0",
    "that imitates another": f'"{TOKEN}0:28290d"',
    "long": "x" * 100_000,
}
VALUES |= {f"text {name}": ("text", value) for name, value in TEXTS.items()}

TYPES = """
CREATE TYPE colour AS ENUM ('red', 'blue'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN small AS positive CHECK (VALUE < 10);
"""


@pytest.fixture
def holding(planned):
    """Make a table of one row that holds a value; ``c`` is its column."""
    planned.execute(TYPES, prepare=False)
    labels = {Colour.RED: "red", Colour.BLUE: "blue"}
    register_enum(EnumInfo.fetch(planned, "colour"), planned, Colour, mapping=labels)

    def hold(type_: str, value: object) -> None:
        planned.execute(f"CREATE TABLE t (id int, b text, c {type_}, d text)")
        value = Jsonb(value) if type_ == "jsonb" else value
        planned.execute("INSERT INTO t VALUES (1, ',', %s)", [value])

    return hold


@pytest.mark.parametrize(("type_", "value"), VALUES.values(), ids=VALUES)
def test_a_value_is_found_as_a_query_would_return_it(planned, holding, type_, value):
    holding(type_, value)
    returned = run(planned, select("t", ["c"], where={"id": 1}).one(tuple))[0]
    for found in row_by_guard(planned, "t", ["b", "c", "d", "id"]):
        assert list(found) == ["b", "c", "d", "id"]
        assert (found["id"], found["b"], found["d"]) == (1, ",", None)
        if value != value:  # noqa: PLR0124  NaN
            assert found["c"].is_nan()
            continue
        assert (type(found["c"]), found["c"]) == (type(returned), returned)
        assert found["c"] == value


@pytest.mark.postgres_only("it has UTF-8 alone")
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_a_guard_fires_with_what_it_found_in_a_database_of_any_encoding(conn, database, encoding):
    name = f"{conn.execute('SELECT current_schema()').fetchone()[0]}_{encoding.lower()}"
    conn.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        inside = make_conninfo(database, dbname=name)
        values = {"SQL_ASCII": [b"caf\xe9", "é".encode()], "LATIN1": ["é"], "EUC_JP": ["日本"]}
        with psycopg.connect(inside, autocommit=True) as there:
            there.execute("CREATE TABLE t (id int, c text)")
            for value in values[encoding]:
                there.execute("TRUNCATE t")
                raw = "convert_from(%s, 'SQL_ASCII')" if encoding == "SQL_ASCII" else "%s"
                there.execute(f"INSERT INTO t VALUES (1, {raw})", [value])
                text = (
                    value.decode("utf-8", "surrogateescape") if encoding == "SQL_ASCII" else value
                )
                for found in row_by_guard(there, "t", ["c"]):
                    assert found == {"c": text}
                assert run(there, select("t", ["c"], where={"id": 1}).one(tuple)) == (value,)
    finally:
        conn.execute(f"DROP DATABASE {name}")


UNLOADABLE = {
    "date": ("date", "infinity", "infinity", []),
    "timestamptz": ("timestamptz", "-infinity", "-infinity", []),
    "year 10000": ("date", "10000-01-01", "10000-01-01", []),
    "encoding": ("text", "snow ☃", "snow ☃", ["SET client_encoding = 'latin1'"]),
}


@pytest.mark.parametrize(
    ("type_", "value", "text", "settings"), UNLOADABLE.values(), ids=UNLOADABLE
)
def test_a_value_that_the_driver_cannot_load_is_found_as_text(conn, type_, value, text, settings):
    """What happened must not be lost because of what was found: a mapped error stays mapped."""
    conn.execute(f"CREATE TABLE t (id int, c {type_}); INSERT INTO t VALUES (1, '{value}')")
    for setting in settings:
        conn.execute(setting)
    for found in row_by_guard(conn, "t", ["c"]):
        assert type(found["c"]) is str
        assert found["c"].startswith(text)
    assert run(conn, sql("SELECT 1").scalar(int)) == 1


def test_many_columns_are_found(conn):
    names = [f"c{n}" for n in range(200)]
    conn.execute(f"CREATE TABLE t (id int, {', '.join(f'{name} int DEFAULT 7' for name in names)})")
    conn.execute("INSERT INTO t VALUES (1)")
    assert list(row_by_guard(conn, "t", names)) == [dict.fromkeys(names, 7)] * 3


# -- secrets ---------------------------------------------------------------------------------------

SECRET = "hunter2"


def texts(error: BaseException) -> list[str]:
    """Everything that a logger may print of an error."""
    found = ["".join(traceback.format_exception(error))]
    one: BaseException | None = error
    while one is not None:
        found += [str(one), repr(one)]
        if isinstance(one, BatchError):
            found += [str(one.violation), repr(one.violation), repr(one.step), repr(one.statement)]
        one = one.__cause__ or one.__context__
    return found


GUARDS = {
    "require on a row": lambda meaning: update("t", {"c": SECRET}, {"c": SECRET}).require(
        {"c": SECRET + "!"}, raises=meaning
    ),
    "check": lambda meaning: insert("t", {"id": 2, "c": SECRET}).ensure(
        {"c": SECRET + "!"}, raises=meaning
    ),
    "forbid": lambda meaning: select("t", ["c"], where={"c": SECRET}).expect(0, unexpected=meaning),
}


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
@pytest.mark.parametrize("mapped", [False, True], ids=["invariant", "mapped"])
def test_no_text_shows_what_was_found_but_the_one_that_was_asked_for(conn, caplog, guard, mapped):
    caplog.set_level(logging.DEBUG)
    conn.execute(f"CREATE TABLE t AS SELECT 1 AS id, '{SECRET}'::text AS c")
    batch = gather(guard(LookupError("in the way")))
    if not mapped:
        batch = batch.as_invariant("testing")
    answer = attempt(conn, batch)
    assert answer.report.violation.row == {"c": SECRET}
    assert SECRET.encode().hex() in answer.report.violation.message
    shown = [*texts(answer.error), *texts(answer.report), caplog.text]
    hidden = (SECRET, SECRET.encode().hex(), TOKEN)
    assert [text for text in shown if any(secret in text for secret in hidden)] == []
    asked_for = attempt(conn, guard(format_error(LookupError, "in the way: {c}"))).error
    assert str(asked_for) == f"in the way: {SECRET}"


def test_found_row_is_on_the_report(conn):
    conn.execute("CREATE TABLE t AS SELECT 1 AS id, 'x'::text AS c")
    with pytest.raises(Unmet) as caught:
        run(conn, update("t", {"c": "y"}, {"id": 1}).require({"c": "z"}, raises=Unmet))
    report = caught.value.__cause__
    assert isinstance(report, BatchError)
    assert (report.violation.row, report.parameters) == ({"c": "x"}, ("y", 1, "z"))
    assert isinstance(report.__cause__, psycopg.errors.InvalidTextRepresentation)
