# SPDX-License-Identifier: MIT
"""Know the fields of a row's class, and read them from a row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import attrs


def field_names(cls: type[Any]) -> tuple[str, ...] | None:
    """Return the fields of an attrs class or a dataclass; None for another class."""
    if attrs.has(cls):
        return tuple(field.name for field in attrs.fields(cls))
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    return None


def field_reader(names: tuple[str, ...]) -> Callable[[Any], tuple[object, ...]]:
    """Return a function that reads these fields of a row."""
    if len(names) > 1:
        return attrgetter(*names)  # which returns a tuple only for several
    return lambda row: tuple(getattr(row, name) for name in names)
