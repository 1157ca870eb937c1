# SPDX-License-Identifier: MIT
"""The gate finds a variant wherever a batch may write it, and not where it is only compared."""

from __future__ import annotations

import io
import pickle
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, Flag, IntFlag
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from attrs import field, frozen
from psycopg.types.json import Json, Jsonb

from batchq import (
    Batch,
    delete,
    gather,
    insert,
    insert_or_advance,
    insert_or_get,
    optional,
    param,
    row,
    select,
    sequence,
    source,
    sql,
    steps,
    update,
)
from batchq.bulk import DeleteRows
from batchq.hierarchy import Parent
from batchq.limits import Limits
from batchq.versions import Fleet
from tests.versions.helpers import SEVEN, Distribution

NEW = Distribution.FREEBSD
IMAGE: dict[str, Any] = {"id": 1, "distribution": NEW, "generation": 1}
KEY = {"key": ["id"]}


class Image(NamedTuple):
    id: int
    distribution: Distribution


PROJECT = Parent(table="project", key="id", generation="generation", deleted_at="deleted_at")
IMAGES = PROJECT.children("image", by="project", deleted_at=None)
CHILD = insert("image", {**IMAGE, "project": 1})
READ = sql("SELECT %(new)s AS new", new=NEW).one(tuple)
COMPUTED = select("image", ["id", sql("%(new)s AS new", new=NEW)])


def _writes() -> Iterator[tuple[str, Batch[Any]]]:
    old = insert("image", {"id": 1, "distribution": None})
    declared = insert("image", {"id": param("id", int), "distribution": param("new", Distribution)})
    yield "insert", insert("image", IMAGE)
    yield "upsert", old.on_conflict_do_update("id", set={"distribution": NEW})
    yield "insert_or_get", insert_or_get("image", IMAGE, Image, **KEY)
    yield (
        "insert_or_advance",
        insert_or_advance(
            "image", IMAGE, version="generation", stale=KeyError, raises=KeyError, **KEY
        ),
    )
    yield "Children.add", IMAGES.add(1, CHILD, missing=KeyError)
    yield "Children.replace", IMAGES.replace(1, [CHILD], by="id", missing=KeyError)
    yield "update", update("image", {"distribution": NEW}, {"id": 1})
    yield (
        "update unless",
        update("image", {"distribution": NEW}, {"id": 1}).unless({"distribution": NEW}),
    )
    yield (
        "update by a fragment",
        update("image", {"distribution": sql("coalesce(%(new)s, '')", new=NEW)}, {"id": 1}),
    )
    yield "select in the place of a row", insert("image", COMPUTED)
    yield (
        "column of the other table",
        update("image", {"distribution": source("new")}, from_=COMPUTED, on={"id": "id"}),
    )
    yield (
        "output of a text",
        gather(READ, insert("image", {"id": 1, "distribution": READ.output("new")})),
    )
    one = COMPUTED.expect(1)
    yield (
        "output of a select",
        gather(one, update("image", {"distribution": one.output("new")}, {"id": 1})),
    )
    yield (
        "text with a writing part",
        sql("WITH a AS (INSERT INTO image VALUES (1, %(n)s) RETURNING 1) SELECT 1 FROM a", n=NEW),
    )
    yield "text that may write", sql("CALL add_image(%(new)s)", new=NEW)
    yield "bound", declared.bind(id=1, new=NEW)
    yield "bound in a batch", gather(declared).bind(id=1, new=NEW)
    yield "partial", gather(declared.partial(new=NEW)).bind(id=1)
    yield "each", insert("image", Image).each([Image(1, Distribution.DEBIAN), Image(2, NEW)])
    yield (
        "fields of a row",
        insert("image", {"distribution": row(Image).distribution}).bind(Image(1, NEW)),
    )
    yield "optional", sequence([optional(insert("image", IMAGE))])
    yield "run_once", insert("image", IMAGE).run_once("image")
    yield "run_last", insert("image", IMAGE).run_last()
    yield "first", insert("image", IMAGE).run_first()


WRITES = dict(_writes())


def needs(batch: Batch[Any], fleet: Fleet = SEVEN) -> bool:
    """Return whether the gate requires that all versions know what is written."""
    gate, *_ = steps(fleet.gate(batch))
    return gate.parameters.count(7) > 2


@pytest.mark.parametrize("batch", WRITES.values(), ids=WRITES)
def test_variant_is_found_in_every_statement_that_may_write_it(batch) -> None:
    assert needs(batch)


@pytest.mark.parametrize(
    "batch",
    [
        delete("image", {"distribution": NEW}),
        select("image", where={"distribution": NEW}).count(),
        sql("SELECT 1 FROM image WHERE distribution = %(new)s", new=NEW),
        sql("/* WITH */ WITH a AS (SELECT %(new)s AS new) SELECT 1 FROM a", new=NEW),
        select("image", [sql("%(new)s AS new", new=NEW)]).all(tuple),
        update("image", {"distribution": None}, {"distribution": NEW}),
        update("image", {"distribution": None}, {"id": 1}).refuse({"distribution": NEW}),
        update("image", {"id": 1}, from_=select("b", ["id"], where={"of": NEW}), on={"id": "id"}),
        insert("image", select("b", ["id"], where={"of": NEW})),
        Limits().charge("images", scope=UUID(int=1), id=UUID(int=2)),
        DeleteRows(name="x", table="image", where={"id": 7}).start(),
    ],
)
def test_variant_that_is_only_compared_needs_nothing(batch) -> None:
    assert not needs(batch)


class Rights(Flag):
    READ = 1
    SHARE = 2
    NONE = 0


class Bits(IntFlag):
    READ = 1
    SHARE = 2


@frozen
class Spec:
    disks: list[Distribution]


class Vector:
    """A collection, as an array of numpy is one, and no sequence."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[object]:
        return iter([NEW])

    def __contains__(self, item: object) -> bool:
        return item is NEW

    def __repr__(self) -> str:
        return "Vector()"


@frozen
class Computed:
    of: Distribution = field(init=False, default=NEW)


@dataclass
class Data:
    of: Any


FLAGS = Fleet(name="nexus", version=7, since={Rights.SHARE: 7, Bits.SHARE: 7, Rights.NONE: 7})


@pytest.mark.parametrize(
    ("value", "is_new"),
    [
        (NEW, True),
        ([[NEW]], True),
        ((1, NEW), True),
        (Image(1, NEW), True),
        ({"of": [NEW]}, True),
        (Jsonb({"of": {"a": (NEW,)}}), True),
        (Json({NEW: 1}), True),
        (Jsonb(Spec([NEW]), dumps=repr), True),
        (Jsonb([Data(of=Data(NEW))], dumps=repr), True),
        (Jsonb({"of": frozenset({NEW})}, dumps=repr), True),
        ({NEW}, True),
        (deque([MappingProxyType({1: NEW})]), True),
        (b"freebsd", False),
        ({1: NEW}.values(), True),
        (Vector(), False),
        (Computed(), True),
        (Spec([Distribution.DEBIAN]), False),
        (Data({"of": NEW}), True),
        (Jsonb({"of": Distribution.DEBIAN}), False),
        ("freebsd", False),
        (Rights.SHARE, True),
        (Rights.READ | Rights.SHARE, True),
        (Rights.READ, False),
        (Rights.NONE, True),
        (Bits.READ | Bits.SHARE, True),
        (Bits(8), False),
        (2, False),
    ],
    ids=repr,
)
def test_variant_is_found_in_every_value_that_holds_it(value, is_new) -> None:
    batch = insert("image", {"id": 1, "spec": value})
    assert any(needs(batch, fleet) for fleet in (SEVEN, FLAGS)) is is_new


def test_fleet_of_another_process_finds_variants_too() -> None:
    """There the members of its enums are other objects, of which only the names are the same."""

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return Other if name == "Distribution" else super().find_class(module, name)

    fleet = Reader(io.BytesIO(pickle.dumps(SEVEN))).load()
    assert needs(insert("image", {"id": 1, "distribution": Other.FREEBSD}), fleet)


class Other(Enum):
    """The same enum, as another process has it."""

    DEBIAN = "debian"
    FREEBSD = "freebsd"
