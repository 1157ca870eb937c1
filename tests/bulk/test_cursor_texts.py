# SPDX-License-Identifier: MIT
"""The text of a cursor is read back as its key, whatever a session's settings are.

It is written under any settings and read under any others, for every type of an order key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq.bulk.chunks.cursor import cursor_texts
from tests.support.literals import ANY, MAKE_TYPES, ODD

# The fixture gives one connection to all examples, and each begins by emptying the table.
EXAMPLES = settings(deadline=None, max_examples=60)

NO_KEYS = {"json", "point", "pair", "regclass"}
"""Without an order, of rows, with a text that names something."""
MORE = {
    "timestamptz": ["1890-01-01 00:00:00+05:53:28", "epoch", "2024-10-27 00:59:59.999997+00"],
    "timestamp": ["0001-01-01 00:00:00.1", "12345-06-07 08:09:10", "2024-05-04 00:00:00"],
    "date": ["0001-02-03", "12345-06-07", "0044-03-15 BC", "-infinity", "2024-05-04"],
    "interval": [
        "-1 day +2 hours", "1 mon -1 day", "-1 year -2 mons +3 days -04:05:06.7", "00:00:00.000001",
        "-00:00:01", "178000000 years", "2562047788:00:54.775807", "-0.5 s", "1 mon 1 day 1 s",
    ],
    "float4": ["1.17549435e-38", "0.30000001", "1e-45"],
    "float8": ["0.30000000000000004", "2.2250738585072011e-308", "-1e-320", "123456789.12345679"],
    "float8[]": ["{0.30000000000000004,NaN}"],
    "interval[]": ['{"-1 day +2 hours"}'],
    "date[]": ["{2024-05-04,NULL}"],
    "daterange": ["[2024-05-04,2025-02-01)"],
    "tsrange": ['["2024-05-04 01:02:03.4",)'],
    "datemultirange": ["{[2024-05-04,2025-02-01)}"],
    "timetz": ["23:59:59.999999-15:59", "24:00:00+00"],
    "tstzrange": ['(,"1890-01-01 00:00:00+05:53:28"]'],
    "tid": ["(1,2)"],
    "pg_lsn": ["16/B374D848"],
    "oid": ["4294967295"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "bit(3)": ["101"],
    "tsquery": ["'a' & !'b'"],
    "xid8": ["18446744073709551615"],
    "moment": ["2024-05-04"],
}  # fmt: skip
KEYS = {
    name: [*ODD.get(name, []), *MORE.get(name, [])]
    for name in {**ODD, **MORE}
    if name not in NO_KEYS
}
CHOICES = {
    "DateStyle": ["ISO, MDY", "ISO, DMY", "ISO, YMD", "SQL, DMY", "SQL, MDY", "Postgres, DMY",
                  "Postgres, MDY", "German", "SQL, YMD"],
    "TimeZone": ["UTC", "Asia/Kolkata", "America/St_Johns", "Europe/Dublin", "Etc/GMT+12"],
    "IntervalStyle": ["postgres", "postgres_verbose", "sql_standard", "iso_8601"],
    "extra_float_digits": ["-15", "0", "1", "3"],
    "bytea_output": ["hex", "escape"],
    "standard_conforming_strings": ["on", "off"],
    "search_path": ["pg_catalog", '"$user", public'],
    "lc_numeric": ["C"],
    "row_security": ["on", "off"],
    "plan_cache_mode": ["force_custom_plan", "force_generic_plan"],
}  # fmt: skip
odd_settings = st.fixed_dictionaries(
    {}, optional={k: st.sampled_from(v) for k, v in CHOICES.items()}
)

RECEIVED = f"""
WITH batchq_last AS MATERIALIZED (SELECT k FROM key), {cursor_texts(("k",))}
SELECT texts[1] FROM batchq_cursor WHERE restored <> ''
"""
NAMES = list(CHOICES)


class Sessions:
    """Who writes a place down, and who reads it."""

    def __init__(self, conn: psycopg.Connection[Any], connect: Callable[..., Any]) -> None:
        self.conn = conn
        conn.execute(f"{MAKE_TYPES} CREATE DOMAIN moment AS date")
        self.schema = conn.execute("SELECT current_schema()::text").fetchone()[0]  # type: ignore[index]
        self.writer, self.reader = connect(), connect()

    def plant(self, type_: str, value: str) -> None:
        self.conn.execute("DROP TABLE IF EXISTS key", prepare=False)
        self.conn.execute(f"CREATE TABLE key (k {type_} NOT NULL)", prepare=False)  # type: ignore[arg-type]
        self.conn.execute(f"INSERT INTO key SELECT %s::text::{type_}", [value], prepare=False)  # type: ignore[arg-type]

    def set_all(self, session: Any, values: dict[str, str]) -> None:
        session.execute("RESET ALL")
        path = f"{self.schema}, {values.get('search_path', 'public')}"
        values = {**values, "search_path": path}
        session.execute(
            "SELECT set_config(name, value, false) "
            "FROM unnest(%s::text[], %s::text[]) AS of (name, value)",
            [[*values], [*values.values()]],
            prepare=False,
        )

    def place(self, values: dict[str, str]) -> str:
        """Write it down. What was set before is set afterwards, in the same transaction."""
        self.set_all(self.writer, values)
        with self.writer.transaction():
            before = self.settings()
            (text,) = self.writer.execute(RECEIVED, prepare=False).fetchone()
            assert self.settings() == before
        return str(text)

    def settings(self) -> Any:
        asked = "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name"
        return self.writer.execute(asked, [NAMES], prepare=False).fetchall()

    def assert_found(self, text: str, values: dict[str, str]) -> None:
        """Assert that the text is equal to the key, neither less nor greater."""
        self.set_all(self.reader, values)
        query = "SELECT (k) = (%s), (k) > (%s), (k) < (%s) FROM key"
        found = self.reader.execute(query, [text] * 3, prepare=False).fetchone()
        assert found == (True, False, False), text


@pytest.fixture
def sessions(conn: psycopg.Connection[Any], connect: Callable[..., Any]) -> Sessions:
    return Sessions(conn, connect)


@pytest.mark.parametrize("type_", KEYS)
def test_cursor_text_of_odd_values_is_found_under_every_setting(
    sessions: Sessions, type_: str
) -> None:
    for value in KEYS[type_]:
        sessions.plant(type_, value)
        for name in ("DateStyle", "IntervalStyle", "extra_float_digits", "bytea_output"):
            texts = {
                sessions.place({name: one, "TimeZone": "Asia/Kolkata"}) for one in CHOICES[name]
            }
            assert len(texts) == 1 or name == "bytea_output"
            for other in CHOICES[name]:
                for text in texts:
                    sessions.assert_found(text, {name: other, "TimeZone": "America/St_Johns"})


@EXAMPLES
@given(data=st.data(), one=odd_settings, other=odd_settings)
def test_cursor_text_of_any_value_is_found_under_any_settings(
    sessions: Sessions, data: Any, one: Any, other: Any
) -> None:
    type_ = data.draw(st.sampled_from(sorted({*KEYS, *ANY} - NO_KEYS)))
    known = [st.sampled_from(KEYS[type_])] if type_ in KEYS else []
    value = data.draw(st.one_of(*known, *([ANY[type_]] if type_ in ANY else [])))
    sessions.plant(type_, value)
    sessions.assert_found(sessions.place(one), other)
