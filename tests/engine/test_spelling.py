# SPDX-License-Identifier: MIT
"""What a text teaches is a line of Python, whatever the names are."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import batchq
from batchq import InvalidBatch, UnmappedViolation, Violation, insert, select, sql, steps
from batchq.engine.compile.quoting import identifier
from batchq.language.spelling import spelled
from batchq.result import attempt
from batchq.types import ViolationKind

pytestmark = pytest.mark.postgres_only("the names that PostgreSQL sends")

NAMES = [
    "plain",
    'q"uote',
    "apo'strophe",
    "both'\"",
    "back\\slash",
    "back\\",
    'back\\"quote',
    "new\nline",
    "per%cent",
    "{brace}",
    "größe",
    "a b",
    "e\u2028nd",
]


class Mapped(Exception):
    pass


@given(st.text())
def test_a_name_is_read_back_as_it_was_and_stands_on_one_line(name):
    written = spelled(name)
    assert ast.literal_eval(written) == name
    assert written[0] == written[-1] == '"'
    assert len(written.splitlines()) == 1


def taught(error, start):
    (line,) = (one.strip() for one in str(error).splitlines() if one.strip().startswith(start))
    return line


CONSTRAINTS = {
    "unique": "CONSTRAINT {} UNIQUE",
    "check": "CONSTRAINT {} CHECK (k <> 1)",
    "foreign_key": "CONSTRAINT {} REFERENCES nothing",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [*CONSTRAINTS, "not_null"])
def test_the_lines_that_are_taught_work_whatever_the_names_are(conn, kind, name):
    table, quoted = f"t{name}", identifier(name)
    column = "k" if kind in CONSTRAINTS else name
    constraint = CONSTRAINTS[kind].format(quoted) if kind in CONSTRAINTS else "NOT NULL"
    conn.execute("CREATE TABLE nothing (id int PRIMARY KEY)")
    conn.execute(f"CREATE TABLE {identifier(table)} ({identifier(column)} int {constraint})")
    if kind == "unique":
        conn.execute(f"INSERT INTO {identifier(table)} VALUES (1)")
    failing = insert(table, {column: 1 if kind in CONSTRAINTS else None})
    report = attempt(conn, failing).error
    assert type(report) is UnmappedViolation
    names = {"step": failing, "YourError": Mapped, **vars(batchq)}
    line = taught(report, ".on(")
    mapped = eval(f"step{line}", names)  # noqa: S307  batchq's own text
    assert type(attempt(conn, mapped).error) is Mapped
    if kind in CONSTRAINTS:
        internal = eval(f"step{taught(report, '.invariant(')}", names)  # noqa: S307
        assert type(attempt(conn, internal).error) is batchq.InvariantViolation


@pytest.mark.parametrize("name", NAMES)
def test_a_violation_is_one_line(name):
    violation = Violation(ViolationKind.UNIQUE, "23505", name, table=name, part_of=(name,))
    assert len(str(violation).splitlines()) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_condition_on_an_array_that_is_taught_works(conn, name):
    conn.execute(f"CREATE TABLE t ({identifier(name)} text[])")
    conn.execute("INSERT INTO t VALUES ('{x}')")
    text = str(attempt(conn, select("t", [name], where={name: ["x"]}).scalar(list)).error)
    condition = text.partition("by a condition like ")[2].partition(", with the column")[0]
    where = eval(condition.replace("[...]", "['x']"), {"sql": sql})  # noqa: S307
    found = attempt(conn, select("t", [name], where=where).scalar(list))
    assert found.value == ["x"]


def test_model_without_columns_is_reported_in_python_terms():
    with pytest.raises(InvalidBatch, match=r'insert\("q\\"uote", …\)'):
        _ = steps(insert('q"uote', {"a": 1}).one(dict))[0].sql


def test_domain_that_rejects_null_is_reported(conn):
    conn.execute("CREATE DOMAIN full_name AS text NOT NULL; CREATE TABLE t (a full_name)")
    failing = insert("t", {"a": None})
    report = attempt(conn, failing).error
    assert "not_null() matches columns only" in str(report)
    mapped = eval(  # noqa: S307
        f"step{taught(report, '.on(')}", {"step": failing, "YourError": Mapped, **vars(batchq)}
    )
    assert type(attempt(conn, mapped).error) is Mapped
