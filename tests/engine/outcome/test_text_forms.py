# SPDX-License-Identifier: MIT
"""The prediction of how the server writes a value holds for every type of column that takes it.

Every value is put into a column of every type, and what the server then sends is held against what
is predicted of every other value: never "it is written so" if it is not, and never "it is not" if
it is. What is certain of the values that keys mostly have is pinned besides.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cache
from uuid import UUID

import pytest

from batchq import insert
from batchq.engine.outcome.text_forms import TextMatch, match_parameter, match_stored
from batchq.result import run_many

YES, NO, MAYBE = TextMatch.YES, TextMatch.NO, TextMatch.MAYBE

pytestmark = pytest.mark.postgres_only("the types of PostgreSQL")

TYPES = """
int2, int4, int8, numeric, numeric(10,2), numeric(10,0), real, float8, money, text, varchar(20),
char(8), char(1), name, "char", bool, uuid, date, timestamp, timestamp(0), timestamptz, time,
timetz, interval, inet, cidr, macaddr, bytea, json, jsonb, int[], text[], int4range, daterange,
regclass, regtype, regproc, regrole, oid, bit(4), varbit, xml, tsvector, pg_lsn, mood, positive
"""
ONE, TWO = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
LONG = "n" * 61
NOON = datetime(2024, 3, 4, 12, 0)  # noqa: DTZ001  of no zone
CERTAIN = 10_000

STRINGS = [
    *"7 8 007 -7 +7 7.0 7.00 6.999 7e0 0x7 0 00 -0 1_0 10 1 nan NaN".split(),
    *"t f T yes on off true TRUE".split(),
    *"infinity INFINITY -infinity now today epoch empty null NULL a A ab AB abc café CAFÉ".split(),
    *"web web-1 web-2 web-01 srv-1 kr7 kr8 $7 $7.00 USD7 h1 h2 day day-1 mon 5 P1D".split(),
    *"pg_class PG_CLASS pg_catalog.pg_class 1259 int4 integer int8 now() postgres sad glad".split(),
    *"2024-03-04 03/04/2024 04.03.2024 20240304 2024-1-2 2024-01-02 10:00 10:00:00 24:00".split(),
    *"10.0.0.1 10.0.0.1/32 10.0.0.0/8 fe80::1 FE80::1 08:00:2b:01:02:03 08002b010203".split(),
    *"{1,2} [1,3) [1,2] {} [] [1] 101 1010 B101 0/16B3748 0/16b3748 16/B374D848".split(),
    ONE,
    ONE.upper(),
    ONE.replace("-", ""),
    "{" + ONE + "}",
    TWO,
    " 7",
    "7 ",
    "web ",
    "web  1",
    "a, b",
    "a) b",
    '"pg_class"',
    '"a"',
    "{1, 2}",
    "1 day",
    "1 DAY",
    "24 hours",
    "4 March 2024",
    "Mon Mar 04 10:00:00 2024",
    "2024-03-04 10:00:00",
    "2024-03-04 10:00:00+02",
    '{"a": 1}',
    '{"a":1}',
    "\\x41",
    "a\\101",
    "aA",
    "double precision",
    LONG + "abc",
    LONG + "ab",
    LONG + "éz",
    "",
]
VALUES = [
    *STRINGS,
    *(0, 1, 7, 8, -7, 10, 11, 70, 1259, 2**31, 2**53 + 1, 10**15, 10**16),
    *(
        Decimal(n)
        for n in "7 7.0 7.00 7.2 7.5 7.005 7.004 12.345 12.35 12.34 -7.005 1E+3 NaN".split()
    ),
    *(UUID(ONE), UUID(TWO), True, False, None),
    *(date(2024, 3, 4), date(2024, 4, 3), date(2024, 1, 2)),
    *(7.0, 7.5, 0.1, 1e20, 12.345, float("nan")),
    *(NOON, datetime(2024, 3, 4, tzinfo=timezone(timedelta(hours=2)))),
    *(time(10, 0), timedelta(days=1), b"A", [1, 2]),
]
SETTINGS = {
    "plain": "SET DateStyle = 'ISO, MDY'",
    "bent": "SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'postgres_verbose';"
    " SET TimeZone = 'Asia/Kolkata'; SET extra_float_digits = -15; SET bytea_output = 'escape'",
}


@pytest.fixture(params=SETTINGS)
def columns(request, conn):
    """For each type, the place of each value that it takes, and the text that it has there."""
    conn.execute(SETTINGS[request.param])
    conn.execute("CREATE TYPE mood AS ENUM ('sad', 'glad', 'web-1', 'day')")
    conn.execute("CREATE DOMAIN positive AS int CHECK (VALUE >= 0)")
    return {kind: taken(conn, kind) for kind in map(str.strip, split(TYPES))}


def split(types):
    return types.replace("(10,", "(10;").replace("\n", " ").split(",")


def taken(conn, kind):
    conn.execute("DROP TABLE IF EXISTS held")
    conn.execute(f"CREATE TABLE held (n int, v {kind.replace(';', ',')})")
    # What is none of that type is not taken.
    run_many(conn, [insert("held", {"n": n, "v": value}) for n, value in enumerate(VALUES)])
    answer = conn.pgconn.exec_(b"SELECT n, v FROM held ORDER BY n")
    rows = ((answer.get_value(n, 0), answer.get_value(n, 1)) for n in range(answer.ntuples))
    return [(int(n), b"null" if text is None else text) for n, text in rows]


def test_predicted_match_holds_in_every_column(columns):
    predict = cache(lambda n, text: match_parameter(VALUES[n], text))
    predicted = [
        (kind, VALUES[n], text, predict(n, text), seen == other)
        for kind, held in columns.items()
        for n, seen in held
        for _, other in held
        if (text := readable(other)) is not None
    ]
    wrong = {repr(one) for one in predicted if one[3] is (NO if one[4] else YES)}
    assert sorted(wrong) == []
    assert sum(one[3] is not MAYBE for one in predicted) > CERTAIN


def readable(text):
    try:
        return text.decode()
    except UnicodeDecodeError:
        return None


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        (7, "7", YES),
        (8, "7", NO),
        (70, "7", NO),
        (7, "7.00", MAYBE),
        (8, "7.00", NO),
        (Decimal("12.35"), "12.35", YES),
        (Decimal("12.345"), "12.35", MAYBE),
        (Decimal("12.344"), "12.35", NO),
        (UUID(ONE), ONE, YES),
        (UUID(TWO), ONE, NO),
        (ONE.upper(), ONE, MAYBE),
        (TWO, ONE, NO),
        ("web", "web", YES),
        ("default", "web", NO),
        ("web-1", "web-2", NO),
        ("web 1", "web 2", NO),
        ("ab", "cd", NO),
        ("7", "8", NO),
        ("007", "7", MAYBE),
        ("ab", "ab      ", MAYBE),
        ("Booking", "booking", MAYBE),
        (LONG + "abc", LONG + "ab", MAYBE),
        (date(2024, 3, 4), "2024-03-04", MAYBE),
        (date(2024, 3, 4), "2024-04-03", NO),
        (date(2024, 3, 4), "04/03/2024", MAYBE),
        (NOON, "2024-03-04 12:00:00", MAYBE),
        (True, "t", MAYBE),
        (True, "f", NO),
        (None, "7", NO),
        (None, "null", MAYBE),
        (7.0, "7", MAYBE),
        ([7], "{7}", MAYBE),
    ],
)
def test_match_of_common_key_values_is_certain(value, text, expected):
    assert match_parameter(value, text) is expected


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [(7, "7", YES), (8, "7", NO), ("web", "web", YES), ("WEB", "web", MAYBE), ("a", "web", MAYBE)],
)
def test_value_found_by_a_text_may_be_stored_as_another_text(value, text, expected):
    assert match_stored(value, text) is expected
