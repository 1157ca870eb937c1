# SPDX-License-Identifier: MIT
"""A row of a stamped table cannot be written without the stamp of its writer, by any statement."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import Any, NamedTuple

import pytest
from psycopg.types.numeric import Int4

from batchq import (
    InvalidBatch,
    gather,
    insert,
    insert_or_advance,
    insert_or_get,
    optional,
    param,
    select,
    sequence,
    source,
    sql,
    steps,
    update,
)
from batchq.bulk import ChildDelete, DeleteTree
from batchq.hierarchy import Parent
from batchq.versions import Fleet
from tests.versions.helpers import SEVEN

PLAIN: dict[str, Any] = {"id": 1, "project": 2, "generation": 3, "old": "x"}
STAMPED = {**PLAIN, "row_version": 7}
PROJECT = Parent(table="project", key="id", generation="generation", deleted_at="deleted_at")
RULES = PROJECT.children("rule", by="project", deleted_at=None)
# The table of the parent is stamped too.
GROUP = Parent(table="rule", key="id", generation="generation", deleted_at="deleted_at")
IMAGES = GROUP.children("image", by="rule", deleted_at=None)
TREE = DeleteTree(name="rule", parent=GROUP, children=[ChildDelete(relation=IMAGES)])


class Release(IntEnum):
    SEVEN = 7


class Rule(NamedTuple):
    id: int
    row_version: int


def advanced(row):
    of = {"version": "generation", "stale": KeyError, "raises": KeyError}
    return insert_or_advance("rule", row, key=["id"], **of)


def replaced(row, **options):
    return RULES.replace(2, [insert("rule", row)], by="id", missing=KeyError, **options)


BY_OTHER = {"from_": "image", "on": {"id": "id"}}
DECLARED = insert("rule", {"id": param("id", int), "row_version": param("stamp", int)})
SEVENTH = sql("SELECT 7 AS stamp").one(tuple)


@pytest.mark.parametrize(
    "writing",
    [
        insert("rule", {"id": 1}),
        insert("rule", {"id": 1, "row_version": 6}),
        insert("rule", select("image", ["id", sql("7 AS row_version")])),
        insert("rule", {"id": 1, "row_version": 7}).on_conflict_do_update("id", set=["id"]),
        insert("rule", {"id": 1, "row_version": 7}).on_conflict_do_update(
            "id", set={"old": sql("excluded.old"), "row_version": 6}
        ),
        update("rule", {"old": "x"}, {"id": 1}),
        update("rule", {"old": "x", "row_version": 6}, {"id": 1}),
        update("rule", {"old": "x", "row_version": None}, {"id": 1}),
        insert_or_get("rule", PLAIN, Rule, key=["id"]),
        advanced(PLAIN),
        RULES.add(2, insert("rule", PLAIN), missing=KeyError),
        replaced(PLAIN),
        replaced(STAMPED, keep=["row_version"]),
        update("rule", {"old": source("tags")}, **BY_OTHER),
        update("rule", {"row_version": source("row_version")}, **BY_OTHER),
        update("rule", {"old": "x"}, {"id": 1}).unless({"old": "x"}),
        update("rule", {"deleted_at": sql("now()"), "old": None}, {"id": 1}),
        update("rule", {"generation": sql("generation + 2")}, {"id": 1}),
        update("rule", {"row_version": sql('"row_version" + 1')}, {"id": 1}),
        update("rule", {"row_version": sql("now()")}, {"id": 1}),
        update("rule", {"row_version": Decimal(7)}, {"id": 1}),
        update("rule", {"row_version": True}, {"id": 1}),
        gather(SEVENTH, insert("rule", {"id": 1, "row_version": SEVENTH.output("stamp", "int")})),
        insert("rule", Rule).each([Rule(1, 7), Rule(2, 6)]),
        gather(insert("rule", Rule)).bind(Rule(1, 6)),
        DECLARED.bind(id=1, stamp=6),
        gather(DECLARED.partial(stamp=6)).bind(id=1),
        sequence([optional(insert("rule", PLAIN))]),
        insert("rule", PLAIN).run_once("rule"),
        insert("rule", PLAIN).run_last(),
        insert("rule", PLAIN).run_first(),
        insert("rule", PLAIN).label("rule").map(bool),
    ],
)
def test_row_without_the_stamp_of_its_writer_is_rejected(writing) -> None:
    for batch in (writing, gather(sql("SELECT 1"), writing)):
        with pytest.raises(InvalidBatch, match=r"gate\(\): .*row_version"):
            SEVEN.gate(batch)


@pytest.mark.parametrize(
    "writing",
    [
        insert("rule", {"old": sql("%(x)s", x=1), "id": 1, "row_version": 7}),
        insert("rule", {"id": 1, "row_version": 7}).on_conflict_do_update(
            "id", set=["row_version"]
        ),
        insert("rule", {"id": 1, "row_version": 7}).on_conflict_do_update(
            "id", set={"old": sql("%(x)s", x=1), "row_version": 7}
        ),
        update("rule", {"old": sql("%(x)s", x=1), "row_version": 7}, {"row_version": 6}),
        insert("image", {"id": 1}),
        sql("UPDATE rule SET old = 'x'"),
        insert_or_get("rule", STAMPED, Rule, key=["id"]),
        advanced(STAMPED),
        RULES.add(2, insert("rule", STAMPED), missing=KeyError),
        replaced(STAMPED),
        update("rule", {"old": source("tags"), "row_version": 7}, **BY_OTHER),
        update("rule", {"old": "x", "row_version": 7}, {"id": 1}).unless({"old": "x"}),
        insert("rule", Rule).each([Rule(1, 7), Rule(2, 7)]),
        gather(insert("rule", Rule)).bind(Rule(1, 7)),
        DECLARED.bind(id=1, stamp=7),
        gather(DECLARED.partial(stamp=7)).bind(id=1),
        insert("rule", STAMPED).run_last(),
        insert("image", select("rule", ["id"])),
        update("rule", {"row_version": Release.SEVEN}, {"id": 1}),
        update("rule", {"row_version": Int4(7)}, {"id": 1}),
        # What has the stamp of its last writer stays as it is.
        update(
            "rule",
            {"generation": sql('"generation" + 1'), "deleted_at": sql("now()")},
            {"id": 1},
        ),
        GROUP.touch(1, missing=KeyError),
        GROUP.delete(1, missing=KeyError),
        RULES.forbid(1, unexpected=KeyError),
        TREE.fence(1, missing=KeyError),
    ],
)
def test_row_with_the_stamp_of_its_writer_is_accepted(writing) -> None:
    assert len(steps(SEVEN.gate(writing))) > 1


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("a.rule", "one"),
        ("b.rule", "two"),
        ("db.a.rule", "one"),
        ("audit.rule", None),
        ("Rule", None),
        ("image", "three"),
        ("c.image", "three"),
    ],
)
def test_table_is_known_by_its_name_with_and_without_its_schema(table, column) -> None:
    fleet = Fleet(name="a", version=7, stamps={"a.rule": "one", "b.rule": "two", "image": "three"})
    row = {"id": 1} if column is None else {"id": 1, column: 7}

    assert len(steps(fleet.gate(insert(table, row)))) == 2
    if column is not None:
        with pytest.raises(InvalidBatch, match=column):
            fleet.gate(insert(table, {"id": 1}))


def test_rejected_stamp_is_named_by_what_is_wrong_with_it() -> None:
    for stamp, words in {Decimal(7): "a Decimal", 6: "another version", "7": "a str"}.items():
        with pytest.raises(InvalidBatch, match=f"sets 'row_version' to {words}; set it to 7"):
            SEVEN.gate(insert("rule", {"row_version": stamp}))
    with pytest.raises(InvalidBatch, match="by an expression"):
        SEVEN.gate(insert("rule", {"row_version": sql("7")}))


def test_table_with_its_schema_counts_before_one_of_that_name() -> None:
    fleet = Fleet(name="a", version=7, stamps={"rule": "one", "a.rule": "two"})

    assert len(steps(fleet.gate(insert("a.rule", {"two": 7})))) == 2


def test_table_that_may_be_either_of_two_needs_both_stamps() -> None:
    fleet = Fleet(name="a", version=7, stamps={"a.rule": "one", "b.rule": "two"})

    for row in ({"one": 7}, {"two": 7}):
        with pytest.raises(InvalidBatch, match="must set"):
            fleet.gate(insert("rule", row))
    assert len(steps(fleet.gate(insert("rule", {"one": 7, "two": 7})))) == 2
