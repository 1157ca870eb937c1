# SPDX-License-Identifier: MIT
"""What no statement takes is refused inside of other values too, whatever writes these."""

from __future__ import annotations

import json
from collections import UserDict
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from attrs import frozen
from psycopg.adapt import Dumper
from psycopg.types import json as types_of_json
from psycopg.types.json import Json, Jsonb, set_json_dumps

from batchq import InvalidBatch, insert, param, run, select, sequence, sql
from batchq.versions import Change, Document, Unknown
from tests.versions.helpers import Distribution

ANYTHING = partial(json.dumps, default=str)
UNKNOWN = Unknown("freebsd", Distribution)
SPEC = Document(name="spec", load=dict, dump=dict, changes=[Change(up=dict, down=dict, since=7)])
WRITTEN = SPEC.write({"disks": 1}, floor=7)


@frozen
class Model:
    of: Any


@dataclass
class Data:
    of: Any


@pytest.fixture
def table(conn) -> str:
    conn.execute("CREATE TABLE image (id int, spec jsonb, specs jsonb[])")
    return "image"


def stored(conn) -> list[Any]:
    return run(conn, select("image", ["spec", "specs"]).all(tuple))


def _own(obj: Any) -> Jsonb:
    return Jsonb(obj, dumps=ANYTHING)


INSIDE = {
    "json": Jsonb({"of": [UNKNOWN]}),
    "own serializer": _own({"of": [UNKNOWN]}),
    "key": _own({UNKNOWN: 1}),
    "set": _own({"of": {1, UNKNOWN}}),
    "tuple": _own([(1, "a", (UNKNOWN,))]),
    "mapping": _own(UserDict({"of": UNKNOWN})),
    "model": _own([Model(Data({"of": UNKNOWN}))]),
    "json in json": _own([Json(UNKNOWN)]),
    "of a document": _own(Unknown({"version": 9, "document": 1}, SPEC)),
    "composite": (1, UNKNOWN),
    "list": [(UNKNOWN,)],
    "json in a list": [Jsonb(1), _own(UNKNOWN)],
    "json in a composite": (1, _own(UNKNOWN)),
}


@pytest.mark.parametrize("value", INSIDE.values(), ids=INSIDE)
def test_unknown_inside_of_a_value_is_refused_before_anything_is_sent(conn, table, value) -> None:
    rows = sequence([insert(table, {"id": 1}), sql("SELECT %(value)s", value=value)])

    with pytest.raises(InvalidBatch, match="it has an Unknown in it: leave its column") as raised:
        run(conn, rows)

    assert "freebsd" not in str(raised.value)
    assert stored(conn) == []


class OwnDumper(types_of_json.JsonbDumper):
    def dump(self, obj: Any) -> bytes:
        return ANYTHING(obj.obj).encode()


class ModelDumper(Dumper):
    oid = 3802

    def dump(self, obj: Any) -> bytes:
        return ANYTHING(obj.of).encode()


def _for_the_connection(conn) -> None:
    set_json_dumps(ANYTHING, conn)


def _for_all(conn) -> None:
    set_json_dumps(ANYTHING)


def _own_dumper(conn) -> None:
    conn.adapters.register_dumper(Jsonb, OwnDumper)


def _of_a_model(conn) -> None:
    conn.adapters.register_dumper(Model, ModelDumper)


@pytest.mark.parametrize("value", [UNKNOWN, WRITTEN], ids=["unknown", "written"])
@pytest.mark.parametrize("register", [_for_the_connection, _for_all, _own_dumper, _of_a_model])
def test_value_is_refused_whichever_serializer_is_registered(conn, table, register, value) -> None:
    wrapped = Model(Jsonb({"of": [value]})) if register is _of_a_model else Jsonb({"of": [value]})
    spec = insert(table, {"spec": param("spec", object)})
    try:
        register(conn)
        run(conn, spec.bind(spec=Jsonb({"of": object()}, dumps=ANYTHING)))  # which it writes
        with pytest.raises(InvalidBatch, match=f"it has an? {type(value).__name__} in it"):
            run(conn, spec.bind(spec=wrapped))
    finally:
        set_json_dumps(json.dumps)

    assert len(stored(conn)) == 1


@pytest.mark.parametrize("dumps", [None, ANYTHING], ids=["json.dumps", "own"])
def test_document_in_json_is_refused_with_what_to_write(conn, table, dumps) -> None:
    with pytest.raises(InvalidBatch) as raised:
        run(conn, insert(table, {"spec": Jsonb({"root": WRITTEN}, dumps=dumps)}))

    assert str(raised.value) == (
        "step 0 (insert image): the value of 'spec', a Jsonb, cannot be sent; it has a Written in "
        "it: write it to a column of its own, or pass its .obj, and its .needs to the gate, "
        "as needs="
    )
    assert stored(conn) == []


def test_document_is_written_to_columns_of_its_own_and_its_json_inside_of_another(
    conn, table
) -> None:
    run(conn, insert(table, {"spec": WRITTEN, "specs": [WRITTEN, WRITTEN]}))
    run(conn, insert(table, {"spec": Jsonb({"root": WRITTEN.obj})}))

    assert stored(conn) == [
        (WRITTEN.obj, [WRITTEN.obj, WRITTEN.obj]),
        ({"root": WRITTEN.obj}, None),
    ]


def test_json_in_json_is_rejected_with_what_to_write(conn, table) -> None:
    with pytest.raises(InvalidBatch, match=r"it has a Jsonb in it: pass its \.obj"):
        run(conn, insert(table, {"spec": Jsonb([Jsonb(1)])}))
