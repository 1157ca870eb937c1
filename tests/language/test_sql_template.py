# SPDX-License-Identifier: MIT
"""Templates: SQL text with gaps for values and for other statements."""

from __future__ import annotations

import pytest

from batchq import InvalidBatch, delete, insert, select, sql, steps, update
from batchq.language.builders import raw_sql
from batchq.language.sql_template import sql_template

ROWS = select("t", ["a"], where={"id": 7})


def text(template: str, **known: str) -> str:
    return steps(sql_template(template, **known).fill())[0].sql


def test_text_that_is_known_is_taken_as_it_is() -> None:
    assert text("SELECT 1 AS {name}", name='"%s{x}%%"') == 'SELECT 1 AS "%s{x}%%"'


def test_braces_and_percent_signs_are_doubled_in_the_template() -> None:
    assert text("SELECT '{{1}}'::int[], 5 %% 2") == "SELECT '{1}'::int[], 5 % 2"


def test_gaps_of_a_template_in_a_template_are_gaps_of_the_whole() -> None:
    inner = sql_template("%(a)s || {rows}")
    whole = sql_template("SELECT %(a)s, {inner}, %(b)s", inner=inner)
    assert (whole.names, whole.parts) == (("a", "b"), ("rows",))


def test_same_arguments_return_the_same_template_and_shape() -> None:
    one, two = (sql_template("SELECT {name} WHERE %(a)s", name="1") for _ in range(2))
    assert one is two
    assert one.fill(a=1)._shape is one.fill(a=2)._shape


@pytest.mark.parametrize(
    "given", [{"a": 1}, {"a": 1, "rows": ROWS, "b": 2}, {"b": 2, "rows": ROWS}]
)
def test_gaps_and_what_is_given_have_to_agree(given: dict[str, object]) -> None:
    with pytest.raises(InvalidBatch, match=r"missing, or without a gap: (rows|a, b|b)$"):
        sql_template("SELECT %(a)s, ({rows})").fill(**given)


def test_single_percent_sign_is_rejected() -> None:
    with pytest.raises(InvalidBatch, match="is not a placeholder"):
        sql_template("SELECT 5 % 2")


@pytest.mark.parametrize(
    "part", [ROWS.count(), ROWS.expect(1, missing=KeyError()), insert("t", {"a": 1}).invariant("k")]
)
def test_nested_statement_cannot_have_what_would_be_lost(part: object) -> None:
    with pytest.raises(InvalidBatch, match=r"{rows} cannot have a result, mappings or guards"):
        sql_template("SELECT ({rows})").fill(rows=part)


def test_list_is_copied() -> None:
    given = [1]
    statement = sql_template("SELECT %(a)s::int[]").fill(a=given)
    given.append(2)
    assert statement._values == ([1],)


def test_nested_query_is_a_query_as_an_expression() -> None:
    key = sql_template("{rows}").fill(rows=ROWS)
    assert steps(select("u", ["b"], where={"t_id": key}))[0].sql == (
        'SELECT "b" FROM "u" WHERE "t_id" = (SELECT "a" FROM "t" WHERE "id" = $1)'
    )


@pytest.mark.parametrize(
    "part",
    [
        insert("t", {"a": 1}),
        update("t", {"a": 1}, where={"b": 2}),
        delete("t", where={"b": 2}),
        raw_sql("DELETE FROM t"),
    ],
)
def test_nested_write_is_rejected_as_an_expression(part: object) -> None:
    write = sql_template("{write}").fill(write=part)
    with pytest.raises(InvalidBatch, match="must be one expression"):
        select("u", ["b"], where={"t_id": write})


@pytest.mark.parametrize(
    ("template", "title"),
    [("EXPLAIN {rows}", "EXPLAIN SELECT …"), ("{rows} LIMIT 1", "SELECT … FROM")],
)
def test_title_names_what_a_nested_statement_does(template: str, title: str) -> None:
    assert sql_template(template).fill(rows=ROWS).title == title


@pytest.mark.parametrize("rows", [ROWS, sql("SELECT a FROM t")])
def test_nested_select_at_the_beginning_stops_at_the_first_unexpected_row(rows: object) -> None:
    none = sql_template("{rows} ORDER BY a").fill(rows=rows).expect(0, unexpected=ValueError("x"))
    assert "_batchq_probe LIMIT 1" in steps(none)[0].sql


def test_two_commands_are_not_one_statement() -> None:
    with pytest.raises(InvalidBatch, match="semicolon is inside brackets"):
        sql_template("SELECT ({rows})").fill(rows=sql("SELECT 1; SELECT 2"))


def test_text_is_as_ambiguous_as_what_it_contains() -> None:
    rows = sql_template("{rows}").fill(rows=sql(r"SELECT '\' || '' --'"))
    with pytest.raises(InvalidBatch, match="standard_conforming_strings"):
        select("u", ["b"], where={"t_id": rows})
