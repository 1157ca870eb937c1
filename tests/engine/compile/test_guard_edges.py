# SPDX-License-Identifier: MIT
"""What a guard counts, what its firing means, and that nothing but a guard looks like one."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from batchq import (
    GuardFailed,
    InvalidBatch,
    UnmappedViolation,
    delete,
    gather,
    insert,
    run,
    select,
    sql,
    sqlstate,
    steps,
    update,
)
from batchq.engine.compile.compile import compiled
from batchq.engine.compile.sentinel import TOKEN, read
from batchq.result import Ok, attempt
from batchq.testing import server
from batchq.types import ViolationKind

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, note text);
INSERT INTO t SELECT n, '' FROM generate_series(1, 5) AS n;
"""


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


def test_a_guard_counts_what_a_values_or_an_aggregate_returns(planned):
    two = "VALUES (1), (2)"
    assert run(planned, sql(two).all(tuple).expect(2)) == [(1,), (2,)]
    assert run(planned, sql("VALUES (1)").scalar(int)) == 1
    assert run(planned, sql("SELECT count(*) FROM t").scalar(int)) == 5
    assert run(planned, sql("SELECT count(*) FROM t WHERE false").scalar(int)) == 0
    for broken in (sql(two).one(tuple), sql(two).maybe(tuple), sql("TABLE t").expect(4)):
        with pytest.raises(GuardFailed):
            run(planned, broken)


def test_an_insert_of_one_row_is_guarded_when_asked(planned, observer):
    quiet = (
        "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.note = 'no' THEN RETURN NULL; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER quiet BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION quiet()"
    )
    observer.execute(quiet)
    for wanted in (lambda s: s.expect(1), lambda s: s.returning("id").one(tuple).expect(1)):
        with pytest.raises(GuardFailed):
            run(planned, wanted(insert("t", {"id": 8, "note": "no"})))
        run(planned, gather(wanted(insert("t", {"id": 8, "note": "yes"})), delete("t", {"id": 8})))


def test_the_order_of_the_rows_survives_the_guard(planned):
    down = "SELECT id FROM t ORDER BY id DESC"
    ids = [(5,), (4,), (3,), (2,), (1,)]
    assert run(planned, sql(down).all(tuple).expect(5)) == ids
    assert run(planned, sql(f"{down} FOR UPDATE").all(tuple).expect(at_least=1)) == ids
    assert run(planned, sql(f"{down} LIMIT 1").maybe(tuple)) == (5,)


def test_too_few_rows_raise_the_mapped_error_and_too_many_do_not(conn):
    def rename(n: int):
        change = update("t", {"note": "x"}, sql("id <= %(n)s", n=n))
        return change.expect(1, missing=LookupError("missing"))

    with pytest.raises(LookupError, match="missing") as caught:
        run(conn, rename(0))
    assert type(caught.value.__cause__) is GuardFailed
    with pytest.raises(GuardFailed) as too_many:
        run(conn, rename(2))
    assert "exactly 1 row" in str(too_many.value)
    assert "missing=" not in str(too_many.value)


def test_guard_that_fires_matches_no_mapping_of_a_failed_cast(conn):
    guarded = delete("t", {"id": 99}).expect(1).invariant("t_pkey").on(sqlstate("22P02"), KeyError)
    with pytest.raises(GuardFailed):
        run(conn, gather(guarded).on(sqlstate("22P02"), ValueError))


@pytest.mark.parametrize("command", ["SHOW work_mem", "EXPLAIN SELECT 1"])
def test_statement_without_rows_cannot_be_guarded(conn, command):
    with pytest.raises(InvalidBatch, match="has no rows to guard"):
        run(conn, sql(command).one(tuple))


def test_a_parameter_of_the_guard_cannot_be_read_by_the_statement(conn):
    for text_ in ("SELECT $1", "SELECT $2::text", "SELECT %(n)s::int, $2"):
        with pytest.raises(InvalidBatch, match="numbered parameter"):
            run(conn, (sql(text_, n=1) if "%" in text_ else sql(text_)).one(tuple))


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_a_usual_number_of_rows_is_text_and_any_other_a_parameter(planned, rows):
    """A parameter costs time in each run; and texts for each length of a list would be many."""
    guarded = update("t", {"note": "x"}, sql("id <= %(n)s", n=rows)).expect(rows)
    (step,) = steps(guarded)
    made = compiled(guarded._shape)
    assert made.takes_row_count is (rows > 1)
    assert (f" {rows}::bigint" in step.sql) is (rows <= 1)
    if rows > 2:
        assert step.sql == steps(guarded.expect(2))[0].sql
    run(planned, guarded)
    for other in {0, 1, 2, 4} - {rows}:
        assert attempt(planned, guarded.expect(other)).report.violation.rows == rows


CHANGE, READ = sql("UPDATE t SET note = 'x' WHERE id = 1"), sql("SELECT id FROM t WHERE id = 1")
SHOWING = {
    "expect": (CHANGE.expect(1), 0),
    "expect, ensure": (READ.expect(1).ensure({"id": sql("1")}), 0),
    "count": (CHANGE.count().expect(1), 1),
    "one": (READ.one(tuple), 1),
    # Its other condition checks the isolation level, and must be evaluated.
    "lock": (select("t", ["id"], where=sql("id = 1")).for_update().expect(1), 1),
}


@pytest.mark.parametrize(("guarded", "rows"), SHOWING.values(), ids=SHOWING)
def test_the_server_returns_only_rows_that_are_used(conn, guarded, rows):
    (step,) = steps(guarded)
    token = step.sql.count("$1")  # the only parameter
    assert token
    query = step.sql.replace("%", "%%").replace("$1", "%s")
    answer = conn.execute(query, [TOKEN] * token)
    assert len(answer.fetchall()) == rows


# -- the sentinel ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def foreign_token() -> str:
    """Return the token of another process, for example of a previous one."""
    show = "from batchq.engine.compile.sentinel import TOKEN; print(TOKEN)"
    made = subprocess.run([sys.executable, "-c", show], capture_output=True, check=True, text=True)
    return made.stdout.strip()


def test_each_process_has_a_token_of_its_own(foreign_token):
    assert foreign_token != TOKEN
    assert len(foreign_token) == len(TOKEN)


def test_value_that_imitates_the_sentinel_is_not_read_as_a_guard(planned, foreign_token):
    lookalikes = ["batchq:rows:0", f"batchq:{'0' * 32}:rows:0", "batchq:.*:rows:0"]
    for value in [*lookalikes, f"{foreign_token}rows:0", TOKEN]:
        for guarded in (
            sql("SELECT %(x)s::text::boolean", x=value).scalar(bool),
            sql("SELECT id FROM t WHERE %(x)s::text::boolean", x=value).all(tuple).expect(5),
            update("t", {"note": "x"}, sql("%(x)s::text::boolean", x=value)).expect(
                1, missing=LookupError("missing")
            ),
        ):
            with pytest.raises(UnmappedViolation) as caught:
                run(planned, guarded)
            assert (caught.value.violation.kind, caught.value.violation.rows) == (
                ViolationKind.OTHER,
                None,
            )
            assert caught.value.violation.sqlstate == "22P02"


def test_a_value_that_imitates_the_sentinel_is_a_value_where_nothing_fails(planned, foreign_token):
    note = f"{foreign_token}rows:0"
    change = update("t", {"note": note}, {"id": 1}).returning("note").scalar(str)
    assert run(planned, change) == note


@pytest.mark.parametrize(
    "message",
    [
        'invalid input syntax for type boolean: "{}"',
        "ungültige Eingabesyntax für Typ boolean: »{}«",
        "la syntaxe en entrée n'est pas valide pour le type boolean : « {} »",
        'could not parse "{}" as type bool: invalid bool value',  # CockroachDB
    ],
)
def test_the_sentinel_is_read_out_of_any_wording(message):
    assert read(message.format(f"{TOKEN}rows:12")).rows == 12
    assert read(message.format("batchq:rows:12")) is None


@pytest.fixture
def german(pytestconfig, monkeypatch):
    """Connect to a server with German messages; skip if it was built without them."""
    monkeypatch.setenv("LANGUAGE", "de")  # gettext asks it first, whatever locales there are
    installation = pytestconfig.getoption("--postgres")
    with (
        server(installation, settings={"lc_messages": "C.utf8"}) as speaking,
        psycopg.connect(speaking.conninfo(), autocommit=True) as conn,
    ):
        message = attempt(conn, sql("SELECT 'x'::text::boolean")).report.violation.message
        if "ungültig" not in message:
            pytest.skip(f"PostgreSQL {installation} here has no messages but English ones")
        yield conn


def test_a_guard_that_fires_in_german_is_a_guard(german):
    german.execute(TABLES)
    with pytest.raises(LookupError) as caught:
        run(german, delete("t", {"id": 99}).expect(1, missing=LookupError("missing")))
    violation = caught.value.__cause__.violation
    assert (violation.kind, violation.rows) == (ViolationKind.GUARD, 0)
    assert "ungültig" in violation.message
    run(german, delete("t", {"id": 1}).expect(1))


def test_a_merge_is_guarded_where_it_can_return_rows(conn):
    """MERGE … RETURNING is PostgreSQL 17's; before, the guard is an error in that step's slot."""
    conn.execute("CREATE TABLE merged (id int PRIMARY KEY, n int)")
    merge = sql(
        "MERGE INTO merged USING (VALUES (%(id)s::int)) AS v (id) ON merged.id = v.id "
        "WHEN MATCHED THEN UPDATE SET n = n + 1",
        id=1,
    ).expect(1, missing=LookupError("no such row"))

    nothing = attempt(conn, merge)
    conn.execute("INSERT INTO merged VALUES (1, 0)")
    one = attempt(conn, merge)

    if conn.info.server_version >= 170000:
        assert isinstance(nothing.error, LookupError)
        assert isinstance(one, Ok)
    else:
        assert nothing.report.violation.sqlstate == one.report.violation.sqlstate == "42601"
        assert one.report.index == 0


# -- a requirement without a meaning ---------------------------------------------------------------


@pytest.mark.parametrize(
    "guarded",
    [
        update("t", {"note": "x"}, {"id": 1}).require({"note": "secret"}),
        update("t", {"note": "x"}, {"id": 1}).ensure({"note": "secret"}),
        select("t", ["note"], where={"id": 1}).expect(0),
        select("t", ["note"], where={"note": "secret"}).expect(at_least=1),
    ],
    ids=["require", "check", "forbid()", "require()"],
)
def test_requirement_without_a_mapping_suggests_one(conn, guarded):
    with pytest.raises(GuardFailed) as caught:
        run(conn, guarded)
    assert caught.value.statement is guarded
    assert "If a caller can cause it" in str(caught.value)
    assert "secret" not in str(caught.value)
