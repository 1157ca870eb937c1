# SPDX-License-Identifier: MIT
"""What a statement answers with: its result shape, and the columns that a model asks for."""

from __future__ import annotations

import dataclasses
from enum import Enum
from functools import lru_cache
from typing import Any

import attrs
from attrs import frozen


class Rows(Enum):
    """How many rows a shape promises."""

    NONE = "none"
    ONE = "one"
    MAYBE = "maybe"
    ALL = "all"
    SCALAR = "scalar"
    COUNT = "count"


@frozen
class Result:
    """A result shape: how many rows, and what each is made into."""

    rows: Rows
    model: Any = None

    def __str__(self) -> str:
        """Show the call that asks for this shape."""
        if self.model is None:
            return f"{self.rows.value}()"
        return f"{self.rows.value}({getattr(self.model, '__name__', type(self.model).__name__)})"


NO_RESULT = Result(Rows.NONE)
COUNT = Result(Rows.COUNT)


@frozen
class ModelField:
    """One column that a model takes: its column name, and the name that the model's call takes."""

    column: str
    argument: str
    required: bool
    keyword_only: bool


@lru_cache(maxsize=1024)
def model_fields(model: Any) -> tuple[ModelField, ...] | None:
    """The fields of an attrs class, dataclass or NamedTuple; None for anything else.

    >>> from typing import NamedTuple
    >>> class Point(NamedTuple):
    ...     x: int
    ...     y: int = 0
    >>> [field.column for field in model_fields(Point)]
    ['x', 'y']
    """
    if not isinstance(model, type):
        return None
    if attrs.has(model):
        return tuple(
            ModelField(f.name, f.alias or f.name, f.default is attrs.NOTHING, f.kw_only)
            for f in attrs.fields(model)
            if f.init
        )
    if dataclasses.is_dataclass(model):
        missing = dataclasses.MISSING
        return tuple(
            ModelField(
                f.name, f.name, f.default is missing and f.default_factory is missing, f.kw_only
            )
            for f in dataclasses.fields(model)
            if f.init
        )
    if issubclass(model, tuple) and hasattr(model, "_fields"):
        defaults = getattr(model, "_field_defaults", {})
        return tuple(ModelField(name, name, name not in defaults, False) for name in model._fields)
    return None


@lru_cache(maxsize=1024)
def model_columns(model: Any) -> tuple[str, ...] | None:
    """The columns that a model asks for, in its own order; None when it does not say."""
    fields = model_fields(model)
    return None if fields is None else tuple(field.column for field in fields)
