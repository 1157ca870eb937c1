# SPDX-License-Identifier: MIT
"""Check the types of arguments for callers who run no type checker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def is_of(value: object, kind: type[object] | tuple[type[object], ...]) -> bool:
    """Return whether an argument is of a type, whatever its annotation promises."""
    return isinstance(value, kind)


def items_of(value: Any) -> tuple[Any, ...] | None:
    """Return the items of an iterable; None for another object."""
    return tuple(value) if is_of(value, Iterable) else None
