# SPDX-License-Identifier: MIT
"""Check arguments in the call that they are passed to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar, cast

from batchq.language.errors import InvalidBatch
from batchq.language.spelling import with_article

T = TypeVar("T")

_NO_LISTS = (str, bytes, bytearray, memoryview, set, frozenset, Mapping)
"""Iterables that are not lists of items: text, unordered sets, and mappings."""


def is_text(value: object) -> bool:
    """Return True for a non-empty str."""
    return isinstance(value, str) and value != ""


def is_column(name: object) -> bool:
    """Return True for a str that may be the name of a column."""
    return is_text(name) and "\0" not in cast("str", name)


def check_column(call: str, name: object) -> None:
    """Reject what cannot be the name of a column.

    :param call: the call that it was passed to, for the text of the error: ``"expect()"``.
    :raises InvalidBatch: if it is not a non-empty str without NUL.
    """
    if not is_column(name):
        raise InvalidBatch(f"{call}: a column must be a non-empty str, not {name!r:.40}")


def is_checkable(model: object) -> bool:
    """Return True for a class that ``isinstance`` accepts, which not every Protocol is."""
    try:
        return isinstance(model, type) and isinstance(object(), model) in (True, False)
    except TypeError:
        return False


def checked_label(name: str) -> str:
    """Return the name of a label.

    :raises InvalidBatch: if it is not a non-empty str.
    """
    if not name or not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidBatch("label(): the name must be a non-empty str")
    return name


def checked_call(call: str, function: object, reason: str | None) -> None:
    """Reject a function that cannot be called, because it is called after COMMIT.

    :param call: the call that it was passed to, for the text of the error: ``"map()"``.
    :param reason: why it cannot be called with its arguments; None if it can, or may.
    :raises InvalidBatch: if it is not callable, or there is a reason.
    """
    if not callable(function):
        raise InvalidBatch(f"{call}: pass a function or a class, not {function!r:.40}")
    if reason is not None:
        name = getattr(function, "__name__", type(function).__name__)
        raise InvalidBatch(f"{call}: {name} cannot be called: {reason}")


def listed(call: str, items: Iterable[T], example: str) -> tuple[T, ...]:
    """Return the items of an ordered iterable.

    :param call: the call and argument, for the text of the error: ``"select(columns=)"``.
    :param example: a list for that argument: ``'["id", "name"]'``.
    :raises InvalidBatch: for a str, whose items are letters; a set, whose items have no order; and
        a mapping, whose values would be lost.
    """
    kind: type[object] = type(items)
    if not _is_list(kind):  # type: ignore[arg-type]  # a class is hashable
        raise InvalidBatch(f"{call}: pass a list, such as {example}, not {with_article(kind)}")
    return tuple(items)


@lru_cache(maxsize=256)
def _is_list(kind: type[object]) -> bool:
    return not issubclass(kind, _NO_LISTS) and hasattr(kind, "__iter__")


def repeated(names: Sequence[T]) -> T | None:
    """Return the first item that is there twice; None if there is none."""
    return next((name for place, name in enumerate(names) if name in names[:place]), None)


def listed_columns(call: str, columns: Iterable[str]) -> tuple[str, ...]:
    """Return the columns in ``columns=``.

    :param call: the call that they were passed to, for the text of the error: ``"expect()"``.
    :raises InvalidBatch: if it is not a list, or a name is not a name.
    """
    if columns == ():
        return ()
    names = listed(f"{call[:-1]}columns=)", columns, '["id", "name"]')
    for name in names:
        check_column(f"{call[:-1]}columns=)", name)
    return names
