# SPDX-License-Identifier: MIT
"""No setting of a session, nor of the transaction, changes a value on its way through batchq.

What arrived is compared on a session of its own, by text and by bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.range import Range

from batchq import gather, insert, run, select, sequence
from batchq.language.builders import raw_sql
from tests.support.row_values import row_by_guard
from tests.support.session_settings import (
    FIXED_SETTINGS,
    MAKE,
    SENSITIVE_VALUES,
    VARYING_SETTINGS,
    any_of,
    assignment,
)

EASY = settings(deadline=None)
FEW, MANY = settings(EASY, max_examples=25), settings(EASY, max_examples=2_000)
ROWS = max(map(len, SENSITIVE_VALUES.values()))


class Scene:
    """Tables of every type, and a session to bend beside one that looks."""

    def __init__(self, connect) -> None:
        self.observer: psycopg.Connection = connect(prepare_threshold=None)
        self.schema = self.observer.execute("SELECT current_schema()").fetchone()[0]
        self.types = [kind.replace("{schema}", self.schema) for kind in SENSITIVE_VALUES]
        self.observer.execute(MAKE.replace("{schema}", self.schema))
        columns = ", ".join(f"c{i} {kind}" for i, kind in enumerate(self.types))
        # A table may be called as a type is; its schema distinguishes them.
        self.source, self.copy = f"{self.schema}.source", f"{self.schema}.path"
        for table in (f"{self.source} (id int, {columns})", f"{self.copy} ({columns})"):
            self.observer.execute(f"CREATE TABLE {table}")
        for row in range(ROWS):
            texts = [values[row % len(values)] for values in SENSITIVE_VALUES.values()]
            texts = [text.replace("{schema}", self.schema) for text in texts]
            casts = ", ".join(f"%s::text::{kind}" for kind in self.types)
            insertion = f"INSERT INTO {self.source} VALUES ({row}, {casts})"
            self.observer.execute(insertion, texts, prepare=False)
        nothing = ", ".join("NULL" for _ in self.types)
        self.observer.execute(f"INSERT INTO {self.source} VALUES ({ROWS}, {nothing})")

    def set_local(self, values):
        """Return steps that set something until the transaction ends."""
        pairs = (assignment(name, value, self.schema) for name, value in values.items())
        return sequence(raw_sql(f"SET LOCAL {name} = {value}") for name, value in pairs)

    def changed(self, row: int):
        """Yield the columns whose values are not what they were."""
        for i, kind in enumerate(self.types):
            text, sent = (f"format('%s', {{}}.c{i})", f"record_send(ROW({{}}.c{i}))")
            same = " AND ".join(
                f"{one.format('s')} IS NOT DISTINCT FROM {one.format('c')}" for one in (text, sent)
            )
            shown = f"SELECT {same}, s.c{i}::text, c.c{i}::text FROM {self.source} s, {self.copy} c"
            ok, *values = self.observer.execute(f"{shown} WHERE id = {row}").fetchone()
            if not ok:
                yield kind, *values


def bend(conn, schema, values):
    for name, value in values.items():
        left, right = assignment(name, value, schema)
        conn.execute(f"SET {left} = {right}", prepare=False)


@pytest.fixture
def scene(connect):
    return Scene(connect)


def by_column(scene, made):
    return insert(scene.copy, {f"c{i}": made.output(f"c{i}") for i in range(len(scene.types))})


def by_sql(scene, made):
    params = {f"c{i}": made.output(f"c{i}", kind) for i, kind in enumerate(scene.types)}
    values = ", ".join(f"%({name})s" for name in params)
    return raw_sql(f"INSERT INTO {scene.copy} VALUES ({values})", **params)


# The value of every setting, in the middle of a batch.
NAMES = ", ".join(f"pg_catalog.current_setting('{name}')" for name in VARYING_SETTINGS)
SHOWN = raw_sql(f"SELECT pg_catalog.concat_ws('|', {NAMES})").one(tuple)


WAYS = [by_column, by_sql]


def outputs(connect, scene, way, examples):
    @examples
    @given(
        st.integers(0, ROWS),
        any_of({**FIXED_SETTINGS, **VARYING_SETTINGS}),
        any_of(VARYING_SETTINGS),
        any_of(VARYING_SETTINGS),
        st.sampled_from([None, 0]),
    )
    def arrives(row, session, before, between, threshold):
        scene.observer.execute(f"TRUNCATE {scene.copy}")
        with connect(prepare_threshold=threshold) as conn:
            bend(conn, scene.schema, session)
            made = select(scene.source, where={"id": row})
            steps = [scene.set_local(before), SHOWN, made, SHOWN]
            steps += [scene.set_local(between), SHOWN, way(scene, made), SHOWN]
            _, left, _, back, _, put, _, end = run(conn, gather(*steps))
        assert list(scene.changed(row)) == []
        assert (left, put) == (back, end)

    arrives()


@pytest.mark.parametrize("way", WAYS)
def test_an_output_arrives_as_it_was_whatever_is_set_before_and_between(connect, scene, way):
    outputs(connect, scene, way, FEW)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
def test_an_output_arrives_as_it_was_two_thousand_times(connect, scene, way):
    outputs(connect, scene, way, MANY)


def utc(value):
    """Return the same moments, in the same words whatever the session's zone."""
    if isinstance(value, list):
        return [utc(item) for item in value]
    if isinstance(value, Range) and not value.isempty:
        return Range(utc(value.lower), utc(value.upper), value.bounds)
    moment = isinstance(value, datetime) and value.tzinfo is not None
    return value.astimezone(UTC) if moment else value


def same(kind, seen, expected):
    """Whether two Python values are one; NaN is itself, and -0 is not 0."""
    if isinstance(expected, str) and kind not in TEXTS:
        return isinstance(seen, str)  # of its type, but no Python value: infinity
    return type(seen) is type(expected) and repr(utc(seen)) == repr(utc(expected))


def is_rounded(conn, digits, kind, seen, expected):
    """Whether a value is what a query returns with so few digits of a float."""
    if kind == "{schema}.stay":
        seen, expected, kind = seen.paid, expected.paid, "float8"
    if digits is None or not kind.startswith("float") or expected is None:
        return False
    with conn.transaction():
        conn.execute(f"SET LOCAL extra_float_digits = {digits}")
        query = conn.execute(f"SELECT %s::{kind}", [expected], prepare=False)
        return repr(query.fetchone()[0]) == repr(seen)


STYLES = {"DateStyle", "IntervalStyle"}
TEXTS = {"text", "char(5)", '"char"', "name", "varbit", "text[]"}
# The driver has no loader for the others: they are found as the server writes them.
LOADED = [
    i
    for i, kind in enumerate(SENSITIVE_VALUES)
    if not kind.startswith(("{", "reg", "money", "point", "tsvector"))
]


def findings(connect, scene, examples, *, local):
    columns = [f"c{i}" for i in LOADED]

    @examples
    @given(st.integers(0, ROWS), any_of(FIXED_SETTINGS), any_of(VARYING_SETTINGS))
    def found(row, fixed, bending):
        expected = next(row_by_guard(scene.observer, scene.source, columns, row=row))
        with connect() as conn:
            bend(conn, scene.schema, fixed if local else {**fixed, **bending})
            before = scene.set_local(bending if local else {})
            for seen in row_by_guard(conn, scene.source, columns, row=row, before=before):
                for column, value in expected.items():
                    kind = list(SENSITIVE_VALUES)[int(column[1:])]
                    is_text = local and not STYLES.isdisjoint(bending) and kind not in TEXTS
                    is_same = is_text and isinstance(seen[column], str)
                    is_same = is_same or same(kind, seen[column], value)
                    digits = bending.get("extra_float_digits")
                    assert is_same or is_rounded(
                        scene.observer, digits, kind, seen[column], value
                    ), kind

    found()


@pytest.mark.parametrize("local", [False, True])
def test_guard_finds_the_stored_value_under_all_settings(connect, scene, local):
    findings(connect, scene, FEW, local=local)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("local", [False, True])
def test_guard_finds_the_stored_value_two_thousand_times(connect, scene, local):
    findings(connect, scene, MANY, local=local)
