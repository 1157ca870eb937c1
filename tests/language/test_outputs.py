# SPDX-License-Identifier: MIT
"""Outputs while a batch is composed: where they may stand, and what is refused before it is run."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from batchq import (
    InvalidBatch,
    delete,
    explain,
    gather,
    insert,
    insert_or_get,
    into,
    select,
    sequence,
    sql,
    steps,
    unique,
    update,
)
from batchq.engine.plan import plan
from batchq.hierarchy import Parent

PROJECT = insert("project", {"name": "secret"})
ID = PROJECT.output("id")
VPC = insert("vpc", {"project_id": ID})
MISSING = LookupError("missing")


def teaches(error, *words):
    return all(word in str(error.value) for word in words)


# -- where they may stand --------------------------------------------------------------------------


class Row(NamedTuple):
    a: int


USES = {
    "a cell": VPC,
    "set": update("t", {"a": ID}, {"id": 1}),
    "where": delete("t", {"a": ID}),
    "where of a select": select("t", ["b"], where={"a": ID}).all(tuple),
    "select column": select(
        "t", [sql("%(v)s AS v", v=PROJECT.output("id", "int"))], where={"a": 1}
    ),
    "requirement": update("t", {"b": 1}, {"id": 1}).require({"a": ID}, raises=MISSING),
    "ensure": insert("t", {"b": 1}).ensure({"a": ID}, raises=MISSING),
    "conflict": insert("t", {"a": ID}).on_conflict_do_nothing("a"),
    "sql": sql("SELECT %(v)s", v=PROJECT.output("id", "int")),
    "fragment": insert("t", {"a": sql("%(v)s + 1", v=PROJECT.output("id", "int"))}),
    "where fragment": delete("t", sql("a = %(v)s", v=PROJECT.output("id", "int"))),
    "expect a row": select("t", ["a"], where={"a": ID}).expect(at_least=1, missing=MISSING),
    "expect no row": select("t", ["a"], where={"a": ID}).expect(0, unexpected=MISSING),
    "insert_or_get": insert_or_get("t", {"a": ID}, Row, key=["a"]),
    "parent": Parent(
        table="project", key="id", deleted_at="time_deleted", generation="rcgen"
    ).touch(ID, missing=MISSING),
}


@pytest.mark.parametrize("use", USES)
def test_output_needs_its_producer_before_it_and_nothing_else(use):
    user = USES[use]
    assert {output.identity for output in user._required_outputs} == {PROJECT}
    both = gather(PROJECT, user)
    assert both._required_outputs == ()
    assert plan(both).outputs == {0: ("id",)}
    with pytest.raises(InvalidBatch) as refused:
        gather(user, PROJECT)
    assert teaches(refused, "'id'", "before", "insert project")
    for outside in (user, gather(user), gather(insert("project", {"name": "secret"}), user)):
        with pytest.raises(InvalidBatch) as refused:
            steps(outside)
        assert teaches(refused, "'id'", "insert project", "not in the batch")


CHANGES = {
    "label": lambda statement: statement.label("x"),
    "on": lambda statement: statement.on(unique("k"), KeyError),
    "invariant": lambda statement: statement.invariant("k"),
    "expect": lambda statement: statement.expect(1),
    "ensure": lambda statement: statement.ensure({"name": "x"}, raises=KeyError),
    "returning": lambda statement: statement.returning("name"),
    "one": lambda statement: statement.returning("name").one(dict),
    "conflict": lambda statement: statement.on_conflict_do_nothing("name"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_producer_changed_later_stays_the_same_producer(change):
    later = CHANGES[change](PROJECT)
    for producer, output in [(later, ID), (PROJECT, later.output("id"))]:
        assert plan(gather(producer, insert("vpc", {"project_id": output}))).outputs == {0: ("id",)}
    assert later.output("id") == ID


NESTED = {
    "gather": gather,
    "sequence": lambda batch: sequence([batch]),
    "into": lambda batch: into(dict, x=batch),
    "map": lambda batch: batch.map(lambda result: result),
    "label": lambda batch: gather(batch).label("x"),
    "on": lambda batch: gather(batch).on(unique("k"), KeyError),
    "as_invariant": lambda batch: batch.as_invariant("x"),
}


@pytest.mark.parametrize("inner", NESTED)
@pytest.mark.parametrize("outer", NESTED)
def test_producer_at_any_depth_before_its_use_is_found(inner, outer):
    producer, user = NESTED[outer](NESTED[inner](PROJECT)), NESTED[inner](NESTED[outer](VPC))
    assert user._required_outputs == (ID,)
    assert plan(gather(sql("SELECT 1"), producer, user)).outputs == {1: ("id",)}
    with pytest.raises(InvalidBatch):
        gather(user, producer)
    with pytest.raises(InvalidBatch):
        plan(user)


def test_chain_of_outputs_needs_each_producer_in_order():
    subnet = insert("subnet", {"vpc_id": VPC.output("id"), "project_id": ID})
    assert set(subnet._required_outputs) == {VPC.output("id"), ID}
    assert gather(VPC, subnet)._required_outputs == (ID, ID)
    assert plan(gather(PROJECT, VPC, subnet)).outputs == {0: ("id",), 1: ("id",)}
    with pytest.raises(InvalidBatch):
        gather(PROJECT, subnet, VPC)


def test_output_is_carried_once_and_only_if_used():
    uses = [ID, PROJECT.output("id"), PROJECT.output("name")]
    batch = gather(PROJECT, *(insert("vpc", {"x": use}) for use in uses))
    assert plan(batch).outputs == {0: ("id", "name")}
    assert plan(gather(PROJECT, PROJECT)).outputs == {}
    assert "batchq" not in steps(PROJECT)[0].sql


def test_output_of_a_producer_that_runs_twice_is_the_latest():
    assert plan(gather(PROJECT, VPC, PROJECT)).outputs == {0: ("id",)}
    assert plan(gather(PROJECT, PROJECT, VPC)).outputs == {1: ("id",)}
    assert plan(gather(PROJECT, VPC, PROJECT, VPC)).outputs == {0: ("id",), 2: ("id",)}


def test_equal_statements_are_not_the_same_producer():
    twin = insert("project", {"name": "secret"})
    assert twin.output("id") != ID
    assert plan(gather(PROJECT, twin, VPC)).outputs == {0: ("id",)}


def test_output_shows_its_producer_and_no_value():
    assert repr(ID) == "<Output 'id' of insert project>"
    shown = explain(gather(PROJECT, VPC), parameters=True)
    assert "project_id = <Output 'id' of insert project>" in shown
    assert "secret" not in explain(gather(PROJECT, VPC))


# -- what is refused -------------------------------------------------------------------------------

SEVERAL = {
    "all": lambda statement: statement.returning("id").all(tuple),
    "count": lambda statement: statement.count(),
    "maybe": lambda statement: statement.returning("id").maybe(tuple),
    "expect(2)": lambda statement: statement.expect(2),
    "expect(0)": lambda statement: statement.expect(0),
    "at least": lambda statement: statement.expect(at_least=1),
    "at most": lambda statement: statement.expect(at_most=1),
}
PRODUCERS = {
    "insert": lambda: insert("project", {"name": "x"}),
    "update": lambda: update("project", {"name": "x"}, {"id": 1}),
    "delete": lambda: delete("project", {"id": 1}),
}


@pytest.mark.parametrize("several", SEVERAL)
@pytest.mark.parametrize("kind", PRODUCERS)
def test_output_of_another_number_of_rows_than_one_is_rejected(kind, several):
    statement = PRODUCERS[kind]()
    with pytest.raises(InvalidBatch, match="number of rows than one"):
        SEVERAL[several](statement).output("id")


@pytest.mark.parametrize("several", SEVERAL)
@pytest.mark.parametrize("kind", PRODUCERS)
def test_producer_changed_after_its_output_stays_the_same_producer(kind, several):
    statement = PRODUCERS[kind]()
    user = insert("vpc", {"project_id": statement.output("id")})
    with pytest.raises(InvalidBatch, match="number of rows than one"):
        steps(gather(SEVERAL[several](statement), user))


def test_output_in_sql_has_its_type():
    with pytest.raises(InvalidBatch, match=r'\.output\(\'id\', "bigint"\)'):
        sql("SELECT %(v)s", v=ID)


def test_output_in_an_index_predicate_is_rejected():
    with pytest.raises(InvalidBatch, match="predicate"):
        insert("t", {"a": 1}).on_conflict_do_nothing("a", index_where={"b": ID})
    where = sql("b = %(v)s", v=PROJECT.output("id", "int"))
    with pytest.raises(InvalidBatch, match="parameter"):
        insert("t", {"a": 1}).on_conflict_do_nothing("a", index_where=where)


def test_output_of_a_select_is_one_of_its_columns():
    named = select("t", ["a"], where={"id": 1})
    with pytest.raises(InvalidBatch, match="'b' is not among the columns"):
        _ = steps(gather(named, insert("u", {"b": named.output("b")})))[0].sql
    bare = select("t", where={"id": 1})
    assert 'SELECT "b" FROM "t"' in explain(gather(bare, insert("u", {"b": bare.output("b")})))


def test_ensure_of_an_output_in_sql_has_no_column_type():
    checked = sql("UPDATE t SET a = 1 RETURNING a").ensure({"a": ID}, raises=MISSING)
    with pytest.raises(InvalidBatch, match="type of the output"):
        _ = steps(gather(PROJECT, checked))[1].sql


TYPES = [
    "int",
    "bigint[]",
    "text[][]",
    "double precision",
    "numeric(10, 2)",
    "numeric(3,-2)",
    "varchar(63)",
    "character varying(63)",
    "bit varying(4)",
    "timestamp with time zone",
    "timestamp(3) without time zone",
    "timestamptz(3)[]",
    '"char"',
    "public.state",
    '"my schema"."State"[]',
    "größe",
]


@pytest.mark.parametrize("name", TYPES)
def test_name_of_a_type_is_accepted_and_sent(name):
    user = sql("SELECT %(v)s", v=PROJECT.output("id", name))
    assert f"::{name}" in steps(gather(PROJECT, user))[1].sql


@pytest.mark.parametrize(
    "name",
    [
        "",
        7,
        "int; DROP TABLE project",
        "int) FROM secret --",
        "int /* */",
        "int OR true",
        "bigint UNION SELECT password FROM account",
        "text FROM account",
        "int, password",
        "int AS a",
        "int || password",
        'int" x',
        'a"b"c"',
        "int $$",
        "$1",
        "int[1]::text",
        "text COLLATE x",
        "text\nFROM account",
        "int\0",
        "a.b.c.d e",
    ],
)
def test_text_that_is_not_a_type_name_is_rejected(name):
    with pytest.raises(InvalidBatch, match="name of a SQL type"):
        PROJECT.output("id", name)
