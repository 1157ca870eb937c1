# SPDX-License-Identifier: MIT
"""Test the lines into which long SQL is broken for its readers."""

from __future__ import annotations

import pytest

from batchq import explain, gather, insert, select, sql, steps, update
from batchq.language.sql_lines import WIDTH, sql_lines

GUARDED = update("t", {"a": 1}, where={"id": 7}).require({"state": "ready"}, raises=ValueError)


NEW = insert("u", {"b": 1})


def words(text):
    return "".join(text.split())


@pytest.mark.parametrize(
    "batch",
    [
        GUARDED,
        select("t", ["a"], where={"id": 7}).expect(0, unexpected=ValueError("full")),
        select("t", ["a"], where={"id": 7}).for_update().expect(1),
        insert("t", {"a": 1}).ensure({"state": "ready"}),
        gather(NEW, insert("t", {"a": NEW.output("id")})),
        sql("SELECT 1 -- it's (\n, $q$ ((( CASE $q$ FROM x WHERE " + " OR ".join(["a"] * 50)),
        sql("SELECT " + ", ".join(f'"column, ( {n}"' for n in range(50)) + " FROM t"),
        sql(f"SELECT CASE WHEN a THEN CASE {'WHEN b THEN c ' * 20} END END"),
    ],
    ids=["require", "expect", "lock", "ensure", "output", "comment", "quoted names", "CASE"],
)
def test_long_sql_is_broken_and_otherwise_the_same(batch):
    text = steps(batch)[-1].sql
    lines = sql_lines(text)
    assert len(lines) > 4
    assert max(map(len, lines)) < 2 * WIDTH
    assert words("".join(lines)) == words(text)
    assert all(lines)


def test_short_sql_keeps_its_lines():
    assert sql_lines("SELECT 1,\n   2") == ["SELECT 1,", "   2"]


def test_string_that_is_not_closed_is_kept():
    text = "SELECT " + "a, " * 50 + "'open"
    assert words("".join(sql_lines(text))) == words(text)


def test_explain_of_require_has_a_line_for_each_condition():
    lines = [line.strip() for line in explain(GUARDED).splitlines()]
    assert 'UPDATE "t"' in lines
    assert any(line.startswith('WHEN ("state" = $3) IS NOT TRUE THEN') for line in lines)
    assert max(map(len, lines)) < 2 * WIDTH


def test_clauses_and_brackets_begin_lines():
    columns = ", ".join(f"column_{n}" for n in range(9))
    inner = f"SELECT {columns}, last FROM u"
    text = f"SELECT {columns}, last FROM t WHERE a IS DISTINCT FROM b AND c IN ({inner})"
    assert sql_lines(text) == [
        f"SELECT {columns},",
        "last",
        "FROM t",
        "WHERE a IS DISTINCT FROM b",
        "AND c IN (",
        f"  SELECT {columns},",
        "  last",
        "  FROM u",
        ")",
    ]
