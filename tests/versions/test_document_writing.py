# SPDX-License-Identifier: MIT
"""A document is written without loss for those who read it, or not at all."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from batchq import InvalidBatch, insert, run, select, update
from batchq.versions import Change, Document, Fleet, Lossy, NoCommonVersion, VersionError, Written
from tests.versions.spec_documents import BOTH, ONE, SPEC, TWO, Disk, Spec

MODELS = st.builds(
    Spec,
    st.sampled_from([1024, 2048, 512, 1025]),
    st.lists(st.builds(Disk, st.text(max_size=3), st.none() | st.integers(0, 2)), max_size=3).map(
        tuple
    ),
    st.none() | st.text(max_size=3),
)


@pytest.mark.parametrize(
    ("floor", "version", "needs"), [(0, 1, 0), (5, 1, 0), (6, 2, 6), (7, 3, 7), (99, 3, 7)]
)
def test_written_version_is_the_newest_that_the_floor_reads(floor, version, needs) -> None:
    written = SPEC.write(BOTH, floor=floor)

    assert (written.version, written.needs, written.document) == (version, needs, "spec")
    assert written.obj["version"] == version
    assert json.loads(json.dumps(written.obj)) == written.obj
    assert {1: ONE, 2: TWO}.get(version, written.obj) == written.obj


def attempted(write: Callable[[], Written]) -> Written | VersionError:
    """Return what was written, or why nothing was."""
    try:
        return write()
    except VersionError as error:
        return error


@given(MODELS, st.integers(0, 8), st.sets(st.integers(0, 5)))
def test_what_is_written_is_read_as_the_same_or_refused(model, floor, peer) -> None:
    """Invariant V6, for each version, floor and peer."""
    choices: list[dict[str, Any]] = [{"floor": floor}, {"versions": peer}]
    for choice in choices:
        answer = attempted(lambda choice=choice: SPEC.write(model, **choice))
        if isinstance(answer, Written):
            wire = json.loads(json.dumps(answer.obj))
            assert SPEC.read(answer) == SPEC.read(wire) == model
            assert "floor" in choice or answer.version == max(peer.intersection(SPEC.reads))
        elif isinstance(answer, NoCommonVersion):
            assert choice == {"versions": peer}
            assert peer.isdisjoint(SPEC.reads)
        else:
            assert answer.paths
            assert answer.version in (1, 2)
            if answer.version == 2:
                assert model.note is not None or model.memory_mib % 1024 > 0
            else:
                assert any(disk.boot != n for n, disk in enumerate(model.disks))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=6,
)


@given(JSON, JSON)
def test_any_loss_of_any_document_is_found(one, other) -> None:
    """`down` that returns something else is refused, unless that is the same JSON."""
    constant = Document(
        name="any",
        load=lambda document: document,
        dump=lambda document: document,
        changes=[Change(up=lambda _: other, down=lambda _: None, since=1)],
    )

    answer = attempted(lambda: constant.write(one, floor=0))

    if isinstance(answer, Written):
        assert one == other
    else:
        assert answer.paths
        assert json.dumps(one) != json.dumps(other)


@pytest.mark.parametrize(
    ("model", "version", "paths"),
    [
        (evolve(BOTH, note="secret"), 2, ("note",)),
        (evolve(BOTH, memory_mib=2049, note="secret"), 2, ("memory_mib", "note")),
        (evolve(BOTH, disks=(Disk("secret", None),)), 1, ("disks[0].boot",)),
    ],
)
def test_loss_names_paths_without_values(model, version, paths) -> None:
    with pytest.raises(Lossy) as raised:
        SPEC.write(model, floor=0)

    assert (raised.value.document, raised.value.version) == ("spec", version)
    assert set(raised.value.paths) == set(paths)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("one", "other", "paths"),
    [
        ({"a b": [1]}, {"a b": [2]}, ('["a b"][0]',)),
        ({"a": [1]}, {"a": [1, 2]}, ("a",)),
        ([{}], [[]], ("[0]",)),
        (1, True, ("$",)),
        ({"a": None}, {}, ("a",)),
        ({}, {"a": None}, ("a",)),
        (list(range(100)), list(range(1, 101)), tuple(f"[{n}]" for n in range(20))),
    ],
)
def test_paths_of_a_loss(one, other, paths) -> None:
    constant = Document(
        name="any",
        load=dict,
        dump=lambda _: one,
        changes=[Change(lambda _: other, lambda _: None, 1)],
    )

    with pytest.raises(Lossy) as raised:
        constant.write({}, floor=0)
    assert raised.value.paths == paths


def test_error_of_down_ends_it() -> None:
    def refuse(_: object) -> object:
        raise Lossy("spec", 1, ["disks"])

    document = Document(name="spec", load=dict, dump=dict, changes=[Change(dict, refuse, 6)])

    with pytest.raises(Lossy, match="disks"):
        document.write({}, floor=0)
    assert document.write({}, floor=6).version == 2


def test_written_is_a_value_of_conditions_as_well(conn) -> None:
    conn.execute("CREATE TABLE instance (id int, spec jsonb)")
    one = SPEC.write(BOTH, floor=0)
    run(conn, insert("instance", {"id": 1, "spec": one}))

    changed = update(
        "instance", {"spec": SPEC.write(BOTH, floor=6)}, where={"id": 1, "spec": Jsonb(ONE)}
    )

    assert run(conn, select("instance", ["id"], where={"spec": one}).count()) == 1
    assert run(conn, changed.count()) == 1
    assert run(conn, changed.count()) == 0


def test_gate_of_a_fleet_finds_what_a_document_needs() -> None:
    six = Fleet(name="nexus", version=6)

    for floor in (0, 6):
        six.gate(insert("instance", {"spec": SPEC.write(BOTH, floor=floor)}))
    with pytest.raises(InvalidBatch, match="version 7"):
        six.gate(insert("instance", {"spec": SPEC.write(BOTH, floor=7)}))


def test_written_is_copied_and_shown_without_its_document() -> None:
    written = SPEC.write(BOTH, floor=6)

    for again in (copy.deepcopy(written), pickle.loads(pickle.dumps(written))):
        assert (again.obj, again.needs) == (TWO, 6)
    assert repr(written) == "<Written spec version 2>"


@pytest.mark.parametrize(
    ("versions", "chosen"), [([1], 1), ((1, 2), 2), ([3, 9], 3), ({2: "two"}.keys(), 2)]
)
def test_newest_version_in_common_with_a_peer(versions, chosen) -> None:
    assert SPEC.write(BOTH, versions=versions).version == chosen


@pytest.mark.parametrize("peer", [[], [4, 9]])
def test_no_version_in_common_is_an_error(peer) -> None:
    with pytest.raises(NoCommonVersion) as raised:
        SPEC.write(BOTH, versions=peer)

    assert (raised.value.known, raised.value.peer) == ((1, 2, 3), tuple(peer))


class Label(StrEnum):
    FREEBSD = "freebsd"


def test_member_in_a_document_stays_one_for_the_gate() -> None:
    labels = Document(name="labels", load=dict, dump=dict)

    written = labels.write({"of": (Label.FREEBSD,)}, floor=0)

    assert written.obj["document"]["of"] == ["freebsd"]
    assert written.obj["document"]["of"][0] is Label.FREEBSD


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"a": [object()]}, r"an object at a\[0\]"),
        ({"a": float("nan")}, "an infinite number or NaN at a"),
        ({1: 2}, r"an int as a key of \$"),
        (b"", r"a bytes at \$"),
    ],
)
def test_dump_returns_plain_json(value, found) -> None:
    document = Document(name="spec", load=dict, dump=lambda _: value)

    with pytest.raises(InvalidBatch, match=f"spec: dump.. returned {found}; it must return"):
        document.write({}, floor=0)


def test_unknown_is_not_written() -> None:
    unknown: Any = SPEC.read({"version": 9, "document": {}})

    with pytest.raises(InvalidBatch, match="leave its column out"):
        SPEC.write(unknown, floor=7)
