# SPDX-License-Identifier: MIT
"""A message that is the same whatever the values are is shown; one that may quote them is not."""

from __future__ import annotations

import pytest

from batchq import BatchError, insert, run, sql, update
from batchq.engine.safe_messages import _FILES, is_safe

pytestmark = pytest.mark.postgres_only("any message may quote values there")

SECRET = 77_777
TABLES = """
CREATE TABLE t (
    v varchar(3), c char(3), b bit(3), vb bit varying(2), n int, big bigint, num numeric(7, 2),
    j jsonb, m money, f float8, same int, made int GENERATED ALWAYS AS IDENTITY, u text UNIQUE
);
CREATE TABLE part (k int) PARTITION BY RANGE (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE VIEW above AS SELECT * FROM t WHERE n > 100000 WITH CHECK OPTION;
CREATE SEQUENCE few MINVALUE 1 MAXVALUE 2 START 2;
INSERT INTO t (n, same) VALUES (1, 1), (2, 1);
"""
TEXT = str(SECRET)


SHOWN = {
    "varchar": (insert("t", {"v": TEXT}), "22001", "character varying(3)"),
    "char": (insert("t", {"c": TEXT}), "22001", "character(3)"),
    "bit": (sql("INSERT INTO t (b) VALUES (%(x)s::varbit)", x="1" * 5), "22026", "bit(3)"),
    "varbit": (sql("INSERT INTO t (vb) VALUES (%(x)s::varbit)", x="1" * 5), "22001", "varying(2)"),
    "int": (insert("t", {"n": SECRET * 1_000_000}), "22003", "integer out of range"),
    "bigint": (
        sql("SELECT %(x)s::bigint * %(x)s::bigint * 7777777777", x=SECRET),
        "22003",
        "bigint",
    ),
    "numeric": (insert("t", {"num": SECRET * 1_000}), "22003", "numeric field overflow"),
    "float": (sql("SELECT %(x)s::float8 * 1e308", x=SECRET), "22003", "overflow"),
    "float to int": (sql("SELECT (%(x)s::float8 * 1e9)::int", x=SECRET), "22003", "integer"),
    "division": (sql("SELECT %(x)s::int / 0", x=SECRET), "22012", "division by zero"),
    "float division": (sql("SELECT %(x)s::float8 / 0", x=SECRET), "22012", "division by zero"),
    "money division": (sql("SELECT %(x)s::int::money / 0", x=SECRET), "22012", "division by zero"),
    "numeric division": (sql("SELECT %(x)s::numeric / 0", x=SECRET), "22012", "division by zero"),
    "logarithm": (sql("SELECT ln(-%(x)s::numeric)", x=SECRET), "2201E", "logarithm"),
    "root": (sql("SELECT sqrt(-%(x)s::float8)", x=SECRET), "2201F", "square root"),
    "substring": (sql("SELECT substr('a', 1, -%(x)s::int)", x=SECRET), "22011", "substring"),
    "sequence": (sql("SELECT nextval('few'), nextval('few')"), "2200H", "few"),
    "json": (insert("t", {"j": "x" + TEXT}), "22P02", "type json"),
    "no partition": (insert("part", {"k": SECRET}), "23514", "no partition of relation"),
    "another partition": (insert("part_1", {"k": SECRET}), "23514", "partition constraint"),
    "identity": (insert("t", {"made": SECRET}), "428C9", '"made"'),
    "no such key": (
        insert("t", {"n": SECRET}).on_conflict_do_nothing("n"),
        "42P10",
        "ON CONFLICT",
    ),
    "view": (insert("above", {"n": SECRET}), "44000", '"above"'),
    "subquery": (
        sql("UPDATE t SET n = (SELECT n FROM t WHERE n < %(x)s)", x=SECRET),
        "21000",
        "more than one row",
    ),
    "upsert twice": (
        sql(
            "INSERT INTO t (u) VALUES (%(x)s::text), (%(x)s::text)"
            " ON CONFLICT (u) DO UPDATE SET n = 1",
            x=TEXT,
        ),
        "21000",
        "ON CONFLICT",
    ),
    "index row": (
        sql(
            "INSERT INTO t (u) SELECT string_agg(md5(%(x)s::text || n), '')"
            " FROM generate_series(1, 3000) n",
            x=TEXT,
        ),
        "54000",
        "index row",
    ),
}

HIDDEN = {
    "a value that is read": (insert("t", {"n": "7" * 20}), "22003"),
    "a value that is not an int": (insert("t", {"n": "x" + TEXT}), "22P02"),
    "a raise with such a code": (
        sql(
            "SELECT raises(%(x)s::text)",
            x=TEXT,
        ),
        "22001",
    ),
}


@pytest.fixture(autouse=True)
def tables(request):
    if "conn" in request.fixturenames:
        request.getfixturevalue("conn").execute(
            TABLES + "CREATE FUNCTION raises(x text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE string_data_right_truncation USING MESSAGE = 'too long: ' || x; END $$"
        )


@pytest.mark.parametrize("case", SHOWN)
def test_a_message_without_values_is_shown(conn, case):
    statement, code, words = SHOWN[case]
    with pytest.raises(BatchError) as caught:
        run(conn, statement)
    error = caught.value
    assert error.violation.sqlstate == code
    assert words in str(error)
    for secret in (TEXT, "11111", "x" + TEXT):
        assert secret not in str(error).replace("few", "")


@pytest.mark.parametrize("case", HIDDEN)
def test_one_that_may_quote_them_is_not(conn, case):
    statement, code = HIDDEN[case]
    with pytest.raises(BatchError) as caught:
        run(conn, statement)
    assert caught.value.violation.sqlstate == code
    assert "its message may quote values" in str(caught.value)


def test_unavailable_lock_has_a_safe_message(conn, connect):
    other = connect()
    with other.transaction():
        other.execute("SELECT * FROM t FOR UPDATE")
        with pytest.raises(BatchError, match="could not obtain lock on row") as caught:
            run(conn, sql("SELECT n FROM t FOR UPDATE NOWAIT"))
        other.execute("LOCK TABLE t")
        with pytest.raises(BatchError, match="could not obtain lock on relation"):
            run(conn, sql("LOCK TABLE t NOWAIT"))
        conn.execute("SET lock_timeout = '1ms'")
        with pytest.raises(BatchError, match="lock timeout"):
            run(conn, update("t", {"n": 1}, {"n": SECRET}))
    assert caught.value.violation.sqlstate == "55P03"


def test_every_code_that_is_taken_for_plain_is_shown_here():
    shown = {code for _, code, _ in SHOWN.values()} | {"55P03"}
    assert set(_FILES) - {"0A000"} == shown


@pytest.mark.parametrize("file", ["pl_exec.c", "plpy_elog.c", "connection.c", "numutils.c", None])
def test_code_alone_has_no_safe_message(file):
    assert not any(is_safe(code, file, "f") for code in _FILES)
    assert not is_safe("22003", "float.c", "float8in_internal")
