# SPDX-License-Identifier: MIT
"""Insert or get while it is composed: the two steps that it becomes, and what is refused."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from batchq import Batch, InvalidBatch, Statement, insert_or_get, sql, steps
from batchq.hierarchy import Parent

MEANING = ValueError("differs")


class Disk(NamedTuple):
    id: int
    name: str


def boot(row=None, **options):
    new = {"id": 7, "name": "boot", "size": None} if row is None else row
    return insert_or_get("disk", new, Disk, **{"key": ["id"], **options})


def test_insert_or_get_does_nothing_on_conflict_and_reads_under_a_lock():
    quiet, getting = steps(boot())
    assert quiet.sql.endswith('VALUES ($1, $2, $3) ON CONFLICT ("id") DO NOTHING')
    assert 'FROM "disk" WHERE "id" = $1 FOR NO KEY UPDATE' in getting.sql
    assert getting.parameters == (7,)


def test_same_columns_are_compared_with_the_conflicting_row_only():
    quiet, getting = steps(boot(same=["id", "name"], raises=MEANING))
    before, _, judged = quiet.sql.partition(' ON CONFLICT ("id") DO UPDATE ')
    assert before.startswith('INSERT INTO "disk" ("id", "name", "size") VALUES')
    assert judged.startswith('SET "name" = EXCLUDED."name" WHERE CASE WHEN ')
    assert judged.endswith(" ELSE false END")
    assert quiet.parameters == (7, "boot", None)
    assert getting.sql == steps(boot())[1].sql
    names = [meaning.partition(" -> ")[0] for meaning in quiet.mappings]
    assert names == ['same("id")', 'same("name")']
    assert not getting.mappings


def test_index_predicate_is_text_to_infer_and_a_value_to_read():
    where = {"time_deleted": None, "kind": "it's \\", "level": 0, "active": True}
    quiet, getting = steps(boot(key=["name"], where=where))
    assert quiet.sql.partition(" ON ")[2] == (
        'CONFLICT ("name") WHERE "time_deleted" IS NULL AND "kind" = E\'it\'\'s \\\\\' '
        'AND "level" = 0 AND "active" = true DO NOTHING'
    )
    assert quiet.parameters == (7, "boot", None)
    assert getting.parameters == ("boot", "it's \\", 0, True)


def test_insert_or_get_is_a_batch_of_two_statements():
    assert isinstance(boot(), Batch)
    assert not isinstance(boot(), Statement)
    assert repr(boot()) == "<InsertOrGet of 2 statements>"


@pytest.mark.parametrize(
    ("options", "teaches"),
    [
        ({"key": []}, "unique index"),
        ({"key": [7]}, "non-empty str, not 7"),
        ({"key": ["id", "id"]}, "'id' is there twice"),
        ({"same": ["size", "size"]}, "'size' is there twice"),
        ({"key": ["uuid"]}, "no 'uuid'"),
        ({"key": ["size"]}, "NULL"),
        ({"key": ["id", "size"]}, "NULL"),
        ({"row": {"id": sql("gen_random_uuid()")}}, "expression"),
        ({"row": {"id": [7]}}, "by plain values"),
        ({"key": [sql("lower(other)")]}, "names no column"),
        ({"key": [sql("lower(%(x)s)", x="a")]}, "has a parameter"),
        ({"key": [sql("lower(name)")], "row": {"name": sql("now()")}}, "expression"),
        ({"nulls_not_distinct": 1}, "True or False"),
        ({"raises": MEANING}, "same"),
        ({"same": ["uuid"], "raises": MEANING}, "no 'uuid'"),
        ({"row": {"id": 7, "at": sql("now()")}, "same": ["at"], "raises": MEANING}, "expression"),
        ({"where": {"level": 1.5}}, "predicate"),
        ({"where": {"level": [1]}}, "predicate"),
        ({"where": sql("level > 0")}, "where"),
        ({"row": {"id": 7, "kind": "b"}, "where": {"kind": "a"}}, "index excludes"),
    ],
    ids=str,
)
def test_key_that_would_not_find_the_row_again_is_rejected(options, teaches):
    with pytest.raises(InvalidBatch, match=teaches):
        boot(**options)


@pytest.mark.parametrize("model", [dict, tuple, lambda row: row], ids=["dict", "tuple", "function"])
@pytest.mark.parametrize(
    ("call", "read"),
    [
        ("insert_or_get()", lambda model: insert_or_get("disk", {"id": 7}, model, key=["id"])),
        (
            "read()",
            lambda model: Parent(
                table="disk", key="id", deleted_at="time_deleted", generation="rcgen"
            ).read(7, model, missing=MEANING),
        ),
        (
            "read()",
            lambda model: (
                Parent(table="a", key="id", deleted_at="time_deleted", generation="rcgen")
                .children("disk", by="a", deleted_at="time_deleted")
                .read(7, model)
            ),
        ),
    ],
    ids=["insert_or_get", "parent", "children"],
)
def test_model_without_columns_is_rejected(model, call, read):
    with pytest.raises(InvalidBatch, match=r"columns of .* unknown") as caught:
        read(model)
    assert str(caught.value).startswith(call)
    assert "select(" not in str(caught.value)
