# SPDX-License-Identifier: MIT
"""The value that a guard reports is what a query returns, whatever styles the server writes it in;
text is left as it is only if a loader may misread it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.range import Range, RangeInfo, register_range
from psycopg.types.string import TextLoader

from batchq import gather, insert, sequence, sql
from batchq.language.builders import raw_sql
from batchq.result import attempt
from tests.support.row_values import Colour, Unmet, row_by_guard


class Own(Loader):
    """A loader of the caller's own."""

    def load(self, data: bytes) -> str:
        return f"read {bytes(data).decode()}"


class OwnBinary(Own):
    format = Format.BINARY


def test_a_value_is_loaded_by_what_the_connection_has_registered(conn):
    conn.adapters.register_loader("text", Own)
    conn.execute("CREATE TABLE t AS SELECT 1 AS id, 'quiet'::text AS c")
    assert list(row_by_guard(conn, "t", ["c"])) == [{"c": "read quiet"}] * 3


STYLED = {
    "timestamptz": ("timestamptz", "2024-02-01 00:00:00+00", datetime(2024, 2, 1, tzinfo=UTC)),
    "date": ("date", "2024-02-01", date(2024, 2, 1)),
    "domain of dates": ("day", "2024-02-01", date(2024, 2, 1)),
    "dates": ("date[]", "{2024-02-01,NULL}", [date(2024, 2, 1), None]),
    "range": ("daterange", "[2024-02-01,2024-03-04)", Range(date(2024, 2, 1), date(2024, 3, 4))),
    "interval": ("interval", "1 day 00:00:01", timedelta(days=1, seconds=1)),
    "float8": ("float8", "0.30000000000000004", 0.1 + 0.2),
}
BENT = (
    "DateStyle = 'German, DMY'",
    "TimeZone = 'Asia/Kolkata'",
    "IntervalStyle = 'iso_8601'",
    "extra_float_digits = 0",
)


def table_of(conn, type_, text):
    conn.execute(f"CREATE TABLE t (id int, c {type_}); INSERT INTO t VALUES (1, '{text}')")


def local(*settings):
    return sequence(raw_sql(f"SET LOCAL {setting}") for setting in settings)


STYLE = local("DateStyle = 'SQL, DMY'", "IntervalStyle = 'iso_8601'")


def bend(conn):
    """Change the settings of the session."""
    for setting in BENT:
        conn.execute(f"SET {setting}")


@pytest.mark.parametrize(("type_", "text", "value"), STYLED.values(), ids=STYLED)
def test_a_value_is_found_exactly_however_the_session_writes_it(conn, type_, text, value):
    conn.execute("CREATE DOMAIN day AS date")
    table_of(conn, type_, text)
    bend(conn)
    assert list(row_by_guard(conn, "t", ["c"])) == [{"c": value}] * 3


@pytest.mark.parametrize("name", ["timestamptz", "interval", "float8"])
def test_a_loader_of_another_type_changes_nothing(conn, name):
    conn.adapters.register_loader("date", Own)
    type_, text, value = STYLED[name]
    table_of(conn, type_, text)
    bend(conn)
    assert next(row_by_guard(conn, "t", ["c"])) == {"c": value}


@pytest.mark.parametrize("name", ["timestamptz", "date", "dates", "range", "interval", "float8"])
def test_a_loader_of_psycopg_for_another_type_is_the_one_that_a_query_uses(conn, name):
    type_, text, _ = STYLED[name]
    for registered in {type_, type_.removesuffix("[]")}:
        conn.adapters.register_loader(conn.adapters.types.get_oid(registered), TextLoader)
    table_of(conn, type_, text)
    bend(conn)
    (query,) = conn.execute("SELECT c FROM t").fetchone()
    assert list(row_by_guard(conn, "t", ["c"])) == [{"c": query}] * 3


OWN_LOADED = {
    "style of the session": ("date", "2024-02-01", None, "read 2024-02-01"),
    "order of the input": ("date", "2024-02-01", "DateStyle = 'ISO, DMY'", "read 2024-02-01"),
    "style of intervals": ("date", "2024-02-01", "IntervalStyle = 'iso_8601'", "read 2024-02-01"),
    "style of dates": ("interval", "1 day", "DateStyle = 'SQL, DMY'", "read 1 day"),
    "float": ("float8", "0.5", "DateStyle = 'SQL, DMY'", "read 0.5"),
    "text": ("text", "x", "DateStyle = 'SQL, DMY'", "read x"),
    "part of a range": (
        *("daterange", "[2024-02-01,2024-02-02)", "DateStyle = 'ISO, DMY'"),
        Range("read 2024-02-01", "read 2024-02-02"),
    ),
}


@pytest.mark.parametrize(("type_", "text", "setting", "value"), OWN_LOADED.values(), ids=OWN_LOADED)
def test_a_loader_of_the_callers_own_reads_what_it_cannot_misread(
    conn, type_, text, setting, value
):
    for name in {type_, "date"} - {"daterange"}:
        conn.adapters.register_loader(name, Own)
    table_of(conn, type_, text)
    before = None if setting is None else local(setting)
    assert list(row_by_guard(conn, "t", ["c"], before=before)) == [{"c": value}] * 3


def test_a_loader_of_the_callers_own_reads_the_style_of_its_session(conn):
    conn.adapters.register_loader("date", Own)
    table_of(conn, "date", "2024-02-01")
    conn.execute("SET DateStyle = 'SQL, DMY'")
    assert next(row_by_guard(conn, "t", ["c"])) == {"c": "read 01/02/2024"}


MISREAD = {
    "date": ("date", "2024-02-01", "01/02/2024"),
    "timestamps": ("timestamp[]", "{2024-02-01 03:04}", '{"01/02/2024 03:04:00"}'),
    "range": ("daterange", "[2024-02-01,2024-02-02)", "[01/02/2024,02/02/2024)"),
    "interval": ("interval", "1 day", "P1D"),
}


@pytest.mark.parametrize(("type_", "text", "written"), MISREAD.values(), ids=MISREAD)
def test_text_that_an_own_loader_may_misread_is_found_as_it_is(conn, type_, text, written):
    """Set for the transaction alone, day and month would change places."""
    for name in "date", "timestamp", "interval":
        conn.adapters.register_loader(name, Own)
    table_of(conn, type_, text)
    assert list(row_by_guard(conn, "t", ["c"], before=STYLE)) == [{"c": written}] * 3


def test_a_loader_in_binary_is_not_the_one_that_a_query_uses(conn):
    conn.adapters.register_loader("date", OwnBinary)
    table_of(conn, "date", "2024-02-01")
    assert list(row_by_guard(conn, "t", ["c"])) == [{"c": date(2024, 2, 1)}] * 3


STYLED_IN_THE_TRANSACTION = {
    "date": ("date", "2024-02-01", "01/02/2024"),
    "dates": ("date[]", "{2024-02-01,NULL}", "{01/02/2024,NULL}"),
    "range": ("daterange", "[2024-02-01,2024-03-04)", "[01/02/2024,04/03/2024)"),
    "interval": ("interval", "1 day", "P1D"),
    "text": ("text", "01/02/2024", "01/02/2024"),
    "number": ("numeric", "1.50", Decimal("1.50")),
}


@pytest.fixture(params=["by a step", "by a trigger"])
def restyled(request, conn):
    """Return a step that changes the styles for its transaction."""
    conn.execute("""
        CREATE FUNCTION restyle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM set_config('IntervalStyle', 'iso_8601', true);
            PERFORM set_config('DateStyle', 'SQL, DMY', true);
            RETURN NEW;
        END $$;
        CREATE TABLE log (id int);
        CREATE TRIGGER restyle BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION restyle()""")
    return STYLE if request.param == "by a step" else insert("log", {"id": 1})


@pytest.mark.parametrize(
    ("type_", "text", "found"),
    STYLED_IN_THE_TRANSACTION.values(),
    ids=STYLED_IN_THE_TRANSACTION,
)
def test_a_style_that_is_set_within_the_transaction_leaves_text(conn, restyled, type_, text, found):
    """A statement has one text, whatever runs before it."""
    table_of(conn, type_, text)
    assert list(row_by_guard(conn, "t", ["c"], before=restyled)) == [{"c": found}] * 3


# -- types of the user -----------------------------------------------------------------------------


def test_an_enum_is_loaded_in_any_style(conn):
    conn.execute("CREATE TYPE colour AS ENUM ('red', 'blue')")
    labels = {Colour.RED: "red", Colour.BLUE: "blue"}
    register_enum(EnumInfo.fetch(conn, "colour"), conn, Colour, mapping=labels)
    table_of(conn, "colour[]", "{red}")
    assert list(row_by_guard(conn, "t", ["c"], before=STYLE)) == [{"c": [Colour.RED]}] * 3


def test_a_range_of_another_type_is_loaded_in_any_style(conn):
    conn.execute("CREATE TYPE span AS RANGE (subtype = float8)")
    register_range(RangeInfo.fetch(conn, "span"), conn)
    table_of(conn, "span", "[0.5,1.5)")
    assert list(row_by_guard(conn, "t", ["c"], before=STYLE)) == [{"c": Range(0.5, 1.5)}] * 3


def test_a_composite_value_is_loaded_if_no_part_may_be_misread(conn):
    conn.execute("CREATE TYPE spot AS (x int, name text)")
    conn.execute("CREATE TABLE t AS SELECT 1 AS id, ROW(3, 'a')::spot AS c")
    register_composite(CompositeInfo.fetch(conn, "spot"), conn)
    assert [row["c"].x for row in row_by_guard(conn, "t", ["c"], before=STYLE)] == [3] * 3


def test_a_composite_value_with_a_date_is_loaded_in_the_sessions_style_and_in_no_other(conn):
    conn.execute("CREATE TYPE stay AS (day date)")
    conn.execute("CREATE TABLE t AS SELECT 1 AS id, ROW('2024-02-01')::stay AS c")
    register_composite(CompositeInfo.fetch(conn, "stay"), conn)
    assert next(row_by_guard(conn, "t", ["c"]))["c"].day == date(2024, 2, 1)
    conn.execute("SET DateStyle = 'SQL, DMY'")
    assert next(row_by_guard(conn, "t", ["c"]))["c"].day == date(2024, 2, 1)
    other = local("DateStyle = 'SQL, MDY'")
    assert next(row_by_guard(conn, "t", ["c"], before=other)) == {"c": "(02/01/2024)"}


def test_an_own_loader_of_a_type_that_is_not_built_in_reads_the_sessions_style_only(conn):
    """What it is composed of is not known."""
    conn.execute("CREATE TYPE colour AS ENUM ('red', 'blue')")
    TypeInfo.fetch(conn, "colour").register(conn)
    conn.adapters.register_loader("colour", Own)
    table_of(conn, "colour", "red")
    assert next(row_by_guard(conn, "t", ["c"])) == {"c": "read red"}
    assert next(row_by_guard(conn, "t", ["c"], before=STYLE)) == {"c": "red"}


def test_a_record_is_read_as_a_type_of_the_user_is(conn):
    conn.adapters.register_loader("record", Own)
    answer = attempt(
        conn,
        gather(
            STYLE,
            sql("SELECT ROW('2024-02-01'::date) AS c, 1 AS n").ensure(
                {"n": 2}, raises=Unmet, columns=["c"]
            ),
        ),
    )
    assert answer.error.found["c"] == "(01/02/2024)"
