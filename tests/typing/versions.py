# SPDX-License-Identifier: MIT
"""What was read of another version: the types make the caller look. A gate keeps the result."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, assert_type

from attrs import field, frozen
from psycopg import AsyncConnection, Connection

from batchq import Batch, arun, gather, insert, param, run, select, sql
from batchq.versions import (
    Change,
    Document,
    Fleet,
    Member,
    Proof,
    Status,
    Unknown,
    Window,
    Written,
    tolerant,
)


class Distribution(StrEnum):
    DEBIAN = "debian"


@frozen
class Spec:
    memory: int


def load(document: dict[str, int]) -> Spec:
    return Spec(**document)


def dump(spec: Spec) -> dict[str, int]:
    return {"memory": spec.memory}


SPEC = Document(
    name="spec", load=load, dump=dump, changes=[Change(up=dict, down=dict, since=7)], first=2
)
READ = tolerant(Distribution)


def distribution(label: object) -> Distribution | Unknown[Distribution]:
    """Convert a label, for mypy, which takes only named functions as converters."""
    return READ(label)


@frozen
class Image:
    """pyright checks what a converter returns; mypy only that of a named function."""

    distribution: Distribution | Unknown[Distribution] = field(converter=distribution)
    direct: Distribution | Unknown[Distribution] = field(
        converter=tolerant(Distribution),  # type: ignore[misc]
    )
    several: list[Distribution | Unknown[Distribution]] = field(
        converter=READ,  # type: ignore[misc]
    )
    spec: Spec | Unknown[Document[Spec]] = field(
        converter=SPEC.read,  # type: ignore[misc]
    )
    wrong: str = field(
        converter=READ,  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    )


def caller_has_to_look(image: Image, stored: Any, labels: list[str]) -> Distribution:
    assert_type(image.distribution, Distribution | Unknown[Distribution])
    assert_type(READ(object()), Distribution | Unknown[Distribution])
    assert_type(READ(labels), list[Distribution | Unknown[Distribution]])
    assert_type(SPEC.read(stored), Spec | Unknown[Document[Spec]])
    assert_type(Unknown("freebsd", Distribution), Unknown[Distribution])
    assert_type(Unknown({}, SPEC), Unknown[Document[Spec]])
    match image.distribution:
        case Unknown(value):
            assert_type(value, object)
            return Distribution.DEBIAN
        case known:
            return assert_type(known, Distribution)


def unknown_is_not_a_member(image: Image) -> Distribution:
    return image.distribution  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def document_is_written_for_its_readers(spec: Spec, unknown: Unknown[Document[Spec]]) -> None:
    written = SPEC.write(spec, floor=6)
    assert_type(written, Written)
    assert_type(written.needs, int)
    insert("instance", {"spec": SPEC.write(spec, versions=SPEC.reads)})
    SPEC.write(spec)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    SPEC.write(spec, floor=1, versions=[1])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    SPEC.write(unknown, floor=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


FLEET = Fleet(
    name="nexus", version=7, since={Distribution.DEBIAN: 7}, stamps={"rule": "row_version"}
)
COUNT = select("image").count()
SPECS = select("image").all(Spec)


async def gate_keeps_the_result(conn: Connection, other: AsyncConnection) -> None:
    assert_type(FLEET.gate(COUNT), Batch[int])
    assert_type(FLEET.gate(gather(COUNT, SPECS), needs=7), Batch[tuple[int, list[Spec]]])
    assert_type(FLEET.gate(COUNT.map(str).label("count")), Batch[str])
    assert_type(FLEET.gate(insert("image", {"id": param("id", int)}).bind(id=1)), Batch[None])
    assert_type(run(conn, FLEET.gate(SPECS)), list[Spec])
    assert_type(await arun(other, FLEET.gate(FLEET.gate(COUNT))), int)
    FLEET.gate("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    FLEET.gate(sql("SELECT 1"), needs="7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def what_a_fleet_returns(conn: Connection) -> None:
    assert_type(FLEET.join("a", lease=timedelta(minutes=1)), Batch[Window])
    assert_type(run(conn, FLEET.leave("a")), None)
    assert_type(run(conn, FLEET.members()), list[Member])
    assert_type(run(conn, FLEET.status()), Status)
    assert_type(run(conn, FLEET.status()).members, Sequence[Member])
    assert_type(FLEET.expand(7), Batch[Window])
    assert_type(FLEET.retire(below=7), Batch[Window])
    assert_type(FLEET.proof("rule", 7), Proof)
    assert_type(FLEET.proof("rule", 7).ddl(), tuple[str, str])
    assert_type(FLEET.contract(unused_since=8, proofs=[FLEET.proof("rule", 7)]), Batch[Window])
    FLEET.join("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    FLEET.retire(7)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Fleet("nexus", 7)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Fleet(name="a", version=7, since={"a": 7})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


def types_of_enums_and_functions() -> None:
    tolerant(str)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    Change(up=7, down=dict, since=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
