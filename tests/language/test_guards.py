# SPDX-License-Identifier: MIT
"""The text of guarded statements: whatever a user's SQL looks like, the guard is spliced in whole.

That guards fire is for the tests on a server; here a second reader, sqlglot, reads what is sent.
"""

from __future__ import annotations

import re

import pytest
import sqlglot

from batchq import InvalidBatch, delete, explain, insert, select, sql, steps, update


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
    ("statement", "operator"),
    [
        (update("t", {"a": 1}, {"b": 2}).expect(1), "="),
        (update("t", {"a": 1}, {"b": 2}).expect(at_least=2), ">="),
        (delete("t", {"b": 2}).expect(0), "="),
        (delete("t", {"b": 2}).returning("a").one(tuple), "="),
        (delete("t", {"b": 2}).returning("a").maybe(tuple), "<="),
        (select("t", ["a"], where={"b": 2}).one(tuple), "="),
        (select("t", ["a"], where={"b": 2}).scalar(int), "="),
        (sql("SELECT a FROM t").maybe(tuple), "<="),
        (sql("SELECT a FROM t").all(tuple).expect(at_least=1), ">="),
        (update("t", {"a": 1}, {"b": 2}).expect(at_most=2), "<="),
        (delete("t", {"b": 2}).count().expect(at_most=1), "<="),
        (sql("SELECT a FROM t").all(tuple).expect(at_most=3), "<="),
    ],
    ids=str,
)
def test_guard_compares_as_its_bound(statement, operator):
    spelled = re.escape(f"OPERATOR(pg_catalog.{operator})")
    assert re.search(rf"CASE WHEN NOT \(\S+ {spelled} \$", guarded(statement))


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


def test_text_of_a_guarded_statement_is_the_same_for_each_number():
    one, two = (guarded(update("t", {"a": 1}, {"b": 2}).expect(n)) for n in (1, 2))
    assert one == two


@pytest.mark.parametrize(
    "text", ["SHOW a", "EXPLAIN SELECT 1", "CALL f()", "LOCK t", "FETCH ALL FROM c", "ANALYZE t"]
)
def test_guard_of_a_command_without_rows_is_rejected(text):
    with pytest.raises(InvalidBatch, match="has no rows to guard"):
        guarded(sql(text).expect(1))


@pytest.mark.parametrize(
    "text", ["UPDATE t SET a = 1", "DELETE FROM t", "INSERT INTO t VALUES (1)"]
)
def test_rows_of_a_write_without_returning_are_rejected(text):
    with pytest.raises(InvalidBatch, match=r"add RETURNING, or use count\(\)"):
        guarded(sql(text).one(tuple))


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s.expect(),
        lambda s: s.expect(1, at_most=1),
        lambda s: s.expect(at_least=1, at_most=1),
        lambda s: s.expect(at_most=0),
        lambda s: s.expect(at_most=-1),
        lambda s: s.expect(at_most="1"),
        lambda s: s.expect(at_most=True),
        lambda s: s.expect(at_most=1, missing=LookupError),
        lambda s: s.one(tuple).expect(at_most=1),
        lambda s: s.expect(at_most=1).one(tuple),
        lambda s: s.scalar(int).expect(at_most=1),
        lambda s: s.maybe(tuple).expect(at_most=2),
        lambda s: s.expect(at_most=2).maybe(tuple),
    ],
)
def test_at_most_that_contradicts_another_bound_is_rejected(ask):
    with pytest.raises(InvalidBatch):
        ask(sql("SELECT a FROM t"))


def test_maybe_implies_at_most_one_row():
    """The words of a refusal are true."""
    with pytest.raises(InvalidBatch) as caught:
        sql("SELECT a FROM t").maybe(tuple).expect(at_most=2)
    assert "allows no row and" not in str(caught.value)


# -- what explain() notes of a write that reads other rows -----------------------------------------

OTHERS = "EXISTS (SELECT 1 FROM u WHERE u.id = t.id)"
READING = {
    "update by a subselect": update("t", {"a": 1}, sql(f"NOT {OTHERS}")),
    "update to a subselect": update("t", {"a": sql("(SELECT max(b) FROM u)")}, {"b": 2}),
    "delete by a subselect": delete("t", sql(OTHERS)),
    "value of a subselect": update("t", {"a": 1}, {"b": sql("(SELECT max(b) FROM u)")}),
    "require of a subselect": update("t", {"a": 1}, {"b": 2}).require(sql(OTHERS), raises=KeyError),
    "ensure of a subselect": update("t", {"a": 1}, {"b": 2}).ensure(
        {"a": sql("(SELECT max(b) FROM u)")}, raises=KeyError
    ),
    "sql update": sql(f"UPDATE t SET a = 1 WHERE NOT {OTHERS}"),
    "sql update, guarded": sql(f"UPDATE t SET a = 1 WHERE NOT {OTHERS}").expect(1),
    "update from": sql("UPDATE t SET a = 1 FROM u WHERE u.id = t.id AND u.ok"),
    "delete using": sql("DELETE FROM t USING u WHERE u.id = t.id"),
    "merge": sql("MERGE INTO t USING u ON u.id = t.id WHEN MATCHED THEN DELETE"),
    "insert of a select": sql("INSERT INTO t SELECT id FROM u WHERE ok"),
    "insert of a table": sql("INSERT INTO t TABLE u"),
    "write by a cte": sql("WITH x AS (SELECT id FROM u) DELETE FROM t WHERE id = ANY (TABLE x)"),
    "cte that writes": sql(
        "WITH x AS (UPDATE t SET a = 1 RETURNING id) INSERT INTO u SELECT id FROM x"
    ),
    "cte that writes what it reads": sql(
        "WITH x AS (DELETE FROM t WHERE NOT EXISTS (SELECT 1 FROM u) RETURNING id) SELECT * FROM x"
    ),
}
NOT_READING = {
    "insert": insert("t", {"a": 1}),
    "update": update("t", {"a": sql("a + 1")}, {"b": 2}),
    "update, guarded": update("t", {"a": 1}, {"b": 2}).expect(1),
    "update, required": update("t", {"a": 1}, {"b": 2}).require({"c": 3}, raises=KeyError),
    "update, checked": update("t", {"a": 1}, {"b": 2}).ensure({"c": 3}, raises=KeyError),
    "delete": delete("t", sql("b < now()")),
    "lock": select("t", where={"b": 2}).for_update().expect(1, missing=KeyError),
    "select by a subselect": select("t", ["a"], where=sql(OTHERS)),
    "sql select": sql("SELECT (SELECT 1) FROM (SELECT 2) AS x"),
    "select for update": sql(f"SELECT a FROM t WHERE {OTHERS} FOR UPDATE"),
    "expect(at_least=1)": sql(f"SELECT 1 FROM t WHERE {OTHERS}").expect(
        at_least=1, missing=KeyError
    ),
    "expect(0)": select("t", ["a"], where=sql(OTHERS)).expect(0, unexpected=KeyError),
    "words in quotes": update("t", {"a": sql("'SELECT FROM u'")}, {"select": 2, "from": 3}),
    "words in a comment": sql("UPDATE t SET a = 1 -- SELECT a FROM u"),
    "upsert": sql("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = EXCLUDED.b"),
    "from of a function": sql("UPDATE t SET a = extract(year FROM b), c = substring(d FROM 2)"),
    "is distinct from": sql("DELETE FROM t WHERE a IS DISTINCT FROM 1"),
    "column called like a command": sql('SELECT ("delete") FROM (SELECT 1 AS "delete") AS x'),
}


@pytest.mark.parametrize("statement", READING.values(), ids=READING)
def test_explain_notes_a_write_that_reads_other_rows(statement):
    """A condition on them is judged by what may be an older snapshot than the row's."""
    (note,) = steps(statement)[0].notes
    assert "for_update()" in note
    assert f"note: {note}" in explain(statement)


@pytest.mark.parametrize("statement", NOT_READING.values(), ids=NOT_READING)
def test_explain_has_no_note_for_a_write_that_reads_its_own_row(statement):
    assert steps(statement)[0].notes == ()
    assert "note:" not in explain(statement)
