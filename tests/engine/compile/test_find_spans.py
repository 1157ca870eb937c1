# SPDX-License-Identifier: MIT
"""What batchq knows of its own SQL is what a scan of it would find."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from batchq import delete, insert, insert_or_get, old, select, sql, steps, update
from batchq.engine.compile.command import reported_columns, write_command
from batchq.engine.compile.find_spans import find_spans
from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.render import render
from batchq.engine.compile.scan import scan
from batchq.language.results import Rows
from batchq.language.statement import Statement
from batchq.language.syntax import RawSql


class Row(NamedTuple):
    """A model."""

    id: int
    name: str


ROW, NAMES = {"id": 7, "name": None}, ("id", "name")
BOTH = (*NAMES, *map(old, NAMES))
ODD = {'a "quoted; name"': 1, "set_config(": 2, "--": 3, "back\\slash": 4, "$1": 5}
FOUND = update("set_config", ROW, where={"id": [1, 2], "name": None})
STATEMENTS = [
    insert("a", ROW),
    insert("a.select", ODD),
    insert("a", {}),
    insert("a", ROW).on_conflict_do_nothing("id", index_where={"name": "it's \\ --", "id": None}),
    steps(insert_or_get("a", ROW, Row, key=["id"], same=["name"]))[0].statement,
    FOUND,
    FOUND.require({"id": [1, None]}).refuse(dict.fromkeys(ODD, 1)),
    update("a", {"id": insert("b", ROW).output("id")}, where={"id": 1}),
    FOUND.unless(dict.fromkeys(ODD, 1)).require({"id": 1}),
    delete("a", ODD),
    delete("from", {"table": [1], "using": None}).ensure({"id": 1}),
    select("a", columns=["id", "from"], where=ROW),
    select("a", columns=[], where=ROW),
    select("a", columns=list(ODD), where=ODD, order_by="id").for_update(skip_locked=True),
]


@pytest.mark.parametrize("names", [(), NAMES])
@pytest.mark.parametrize("statement", STATEMENTS, ids=str)
def test_spans_of_own_sql_are_those_of_a_scan(statement: Statement[None], names: tuple[str, ...]):
    shape, numbering = statement._shape, Numbering()
    sql_text = render(numbering, shape.source, shape.requirements, names)
    assert not numbering.has_text
    assert find_spans(numbering, shape.source, sql_text, names) == scan(sql_text)


@pytest.mark.parametrize(
    "statement",
    [
        insert("a", {"id": sql("(SELECT 1)")}),
        update("a", {"id": 1}, where=sql("EXISTS (SELECT)")),
        select("a", columns=[sql("(SELECT 1) AS one")], where={"id": 1}),
        delete("a", {"id": sql("(SELECT 1)")}),
    ],
    ids=str,
)
def test_sql_of_the_user_is_scanned(statement: Statement[None]):
    shape, numbering = statement._shape, Numbering()
    sql_text = render(numbering, shape.source, shape.requirements, ())
    assert numbering.has_text
    assert not isinstance(shape.source, RawSql)
    assert find_spans(numbering, shape.source, sql_text, ()).reads


@pytest.mark.parametrize(
    ("leaves", "columns"),
    [(True, NAMES), (True, BOTH), (False, BOTH)],
    ids=["unless", "unless, both rows", "both rows"],
)
def test_parts_of_an_update_that_finds_the_row_first_are_those_of_a_scan(leaves, columns):
    shape = (FOUND.unless(dict.fromkeys(ODD, 1)) if leaves else FOUND)._shape
    numbering, reported = Numbering(), reported_columns(Rows.UPDATED) if leaves else ()
    text, spans = write_command(numbering, shape.source, shape.requirements, columns, reported)
    scanned = scan(text)
    assert (spans.ctes, spans.main, spans.end) == (scanned.ctes, scanned.main, scanned.end)
    assert spans.writes
    assert not spans.reads
