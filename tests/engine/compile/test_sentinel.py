# SPDX-License-Identifier: MIT
"""The sentinel: only a guard can write one, and it is read out of any server's wording.

Of ``expect()``'s sentinel ``test_guard_edges.py`` shows the same.
"""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq import GuardFailed, UnmappedViolation, insert, run, select, sql, steps, update
from batchq.engine.compile.row_text import encoded_row
from batchq.engine.compile.sentinel import TOKEN, Sentinel, read, row_sentinel
from batchq.result import Ok, attempt
from batchq.types import ViolationKind
from tests.support.row_values import Unmet

OTHER = f"batchq:{'0' * 32}:"
HELD = b"(name,25,hunter2)".hex()
LOOKALIKES = {
    "no token": f"batchq:0:{HELD}",
    "another process's token": f"{OTHER}0:{HELD}",
    "another process's token, empty": f"{OTHER}0:",
    "a pattern": f"batchq:.*:0:{HELD}",
    "the token, cut short": f"{TOKEN[:-2]}:0:{HELD}",
    "the token alone": TOKEN,
    "the token without a colon": f"{TOKEN}0",
    "the token in capitals": f"{TOKEN.upper()}0:{HELD}",
}


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute("CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, '')")


def casting(value):
    """Statements with guards, in which something else of the user's own is cast and fails."""
    cast = sql("%(x)s::text::boolean", x=value)
    return [
        update("t", {"note": "x"}, {"id": 1}).require(cast, raises=Unmet),
        update("t", {"note": "x"}, cast).require({"id": 2}, raises=Unmet),
        insert("t", {"id": 3, "note": sql("(%(x)s::text::boolean)::text", x=value)}).ensure(
            {"id": 3}, raises=Unmet
        ),
        sql("SELECT id FROM t WHERE %(x)s::text::boolean", x=value).expect(0, unexpected=Unmet),
    ]


@pytest.mark.parametrize("value", LOOKALIKES.values(), ids=LOOKALIKES)
def test_failed_cast_in_user_sql_is_not_read_as_a_guard(planned, value):
    for statement in casting(value):
        answer = attempt(planned, statement)
        assert type(answer.error) is UnmappedViolation
        violation = answer.report.violation
        assert (violation.kind, violation.sqlstate) == (ViolationKind.OTHER, "22P02")
        assert (violation.rows, violation.requirement, violation.row) == (None, None, {})


@pytest.mark.parametrize(
    "value",
    [*LOOKALIKES.values(), f"{TOKEN}rows:0", f"{TOKEN}7:{HELD}"],
    ids=[*LOOKALIKES, "number of rows", "row"],
)
def test_a_value_that_is_found_is_a_value_whatever_its_text(planned, value):
    """In the sentinel it is hex, so it does not matter what it looks like."""
    run(planned, update("t", {"note": value}, {"id": 1}))
    for statement in (
        update("t", {"id": 1}, {"id": 1}).require({"note": "x"}, raises=Unmet),
        update("t", {"id": 1}, {"id": 1}).ensure({"note": "x"}, raises=Unmet),
        select("t", ["note"], where={"id": 1}).expect(0, unexpected=Unmet),
    ):
        answer = attempt(planned, statement)
        assert (answer.error.requirement, answer.error.found) == (0, {"note": value})
        assert type(answer.report) is GuardFailed


def test_token_is_not_part_of_the_statement_text(planned):
    """So the text is the same in every process, and pg_stat_activity does not show the token."""
    for statement in casting("x"):
        assert TOKEN not in steps(statement)[0].sql
    showing = sql("SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    query = run(planned, showing.scalar(str))
    assert "CASE WHEN" in query
    assert TOKEN not in query


WORDINGS = {
    "English": 'invalid input syntax for type boolean: "{}"',
    "German": "ungültige Eingabesyntax für Typ boolean: »{}«",
    "French": "la syntaxe en entrée n'est pas valide pour le type boolean : « {} »",
    "Russian": 'неверный синтаксис для типа boolean: "{}"',
    "Japanese": '"boolean"型の入力構文が不正です: "{}"',
    "CockroachDB": 'could not parse "{}" as type bool: invalid bool value',
    "escaped": "E'{}'",
    "bare": "{}",
    "words before and after": "abc 0:00{}0 1:ff",
}


def field(text: str | None) -> str:
    """Return a field of a row as PostgreSQL writes it."""
    if text is None:
        return "NULL"
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    return f"E{quoted}" if "\\" in text else quoted


ROWS = {
    "with values in binary": f"{3:08x}{25:08x}{'f' * 8}{1082:08x}{'f' * 8}{1082:08x}{2:08x}ff00",
    "with types alone": "25 1082 1082 ",
}
STYLES = "'2001-02-03','1 day'"


@pytest.mark.parametrize("types", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("wording", WORDINGS.values(), ids=WORDINGS)
def test_a_row_is_read_out_of_any_wording(wording, types):
    row = f"UTF8,{STYLES},'{types}','c','d','e','é,',NULL,'x'"
    seen = read(wording.format(f"{TOKEN}12:{row.encode().hex()}:"))
    assert seen is not None
    assert (seen.rows, seen.requirement) == (None, 12)
    assert [(one.column, one.type, one.text, one.binary) for one in seen.cells] == [
        ("c", 25, "é,", None),
        ("d", 1082, None, None),
        ("e", 1082, "x", None if " " in types else b"\xff\0"),
    ]
    assert {one.styles for one in seen.cells} == {("2001-02-03", "1 day")}


COCKROACH = {
    "quote": (r"e'it\'s'", "it's"),
    "backslash": (r"e'a\\b'", r"a\b"),
    "lines": (r"e'a\nb\tc'", "a\nb\tc"),
    "control": (r"e'\x01\x7f'", "\x01\x7f"),
    "letters": (r"e'\u00E9\U000065E5\U0001F600'", "é日😀"),
    "no character": (r"e'\xe9'", "\udce9"),
    "a backslash before what would be an escape": (r"e'\\n\\x41'", r"\n\x41"),
    "plain": ("'NULL'", "NULL"),
}


@pytest.mark.parametrize(("written", "text"), COCKROACH.values(), ids=COCKROACH)
def test_text_is_read_as_cockroachdb_quotes_it(written, text):
    """By its source: pkg/sql/lexbase, pkg/util/stringencoding."""
    row = f"UTF8,{STYLES},'25 25 ','c','d',{written},NULL"
    seen = read(f"{TOKEN}0:{row.encode().hex()}")
    assert seen is not None
    assert [one.text for one in seen.cells] == [text, None]


@pytest.mark.parametrize("types", [f"{0:08x}", ""])
def test_a_row_without_columns_is_read_as_nothing(types):
    row = f"UTF8,{STYLES},'{types}'"
    assert read(f"{TOKEN}3:{row.encode().hex()}") == Sentinel(None, 3)


@pytest.mark.parametrize("server", ["UTF8", "LATIN1", "SQL_ASCII"])
@pytest.mark.parametrize("client", ["utf-8", "iso8859-1"])
def test_values_that_the_server_does_not_convert_have_the_clients_encoding(server, client):
    codec = client if server == "SQL_ASCII" else "utf-8"
    row = f"{server},{STYLES},'25 ','c','é'".encode(codec)
    seen = read(f"{TOKEN}0:{row.hex()}", client)
    assert seen is not None
    assert [one.text for one in seen.cells] == ["é"]


@given(st.lists(st.tuples(st.text(min_size=1), st.none() | st.text()), min_size=1, max_size=5))
def test_every_row_is_read_as_it_was_written(cells):
    types = field("25 " * len(cells))
    names, texts = ([field(cell[place]) for cell in cells] for place in (0, 1))
    row = ",".join(["UTF8", STYLES, types, *names, *texts])
    try:
        seen = read(f'"{TOKEN}0:{row.encode().hex()}"')
    except UnicodeEncodeError:  # surrogates: no text of a database
        return
    assert seen is not None
    assert [(one.column, one.text) for one in seen.cells] == cells


@pytest.mark.parametrize(("binary", "plain"), [(False, False), (True, False), (True, True)])
def test_a_server_writes_a_row_with_its_types_with_and_without_binary_values(conn, binary, plain):
    columns = ("day", "acl", "n", "none")

    def failing(names):
        row = encoded_row(names, binary=binary, plain=plain).replace("%", "%%")
        return row_sentinel(3, row, token="%s")

    row = "SELECT date '2024-02-03', '=r/postgres'::aclitem, 5, NULL::float8"
    for names in (columns, ()):
        query = failing(names)
        with pytest.raises(psycopg.errors.InvalidTextRepresentation) as caught:
            conn.execute(f"SELECT {query} FROM ({row}) AS r ({', '.join(columns)})", [TOKEN])
        seen = read(str(caught.value))
        assert seen is not None
        # A value whose text depends on no setting is not sent in binary: aclitem has no such form.
        day = bytes.fromhex("0000225f") if binary and not plain else None
        assert [(one.column, one.type, one.text, one.binary) for one in seen.cells] == [
            ("day", 1082, "2024-02-03", day),
            ("acl", 1033, "=r/postgres", None),
            ("n", 23, "5", None),
            ("none", 701, None, None),
        ][: len(names)]


@pytest.mark.parametrize("count", [39, 40, 120])
@pytest.mark.parametrize("plain", [False, True])
def test_a_row_may_have_more_columns_than_a_function_has_arguments(conn, count, plain):
    if not plain:
        conn.execute("SET DateStyle = 'SQL, DMY'")
    names = [f"100% \\ '{n}'" for n in range(count)]
    columns = ", ".join(f'{n} AS "{name}"' for n, name in enumerate(names))
    conn.execute(f"CREATE TABLE wide AS SELECT {columns}")
    answer = attempt(conn, select("wide", names, where={names[0]: 0}).expect(0, unexpected=Unmet))
    assert answer.error.found == {name: n for n, name in enumerate(names)}


def test_a_sentinel_of_null_fails_all_the_same(conn):
    """A cast of NULL is NULL, so a guard would pass."""
    with pytest.raises(psycopg.errors.InvalidTextRepresentation) as caught:
        conn.execute(f"SELECT {row_sentinel(3, 'NULL::text', token='%s')}", [TOKEN])
    assert f"{TOKEN}3:" in str(caught.value)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def test_every_text_is_found_as_it_is_by_a_real_server(conn):
    """The other half: the server's own way to write a row."""

    @settings(deadline=None)
    @given(TEXT, TEXT)
    def found(one, two):
        row = sql(
            "SELECT %(one)s::text AS one, NULL AS none, %(two)s::text AS two", one=one, two=two
        )
        answer = attempt(conn, row.expect(0, unexpected=Unmet, columns=["one", "none", "two"]))
        assert answer.error.found == {"one": one, "none": None, "two": two}

    found()
    assert isinstance(attempt(conn, sql("SELECT 1")), Ok)
