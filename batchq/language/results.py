# SPDX-License-Identifier: MIT
"""Define the result shapes of statements, and read the fields of models, which are columns."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

import attrs
from attrs import frozen

M_co = TypeVar("M_co", covariant=True)


class Rows(Enum):
    """The number and use of rows in a result."""

    NONE = "none"
    ONE = "one"
    MAYBE = "maybe"
    ALL = "all"
    SCALAR = "scalar"
    COUNT = "count"
    INSERTED = "inserted"
    UPDATED = "updated"
    CHANGED = "change"
    EXISTS = "exists"


WITHOUT_ROWS = frozenset({Rows.NONE, Rows.COUNT, Rows.EXISTS})
"""Results that do not contain rows."""
WITH_MODEL = frozenset({Rows.ONE, Rows.MAYBE, Rows.ALL, Rows.INSERTED, Rows.UPDATED, Rows.CHANGED})
"""Results that construct a model from each row."""
EXACTLY_ONE_ROW = frozenset({Rows.ONE, Rows.SCALAR, Rows.INSERTED, Rows.UPDATED, Rows.CHANGED})
"""Results of one row, which imply a guard."""


@frozen
class Inserted(Generic[M_co]):
    """The result of :meth:`Statement.inserted` and :func:`insert_or_get`."""

    row: M_co
    created: bool
    """True if this batch inserted the row; False if it existed already."""


@frozen
class Updated(Generic[M_co]):
    """The result of :meth:`Statement.updated`."""

    row: M_co
    """The row as it is after the statement, locked until COMMIT."""
    changed: bool
    """True if the statement changed the row; False if it was left as it was."""


@frozen
class Changed(Generic[M_co]):
    """The result of :meth:`Statement.change`."""

    before: M_co
    """The row as it was when the statement had locked it."""
    after: M_co
    """The row as the statement has left it, locked until COMMIT."""


@frozen
class Result:
    """A result shape: the number of rows, and the model constructed from each."""

    rows: Rows
    model: Any = None
    null: bool = False
    """Whether the value of a scalar may be NULL."""

    def __str__(self) -> str:
        """Return the call that asks for this shape: ``one(Project)``."""
        if self.model is None:
            return f"{self.rows.value}()"
        name = getattr(self.model, "__name__", type(self.model).__name__)
        return f"{self.rows.value}({name}{', null=True' if self.null else ''})"


NO_RESULT = Result(Rows.NONE)
COUNT = Result(Rows.COUNT)


@frozen
class ModelField:
    """One field of a model: the column, and the argument that it is passed as."""

    column: str
    argument: str
    required: bool
    keyword_only: bool = False
    alias: str | None = None
    """Another name for the column or the argument: the alias of a Pydantic field."""


@lru_cache(maxsize=1024)
def model_fields(model: object) -> tuple[ModelField, ...] | None:
    """Return the fields of a model class; None for a class without declared fields.

    :param model: an attrs class, dataclass, NamedTuple, TypedDict, Pydantic model or msgspec
        Struct, or anything else.

    >>> from typing import NamedTuple
    >>> class Point(NamedTuple):
    ...     x: int
    ...     y: int = 0
    >>> [field.column for field in model_fields(Point)]
    ['x', 'y']
    """
    return _declared(cast("Any", model)) if isinstance(model, type) else None


def _declared(cls: Any) -> tuple[ModelField, ...] | None:
    fields: Iterable[ModelField] | None = None
    if attrs.has(cls):
        fields = (
            ModelField(f.name, f.alias or f.name, f.default is attrs.NOTHING, bool(f.kw_only))
            for f in attrs.fields(cls)
            if f.init
        )
    elif dataclasses.is_dataclass(cls):
        fields = (_of_dataclass(f) for f in dataclasses.fields(cls) if f.init)
    elif typing.is_typeddict(cls):
        fields = _of_typed_dict(cls)
    elif tuple in cls.__mro__:
        names: tuple[str, ...] | None = getattr(cls, "_fields", None)
        defaults: Mapping[str, Any] = getattr(cls, "_field_defaults", {})
        fields = None if names is None else (ModelField(n, n, n not in defaults) for n in names)
    elif (pydantic := _pydantic(cls)) is not None:
        by_name = bool(_config(cls, "populate_by_name") or _config(cls, "validate_by_name"))
        fields = (_of_pydantic(name, info, by_name=by_name) for name, info in pydantic.items())
    elif (struct := getattr(cls, "__struct_fields__", None)) is not None:
        fields = (ModelField(n, n, required=True) for n in cast("tuple[str, ...]", struct))
    return None if fields is None else tuple(fields)


def _of_typed_dict(cls: Any) -> Iterator[ModelField]:
    """Yield the fields of a TypedDict.

    ``__required_keys__`` ignores NotRequired if annotations are strings, as by ``from __future__
    import annotations``.
    """
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError:  # of a name imported for type checkers only
        hints = dict.fromkeys(cls.__annotations__, typing.NotRequired[Any])
    for name, hint in hints.items():
        needed = name in cls.__required_keys__ and typing.get_origin(hint) is not typing.NotRequired
        yield ModelField(name, name, needed, keyword_only=True)


def _of_dataclass(field: dataclasses.Field[Any]) -> ModelField:
    missing = dataclasses.MISSING
    required = field.default is missing and field.default_factory is missing
    return ModelField(field.name, field.name, required, field.kw_only is True)


def _pydantic(cls: type[Any]) -> Mapping[str, Any] | None:
    """Return the fields of a Pydantic model, or of a class with the same interface."""
    fields: object = getattr(cls, "model_fields", None)
    if not isinstance(fields, Mapping) or not hasattr(cls, "model_validate"):
        return None
    return cast("Mapping[str, Any]", fields)


def _of_pydantic(name: str, info: Any, *, by_name: bool) -> ModelField:
    """Return a field: its column is its name, its argument the alias if the model requires it."""
    alias = getattr(info, "validation_alias", None) or getattr(info, "alias", None)
    choices = getattr(alias, "choices", None)
    if choices:
        alias = next((choice for choice in choices if isinstance(choice, str)), alias)
    alias = alias if isinstance(alias, str) else None
    argument = name if by_name or alias is None else alias
    return ModelField(name, argument, bool(info.is_required()), keyword_only=True, alias=alias)


def is_pydantic(cls: type[Any]) -> bool:
    """Return True for a Pydantic model, whose fields are more precise than its signature."""
    return _pydantic(cls) is not None


def takes_others(cls: type[Any]) -> bool:
    """Return True if a Pydantic model keeps extra values; by default it silently ignores them."""
    return bool(_config(cls, "extra") == "allow")


def _config(cls: type[Any], name: str) -> Any:
    config: object = getattr(cls, "model_config", None)
    return cast("Mapping[str, Any]", config).get(name) if isinstance(config, Mapping) else None
