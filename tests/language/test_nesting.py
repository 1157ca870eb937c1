# SPDX-License-Identifier: MIT
"""How deep fragments may nest: as deep as they can be rendered, wherever the caller stands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchq import InvalidBatch, insert, select, sql, steps
from batchq.language.nesting import DEEPEST
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement

ROWS = sql_template("SELECT 1 FROM ({rows}) AS x")


def nested(depth: int) -> Statement[None]:
    """Return a fragment that many texts deep."""
    fragment = sql("1")
    for _ in range(depth - 1):
        fragment = sql("%(a)s + 1", a=fragment)
    return fragment


def below(calls: int, function: Callable[[], str]) -> str:
    """Call a function from that many calls deeper."""
    return function() if calls == 0 else below(calls - 1, function)


def test_fragments_nest_to_a_depth_that_can_be_rendered_from_deep_inside_an_application():
    text = below(300, lambda: steps(select("t", [nested(DEEPEST)]))[0].sql or "")
    assert text == f'SELECT {"(" * (DEEPEST - 1)}1{") + 1" * (DEEPEST - 1)} FROM "t"'


TOO_DEEP = {
    "a fragment": lambda one: sql("%(a)s + 1", a=one),
    "a statement": lambda one: sql("SELECT %(a)s", a=one),
    "one beside others": lambda one: sql("%(a)s + %(b)s + %(c)s", a=sql("1"), b=one, c=sql("2")),
    "in a where": lambda one: ROWS.fill(rows=select("t", ["a"], where={"a": one})),
    "in a column": lambda one: ROWS.fill(rows=select("t", [one])),
    "in an insert": lambda one: ROWS.fill(rows=insert("t", {"a": one})),
}


@pytest.mark.parametrize("case", TOO_DEEP)
def test_a_fragment_that_is_deeper_is_refused(case):
    assert TOO_DEEP[case](nested(DEEPEST - 1)) is not None
    with pytest.raises(InvalidBatch, match=r"^sql\(\): fragments nest more than 100 deep; put"):
        TOO_DEEP[case](nested(DEEPEST))


def test_those_of_a_list_stand_side_by_side():
    names = [f"f{n}" for n in range(2 * DEEPEST)]
    text = " OR ".join(f"%({name})s" for name in names)
    whole = sql(text, {name: sql("a = %(a)s", a=n) for n, name in enumerate(names)})
    assert len(steps(select("t", ["a"], where=whole))[0].parameters or ()) == 2 * DEEPEST
