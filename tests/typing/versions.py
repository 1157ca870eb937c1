# SPDX-License-Identifier: MIT
"""What was read of another version: the types make the caller look."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, assert_type

from attrs import field, frozen

from batchq import insert
from batchq.versions import Change, Document, Unknown, Written, tolerant


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


def types_of_enums_and_functions() -> None:
    tolerant(str)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    Change(up=7, down=dict, since=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
