# SPDX-License-Identifier: MIT
"""Every kind of failure, one by one, in the middle of a batch of three steps.

Whatever error the server can raise for a statement is reported unchanged, on the step that raised
it, and is caught by the matcher that is for it. At COMMIT: ``test_deferred``. Between two
transactions: ``test_conflicts``.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from attrs import frozen

from batchq import (
    Batch,
    BatchError,
    Outcome,
    Statement,
    UnmappedViolation,
    check,
    delete,
    exclusion,
    foreign_key,
    gather,
    insert,
    not_null,
    run,
    sql,
    sqlstate,
    unique,
    update,
)
from batchq.types import Matcher, ViolationKind


@frozen
class Case:
    """One way to fail: what there is, what is done, and what the server says to it."""

    schema: str
    broken: Statement[Any]
    sqlstate: str
    matcher: Matcher
    kind: ViolationKind = ViolationKind.OTHER
    constraint: str | None = None
    table: str | None = None
    column: str | None = None
    role: str | None = None
    since_18: str | None = None
    """The SQLSTATE from PostgreSQL 18 on, where it is another."""


CASES = {
    "unique": Case(
        "CREATE TABLE t (name text CONSTRAINT t_name_key UNIQUE); INSERT INTO t VALUES ('a')",
        insert("t", {"name": "a"}),
        "23505",
        unique("t_name_key"),
        kind=ViolationKind.UNIQUE,
        constraint="t_name_key",
        table="t",
    ),
    "primary key": Case(
        "CREATE TABLE t (id int CONSTRAINT t_pkey PRIMARY KEY); INSERT INTO t VALUES (1)",
        insert("t", {"id": 1}),
        "23505",
        unique("t_pkey"),
        kind=ViolationKind.UNIQUE,
        constraint="t_pkey",
        table="t",
    ),
    "partial unique index": Case(
        "CREATE TABLE t (name text, deleted_at timestamptz);"
        "CREATE UNIQUE INDEX t_live_name ON t (name) WHERE deleted_at IS NULL;"
        "INSERT INTO t VALUES ('a', now()), ('a', NULL)",
        insert("t", {"name": "a"}),
        "23505",
        unique("t_live_name"),
        kind=ViolationKind.UNIQUE,
        constraint="t_live_name",
        table="t",
    ),
    "expression index": Case(
        "CREATE TABLE t (name text); CREATE UNIQUE INDEX t_lower ON t (lower(name));"
        "INSERT INTO t VALUES ('a')",
        insert("t", {"name": "A"}),
        "23505",
        unique("t_lower"),
        kind=ViolationKind.UNIQUE,
        constraint="t_lower",
        table="t",
    ),
    "unique of a partition, under the partition's own name": Case(
        "CREATE TABLE t (id int CONSTRAINT t_whole PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (10);"
        "INSERT INTO t VALUES (1)",
        insert("t", {"id": 1}),
        "23505",
        unique("t_low_pkey"),
        kind=ViolationKind.UNIQUE,
        constraint="t_low_pkey",
        table="t_low",
    ),
    "no partition for the row": Case(
        "CREATE TABLE t (id int) PARTITION BY RANGE (id);"
        "CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (10)",
        insert("t", {"id": 99}),
        "23514",
        sqlstate("23514"),
        kind=ViolationKind.CHECK,
        table="t",
    ),
    "foreign key, no parent": Case(
        "CREATE TABLE parent (id int PRIMARY KEY);"
        "CREATE TABLE child (parent int CONSTRAINT child_parent_fkey REFERENCES parent)",
        insert("child", {"parent": 1}),
        "23503",
        foreign_key("child_parent_fkey"),
        kind=ViolationKind.FOREIGN_KEY,
        constraint="child_parent_fkey",
        table="child",
    ),
    "foreign key, a child left": Case(
        "CREATE TABLE parent (id int PRIMARY KEY);"
        "CREATE TABLE child (parent int CONSTRAINT child_parent_fkey REFERENCES parent);"
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)",
        delete("parent", {"id": 1}),
        "23503",
        foreign_key("child_parent_fkey"),
        kind=ViolationKind.FOREIGN_KEY,
        constraint="child_parent_fkey",
        table="child",  # not the one that was deleted from
    ),
    "foreign key, ON DELETE RESTRICT": Case(
        "CREATE TABLE parent (id int PRIMARY KEY);"
        "CREATE TABLE child (parent int CONSTRAINT child_parent_fkey REFERENCES parent "
        "ON DELETE RESTRICT);"
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)",
        delete("parent", {"id": 1}),
        "23503",
        foreign_key("child_parent_fkey"),
        kind=ViolationKind.FOREIGN_KEY,
        constraint="child_parent_fkey",
        table="child",
        since_18="23001",
    ),
    "check": Case(
        "CREATE TABLE t (used int CONSTRAINT t_limit CHECK (used <= 1)); INSERT INTO t VALUES (1)",
        update("t", {"used": sql("used + 1")}, {"used": 1}),
        "23514",
        check("t_limit"),
        kind=ViolationKind.CHECK,
        constraint="t_limit",
        table="t",
    ),
    "check of a domain, which names no table": Case(
        "CREATE DOMAIN port AS int CONSTRAINT port_range CHECK (VALUE < 65536);"
        "CREATE TABLE t (port port)",
        insert("t", {"port": 70_000}),
        "23514",
        check("port_range"),
        kind=ViolationKind.CHECK,
        constraint="port_range",
    ),
    "not null": Case(
        "CREATE TABLE t (name text NOT NULL)",
        insert("t", {"name": None}),
        "23502",
        not_null("name"),
        kind=ViolationKind.NOT_NULL,
        table="t",
        column="name",
    ),
    "exclusion": Case(
        "CREATE TABLE t (span int4range, "
        "CONSTRAINT t_no_overlap EXCLUDE USING gist (span WITH &&));"
        "INSERT INTO t VALUES ('[1,5)')",
        sql("INSERT INTO t VALUES (int4range(4, 9))"),
        "23P01",
        exclusion("t_no_overlap"),
        kind=ViolationKind.EXCLUSION,
        constraint="t_no_overlap",
        table="t",
    ),
    "no such label of an enum": Case(
        "CREATE TYPE colour AS ENUM ('red')",
        sql("SELECT %(x)s::colour", x="blue"),
        "22P02",
        sqlstate("22P02"),
    ),
    "a cast that fails": Case(
        "", sql("SELECT %(x)s::text::int", x="seven").scalar(int), "22P02", sqlstate("22P02")
    ),
    "string too long": Case(
        "CREATE TABLE t (c varchar(3))", insert("t", {"c": "four"}), "22001", sqlstate("22001")
    ),
    "division by zero": Case(
        "", sql("SELECT 1 / %(x)s::int", x=0).scalar(int), "22012", sqlstate("22012")
    ),
    "RAISE in a trigger": Case(
        "CREATE TABLE t (name text);"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'not %', NEW.name; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()",
        insert("t", {"name": "a"}),
        "P0001",
        sqlstate("P0001"),
    ),
    "RAISE in a trigger, as a constraint": Case(
        "CREATE TABLE t (name text);"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE check_violation USING CONSTRAINT = 't_polite', TABLE = 't'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()",
        insert("t", {"name": "a"}),
        "23514",
        check("t_polite"),
        kind=ViolationKind.CHECK,
        constraint="t_polite",
        table="t",
    ),
    "row-level security": Case(
        "CREATE TABLE t (owner text); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON t USING (true) WITH CHECK (owner = 'me');"
        "GRANT ALL ON t TO pg_monitor",
        insert("t", {"owner": "you"}),
        "42501",
        sqlstate("42501"),
        role="pg_monitor",  # a role that every server has, and that is not a superuser
    ),
    "syntax error": Case("", sql("SELEKT 1"), "42601", sqlstate("42601")),
    "no such table": Case("", insert("t", {"name": "a"}), "42P01", sqlstate("42P01")),
}

LOG = "CREATE TABLE log (n int); GRANT ALL ON log TO pg_monitor"


def batch(broken: Statement[Any]) -> Batch[Any]:
    before, after = insert("log", {"n": 1}), insert("log", {"n": 2})
    return gather(before, gather(broken.label("broken"), after)).label("job")


class Mapped(Exception):
    pass


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request, conn) -> Case:
    """Return a case, with its schema on the database and its role on the connection."""
    conn.execute(LOG)
    conn.execute(request.param.schema)
    if request.param.role:
        schema = conn.execute("SELECT current_schema()").fetchone()[0]
        conn.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO {request.param.role}')
        conn.execute(f"SET ROLE {request.param.role}")
    return request.param


def kept(conn: psycopg.Connection[Any]) -> int:
    return conn.execute("SELECT count(*) FROM log").fetchone()[0]


def test_failure_is_reported_as_sent_on_the_step_it_is_about(case, conn):
    broken = case.broken.label("broken")
    with pytest.raises(UnmappedViolation) as caught:
        run(conn, gather(insert("log", {"n": 1}), broken, insert("log", {"n": 2})).label("job"))
    error, seen = caught.value, caught.value.violation
    assert error.statement is broken
    assert (error.index, error.path) == (1, "job/broken")
    assert error.outcome is Outcome.ROLLED_BACK
    newer = conn.info.server_version >= 180000
    assert seen.sqlstate == (case.since_18 if newer and case.since_18 else case.sqlstate)
    assert (seen.kind, seen.constraint) == (case.kind, case.constraint)
    assert (seen.table, seen.column) == (case.table, case.column)
    assert kept(conn) == 0


def test_the_matcher_that_is_for_it_catches_it(case, conn):
    with pytest.raises(Mapped) as caught:
        run(conn, batch(case.broken.on(case.matcher, Mapped)))
    report = caught.value.__cause__
    assert type(report) is BatchError
    assert (report.index, report.outcome) == (1, Outcome.ROLLED_BACK)
    assert kept(conn) == 0


def test_the_matcher_that_is_for_it_is_the_one_that_the_report_teaches(case, conn):
    with pytest.raises(UnmappedViolation) as caught:
        run(conn, batch(case.broken))
    assert f".on({case.matcher}, " in str(caught.value)


def test_no_other_matcher_catches_it(case, conn):
    batched = batch(case.broken)
    for other in {other.matcher for other in CASES.values()} - {case.matcher}:
        if other.sqlstate != case.sqlstate:
            batched = batched.on(other, Mapped)
    with pytest.raises(UnmappedViolation):
        run(conn, batched)


@pytest.mark.parametrize(("value", "hinted"), [(7, True), ("seven", False)])
def test_hint_that_int_is_bigint_appears_only_if_one_was_sent(conn, value, hinted):
    conn.execute("CREATE FUNCTION f(smallint, point) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    with pytest.raises(UnmappedViolation) as caught:
        run(conn, sql("SELECT f(%(x)s, '{}'::json)", x=value))
    assert ("as bigint" in str(caught.value)) is hinted
