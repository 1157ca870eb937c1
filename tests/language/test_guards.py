# SPDX-License-Identifier: MIT
"""The text of guarded statements: whatever a user's SQL looks like, the guard is spliced in whole.

That guards fire is for the tests on a server; here a second reader, sqlglot, reads what is sent.
"""

from __future__ import annotations

import pytest
import sqlglot

from batchq import InvalidBatch, delete, insert, select, sql, steps, update
from tests.support.existence import absent, present


def guarded(statement):
    (step,) = steps(statement)
    return step.sql


def ctes(statement):
    """Return the names of the common table expressions in order, and the guarded one's SQL."""
    parsed = sqlglot.parse_one(guarded(statement), dialect="postgres")
    found = {cte.alias: cte.this.sql(dialect="postgres") for cte in parsed.ctes}
    return list(found), found["_batchq_rows"]


@pytest.mark.parametrize(
    ("text", "own", "command"),
    [
        ("UPDATE t SET a = 1", [], "UPDATE t SET a = 1 RETURNING 1"),
        ("UPDATE t SET a = 1 RETURNING a", [], "UPDATE t SET a = 1 RETURNING a"),
        ("UPDATE t SET a = 1; -- b", [], "UPDATE t SET a = 1 RETURNING 1"),
        ("UPDATE t SET a = 1 -- b", [], "UPDATE t SET a = 1 RETURNING 1"),
        ("/* b */ UPDATE t SET a = 1", [], "UPDATE t SET a = 1 RETURNING 1"),
        ("SELECT 'é', \"ö\" FROM t", [], "SELECT 'é', \"ö\" FROM t"),
        ("SELECT $$;$$ -- '", [], "SELECT $$;$$"),
        (
            "INSERT INTO t SELECT 1 AS returning",
            [],
            "INSERT INTO t SELECT 1 AS returning RETURNING 1",
        ),
        (
            "UPDATE t SET a = (SELECT b FROM u) WHERE c IN (SELECT 1)",
            [],
            "UPDATE t SET a = (SELECT b FROM u) WHERE c IN (SELECT 1) RETURNING 1",
        ),
        ("WITH x AS (SELECT 1) DELETE FROM t", ["x"], "DELETE FROM t RETURNING 1"),
        ("WITH x AS (SELECT 1) -- y\nDELETE FROM t", ["x"], "DELETE FROM t RETURNING 1"),
        ("WITH x AS (SELECT 1)DELETE FROM t", ["x"], "DELETE FROM t RETURNING 1"),
        ("WITH x AS (SELECT 1) (SELECT 2)", ["x"], "(SELECT 2)"),
        ("WITH é AS (SELECT '𝄞') SELECT 'ü𝄞' ;", ["é"], "SELECT 'ü𝄞'"),
        (
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT n FROM r",
            ["r"],
            "SELECT n FROM r",
        ),
        (
            "WITH x AS MATERIALIZED (SELECT 1), y AS NOT MATERIALIZED (SELECT 2) DELETE FROM t",
            ["x", "y"],
            "DELETE FROM t RETURNING 1",
        ),
        (
            "WITH deleted AS (DELETE FROM t RETURNING a) SELECT a FROM deleted",
            ["deleted"],
            "SELECT a FROM deleted",
        ),
        ('WITH "select" AS (SELECT 1) SELECT 2', ["select"], "SELECT 2"),
    ],
)
def test_guard_is_added_after_the_ctes_of_the_user(text, own, command):
    names, rows = ctes(sql(text).expect(1))
    assert names == [*own, "_batchq_rows"]
    assert rows == sqlglot.parse_one(command, dialect="postgres").sql(dialect="postgres")


def test_returning_inside_an_expression_is_not_that_of_the_statement():
    text = guarded(sql("UPDATE t SET a = json_value(b, '$' RETURNING int)").expect(1))
    assert "(UPDATE t SET a = json_value(b, '$' RETURNING int) RETURNING 1" in text


def test_cte_named_like_a_command_is_kept():
    text = guarded(sql("WITH update AS (SELECT 1 AS a) SELECT a FROM update").expect(1))
    assert text.startswith("WITH update AS (SELECT 1 AS a),")


@pytest.mark.parametrize(
    "statement",
    [
        update("t", {"a": 1}, {"b": 2}),
        delete("t", {"b": 2}).count(),
        delete("t", {"b": 2}).returning("a").all(tuple),
        insert("t", {"a": 1}).returning("a").one(tuple),
        insert("t", {"a": 1}).returning("a").scalar(int),
        select("t", ["a"], where={"b": 2}).all(tuple),
        sql("SELECT 1"),
    ],
    ids=str,
)
def test_statement_that_cannot_break_its_bound_is_not_wrapped(statement):
    assert statement._shape.guard is None
    assert "_batchq" not in guarded(statement)


def test_values_of_the_guard_come_after_the_users():
    (step,) = steps(update("t", {"a": 1}, {"b": 2}).expect(3))
    assert "$3::bigint" in step.sql
    assert "$4::pg_catalog.text" in step.sql
    assert step.parameters == (1, 2)


def test_text_of_a_guarded_statement_is_the_same_for_each_number_above_1():
    two, three = (guarded(update("t", {"a": 1}, {"b": 2}).expect(n)) for n in (2, 3))
    assert two == three


@pytest.mark.parametrize(
    "text", ["UPDATE t SET a = 1", "DELETE FROM t", "INSERT INTO t VALUES (1)"]
)
def test_rows_of_a_write_without_returning_are_rejected(text):
    with pytest.raises(InvalidBatch, match=r"add RETURNING, or use count\(\)"):
        guarded(sql(text).one(tuple))


@pytest.mark.parametrize(
    "guard", [lambda s: s.expect(1), present, absent], ids=["expect(1)", "at_least=1", "expect(0)"]
)
@pytest.mark.parametrize(
    "text",
    ["SHOW a", "EXPLAIN SELECT 1", "CALL f()", "LOCK t", "FETCH ALL FROM c", "ANALYZE t"],
)
def test_guard_of_a_command_without_rows_is_rejected(guard, text):
    with pytest.raises(InvalidBatch, match="has no rows to guard"):
        guarded(guard(sql(text)))


# -- checks for rows, and locks --------------------------------------------------------------------

QUERY = select("vpc", ["id", "name"], where={"project_id": 7})
LOCK = select("project", where={"id": 7})


def test_check_for_rows_reads_one_row_of_the_query():
    text = sql("SELECT id FROM vpc ORDER BY name; -- any")
    for query, guard in ((QUERY, present), (QUERY, absent), (text, absent)):
        text = guarded(guard(query, raises=ValueError))
        inner = guarded(query).partition(";")[0]
        assert f"SELECT * FROM ({inner}) AS _batchq_probe LIMIT 1" in text


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM vpc",
        "UPDATE vpc SET id = 7 RETURNING id",
        "INSERT INTO vpc VALUES (7)",
        "WITH deleted AS (DELETE FROM vpc RETURNING id) SELECT id FROM deleted",
    ],
)
def test_expect_zero_of_a_text_that_writes_counts_all_rows(text):
    assert "LIMIT" not in guarded(absent(sql(text), raises=ValueError))


@pytest.mark.parametrize("strength", ["update", "no key update", "share", "key share"])
def test_lock_has_the_clause_of_its_strength(strength):
    text = guarded(LOCK.for_update(strength=strength).expect(1))
    assert f'(SELECT 1 FROM "project" WHERE "id" = $1 FOR {strength.upper()})' in text


@pytest.mark.parametrize("strength", ["UPDATE", "exclusive", "update NOWAIT"])
def test_lock_of_unknown_strength_is_rejected(strength):
    with pytest.raises(InvalidBatch, match="no key update"):
        LOCK.for_update(strength=strength)


def test_comment_at_the_end_of_a_condition_keeps_the_lock():
    locked = select("project", where=sql("id = 7 -- the one")).for_update()
    assert "FOR UPDATE" in guarded(locked.expect(1))


@pytest.mark.parametrize(
    "query",
    [
        QUERY.all(tuple),
        QUERY.require({"id": 1}),
        QUERY.for_update(),
        select("vpc", [sql("lower(name)")], where={"project_id": 7}),
        sql("SELECT id FROM vpc"),
    ],
    ids=["result", "condition", "lock", "expression", "sql"],
)
def test_expect_of_a_query_whose_rows_matter_reads_all_rows(query):
    assert "_batchq_probe" not in guarded(query.expect(at_least=1))
