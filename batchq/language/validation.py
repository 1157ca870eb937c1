# SPDX-License-Identifier: MIT
"""What callers pass by mistake, refused where it is passed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

from batchq.language.errors import InvalidBatch

T = TypeVar("T")

_NO_LISTS = (str, bytes, bytearray, memoryview, set, frozenset, Mapping)
"""What can be iterated over, but whose items are not what is meant, or have no order."""


def is_text(value: object) -> bool:
    """Whether a value is a str that says something."""
    return isinstance(value, str) and value != ""


def checked_label(name: str) -> str:
    """Refuse what is no label.

    :raises InvalidBatch: when the name is empty, or no text.
    """
    if not is_text(name):
        message = "label() needs a name"
        raise InvalidBatch(message)
    return name


def checked_call(call: str, function: object, why: str | None) -> None:
    """Refuse what cannot be called, before COMMIT and not after it.

    :param why: why it cannot be called with what it will be given, where that is known.
    :raises InvalidBatch: naming the call that was given it.
    """
    if not callable(function):
        message = f"{call} takes a function or class, not {function!r:.40}"
        raise InvalidBatch(message)
    if why is not None:
        name = getattr(function, "__name__", type(function).__name__)
        message = f"{call} cannot call {name}: {why}"
        raise InvalidBatch(message)


def listed(call: str, items: Iterable[T], example: str) -> tuple[T, ...]:
    """Read a list, in whatever form it comes.

    :param call: the call and argument that were given it: ``"select(columns=)"``.
    :param example: what a list looks like there: ``'["id", "name"]'``.
    :raises InvalidBatch: for a text, whose letters would be taken for items, a set, whose items
        have no order, and a mapping, whose values would be lost.
    """
    kind: type[object] = type(items)
    if not _is_list(kind):  # type: ignore[arg-type]  # a class is hashable
        message = f"{call} takes a list, such as {example}, not a {kind.__name__}"
        raise InvalidBatch(message)
    return tuple(items)


@lru_cache(maxsize=256)
def _is_list(kind: type[object]) -> bool:
    return not issubclass(kind, _NO_LISTS) and hasattr(kind, "__iter__")
