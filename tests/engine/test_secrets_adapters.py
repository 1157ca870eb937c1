# SPDX-License-Identifier: MIT
"""No value in the words of what a loader or a dumper raised, nor in anything tied to the report."""

from __future__ import annotations

import datetime as dt
import enum

import psycopg
import pytest
from psycopg.adapt import Dumper, Loader
from psycopg.types.array import ArrayLoader
from psycopg.types.datetime import DateLoader, TimestampLoader
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Json, JsonLoader
from psycopg.types.net import InetLoader
from psycopg.types.numeric import IntLoader, NumericLoader
from psycopg.types.range import Int4RangeLoader, Range
from psycopg.types.uuid import UUIDLoader

from batchq import DecodeFailed, InvalidBatch, gather, insert, run, select, sql, update
from batchq.result import attempt
from tests.engine.test_secrets import SECRET, chain, texts

# What is selected, and the words in it that no text may show.
UNREADABLE = {
    "date before our era": ("'0044-03-15 BC'::date", "0044"),
    "date without end": ("'infinity'::date", "'infinity'"),
    "timestamp without end": ("'infinity'::timestamp", "'infinity'"),
    "timestamptz without end": ("'infinity'::timestamptz", "'infinity'"),
    "timestamptz before our era": ("'0044-03-15 BC'::timestamptz", "0044"),
    "time at midnight": ("'24:00'::time", "24:00"),
    "timetz at midnight": ("'24:00+00'::timetz", "24:00"),
    "interval that is too long": ("'100000000 years'::interval", "100000000"),
    "array of dates": ("ARRAY['0044-03-15 BC'::date]", "0044"),
    "range of dates": ("daterange('0044-03-15 BC', NULL)", "0044"),
}
# psycopg's own, for a type whose values they cannot read.
LOADERS = {
    "date": DateLoader,
    "timestamp": TimestampLoader,
    "json": JsonLoader,
    "inet": InetLoader,
    "integer": IntLoader,
    "numeric": NumericLoader,
    "range": Int4RangeLoader,
    "uuid": UUIDLoader,
    "array": ArrayLoader,
}


def leaks(error, secret=SECRET):
    return [text for text in texts(error) if secret in text]


def failed(conn, statement):
    """Return the report of a batch that fails to decode after a row that can be read."""
    report = attempt(conn, gather(sql("SELECT 1"), statement)).report
    assert type(report) is DecodeFailed
    assert report.index == 1
    return report


@pytest.mark.parametrize("result", ["one", "all", "maybe"])
@pytest.mark.parametrize(("value", "secret"), UNREADABLE.values(), ids=UNREADABLE)
def test_no_text_shows_what_python_has_no_value_for(conn, value, secret, result):
    statement = sql(f"SELECT 1, {value} AS x")
    report = failed(conn, getattr(statement, result)(tuple))
    assert leaks(report, secret) == []
    assert "'x'" in str(report.__cause__)


def test_a_select_and_a_scalar_show_none_either_and_keep_the_class(conn):
    conn.execute("CREATE TABLE t (id int, d date); INSERT INTO t VALUES (1, '0044-03-15 BC')")
    for statement in (
        select("t", ["d"], where={"id": 1}).scalar(dt.date),
        sql("UPDATE t SET id = 1 RETURNING d").scalar(dt.date),
    ):
        report = failed(conn, statement)
        assert leaks(report, "0044") == []
        assert type(report.__cause__) is psycopg.DataError
        assert len(chain(report)) == 2


@pytest.mark.parametrize("style", ["SQL, DMY", "Postgres, MDY", "German"])
def test_no_text_shows_a_time_in_a_style_that_the_driver_does_not_read(conn, style):
    conn.execute(f"SET DateStyle = '{style}'")
    report = failed(conn, sql("SELECT '2024-05-06 07:08:09+00'::timestamptz").one(tuple))
    assert leaks(report, "07:08:09") == leaks(report, ":08:09") == []


@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)
def test_no_text_shows_what_a_loader_of_the_drivers_could_not_read(conn, loader):
    conn.adapters.register_loader("text", loader)
    report = failed(conn, sql(f"SELECT '{SECRET}'::text UNION ALL SELECT '1'").all(tuple))
    assert leaks(report) == []


def test_no_text_shows_a_label_that_an_enum_does_not_have(conn):
    conn.execute(f"CREATE TYPE kind AS ENUM ('{SECRET}', 'known')")

    class Kind(enum.Enum):
        KNOWN = 1

    register_enum(EnumInfo.fetch(conn, "kind"), conn, Kind, mapping=[(Kind.KNOWN, "known")])
    assert leaks(failed(conn, sql(f"SELECT '{SECRET}'::kind").one(tuple))) == []


def test_no_text_shows_what_is_undecodable_in_the_clients_encoding(conn):
    conn.execute(
        "CREATE FUNCTION switch(encoding text) RETURNS text LANGUAGE sql AS "
        "$$SELECT set_config('client_encoding', encoding, false)$$"
    )
    there, back = (sql("SELECT switch(%(to)s)", to=to) for to in ("LATIN1", "UTF8"))
    letter = sql(f"SELECT '{SECRET}' || chr(233)").scalar(str)
    report = attempt(conn, gather(there, letter, back)).report
    assert leaks(report) == []
    assert type(report.__cause__) is UnicodeError


class Zone(dt.tzinfo):
    """One whose offset hangs on the date, and which says its name."""

    def __repr__(self):
        return SECRET

    def utcoffset(self, _):
        return None


LONE = SECRET + "\ud800"
UNSENDABLE = {
    "a lone surrogate": LONE,
    "one in a list": [LONE],
    "one in a list of lists": [["x"], [LONE]],
    "one in a range": Range(LONE, None),
    "one in a document": Json(LONE, dumps=lambda value: value),
    "a NUL": SECRET + "\0",
    "a time of a zone": dt.time(1, tzinfo=Zone()),
    "a dict": {SECRET: SECRET},
    "what is not JSON": Json({(SECRET,): 1}),
    "an object": type("Thing", (), {"__repr__": lambda _: SECRET})(),
}


@pytest.mark.parametrize("value", UNSENDABLE.values(), ids=UNSENDABLE)
def test_no_text_shows_a_value_that_cannot_be_sent(conn, value):
    for built in (
        lambda: insert("account", {"id": 2, "password": value}),
        lambda: update("account", {"id": 2}, where={"password": value}),
        lambda: update("account", {"id": 2}, where={"id": 1}).require({"password": value}),
        lambda: sql("SELECT %(x)s", x=value),
    ):
        with pytest.raises(InvalidBatch) as caught:  # some is refused when it is built
            run(conn, gather(sql("SELECT 1"), built()))
        assert leaks(caught.value) == []


class AdapterError(Exception):
    pass


def test_exception_of_the_callers_loader_dumper_or_model_is_unchanged(conn):
    raised = AdapterError(SECRET)

    class Own(Loader):
        def load(self, _):
            raise raised

    class Sent:
        pass

    class OwnDumper(Dumper):
        def dump(self, _):
            raise raised

    def model(**_):
        raise raised

    assert failed(conn, sql("SELECT 1 AS a").one(model)).__cause__ is raised
    conn.adapters.register_loader("text", Own)
    conn.adapters.register_dumper(Sent, OwnDumper)
    assert failed(conn, sql("SELECT 'x'::text").one(tuple)).__cause__ is raised
    with pytest.raises(InvalidBatch) as caught:
        run(conn, sql("SELECT %(x)s", x=Sent()))
    assert caught.value.__cause__ is raised
    assert SECRET not in str(caught.value)
