# SPDX-License-Identifier: MIT
"""Parents and children while they are composed: the steps they become, and what is refused."""

from __future__ import annotations

from typing import Any, NamedTuple

import attrs
import pytest
from attrs.exceptions import FrozenInstanceError

from batchq import (
    InvalidBatch,
    Statement,
    explain,
    format_error,
    gather,
    insert,
    into,
    sequence,
    sql,
    steps,
    update,
)
from batchq.hierarchy import Parent

NAMES = {"table": "project", "key": "id", "deleted_at": "time_deleted", "generation": "rcgen"}

PROJECT = Parent(table="project", key="id", deleted_at="time_deleted", generation="rcgen")
VPCS = PROJECT.children("vpc", by="project_id", deleted_at="time_deleted")
MISSING = LookupError("missing")


class Row(NamedTuple):
    id: int


def vpc(project: Any = 1, **row: Any) -> Statement[None]:
    return insert("vpc", {"project_id": project, "name": "web", **row})


def sources(batch):
    return [
        f"{step.statement._shape.source.verb} {step.statement._shape.source.table}"
        for step in steps(batch)
    ]


# -- adding ----------------------------------------------------------------------------------------


def test_add_touches_the_live_parent_and_then_inserts():
    bump, child = steps(VPCS.add(7, vpc(7), missing=MISSING))
    assert bump.sql.count('UPDATE "project" SET "rcgen" = ("rcgen" + 1)') == 1
    assert 'WHERE "id" = $1 AND "time_deleted" IS NULL' in bump.sql
    assert bump.parameters == (7,)
    assert str(bump.statement._shape.guard) == "exactly 1 row"
    assert child.statement._shape.source.table == "vpc"


def test_first_of_several_touches_of_a_parent_runs_at_its_place():
    first, other, second = (VPCS.add(key, vpc(key), missing=MISSING) for key in (1, 2, 1))
    batch = into(dict, sql("SELECT 1"), a=first, b=sequence([other, second]))
    assert sources(batch)[1:] == [
        "update project",
        "insert vpc",
        "update project",
        "insert vpc",
        "insert vpc",
    ]
    assert [step.parameters for step in steps(batch)[1::2][:2]] == [(1,), (2,)]


def test_parents_declared_alike_are_touched_once():
    again = Parent(
        table="project", key="id", deleted_at="time_deleted", generation="rcgen"
    ).children("disk", by="project", deleted_at="time_deleted")
    disk = insert("disk", {"project": 1})
    both = gather(VPCS.add(1, vpc(), missing=MISSING), again.add(1, disk, missing=MISSING))
    assert sources(both) == ["update project", "insert vpc", "insert disk"]
    for change in [{"table": "silo"}, {"generation": "gen"}, {"deleted_at": None}, {"key": "uuid"}]:
        other = attrs.evolve(PROJECT, **change)
        assert (
            len(steps(gather(PROJECT.touch(1, missing=MISSING), other.touch(1, missing=MISSING))))
            == 2
        )


def test_other_statements_in_add_are_accepted():
    children = gather(
        vpc(),
        insert("router", {"vpc_id": 1, "project_id": 9}),
        sql("INSERT INTO vpc (project_id) VALUES (9)"),
        update("vpc", {"name": "x"}, {"project_id": 9}),
    )
    assert len(steps(VPCS.add(1, children, missing=MISSING))) == 5


def test_child_insert_is_found_at_any_depth():
    deep = gather(vpc()).label("x").map(lambda result: result).as_invariant("x")
    assert len(steps(VPCS.add(1, gather(deep), missing=MISSING))) == 2
    with pytest.raises(InvalidBatch):
        VPCS.add(2, gather(deep), missing=MISSING)


def test_add_of_an_empty_batch_touches_the_parent():
    added = VPCS.add(1, sequence([]), missing=MISSING)
    assert [step.statement.title for step in steps(added)] == ["update project"]


PARENT = insert("project", {"name": "x"})


@pytest.mark.parametrize(
    ("key", "children", "teaches"),
    [
        (1, vpc(2), "set 'project_id' to the key"),
        (1, vpc("1"), "set 'project_id' to the key"),
        (1, vpc(None), "set 'project_id' to the key"),
        (1, gather(vpc(1), vpc(2)), "set 'project_id' to the key"),
        (1, vpc(sql("1")), "set 'project_id' to the key"),
        (1, vpc(PARENT.output("id")), "set 'project_id' to the key"),
        (PARENT.output("id"), vpc(1), "set 'project_id' to the key"),
        (PARENT.output("id"), vpc(PARENT.output("name")), "set 'project_id' to the key"),
        (1, insert("vpc", {"name": "web"}), "must set 'project_id', the key"),
        (1, insert("vpc", {}), "must set 'project_id', the key"),
        (1, insert("vpcs", {"project_id": 1}), "nothing is inserted"),
        (1, insert("other.vpc", {"project_id": 1}), "nothing is inserted"),
        (1, update("vpc", {"name": "x"}, {"project_id": 1}), "nothing is inserted"),
        (1, sql("INSERT INTO vpc (project_id) VALUES (1)"), "nothing is inserted"),
    ],
)
def test_batch_that_adds_no_child_of_the_parent_is_rejected(key, children, teaches):
    with pytest.raises(InvalidBatch, match=teaches):
        VPCS.add(key, children, missing=MISSING)


DISKS = PROJECT.children(
    "ip", by="project_id", where={"kind": "disk", "freed": None}, deleted_at="time_deleted"
)


@pytest.mark.parametrize(
    ("row", "teaches"),
    [
        ({"kind": "vpc"}, "sets '(kind|freed)'"),
        ({"kind": None}, "sets '(kind|freed)'"),
        ({}, "must set 'kind'"),
        ({"kind": "disk", "freed": "yesterday"}, "sets '(kind|freed)'"),
    ],
)
def test_row_excluded_by_where_is_rejected(row, teaches):
    with pytest.raises(InvalidBatch, match=teaches):
        DISKS.add(1, insert("ip", {"project_id": 1, **row}), missing=MISSING)


@pytest.mark.parametrize("row", [{"kind": "disk"}, {"kind": sql("lower('DISK')")}])
def test_row_not_excluded_by_where_is_accepted(row):
    batch = DISKS.add(1, insert("ip", {"project_id": 1, **row}), missing=MISSING)
    assert sources(batch) == ["update project", "insert ip"]


OF_A_KEY = {
    "touch": lambda key: PROJECT.touch(key, missing=MISSING),
    "lock": lambda key: PROJECT.lock(key, missing=MISSING),
    "delete": lambda key: PROJECT.delete(key, missing=MISSING),
    "delete_row": lambda key: PROJECT.delete_row(key, missing=MISSING),
    "hard delete": lambda key: attrs.evolve(PROJECT, deleted_at=None).delete_row(
        key, missing=MISSING
    ),
    "read": lambda key: PROJECT.read(key, Row, missing=MISSING),
    "forbid": lambda key: VPCS.forbid(key, unexpected=MISSING),
    "read children": lambda key: VPCS.read(key, Row),
    "add": lambda key: VPCS.add(key, gather(), missing=MISSING),
    "replace": lambda key: VPCS.replace(key, [], by="name", missing=MISSING),
}


@pytest.mark.parametrize("key", [[1], (1, 2), {1}, {"id": 1}, None], ids=repr)
@pytest.mark.parametrize("call", OF_A_KEY.values(), ids=OF_A_KEY)
def test_value_that_is_not_a_parent_key_is_rejected(call, key):
    with pytest.raises(InvalidBatch, match="must be one value"):
        call(key)


@pytest.mark.parametrize(("key", "given"), [(True, 1), (1, True), (False, 0)])
def test_bool_is_not_the_key_that_is_a_number(key, given):
    with pytest.raises(InvalidBatch, match=r"to the key that is passed to add\(\)"):
        VPCS.add(key, vpc(given), missing=MISSING)
    VPCS.add(key, vpc(key), missing=MISSING)


def test_key_from_the_server_is_identified_by_its_producer():
    key = PARENT.output("id")
    assert len(steps(gather(PARENT, VPCS.add(key, vpc(PARENT.output("id")), missing=MISSING)))) == 3
    many = gather(PARENT, *(VPCS.add(key, vpc(key), missing=MISSING) for _ in range(3)))
    assert sources(many) == ["insert project", "update project", *["insert vpc"] * 3]


# -- deleting --------------------------------------------------------------------------------------


def test_delete_locks_then_checks_then_deletes():
    in_use = format_error(ValueError, "contains a vpc: {name}")
    childless = [VPCS.forbid(7, unexpected=in_use)]
    lock, off, look, back, end = steps(PROJECT.delete(7, missing=MISSING, guards=childless))
    assert "set_config('row_security', 'off', true)" in off.sql
    assert "set_config('row_security', current_setting(" in back.sql
    assert 'FROM "project" WHERE "id" = $1 AND "time_deleted" IS NULL FOR UPDATE' in lock.sql
    living = 'SELECT "name" FROM "vpc" WHERE "project_id" = $1 AND "time_deleted" IS NULL'
    assert living in look.sql
    assert '"time_deleted" = (now()), "rcgen" = ("rcgen" + 1)' in end.sql
    assert [str(step.statement._shape.guard) for step in (lock, end)] == ["exactly 1 row"] * 2


def test_parent_without_deleted_at_is_hard_deleted():
    bare = attrs.evolve(PROJECT, deleted_at=None)
    lock, end = steps(bare.delete(7, missing=MISSING))
    assert sources(bare.delete(7, missing=MISSING))[1] == "delete project"
    assert "time_deleted" not in lock.sql + end.sql
    assert "time_deleted" not in explain(bare.touch(7, missing=MISSING))


def test_children_without_deleted_at_are_distinguished():
    crucible = PROJECT.children("disk", by="owner", deleted_at=None, where={"kind": "crucible"})
    (look,) = steps(crucible.forbid(7, unexpected=ValueError))
    assert 'SELECT "owner" FROM "disk" WHERE "owner" = $1 AND "kind" = $2)' in look.sql
    assert look.parameters == (7, "crucible")


def test_stale_generation_is_reported_by_the_last_step_alone():
    seen = PROJECT.delete(7, missing=MISSING, generation=3, stale=ValueError)
    lock, end = steps(seen)
    assert "require" not in repr(lock.statement)
    assert 'require("rcgen")' in repr(end.statement)


@pytest.mark.parametrize("half", [{"generation": 3}, {"stale": ValueError}], ids=str)
def test_generation_without_an_error_is_rejected(half):
    with pytest.raises(InvalidBatch, match="generation"):
        PROJECT.delete(7, missing=MISSING, **half)


def test_touch_is_needed_again_after_a_delete():
    adding = VPCS.add(7, vpc(7), missing=MISSING)
    again = gather(adding, PROJECT.delete(7, missing=MISSING), adding)
    assert sources(again).count("update project") == 3
    other = gather(adding, PROJECT.delete(8, missing=MISSING), adding)
    assert sources(other).count("update project") == 2


def test_parents_and_children_are_values():
    assert (
        Parent(table="project", key="id", deleted_at="time_deleted", generation="rcgen") == PROJECT
    )
    assert hash(
        Parent(table="project", key="id", deleted_at="time_deleted", generation="rcgen")
    ) == hash(PROJECT)
    with pytest.raises(FrozenInstanceError):
        VPCS.table = "x"


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "", 7])
@pytest.mark.parametrize("name", NAMES)
def test_parent_rejects_a_name_that_is_not_a_non_empty_str(name, value):
    if (name, value) == ("deleted_at", None):
        assert Parent(**NAMES | {name: value}).deleted_at is None
        return
    with pytest.raises(InvalidBatch, match=rf"Parent\({name}=.*non-empty str"):
        Parent(**NAMES | {name: value})


@pytest.mark.parametrize("name", ["table", "by", "deleted_at"])
def test_children_reject_a_name_that_is_not_a_non_empty_str(name):
    names = {"table": "vpc", "by": "project_id", "deleted_at": None} | {name: ""}
    with pytest.raises(InvalidBatch, match=rf"children\({name}=''\).*non-empty str"):
        PROJECT.children(names.pop("table"), **names)
