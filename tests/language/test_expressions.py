# SPDX-License-Identifier: MIT
"""A fragment is one expression; text that is more than one is rejected in every place."""

from __future__ import annotations

from contextlib import suppress

import pytest

from batchq import InvalidBatch, delete, insert, insert_or_get, select, sql, steps, update

CHANGE = update("t", {"a": 1}, where={"b": 2})
PLACES = {
    "insert": lambda one: insert("t", {"a": one}),
    "update": lambda one: update("t", {"a": one}, where={"b": 1}),
    "where of update": lambda one: update("t", {"a": 1}, where=one),
    "where of delete": lambda one: delete("t", where=one),
    "where of select": lambda one: select("t", ["a"], where=one),
    "a condition": lambda one: delete("t", where={"a": one}),
    "one of several": lambda one: delete("t", where=[{"a": 1}, one]),
    "require": CHANGE.require,
    "require of a column": lambda one: CHANGE.require({"a": one}),
    "ensure": lambda one: CHANGE.ensure({"a": one}),
    "ensure of a text": lambda one: sql("SELECT a FROM t").ensure({"a": one}),
    "for_update": lambda one: select("t", where=one).for_update().expect(1, missing=KeyError),
    "expect a row": lambda one: select("t", ["a"], where=one).expect(at_least=1),
    "expect no row": lambda one: select("t", ["a"], where=one).expect(0),
    "predicate": lambda one: insert("t", {"a": 1}).on_conflict_do_nothing("a", index_where=one),
}
COLUMN = {"a column": lambda one: select("t", [one], where={"b": 1})}

NOT_ONE_EXPRESSION = [
    # the two of the issue, and what they come from
    "1), o0 = (2",
    "id = 1) OR (true",
    ")",
    "(",
    "a]",
    "a[1",
    "(a]",
    "[a)",
    ")(",
    "1) -- ",
    "a /* ) */ (",
    # quotes and comments that do not end, or end elsewhere than it looks
    "'a",
    "E'a\\'",
    '"a',
    '"a"" ',
    "$$ a",
    "$x$ a $y$",
    "$x$ a $X$",
    "a /* b",
    "a /* /* b */",
    "U&'a",
    "'a''",
    # several
    "a, b",
    "1, 2",
    "a,",
    ", a",
    "a; b",
    "a;",
    "(a; b)",
    "true; DELETE FROM t",
    # what continues after an expression
    "true RETURNING id",
    "true returning *",
    "id = 1 FOR UPDATE",
    "true ORDER BY a",
    "true LIMIT 1",
    "true OFFSET 1",
    "true FETCH FIRST ROW ONLY",
    "true GROUP BY a",
    "true HAVING true",
    "true WINDOW w AS ()",
    "true UNION SELECT 1",
    "true EXCEPT ALL SELECT 1",
    "true INTERSECT SELECT 1",
    "a FROM u",
    "a INTO u",
    "true WHERE true",
    "1 IS DISTINCT FROM 2 FROM u",
    "DISTINCT FROM u",
    "true DO UPDATE SET a = 1",
    "x.",
    # no expression at all
    "-- a",
    "/* a */",
    "/* a */ -- b\n",
    "SELECT 1; SELECT 2",
    "DISTINCT a",
    "ALL a",
    # what the server's settings and versions read in two ways
    r"'\' OR b = '1'",
    r"'a\'",
    r"name LIKE 'a\%' ESCAPE '\'",
    r"U&'\'",
    "a -- b\rOR true",
    r"1E'\''",
    "1a$b$ OR b$b$",
    "1 = 1AND true",
    # parameters that are none
    "$1",
    "a = $1",
]


def accepted_in(places, text, **params):
    """Return the places that accept a fragment."""
    accepted = []
    for name, place in places.items():
        with suppress(InvalidBatch):
            place(sql(text, **params))
            accepted.append(name)
    return accepted


@pytest.mark.parametrize("text", NOT_ONE_EXPRESSION)
def test_fragment_of_more_than_one_expression_is_rejected(text):
    assert accepted_in(PLACES | COLUMN, text) == []


@pytest.mark.parametrize("text", ["'%(x)s'", "1 -- %(x)s"])
def test_fragment_with_a_hidden_placeholder_is_rejected(text):
    assert accepted_in(PLACES | COLUMN, text, x="a") == []


@pytest.mark.parametrize(
    "text", ["a AS b", "a AS", "1 AS a, 2 AS b", "a AS b c", "AS a", "a AS b AS c", "AS"]
)
def test_alias_is_accepted_for_a_selected_column_only(text):
    assert accepted_in(PLACES, text) == []
    assert accepted_in(COLUMN, text) == (["a column"] if text == "a AS b" else [])


ONE_EXPRESSION = [
    "now()",
    "a + 1",
    "a OR b",
    "NOT a AND (b OR c)",
    "coalesce(a, b, 'x, y')",
    "ARRAY[1, 2][1]",
    "a[1:2]",
    "ROW(a, b) = (1, 2)",
    "(a, b) < (1, 2)",
    "(SELECT max(a) FROM t WHERE b ORDER BY c LIMIT 1)",
    "a IN (SELECT b FROM u, v)",
    "EXISTS (SELECT FROM u FOR UPDATE)",
    "a IS DISTINCT FROM b",
    "a IS NOT DISTINCT FROM b AND a is distinct  from c",
    "extract(year FROM a) = 2026",
    "substring(a FROM 1 FOR 2)",
    "count(*)",
    "count(*) FILTER (WHERE a)",
    "sum(a) OVER (PARTITION BY b ORDER BY c)",
    "percentile_disc(0.5) WITHIN GROUP (ORDER BY a)",
    "CASE WHEN a THEN 1 ELSE 2 END",
    "CAST(a AS int) + b::numeric(10,2)",
    "a AT TIME ZONE 'UTC'",
    'a COLLATE "C"',
    "interval '1 day' + a",
    "a ? 'b' AND c @> '{\"d\": [1, 2]}'",
    "a->>'b' #>> '{c}'",
    "'it''s (;' || E'it\\'s )' || $$it's (;--/*$$ || $q$ $$ ( $q$",
    "E'\\\\'",
    r"'a\\' = b",
    r"'\d+\.' = a",
    r"a LIKE 'a\%' ESCAPE E'\\'",
    "U&'d\\0061t' || B'101' || x'1F' || N'a'",
    'U&"a" = "x (; , FROM ""y"',
    '"from" = "order"',
    "t.from = t.order",
    "(a).limit",
    "a -- ( ' /*\n = 1",
    "a /* ( ' -- /* nested ; */ , */ = 1",
    "a = 1 -- the end (",
    "a-- b\r\n= 1",
    "1e5 + 1.5e-3 + .5 + 1. + 0x1F + 1_000",
    "a$b = 1",
    "naïve = 'ü'",
    "a=-1",
    "a*b/c",
    "a OPERATOR(pg_catalog.+) b",
    "a BETWEEN 1 AND 2",
    "a IS NULL",
    "default_value",
    "selected AND distinctly AND format",
]


@pytest.mark.parametrize("text", ONE_EXPRESSION)
def test_fragment_of_one_expression_is_allowed_everywhere(text):
    for place in [*PLACES.values(), *COLUMN.values()]:
        (step,) = steps(place(sql(text)))  # type: ignore[arg-type]
        assert text.removesuffix(" -- the end (") in step.sql


@pytest.mark.parametrize(
    "text",
    [
        "SELECT max(a), 1 FROM u, v ORDER BY a LIMIT 1",
        "with c as (select 1) select * from c",
        "TABLE u",
    ],
)
def test_query_as_a_value_is_put_in_parentheses(text):
    for place in PLACES.values():
        if place is not PLACES["predicate"]:
            assert f"({text})" in steps(place(sql(text)))[0].sql
    with pytest.raises(InvalidBatch, match="parentheses"):
        select("t", [sql(text)], where={"b": 1})


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "t.*",
        "(a).*",
        "count(*) AS n",
        "count(*) n",
        'a AS "n, m"',
        "a AS from",
        "a IS DISTINCT FROM b AS c",
    ],
)
def test_selected_column_may_have_an_alias_or_be_a_star(text):
    assert f"SELECT {text} FROM" in steps(select("t", [sql(text)], where={"b": 1}))[0].sql


@pytest.mark.parametrize(
    "text",
    ["a%(x)s", "%(x)s0", "1%(x)s", "%(x)sAND b", "%(x)s%(x)s", "$%(x)s", "%(x)s$$a$$", "ü%(x)s"],
)
def test_placeholder_that_touches_a_word_or_number_is_rejected(text):
    """``%(x)s0`` would be the tenth parameter, ``a%(x)s`` a name."""
    with pytest.raises(InvalidBatch, match="placeholder touches"):
        sql(text, x=1)  # type: ignore[arg-type]
    with pytest.raises(InvalidBatch, match="placeholder touches"):
        sql("SELECT " + text, x=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["%(x)s::int", "(%(x)s)", "-%(x)s", "%(x)s[1]", "a=%(x)s", "'a'||%(x)s", "%(x)s,1"]
)
def test_placeholder_that_touches_an_operator_is_accepted(text):
    assert "$1" in steps(sql("SELECT " + text, x=1))[0].sql  # type: ignore[arg-type]


def test_guarded_text_with_an_ambiguous_string_is_rejected():
    doubtful = sql(r"SELECT a FROM t WHERE b LIKE 'x' ESCAPE '\'")
    assert steps(doubtful)[0].sql
    for guarded in (
        doubtful.one(tuple),
        doubtful.expect(1),
        doubtful.expect(at_least=1),
        doubtful.expect(0),
    ):
        with pytest.raises(InvalidBatch, match="standard_conforming_strings"):
            _ = steps(guarded)[0].sql


def test_text_with_a_nul_is_rejected():
    with pytest.raises(InvalidBatch, match="NUL"):
        sql("SELECT '\0'")
    with pytest.raises(InvalidBatch, match="NUL"):
        steps(insert("t", {"a": 1}).on_conflict_do_nothing("a", index_where={"b": "\0"}))
    name = "a\0"
    for statement in (
        lambda: insert("t", {name: 1}),
        lambda: insert(name, {"a": 1}),
        lambda: delete("t", {name: 1}),
        lambda: select("t", [name], where={"a": 1}),
        lambda: insert("t", {"a": 1}).returning(name).one(tuple),
        lambda: CHANGE.require({name: 1}),
        lambda: CHANGE.ensure({name: 1}),
        lambda: CHANGE.require({"a": 1}, columns=[name]),
        lambda: sql("SELECT a FROM t").expect(0, columns=[name]),
        lambda: insert("t", {"a": 1}).on_conflict_do_nothing(name),
        lambda: insert_or_get("t", {"a": 1}, dict, key=[name]),
    ):
        with pytest.raises(InvalidBatch):
            _ = [step.sql for step in steps(statement())]


def test_private_use_character_in_a_value_is_kept():
    assert steps(insert("t", {"a": "\ue001"}))[0].parameters == ("\ue001",)


def test_comment_at_the_end_of_a_predicate_keeps_the_rest():
    quiet = insert("t", {"a": 1}).on_conflict_do_nothing("a", index_where=sql("b -- here"))
    assert steps(quiet)[0].sql.endswith("b -- here\n DO NOTHING")
