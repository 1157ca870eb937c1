# SPDX-License-Identifier: MIT
"""A document is read in every version, and a list of them as long as it is."""

from __future__ import annotations

import copy

import pytest
from attrs import asdict, converters, evolve, field, frozen
from psycopg.types.json import Jsonb

from batchq import gather, insert, param, run, select, sql
from batchq.versions import Document, Unknown, Written
from tests.support.plan_modes import EACH_PLAN_MODE
from tests.versions.spec_documents import BOTH, CHANGES, ONE, SPEC, TWO, Spec, load


@pytest.mark.parametrize(
    "stored", [ONE, TWO, SPEC.write(BOTH, floor=7), SPEC.write(BOTH, floor=7).obj]
)
def test_each_version_is_read_as_the_latest(stored) -> None:
    before = copy.deepcopy(stored.obj if isinstance(stored, Written) else stored)

    assert SPEC.read(stored) == BOTH
    assert (stored.obj if isinstance(stored, Written) else stored) == before


NOT_READ = [
    {"version": 4, "document": {}},
    {"version": 0, "document": {}},
    {"version": True, "document": {}},
    {"version": 1.0, "document": {}},
    {"version": "1", "document": {}},
    {"version": 1},
    {"document": {}},
    {"version": 1, "document": {}, "more": 1},
    {},
    [],
    "text",
    7,
    None,
]


@pytest.mark.parametrize("stored", NOT_READ, ids=str)
def test_unknown_version_is_unknown(stored) -> None:
    assert SPEC.read(stored) == Unknown(stored, SPEC)


def test_version_below_the_first_is_unknown() -> None:
    later = Document(name="spec", load=load, dump=asdict, changes=CHANGES[1:], first=2)

    assert later.reads == (2, 3)
    assert later.read(ONE) == Unknown(ONE, later)
    assert later.read(TWO) == BOTH
    assert later.write(BOTH, floor=6).obj == TWO
    assert later.write(BOTH, floor=6).needs == 0


@pytest.mark.parametrize("stored", [{"version": 1, "document": {}}, {"version": 3, "document": {}}])
def test_errors_of_up_and_load_stay_loud(stored) -> None:
    with pytest.raises(KeyError):
        SPEC.read(stored)


@frozen
class Instance:
    id: int
    spec: Spec | Unknown[Document[Spec]] | None = field(converter=converters.optional(SPEC.read))


def test_model_and_unknown_pass_the_converter() -> None:
    unknown = Instance(1, {"version": 9, "document": {}})

    assert evolve(Instance(1, BOTH), id=2) == Instance(2, BOTH)
    assert evolve(unknown, id=1) == unknown
    assert Instance(1, None).spec is None


@pytest.mark.parametrize("mode", EACH_PLAN_MODE)
def test_documents_of_all_versions_are_one_list(conn, mode) -> None:
    """Invariant V7."""
    conn.execute("CREATE TABLE instance (id int, spec jsonb)")
    mode.set_on(conn)
    later = {"version": 4, "document": {"cpus": 1}}
    row = insert("instance", {"id": param("id", int), "spec": param("spec", object)})
    stored = [SPEC.write(BOTH, floor=floor) for floor in (0, 6, 7)] + [
        Jsonb(later),
        Jsonb([]),
        None,
    ]
    run(conn, gather(*[row.bind(id=n, spec=spec) for n, spec in enumerate(stored)]))
    run(conn, insert("instance", {"id": 6, "spec": SPEC.write(BOTH, floor=6)}))

    rows = run(conn, select("instance", ["id", "spec"], order_by="id").all(Instance))

    specs = [BOTH, BOTH, BOTH, Unknown(later, SPEC), Unknown([], SPEC), None, BOTH]
    assert [instance.spec for instance in rows] == specs
    assert run(conn, sql("SELECT spec FROM instance WHERE id = 0").scalar(dict)) == ONE
