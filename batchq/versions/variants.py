# SPDX-License-Identifier: MIT
"""Read the variants of an enum that a later version has added: one row must not fail a list.

A label is read as psycopg writes its member, so that a model that was read can be written: the
members of a plain Enum by their names, those of an enum of str or int by their values. For the same
reason a combination of flags is read only if all of its bits are known.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import suppress
from enum import Enum, Flag
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast, final, overload

import psycopg
from attrs import frozen
from psycopg.adapt import PyFormat
from psycopg.types.enum import EnumDumper

from batchq.language.errors import InvalidBatch
from batchq.language.special import Unwritable

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


@final
@frozen(init=False, repr=False)
class Unknown(Unwritable, Generic[T]):
    """A value that this version does not know: a label of no member, a document of no version.

    It is equal to no member and no text. No statement takes it: leave its column out, or pass its
    ``value`` if it is to be written as it is.

    >>> from enum import StrEnum
    >>> class Distribution(StrEnum):
    ...     DEBIAN = "debian"
    >>> match Unknown("freebsd", Distribution):
    ...     case Unknown(value): print("not known here:", value)
    not known here: freebsd
    """

    value: object
    """The value as it was read."""
    of: type[T] | T
    """What does not know it: the class of an enum, or the :class:`Document`."""
    _instead: ClassVar[str] = "leave its column out, or pass its .value to write it as it is"

    @overload
    def __init__(self: Unknown[E], value: object, of: type[E]) -> None: ...
    @overload
    def __init__(self, value: object, of: T) -> None: ...
    def __init__(self, value: object, of: Any) -> None:
        self.__attrs_init__(value, of)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]

    def __repr__(self) -> str:
        """Return the value, and what does not know it."""
        of = self.of.__name__ if isinstance(self.of, type) else repr(self.of)
        return f"Unknown({self.value!r}, {of})"


class Tolerant(Protocol[E]):
    """A converter for a field of a model, which :func:`tolerant` returns."""

    @overload  # a list is an object as well
    def __call__(self, value: list[Any], /) -> list[E | Unknown[E]]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, value: object, /) -> E | Unknown[E]: ...


def tolerant(enum: type[E]) -> Tolerant[E]:
    """Return a converter that makes members of values, and an :class:`Unknown` of all others.

    It never fails, so one row with a label of a later version does not fail a list; an error of
    ``_missing_()`` makes an :class:`Unknown` as well. NULL is not a label: for a column that may
    have it, use ``attrs.converters.optional(tolerant(…))``. A list is converted item by item.
    psycopg reads an array of an enum as a list only if the type is registered; if it is not, select
    ``column::text[]``. The integers of an IntFlag are combinations of bits, whatever its boundary:
    one with a bit of no member is an :class:`Unknown`, and so is a negative one.

    :param enum: an Enum, with the names or the values that psycopg writes for its members.
    :raises InvalidBatch: for anything else, and for a Flag that is not an int.

    >>> from enum import Enum
    >>> class State(Enum):
    ...     READY = 1
    >>> state = tolerant(State)
    >>> state("READY"), state("LOST"), state(["LOST", "READY"])
    (<State.READY: 1>, Unknown('LOST', State), [Unknown('LOST', State), <State.READY: 1>])
    """
    _check(enum)
    by_name = _is_written_by_name(enum)
    known = dict(enum.__members__.items() if by_name else _by_value(enum))
    asks = not by_name and _may_find_others(enum)
    unknown_bits = ~_known_bits(enum)

    def convert(value: object) -> object:
        try:
            return known[value]
        except (KeyError, TypeError):  # TypeError: it is not hashable
            return other(value)

    def other(value: object) -> object:
        if isinstance(value, (enum, Unwritable)):
            return value  # as a model passes it that is made of another one
        if isinstance(value, list):
            return [convert(item) for item in cast("list[object]", value)]
        if asks and not (isinstance(value, int) and value & unknown_bits):
            with suppress(Exception):  # of the user's _missing_(), or that there is no member
                member = enum(value)
                if isinstance(member, enum):  # not so if a flag is EJECT
                    return member
        return Unknown(value, enum)

    return cast("Tolerant[E]", convert)


def _check(enum: object) -> None:
    if not isinstance(enum, type) or not issubclass(enum, Enum):
        raise InvalidBatch(f"tolerant(): pass an Enum, such as Distribution, not {enum!r:.40}")
    if not enum.__members__:
        raise InvalidBatch(f"tolerant(): {enum.__name__} has no members; pass the Enum with them")
    if issubclass(enum, Flag) and enum.__mro__.count(int) == 0:
        raise InvalidBatch(
            f"tolerant(): {enum.__name__} is a Flag, whose combinations have no label; use an "
            f"IntFlag and an integer column"
        )


def _is_written_by_name(enum: type[Enum]) -> bool:
    """Return whether psycopg writes the members by their names.

    It takes the dumper of the first base that has one. A dumper of the class itself is left out: it
    may be registered for a connection, or for all of them, and in any order.
    """
    for base in enum.__mro__[1:]:
        with suppress(psycopg.ProgrammingError):
            return issubclass(psycopg.adapters.get_dumper(base, PyFormat.AUTO), EnumDumper)
    return True  # not reached: Enum has a dumper


def _may_find_others(enum: type[Enum]) -> bool:
    """Return whether an enum finds members by more than their values: flags, and by _missing_()."""
    return enum._missing_.__func__ is not Enum._missing_.__func__  # type: ignore[attr-defined]


def _known_bits(enum: type[Enum]) -> int:
    """Return the bits of all members of a flag; all bits for any other enum.

    The boundary of a flag does not matter: it says what becomes of a bit that no member has, and
    CONFORM, which drops it, would have it dropped from the row as well. All bits of a negative
    number but some are set.
    """
    if not issubclass(enum, Flag):
        return -1
    bits = 0
    for member in enum.__members__.values():
        bits |= member.value
    return bits


def _by_value(enum: type[E]) -> Iterator[tuple[object, E]]:
    for member in enum.__members__.values():
        sent: Any = member
        # A str is sent as it is, whatever __str__ of its class returns.
        value = str.__str__(sent) if isinstance(sent, str) else sent.value
        if isinstance(value, Hashable):
            yield value, member
