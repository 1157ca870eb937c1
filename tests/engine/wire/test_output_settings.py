# SPDX-License-Identifier: MIT
"""What batchq writes means the same on every session, and what cannot is refused by name."""

from __future__ import annotations

from datetime import UTC, date, datetime

import psycopg
import pytest
from psycopg import sql as pg

from batchq import InvalidBatch, gather, insert, run, select, sql, steps, update
from batchq.language.builders import raw_sql
from batchq.result import attempt
from tests.support.row_values import Unmet, row_by_guard

NOON = datetime(2024, 2, 3, 12, 0, tzinfo=UTC)


@pytest.fixture
def schema(conn) -> str:
    return conn.execute("SELECT current_schema()").fetchone()[0]


# -- outputs ---------------------------------------------------------------------------------------


@pytest.fixture
def source(conn):
    conn.execute("CREATE TABLE source (id int, at timestamptz, day date, names text[], t regclass)")
    conn.execute("CREATE TABLE copy (at timestamptz, day date, names text[], t regclass)")
    conn.execute("INSERT INTO source VALUES (1, %s, '2024-02-03', '{a,NULL}', 'copy')", [NOON])
    return select("source", where={"id": 1})


def test_noon_in_kolkata_arrives_as_noon(conn, source):
    """IST is Israel's zone as well."""
    conn.execute("SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kolkata'")
    for at in (source.output("at"), sql("%(v)s", v=source.output("at", "timestamptz"))):
        run(conn, gather(source, insert("copy", {"at": at})))
    same = "SELECT bool_and(copy.at = source.at), count(*) FROM copy, source"
    assert conn.execute(same).fetchone() == (True, 2)


@pytest.mark.parametrize(
    ("column", "setting", "value"),
    [
        ("day", "DateStyle = 'SQL, MDY'", date(2024, 2, 3)),
        ("names", "array_nulls = off", ["a", None]),
    ],
)
def test_a_setting_that_changes_between_producer_and_user_changes_no_value(
    conn, source, column, setting, value
):
    conn.execute("SET DateStyle = 'SQL, DMY'")
    use = insert("copy", {column: source.output(column)})
    run(conn, gather(source, raw_sql(f"SET LOCAL {setting}"), use))
    conn.execute("SET DateStyle = 'ISO'")
    assert conn.execute(f"SELECT {column} FROM copy").fetchone() == (value,)


def test_a_table_keeps_its_schema_when_the_search_path_changes(conn, source, schema):
    """Another one of its name is found first there."""
    conn.execute(f"CREATE SCHEMA other_{schema}; CREATE TABLE other_{schema}.copy ()")
    try:
        use = insert(f"{schema}.copy", {"t": source.output("t")})
        move = raw_sql(f"SET LOCAL search_path = other_{schema}, {schema}")
        run(conn, gather(source, move, use))
        assert conn.execute("SELECT t = 'copy'::regclass FROM copy").fetchone() == (True,)
    finally:
        conn.execute(f"DROP SCHEMA other_{schema} CASCADE")


def test_settings_may_be_the_defaults_of_a_role_and_a_database(connect, conn, source, postgres):
    """They hold from the first byte on, without a SET."""
    name = conn.execute("SELECT current_schema()").fetchone()[0]
    role, base = pg.Identifier(f"{name}_role"), pg.Identifier(conn.info.dbname)
    conn.execute(pg.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(role))
    try:
        for setting in ("DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'"):
            conn.execute(pg.SQL("ALTER ROLE {} SET " + setting).format(role))
        within = "ALTER ROLE {} IN DATABASE {} SET TimeZone = 'Asia/Kolkata'"
        conn.execute(pg.SQL(within).format(role, base))
        login = {"user": f"{name}_role", "host": conn.info.host, "port": conn.info.port}
        path = f"-csearch_path={name}"
        with psycopg.connect(**login, dbname=conn.info.dbname, options=path) as their:
            their.autocommit = True
            assert their.execute("SHOW DateStyle").fetchone() == ("German, DMY",)
            at = {"at": source.output("at"), "day": source.output("day")}
            run(their, gather(source, insert("copy", at)))
            for found in row_by_guard(their, "source", ["at", "day"]):
                assert (found["at"], found["day"]) == (NOON, date(2024, 2, 3))
        assert conn.execute("SELECT at, day FROM copy").fetchone() == (NOON, date(2024, 2, 3))
    finally:
        conn.execute(pg.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


def test_a_failure_after_an_output_leaves_no_setting_changed(conn, source):
    conn.execute("SET DateStyle = 'SQL, DMY'; SET extra_float_digits = 0")
    bad = insert("copy", {"day": source.output("names", "text")})
    assert attempt(conn, gather(source, bad)).report.violation.sqlstate == "42804"
    assert conn.execute("SHOW DateStyle").fetchone() == ("SQL, DMY",)
    assert conn.execute("SHOW extra_float_digits").fetchone() == ("0",)


def test_an_output_still_finds_its_row_by_an_index(planned, source):
    planned.execute(
        "CREATE TABLE big AS SELECT n AS id FROM generate_series(1, 20000) n;"
        "CREATE INDEX ON big (id); ANALYZE big; SET enable_seqscan = off",
        prepare=False,
    )
    key = sql("SELECT 777::bigint AS id").one(tuple)
    for where in ({"id": key.output("id")}, sql("id = %(v)s", v=key.output("id", "int"))):
        use = select("big", ["id"], where=where)
        _, found = run(planned, gather(key, use.scalar(int)))
        assert found == 777
        text = steps(gather(key, use))[1].sql.replace("$1", "'batchq.output_0_0'")
        with planned.transaction():
            planned.execute("SELECT set_config('batchq.output_0_0', '\"777\"', true)")
            plan = planned.execute("EXPLAIN " + text, prepare=False).fetchall()
        assert any("Index" in line and "Scan" in line for (line,) in plan), plan


def test_a_call_takes_outputs_of_plain_types_and_refuses_others(conn, source):
    conn.execute(
        "CREATE PROCEDURE note(day date) LANGUAGE sql AS 'INSERT INTO copy (day) VALUES (day)'"
    )
    run(conn, gather(source, sql("CALL note(%(d)s)", d=source.output("day", "date"))))
    assert conn.execute("SELECT day FROM copy").fetchone() == (date(2024, 2, 3),)
    with pytest.raises(InvalidBatch, match="CALL cannot take an output of type text"):
        run(conn, gather(source, sql("CALL note(%(d)s)", d=source.output("names", "text[]"))))


# -- names and literals ----------------------------------------------------------------------------

NAMES = [
    "back\\slash", "\\", "a\\", "\\'", "it's", 'say "so"', "%s", "100%", "%(x)s", "a\nb", "$1",
    "$$", "$q$", "\U0001f600", "?", "{0}", "{}", "E'", "\\x41", "--", "/*", ";", "\\0", "a b",
    *"\ue000\ue001\ue002\ue003\uf8ff",
]  # fmt: skip


@pytest.fixture(params=["on", "off"])
def reading(request, conn):
    conn.execute(
        f"SET standard_conforming_strings = {request.param}; SET escape_string_warning = on;"
        "SET backslash_quote = off"
    )
    return conn


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_letters_is_that_name_wherever_it_stands(reading, name):
    notices = []
    reading.add_notice_handler(notices.append)
    table = name.replace(".", "") + "t"
    column, quoted = pg.Identifier(name), pg.Identifier(table)
    make = "CREATE TABLE {} (id int, {} text); CREATE TABLE copy (id int, {} text)"
    reading.execute(pg.SQL(make).format(quoted, column, column))
    reading.execute(pg.SQL("CREATE UNIQUE INDEX ON {} (id) WHERE {} = 'x'").format(quoted, column))
    reading.execute(pg.SQL("INSERT INTO {} VALUES (1, 'x')").format(quoted))
    for found in row_by_guard(reading, table, [name]):
        assert found == {name: "x"}
    row = select(table, where={"id": 1})
    run(reading, gather(row, insert("copy", {name: row.output(name)})))
    assert reading.execute("SELECT * FROM copy").fetchone() == (None, "x")
    again = insert(table, {"id": 1, name: "x"}).on_conflict_do_nothing(
        "id", index_where={name: "x"}
    )
    assert run(reading, again.count()) == 0
    assert [n.message_primary for n in notices] == []


@pytest.mark.parametrize("text", ["a\\b", "it's", "\\'", "\ue001"])
def test_a_string_in_the_predicate_of_an_index_is_that_string(reading, text):
    quoted = pg.Literal(text).as_string(reading)
    reading.execute("CREATE TABLE t (id int, kind text)")
    reading.execute(f"CREATE UNIQUE INDEX ON t (id) WHERE kind = {quoted}")
    new = insert("t", {"id": 1, "kind": text}).on_conflict_do_nothing(
        "id", index_where={"kind": text}
    )
    assert run(reading, gather(new.count(), new.count())) == (1, 0)


# -- a user's own text -----------------------------------------------------------------------------

PLAIN = [r"SELECT 'a\b'", r"SELECT 'a\', 'b'", r"SELECT N'a\b'", "SELECT 'a\n\\'"]
SAFE = [r"SELECT E'a\\b'", r"SELECT $$a\b$$", r'SELECT 1 AS "a\b"', r"SELECT 1 -- \ ", "SELECT 'a'"]


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_string_with_a_backslash_is_refused_where_it_means_another(reading, text):
    on = reading.execute("SHOW standard_conforming_strings").fetchone() == ("on",)
    for statement in (raw_sql(text), raw_sql(text).all(tuple).expect(1)):
        if on and not statement._shape.guard:
            run(reading, statement)
        elif not on:
            with pytest.raises(InvalidBatch, match="standard_conforming_strings"):
                run(reading, statement)
    part = update("t", {"a": 1}, {"b": 1}).ensure({"a": sql(r"'a\b'")}, raises=Unmet)
    if not on:
        with pytest.raises(InvalidBatch, match="standard_conforming_strings is off"):
            run(reading, part)


@pytest.mark.parametrize("text", SAFE)
def test_a_text_that_means_the_same_on_every_session_is_sent(reading, text):
    assert len(run(reading, raw_sql(text).all(tuple))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "SET LOCAL client_encoding = 'LATIN1'",
        "SET client_encoding TO LATIN1",
        "SET NAMES 'LATIN1'",
        "RESET client_encoding",
        "SET LOCAL standard_conforming_strings = off",
        "SELECT set_config('client_encoding', 'LATIN1', true)",
        "SELECT pg_catalog.set_config('Standard_Conforming_Strings', 'off', true)",
        "WITH a AS (SELECT set_config('client_encoding', 'LATIN1', true)) SELECT * FROM a",
        "UPDATE vpc SET name = set_config('client_encoding', 'LATIN1', true)",
        "SELECT \"set_config\" ('client_encoding', 'LATIN1', true)",
        "UPDATE pg_settings SET setting = 'LATIN1' WHERE name LIKE 'client%'",
        "UPDATE pg_catalog.pg_settings SET setting = 'LATIN1'",
        "DO $$ BEGIN SET client_encoding TO LATIN1; END $$",
        "DO 'BEGIN SET client_encoding TO LATIN1; END'",
        "RESET ALL",
    ],
)
def test_setting_that_changes_encoded_bytes_is_rejected(text):
    """A step after it would store other letters than it was given."""
    with pytest.raises(InvalidBatch, match="set them on the connection"):
        steps(raw_sql(text))[0].sql  # noqa: B018


@pytest.mark.parametrize(
    "name",
    [
        "'client_' || 'encoding'",
        "%(n)s",
        "E'client_encoding'",
        "$$client_encoding$$",
        "'client_encoding'::text",
        "setting_name => 'client_encoding'",
        "(SELECT 'client_encoding')",
    ],
)
def test_setting_with_a_computed_name_is_rejected(name):
    """It could be one that changes the meaning of bytes."""
    values = {"n": "client_encoding"} if "%" in name else {}
    call = raw_sql(f"set_config({name}, 'LATIN1', true)", **values)
    for statement in (
        raw_sql(f"SELECT set_config({name}, 'LATIN1', true)", **values),
        update("vpc", {"name": call}, {"id": 1}),
        update("vpc", {"name": "a"}, {"id": 1}).ensure({"name": call}, raises=KeyError),
    ):
        with pytest.raises(InvalidBatch, match="is not a literal"):
            steps(statement)[0].sql  # noqa: B018


def test_settings_of_a_transaction_are_still_a_users_to_set(conn):
    run(
        conn,
        gather(
            sql("SET LOCAL statement_timeout = 1000"),
            sql("SET LOCAL TimeZone = 'UTC'"),
            sql("RESET TimeZone"),
            sql("SELECT set_config('app.user', %(user)s, true)", user="ann").scalar(str),
        ),
    )


def test_string_continued_with_a_backslash_is_rejected():
    r"""The second is read as the first: ``'\''`` is one string there."""
    with pytest.raises(InvalidBatch, match="write it as one"):
        steps(raw_sql("SELECT E'a'\n'b\\\\'"))[0].sql  # noqa: B018


@pytest.mark.parametrize("letter", "\ue000\ue001\ue002\ue003")
def test_private_letters_in_a_users_text_are_letters(conn, letter):
    conn.execute(f'CREATE TABLE "{letter}1" (id int, "{letter}" text)')
    row = raw_sql(f"INSERT INTO \"{letter}1\" VALUES (%(n)s, '{letter}1') RETURNING *", n=1)
    (answer,) = run(conn, row.all(tuple).expect(1))
    assert answer == (1, f"{letter}1")
    test = raw_sql(f"\"{letter}\" = '{letter}0'")
    change = update(f"{letter}1", {"id": 2}, {"id": 1}).require(
        test, raises=Unmet, columns=[letter]
    )
    assert attempt(conn, change).error.found == {letter: f"{letter}1"}
