# SPDX-License-Identifier: MIT
"""What a statement answers with: its result shape, and the fields of models, which are columns."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping
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
WITH_MODEL = frozenset({Rows.ONE, Rows.MAYBE, Rows.ALL})
"""Those that make something of each row."""


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
    alias: str | None = None
    """Another name that its column, or its argument, may have: a Pydantic field's."""


@lru_cache(maxsize=1024)
def model_fields(model: object) -> tuple[ModelField, ...] | None:
    """The fields of an attrs class, dataclass, NamedTuple, TypedDict, Pydantic model or msgspec
    Struct; None for anything else.

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
        fields = (_of_pydantic(name, one, by_name=by_name) for name, one in pydantic.items())
    elif (struct := getattr(cls, "__struct_fields__", None)) is not None:
        fields = (ModelField(n, n, required=True) for n in cast("tuple[str, ...]", struct))
    return None if fields is None else tuple(fields)


def _of_typed_dict(cls: Any) -> Iterator[ModelField]:
    """``__required_keys__`` does not see a NotRequired in a module whose annotations are text."""
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError:  # of a name that is not there while the program runs
        hints = dict.fromkeys(cls.__annotations__, typing.NotRequired[Any])
    for name, hint in hints.items():
        needed = name in cls.__required_keys__ and typing.get_origin(hint) is not typing.NotRequired
        yield ModelField(name, name, needed, keyword_only=True)


def _of_dataclass(one: dataclasses.Field[Any]) -> ModelField:
    given = dataclasses.MISSING
    required = one.default is given and one.default_factory is given
    return ModelField(one.name, one.name, required, one.kw_only is True)


def _pydantic(cls: type[Any]) -> Mapping[str, Any] | None:
    """The fields of a Pydantic model, or of a class of its shape."""
    fields: object = getattr(cls, "model_fields", None)
    if not isinstance(fields, Mapping) or not hasattr(cls, "model_validate"):
        return None
    return cast("Mapping[str, Any]", fields)


def _of_pydantic(name: str, one: Any, *, by_name: bool) -> ModelField:
    """A field is a column by its name, and called by its alias where it has to be."""
    alias = getattr(one, "validation_alias", None) or getattr(one, "alias", None)
    choices = getattr(alias, "choices", None)
    if choices:
        alias = next((choice for choice in choices if isinstance(choice, str)), alias)
    alias = alias if isinstance(alias, str) else None
    argument = name if by_name or alias is None else alias
    return ModelField(name, argument, bool(one.is_required()), keyword_only=True, alias=alias)


def is_pydantic(cls: type[Any]) -> bool:
    """Whether it is a Pydantic model: its fields say what it takes, and its signature less."""
    return _pydantic(cls) is not None


def takes_others(cls: type[Any]) -> bool:
    """Whether a Pydantic model keeps what it has no field for; others it would drop in silence."""
    return bool(_config(cls, "extra") == "allow")


def _config(cls: type[Any], name: str) -> Any:
    config: object = getattr(cls, "model_config", None)
    return cast("Mapping[str, Any]", config).get(name) if isinstance(config, Mapping) else None
