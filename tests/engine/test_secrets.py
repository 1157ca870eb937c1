# SPDX-License-Identifier: MIT
"""No value of a parameter in any text that ends up in a log: messages, reprs, tracebacks, loggers.

The server quotes values in its messages and details. They are attributes of the error.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen
from psycopg.pq import DiagnosticField

from batchq import (
    BatchError,
    InvalidBatch,
    Statement,
    check,
    explain,
    gather,
    insert,
    run,
    select,
    sql,
    sqlstate,
    steps,
    unique,
    update,
)
from batchq.engine.dialects import COCKROACHDB
from batchq.engine.wire.read_error import read_error
from batchq.result import attempt

SECRET = "hunter2"
TABLES = """
CREATE TABLE account (id int PRIMARY KEY, password text CONSTRAINT account_password_key UNIQUE,
                      CONSTRAINT account_check CHECK (password <> 'hunter2!'));
CREATE FUNCTION refuse(what text) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'weak: %', what USING DETAIL = what, HINT = what; END $$;
CREATE FUNCTION borrow(code text, what text) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE '%', what USING ERRCODE = code; END $$;
CREATE FUNCTION look_up(what text) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE format('SELECT 1 FROM %I', what); RETURN 1; END $$;
CREATE TYPE colour AS ENUM ('red');
"""


def _quoting(text: str, code: str) -> tuple[Callable[[], Statement[Any]], str]:
    return lambda: sql(text, x=SECRET).all(tuple), code  # type: ignore[arg-type]


# The statement, and the SQLSTATE of the error that quotes the value.
FAILURES = {
    "unique": (lambda: insert("account", {"id": 2, "password": SECRET}), "23505"),
    "check": (lambda: insert("account", {"id": 2, "password": SECRET + "!"}), "23514"),
    "bad cast": _quoting("SELECT %(x)s::text::int", "22P02"),
    "bad boolean": _quoting("SELECT %(x)s::text::boolean", "22P02"),
    "bad date": _quoting("SELECT %(x)s::text::date", "22007"),
    "bad label": _quoting("SELECT %(x)s::colour", "22P02"),
    "bad encoding": _quoting("SELECT encode('x', %(x)s)", "22023"),
    "bad search": _quoting("SELECT to_tsquery(%(x)s::text || ' &')", "42601"),
    "RAISE": _quoting("SELECT refuse(%(x)s)", "P0001"),
    "RAISE as a missing table": _quoting("SELECT borrow('42P01', %(x)s)", "42P01"),
    "RAISE as a refusal": _quoting("SELECT borrow('42501', %(x)s)", "42501"),
    "RAISE as a conflict": _quoting("SELECT borrow('40001', %(x)s)", "40001"),
    "name of a table": _quoting("SELECT %(x)s::text::regclass", "42P01"),
    "name of a type": _quoting("SELECT %(x)s::text::regtype", "42704"),
    "name of a function": _quoting("SELECT %(x)s::text::regproc", "42883"),
    "name of a sequence": _quoting("SELECT nextval(%(x)s)", "42P01"),
    "name of a setting": _quoting("SELECT current_setting(%(x)s)", "42704"),
    "name of a file": _quoting("SELECT pg_read_file(%(x)s)", "58P01"),
    "name in dynamic SQL": _quoting("SELECT look_up(%(x)s)", "42P01"),
    "guard": (
        lambda: update("account", {"password": SECRET}, {"password": SECRET + SECRET}).expect(1),
        "22P02",
    ),
}


@frozen
class Account:
    id: int
    password: str


@frozen
class MadeUpError:
    """An error as a server could report it."""

    fields: dict[str, str]

    def error_field(self, fieldcode: DiagnosticField, /) -> bytes | None:
        return self.fields[fieldcode.name].encode() if fieldcode.name in self.fields else None


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES)
    conn.execute("INSERT INTO account VALUES (1, %s)", [SECRET])


def chain(error: BaseException) -> list[BaseException]:
    """Return an error, and all that is tied to it."""
    found: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None and one not in found:
            found.append(one)
            todo += [one.__cause__, one.__context__]
    return found


def texts(error: BaseException) -> list[str]:
    """Everything that a logger may print of an error."""
    found = ["".join(traceback.format_exception(error))]
    for one in chain(error):
        # What could not be encoded, and what was not JSON.
        held = [getattr(one, name, None) for name in ("object", "doc")]
        found += [str(one), repr(one), repr(held), *getattr(one, "__notes__", ())]
        if isinstance(one, BatchError):
            found += [str(one.violation), repr(one.violation), repr(one.step), repr(one.statement)]
    return found


@pytest.mark.parametrize("mapped", [False, True], ids=["unmapped", "mapped"])
@pytest.mark.parametrize(("broken", "code"), FAILURES.values(), ids=FAILURES)
def test_no_text_of_a_failure_shows_a_value(conn, caplog, broken, code, mapped):
    caplog.set_level(logging.DEBUG)
    batch = gather(broken(), insert("account", {"id": 3, "password": SECRET}))
    if mapped:
        for matcher in (sqlstate(code), unique("account_password_key"), check("account_check")):
            batch = batch.on(matcher, LookupError)
    with pytest.raises((BatchError, LookupError)) as caught:
        run(conn, batch)
    report = attempt(conn, batch).report
    assert report.violation.sqlstate == code
    assert [text for text in texts(caught.value) + texts(report) if SECRET in text] == []
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("40001", 'restart transaction: WriteTooOldError: write for key /Table/1/1/"hunter2"/0'),
        ("55P03", "could not obtain lock on row (name)=('hunter2') in account@account_pkey"),
    ],
)
def test_no_text_shows_a_key_that_cockroachdb_quotes(code, message):
    seen = read_error(
        MadeUpError({"SQLSTATE": code, "MESSAGE_PRIMARY": message}), COCKROACHDB, "utf-8"
    ).violation
    assert SECRET not in str(seen)
    assert seen.message == message


def test_server_message_is_an_attribute_of_the_error(conn):
    report = attempt(conn, sql("SELECT refuse(%(x)s)", x=SECRET)).report
    assert report.violation.message == f"weak: {SECRET}"
    assert report.violation.detail == report.violation.hint == SECRET
    assert report.parameters == (SECRET,)
    assert report.__cause__.diag.message_primary == f"weak: {SECRET}"


def test_a_message_that_can_hold_no_value_is_shown(conn):
    assert 'relation "missing" does not exist' in str(
        attempt(conn, select("missing", ["id"], where={"id": SECRET})).report
    )
    assert 'column "nome" does not exist' in str(attempt(conn, sql("SELECT nome")).report)
    assert "syntax error" in str(attempt(conn, sql("SELEKT 1")).report)


def test_no_text_of_a_decode_error_shows_a_value(conn):
    password = sql("SELECT password FROM account").scalar(int)
    extra = sql("SELECT id, password, password AS more FROM account").one(Account)
    for batch in (password, extra):
        report = attempt(conn, batch).report
        assert [text for text in texts(report) if SECRET in text] == []


def test_no_text_of_a_value_that_cannot_be_sent_shows_it(conn):
    for value in (SECRET + "\0", {"password": SECRET}, [SECRET, 1]):
        with pytest.raises(InvalidBatch) as caught:
            run(conn, gather(sql("SELECT 1"), insert("account", {"id": 2, "password": value})))
        assert [text for text in texts(caught.value) if SECRET in text] == []


def test_nothing_that_shows_a_batch_shows_a_value():
    batch = gather(
        insert("account", {"id": 2, "password": SECRET})
        .on(unique("account_password_key"), ValueError(SECRET))
        .one(Account)
    ).on(sqlstate("22P02"), ValueError(SECRET))
    (step,) = steps(batch)
    for text in (repr(step.statement), repr(step), str(step), step.sql, explain(batch)):
        assert SECRET not in text
    assert step.parameters == (2, SECRET)
    assert SECRET in explain(batch, parameters=True)
