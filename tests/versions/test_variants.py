# SPDX-License-Identifier: MIT
"""A list of rows has a result for each, whatever labels later versions have stored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag, FlagBoundary, IntEnum, IntFlag, StrEnum
from typing import Any, Self

import pytest
from attrs import converters, evolve, field, frozen

from batchq import (
    InvalidBatch,
    gather,
    insert,
    insert_or_advance,
    insert_or_get,
    param,
    run,
    select,
    sql,
    update,
)
from batchq.conditions import lt, ne, not_in
from batchq.hierarchy import Parent
from batchq.versions import Unknown, tolerant
from tests.support.plan_modes import EACH_PLAN_MODE


class Distribution(StrEnum):
    DEBIAN = "debian"
    UBUNTU = "ubuntu"


class Plain(Enum):
    """psycopg writes its members by their names."""

    DEBIAN = "debian.org"
    ALIAS = DEBIAN
    UBUNTU = "ubuntu.com"


class Size(IntEnum):
    SMALL = 1


class Rights(IntFlag):
    READ = 1
    WRITE = 2


class Shouted(StrEnum):
    """A str whose text is not what psycopg writes."""

    DEBIAN = "debian"

    def __str__(self) -> str:
        return "DEBIAN!"


@dataclass(frozen=True)
class Version:
    major: int


class Mixed(Version, Enum):
    """Of a class that psycopg has no dumper for: by their names."""

    ONE = 1


class Coded(str, Enum):  # noqa: UP042  its value is not its text, which StrEnum does not have
    """psycopg writes the text."""

    DEBIAN = "debian", 7

    def __new__(cls, text: str, code: int) -> Self:
        member = str.__new__(cls, text)
        member._value_ = code
        return member


class Folded(StrEnum):
    DEBIAN = "debian"

    @classmethod
    def _missing_(cls, value: object) -> Folded | None:
        return cls.DEBIAN if isinstance(value, str) and value.lower() == "debian" else None


class Broken(StrEnum):
    DEBIAN = "debian"

    @classmethod
    def _missing_(cls, value: object) -> Broken:
        raise KeyError(value)


class Careless(StrEnum):
    DEBIAN = "debian"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return value


class Legacy(IntFlag, boundary=FlagBoundary.CONFORM):
    """A text is one of its members; of an integer it would drop bits."""

    READ = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return cls.READ if value == "r" else super()._missing_(value)


FLAGS = [IntFlag(each.name, {"A": 1, "BC": 6}, boundary=each) for each in FlagBoundary]
KINDS = [Distribution, Plain, Size, Rights, Shouted, Coded, Mixed, Folded]
read = tolerant(Distribution)
UNKNOWN = Unknown("freebsd", Distribution)


@frozen
class Image:
    id: int
    distribution: Distribution | Unknown[Distribution] = field(converter=read)


@frozen
class Images:
    id: int
    distributions: list[Distribution | Unknown[Distribution]] | None = field(
        converter=converters.optional(read)
    )


@pytest.mark.parametrize("enum", KINDS)
def test_member_is_read_as_psycopg_writes_it(conn, enum) -> None:
    for member in enum:
        written = conn.execute("SELECT %s", [member]).fetchone()[0]
        assert tolerant(enum)(written) is member


@pytest.mark.parametrize(
    ("enum", "value", "expected"),
    [
        (Distribution, "DEBIAN", Unknown("DEBIAN", Distribution)),
        (Distribution, None, Unknown(None, Distribution)),
        (Distribution, 7, Unknown(7, Distribution)),
        (Distribution, {}, Unknown({}, Distribution)),
        (Plain, "debian.org", Unknown("debian.org", Plain)),
        (Plain, "ALIAS", Plain.DEBIAN),
        (Size, 2, Unknown(2, Size)),
        (Size, "1", Unknown("1", Size)),
        (Rights, 3, Rights.READ | Rights.WRITE),
        (Mixed, Version(1), Unknown(Version(1), Mixed)),
        (Folded, "Debian", Folded.DEBIAN),
        (Folded, "freebsd", Unknown("freebsd", Folded)),
        (Broken, "freebsd", Unknown("freebsd", Broken)),
        (Careless, "freebsd", Unknown("freebsd", Careless)),
        (Legacy, "r", Legacy.READ),
        (Legacy, 3, Unknown(3, Legacy)),
        (Rights, "1", Unknown("1", Rights)),
    ],
)
def test_value_is_a_member_or_unknown(enum, value, expected) -> None:
    assert tolerant(enum)(value) == expected


@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_combination_of_flags_is_read_if_no_bit_of_it_is_lost(conn, flags) -> None:
    read = tolerant(flags)
    for value in (0, 1, 6, 7):
        (written,) = conn.execute("SELECT %s", [read(value)]).fetchone()
        assert (type(read(value)), written) == (flags, value)
    for value in (8, 9, 15, -1, -2, -8, 2**70):
        assert read(value) == Unknown(value, flags)
    assert read([7, 8]) == [flags.A | flags.BC, Unknown(8, flags)]


def test_value_that_is_converted_already_is_itself() -> None:
    plain = tolerant(Plain)

    assert (plain(Plain.DEBIAN), read(UNKNOWN)) == (Plain.DEBIAN, UNKNOWN)
    assert evolve(Image(1, "freebsd"), id=2) == Image(2, "freebsd")


def test_list_is_converted_item_by_item() -> None:
    assert read(["debian", None, ["freebsd"]]) == [
        Distribution.DEBIAN,
        Unknown(None, Distribution),
        [UNKNOWN],
    ]


def test_unknown_is_equal_to_no_text_and_no_member() -> None:
    assert UNKNOWN not in {"freebsd", *Distribution, None, Unknown("freebsd", Folded)}
    assert {UNKNOWN: 1}[Unknown("freebsd", Distribution)] == 1
    assert repr(UNKNOWN) == "Unknown('freebsd', Distribution)"


@pytest.mark.parametrize("enum", [str, Enum, StrEnum, "debian", Flag("Flags", ["A", "B"])])
def test_what_has_no_labels_is_rejected(enum: Any) -> None:
    with pytest.raises(InvalidBatch, match=r"pass|use"):
        tolerant(enum)


@pytest.mark.parametrize("mode", EACH_PLAN_MODE)
def test_list_keeps_its_length_while_a_label_is_added(conn, connect, mode) -> None:
    conn.execute("CREATE TYPE distribution AS ENUM ('debian', 'ubuntu')")
    conn.execute("CREATE TABLE image (id int, distribution distribution, label text)")
    conn.execute("INSERT INTO image VALUES (1, 'debian', 'debian'), (2, NULL, 'plan9')")
    mode.set_on(conn)
    other = connect(autocommit=False)
    images = gather(
        select("image", ["id", "distribution"], order_by="id").all(Image),
        sql("SELECT id, label AS distribution FROM image ORDER BY id").all(Image),
        sql(
            "SELECT id, array_agg(distribution)::text[] AS distributions FROM image GROUP BY id "
            "ORDER BY id"
        ).all(Images),
    )

    def lengths() -> list[int]:
        return [len(rows) for rows in run(conn, images)]

    assert lengths() == [2, 2, 2]
    other.execute("ALTER TYPE distribution ADD VALUE 'freebsd'")
    assert lengths() == [2, 2, 2]
    other.commit()
    assert lengths() == [2, 2, 2]
    other.execute("INSERT INTO image VALUES (3, 'freebsd', 'freebsd')")
    other.commit()

    by_enum, by_text, arrays = run(conn, images)
    assert by_enum == [Image(1, "debian"), Image(2, None), Image(3, UNKNOWN)]
    assert by_text == [Image(1, "debian"), Image(2, "plan9"), Image(3, UNKNOWN)]
    assert arrays == [Images(1, ["debian"]), Images(2, [None]), Images(3, [UNKNOWN])]


PARENT = Parent(table="vpc", key="id", deleted_at=None, generation="gen")
ANY = param("distribution", object)
CALLS = {
    "insert": lambda u: insert("image", {"id": 1, "distribution": u}),
    "model": lambda u: insert("image", Image(1, u)),
    "list": lambda u: insert("image", {"id": 1, "distributions": [["debian"], [u]]}),
    "set": lambda u: update("image", {"distribution": u}, where={"id": 1}),
    "where": lambda u: select("image", ["id"], where={"distribution": u}),
    "choices": lambda u: select("image", ["id"], where={"distribution": ["debian", u]}),
    "ne": lambda u: select("image", ["id"], where={"distribution": ne(u)}),
    "lt": lambda u: select("image", ["id"], where={"distribution": lt(u)}),
    "not_in": lambda u: select("image", ["id"], where={"distribution": not_in([u])}),
    "after": lambda u: select("image", ["id"], order_by="id", after={"id": u}, limit=1),
    "require": lambda u: update("image", {"id": 2}, where={"id": 1}).require({"distribution": u}),
    "sql": lambda u: sql("SELECT %(label)s", label=u),
    "sql list": lambda u: sql("SELECT %(label)s", label=["debian", u]),
    "sql mapping": lambda u: sql("SELECT %(label)s", {"label": u}),
    "fragment": lambda u: select("image", ["id"], where=sql("id = %(id)s", id=u)),
    "bind": lambda u: insert("image", Image).bind(Image(1, u)),
    "bind name": lambda u: insert("image", {"distribution": ANY}).bind(distribution=u),
    "bind where": lambda u: select("image", ["id"], where={"distribution": ANY}).bind(
        distribution=u
    ),
    "partial": lambda u: insert("image", {"distribution": ANY}).partial(distribution=u),
    "each": lambda u: insert("image", Image).each([Image(1, "debian"), Image(2, u)]),
    "run_once": lambda u: sql("SELECT 1").run_once(("image", u)),
    "upsert": lambda u: insert("image", {"id": 1}).on_conflict_do_update("id", set={"label": u}),
    "insert_or_get": lambda u: insert_or_get("image", Image(1, u), Image, key=["id"]),
    "insert_or_advance": lambda u: insert_or_advance(
        "image",
        {"id": 1, "label": u, "v": 1},
        key=["id"],
        version="v",
        stale=KeyError,
        raises=KeyError,
    ),
    "parent": lambda u: PARENT.touch(u, missing=KeyError("vpc")),
}


@pytest.mark.parametrize("call", CALLS)
def test_unknown_is_rejected_as_a_value(call) -> None:
    CALLS[call]("debian")  # which is one

    with pytest.raises(InvalidBatch, match="an Unknown") as raised:
        CALLS[call](UNKNOWN)
    assert "freebsd" not in str(raised.value)


def test_value_of_an_unknown_is_written_as_it_was_read(conn) -> None:
    conn.execute("CREATE TABLE image (id int, distribution text)")
    run(conn, insert("image", {"id": 1, "distribution": "freebsd"}))
    images = select("image", ["id", "distribution"]).all(Image)
    (image,) = run(conn, images)

    match image.distribution:
        case Unknown(value):
            run(conn, insert("image", {"id": 2, "distribution": value}))

    assert run(conn, images) == [Image(1, UNKNOWN), Image(2, UNKNOWN)]
