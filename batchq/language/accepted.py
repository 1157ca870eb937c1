# SPDX-License-Identifier: MIT
"""Define what values a parameter accepts, and read it from a type."""

from __future__ import annotations

from datetime import date, datetime
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin

from attrs import frozen

from batchq.language.errors import InvalidBatch
from batchq.language.spelling import with_article
from batchq.language.validation import is_checkable


@frozen
class Accepted:
    """The values that a parameter accepts by name."""

    kind: type[Any]
    items: type[Any] | None = None
    """The class of the items, if ``kind`` is list."""
    nullable: bool = False

    def why_not(self, value: object) -> str | None:
        """Return why a value is not accepted; None if it is."""
        if value is None:
            return None if self.nullable or self.kind is object else f"takes {self}, not None"
        if not _is_a(value, self.kind):
            return f"takes {self}, not {with_article(type(value), unlike=(self.kind,))}"
        if self.items is not None:
            for item in cast("list[object]", value):
                if not _is_a(item, self.items):
                    found = (
                        "None" if item is None else with_article(type(item), unlike=(self.items,))
                    )
                    return f"takes {self}, not one that contains {found}"
        return None

    def __str__(self) -> str:
        """Return it as a noun: ``a UUID``, ``a list of UUID``."""
        noun = with_article(self.kind)
        noun += f" of {self.items.__name__}" if self.items is not None else ""
        return f"{noun} or None" if self.nullable else noun


def _is_a(value: object, kind: type[Any]) -> bool:
    """Return whether a value is of a class, or of a subclass with the same meaning."""
    if (isinstance(value, bool) and kind is int) or (isinstance(value, datetime) and kind is date):
        return False
    return isinstance(value, kind)


def accepted_by(given: Any) -> Accepted:
    """Return what a parameter of a type accepts.

    :raises InvalidBatch: for anything but a class, ``X | None`` or ``list[X]``.
    """
    origin, arguments = get_origin(given), get_args(given)
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:  # noqa: PLR2004
        (other,) = (argument for argument in arguments if argument is not NoneType)
        accepted = accepted_by(other)
        return Accepted(accepted.kind, accepted.items, nullable=True)
    kind = class_of(arguments[0] if origin is list and len(arguments) == 1 else given)
    if kind is None or kind is NoneType or issubclass(kind, list | tuple) or not is_checkable(kind):
        raise InvalidBatch(
            f"param(): the type must be a class, X | None or list[X], not {given!r:.40}"
        )
    return Accepted(list, kind) if origin is list else Accepted(kind)


def class_of(given: object) -> type[Any] | None:
    """Return a class; None for anything else."""
    return cast("type[Any]", given) if isinstance(given, type) else None
