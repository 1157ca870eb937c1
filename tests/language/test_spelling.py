# SPDX-License-Identifier: MIT
"""An error distinguishes classes of one name: "takes a bool, not a bool" says nothing."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from batchq import InvalidBatch, delete, insert, param, run, sql
from batchq.bulk import ChildDelete, DeleteTree, preflight, start
from batchq.bulk.job import checked_job
from batchq.language.spelling import name_of, with_article
from batchq.limits import Limits
from batchq.limits.tables import checked_id, checked_scopes
from tests.support.argument_types import SilentPool
from tests.support.vpcs import VPC

BATCH = sql("SELECT 1")
RULES = VPC.children("rule", by="vpc_id", deleted_at=None)


def alike(name, module="other.place"):
    """Return an object of a class of this name."""
    return type(name, (), {"__module__": module})()


def test_a_class_is_named_with_its_module_beside_one_of_the_same_name():
    kind = type(alike("UUID"))
    assert with_article(kind) == "a UUID"
    assert with_article(kind, unlike=(int, str)) == "a UUID"
    assert with_article(kind, unlike=(int, UUID)) == "an other.place.UUID"
    assert with_article(UUID, unlike=(kind,)) == "a uuid.UUID"
    assert name_of(UUID, unlike=(kind,)) == "uuid.UUID"


def test_a_class_is_not_distinguished_from_itself():
    assert with_article(UUID, unlike=(UUID,)) == "a UUID"


def test_a_class_that_was_defined_again_is_distinguished():
    """As of a module that was loaded twice."""
    assert with_article(type(alike("UUID", "uuid")), unlike=(UUID,)) == (
        "a uuid.UUID of another definition"
    )


IDS = delete("t", {"id": param("ids", list[UUID])})
FLAG = delete("t", {"flag": param("flag", bool)})
ALIKE = {
    "a parameter": (
        lambda: FLAG.bind(flag=alike("bool", "numpy")),
        (InvalidBatch, "takes a bool, not a numpy.bool"),
    ),
    "an item of a parameter": (
        lambda: IDS.bind(ids=[uuid4(), alike("UUID")]),
        (InvalidBatch, "takes a list of UUID, not one that contains an other.place.UUID"),
    ),
    "a predicate": (
        lambda: insert("t", {"id": 1}).on_conflict_do_nothing(
            "id", index_where={"x": alike("bool")}
        ),
        (InvalidBatch, "bool, int, or str without NUL, not an other.place.bool"),
    ),
    "run()": (
        lambda: run(alike("Connection", "sqlite3"), BATCH),
        (TypeError, "takes a psycopg Connection or a pool, not a sqlite3.Connection"),
    ),
    "retry=": (
        lambda: run(SilentPool(), BATCH, retry=alike("Retry")),
        (InvalidBatch, "it must be a batchq.running.retry.Retry, as in"),
    ),
    "start()": (
        lambda: start(SilentPool(), alike("DeleteTree"), 1, missing=LookupError()),
        (TypeError, "takes a DeleteTree, not an other.place.DeleteTree"),
    ),
    "preflight()": (
        lambda: preflight(SilentPool(), alike("Backfill")),
        (TypeError, "takes a DeleteTree, a Backfill or a DeleteRows, not an other.place.Backfill"),
    ),
    "an argument": (
        lambda: DeleteTree(name="vpc", parent=alike("Parent"), children=[]),
        (InvalidBatch, "it must be of type batchq.patterns.hierarchy.Parent"),
    ),
    "a list of child deletes": (
        lambda: ChildDelete(relation=RULES, children=[alike("ChildDelete")]),
        (InvalidBatch, "one that contains an other.place.ChildDelete"),
    ),
    "a relation": (
        lambda: ChildDelete(relation=alike("Children")),
        (InvalidBatch, "not an other.place.Children"),
    ),
    "create()": (
        lambda: Limits().create(alike("Connection", "sqlite3")),
        (TypeError, "takes a psycopg Connection, not a sqlite3.Connection; of a pool"),
    ),
    "scope=": (
        lambda: checked_scopes([uuid4(), alike("UUID")]),
        (InvalidBatch, "a UUID or a list of UUIDs, not an other.place.UUID"),
    ),
    "id=": (lambda: checked_id(alike("UUID")), (InvalidBatch, "not an other.place.UUID")),
    "a job": (lambda: checked_job(alike("Job")), (InvalidBatch, "not an other.place.Job")),
}


@pytest.mark.parametrize("call", ALIKE)
def test_an_argument_is_distinguished_from_what_is_expected(call):
    build, (error, text) = ALIKE[call]
    with pytest.raises(error) as caught:
        build()
    assert text in str(caught.value)
