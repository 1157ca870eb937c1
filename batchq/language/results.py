# SPDX-License-Identifier: MIT
"""What a statement answers with: its result shape, and the columns that a model asks for."""

from __future__ import annotations

import dataclasses
from enum import Enum
from functools import lru_cache
from typing import Any, cast

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


WITHOUT_ROWS = frozenset({Rows.NONE, Rows.COUNT})
"""Those that want no row itself."""


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
    keyword_only: bool = False


@lru_cache(maxsize=1024)
def model_fields(model: object) -> tuple[ModelField, ...] | None:
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
    cls = cast("type[Any]", model)
    if attrs.has(cls):
        return tuple(
            ModelField(f.name, f.alias or f.name, f.default is attrs.NOTHING, bool(f.kw_only))
            for f in attrs.fields(cls)
            if f.init
        )
    if dataclasses.is_dataclass(cls):
        given = dataclasses.MISSING
        return tuple(
            ModelField(
                f.name,
                f.name,
                f.default is given and f.default_factory is given,
                f.kw_only is True,
            )
            for f in dataclasses.fields(cls)
            if f.init
        )
    names: tuple[str, ...] | None = getattr(cls, "_fields", None)
    defaults: dict[str, Any] = getattr(cls, "_field_defaults", {})
    if names is None or not issubclass(cls, tuple):
        return None
    return tuple(ModelField(name, name, name not in defaults) for name in names)


@lru_cache(maxsize=1024)
def model_columns(model: Any) -> tuple[str, ...] | None:
    """The columns that a model asks for, in its own order; None when it does not say."""
    fields = model_fields(model)
    return None if fields is None else tuple(field.column for field in fields)
