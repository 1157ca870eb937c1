# SPDX-License-Identifier: MIT
"""How a model is made of a row: of its values, of itself as a dict, or of its columns by name.

A row is there when its model is made, so whatever the model says before is looked at when the
statement is written.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any, cast
from uuid import UUID

from attrs import evolve, field, frozen

from batchq.language.errors import InvalidBatch
from batchq.language.results import ModelField, is_pydantic, model_fields, takes_others
from batchq.language.signatures import is_async, signature_of, why_not_named, why_not_one

Row = Sequence[Any]

_VALUES = frozenset(
    {
        *(bool, int, float, complex, str, bytes, bytearray, memoryview),
        *(list, set, frozenset, range, slice, type, type(None)),
        *(date, datetime, time, timedelta, Decimal, UUID),
        *(IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
    }
)
"""Classes of single values. Most could be called with a dict, and would make nothing sensible."""
_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class How(Enum):
    """What a model is called with."""

    VALUES = "the row's values, in a tuple"
    ROW = "the row as a dict"
    COLUMNS = "the columns, by name"


@frozen
class Model:
    """What is known of a model before there is a row."""

    how: How
    fields: tuple[ModelField, ...] = ()
    """Those that are called with columns: in which order they name them."""
    others: bool = False
    """Whether it takes columns that it does not name."""
    or_row: bool = False
    """Whether it takes the row as a dict when no column has the name of a field."""
    in_order: tuple[str, ...] = ()
    """The arguments that it takes by position, in their order."""
    known: Mapping[str, ModelField] = field(factory=dict[str, ModelField])
    """The field of each column."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns that it asks for; None when it does not say."""
        if self.how is not How.COLUMNS or self.or_row or not self.fields:
            return None
        return tuple(one.column for one in self.fields)


def model_of(model: Any) -> Model:
    """Read a model.

    :raises InvalidBatch: for what cannot be made of a row, whatever its columns are.
    """
    found = _read(model)
    if isinstance(found, str):
        raise InvalidBatch(found)
    return found


@lru_cache(maxsize=4096)
def _read(model: Any) -> Model | str:
    """Read a model, or say why it is none."""
    cls = typing.get_origin(model) or model
    if isinstance(cls, type) and callable(model):
        return _read_class(cast("type[Any]", cls))
    if cls is not model or not callable(model):
        return f"a model is a class or a function on the row, not {model!r:.40}"
    why = why_not_one(model)
    if why is None:
        return Model(How.ROW)
    named = _named(model)
    if named is None or is_async(model) or not (named.fields or named.others):
        return f"{model_name(model)} cannot be called with a row: {why}"
    return named


def _read_class(cls: type[Any]) -> Model | str:
    """Read a class, which is made of columns where it has fields or more arguments than one."""
    fields = model_fields(cls)  # type: ignore[arg-type]  # a class is
    read: Model | str
    if typing.is_typeddict(cls):
        read = _model(fields or (), in_order=())
    elif _is_abstract(cls):
        read = f"{cls.__name__} is abstract: nothing is made of it"
    elif fields is not None:
        read = _reconciled(cls, fields)
    elif issubclass(cls, tuple):
        read = Model(How.VALUES)
    elif issubclass(cls, dict):
        read = Model(How.ROW)
    elif _is_value(cls):
        read = f"{cls.__name__} is made of one value: use scalar({cls.__name__}), or a tuple"
    else:
        read = _by_signature(cls)
    return read


def _is_abstract(cls: Any) -> bool:
    no_class = cls in (typing.Any, typing.Annotated, object)
    return no_class or inspect.isabstract(cls) or bool(getattr(cls, "_is_protocol", False))


def _is_value(cls: type[Any]) -> bool:
    """Whether a class is of single values, and does not say itself what it is made of."""
    if issubclass(cls, Enum):
        return True
    for one in cls.__mro__:
        if one in _VALUES:
            return True
        if not vars(one).keys().isdisjoint(("__new__", "__init__")):
            return False
    return False


def _by_signature(cls: type[Any]) -> Model | str:
    named, why = _named(cls), why_not_one(cls)
    if named is None or not (named.fields or named.others):
        return Model(How.ROW) if why is None else f"{cls.__name__} cannot be made of a row: {why}"
    return evolve(named, or_row=why is None)


def _named(function: object) -> Model | None:
    """Read what takes its arguments by keyword; None where one has to come by position."""
    signature = signature_of(function)
    if signature is None:
        return None
    parameters = signature.parameters.values()
    if any(_is_required(one) and one.kind not in (*_BY_KEYWORD, *_VARIABLE) for one in parameters):
        return None
    fields = tuple(_field(one) for one in parameters if one.kind in _BY_KEYWORD)
    others = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    return _model(fields, others=others, in_order=_positions(parameters))


def _reconciled(cls: type[Any], fields: tuple[ModelField, ...]) -> Model | str:
    """Hold the fields of a class against its signature, which may be its own."""
    if is_pydantic(cls):
        return _model(fields, others=takes_others(cls), in_order=())
    signature = signature_of(cls)
    if signature is None:
        return _model(fields, in_order=())
    parameters = dict(signature.parameters)
    others = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    kept: list[ModelField] = []
    for one in fields:
        parameter = parameters.pop(one.argument, None)
        if parameter is None:
            if others:
                kept.append(one)
        elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            return f"{cls.__name__} takes {one.argument} by position only"
        else:
            keyword_only = parameter.kind is inspect.Parameter.KEYWORD_ONLY
            kept.append(evolve(one, required=_is_required(parameter), keyword_only=keyword_only))
    kept += [_field(one) for one in parameters.values() if one.kind in _BY_KEYWORD]
    return _model(
        tuple(kept),
        others=others,
        in_order=_positions(signature.parameters.values()),
    )


def _model(
    fields: tuple[ModelField, ...],
    *,
    in_order: tuple[str, ...],
    others: bool = False,
) -> Model:
    known = {one.alias: one for one in fields if one.alias is not None}
    known |= {one.column: one for one in fields}
    return Model(How.COLUMNS, fields, others=others, in_order=in_order, known=known)


def _field(parameter: inspect.Parameter) -> ModelField:
    keyword_only = parameter.kind is inspect.Parameter.KEYWORD_ONLY
    return ModelField(parameter.name, parameter.name, _is_required(parameter), keyword_only)


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty and parameter.kind not in _VARIABLE


def _positions(parameters: typing.Iterable[inspect.Parameter]) -> tuple[str, ...]:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return tuple(one.name for one in parameters if one.kind is kind)


def model_name(model: object) -> str:
    """What a model is called, for people."""
    return getattr(model, "__name__", type(model).__name__)


def check_named(call: str, model: Any) -> None:
    """Refuse a model that does not say which columns it is made of, where nothing else does.

    :raises InvalidBatch: naming the call that was given it.
    """
    if model_of(model).columns is None:
        message = (
            f"{call}: which columns are read? {model_name(model)} names none: take a class that "
            f"has fields, such as a NamedTuple, and .map() what it makes"
        )
        raise InvalidBatch(message)


def why_not(model: Any, columns: tuple[str | None, ...]) -> str | None:
    """Say why a model cannot be made of a row with these columns; None when it can, or may.

    :param columns: their names, None for one that nobody knows yet.
    """
    read = model_of(model)
    if read.how is How.VALUES:
        return None
    names = [name for name in columns if name is not None]
    shown = ", ".join("…" if name is None else name for name in columns)
    if len(set(names)) != len(names):
        return f"two of its columns have one name: {shown}"
    if read.how is How.ROW or (read.or_row and read.known.keys().isdisjoint(names)):
        return None
    unknown = [] if read.others else [name for name in names if name not in read.known]
    given = {read.known[name].argument for name in names if name in read.known}
    missing = [one.column for one in read.fields if one.required and one.argument not in given]
    if len(missing) <= len(columns) - len(names):
        missing = []
    if not unknown and not missing:
        return None
    name = model_name(model)
    message = f"its columns are {shown}"
    message += f"; {name} has no field for {', '.join(unknown)}" if unknown else ""
    return message + (f"; {name} also needs {', '.join(missing)}" if missing else "")


def why_not_into(model: Any, names: tuple[str, ...]) -> str | None:
    """Say why something cannot be called with these keywords; None when it can, or may."""
    try:
        return _why_not_into(model, names)
    except TypeError:  # it is not hashable
        return _why_not_into.__wrapped__(model, names)


@lru_cache(maxsize=1024)
def _why_not_into(model: Any, names: tuple[str, ...]) -> str | None:
    cls: Any = typing.get_origin(model) or model
    if isinstance(cls, type) and (is_pydantic(cls) or typing.is_typeddict(cls)):
        fields = model_fields(cls) or ()
        needed = [one for one in fields if one.required and one.argument not in names]
        missing = [one.argument for one in needed if one.alias not in names]
        return f"it also needs {', '.join(missing)}" if missing else None
    if cls is dict:
        return None
    return why_not_named(model, names)


def maker(model: Any, columns: tuple[str, ...]) -> Callable[[Row], Any]:
    """Say how to make a model of a row with these columns, which it takes: see :func:`why_not`."""
    read = model_of(model)
    if read.how is How.VALUES:
        return tuple if (typing.get_origin(model) or model) is tuple else model
    if model is dict:
        return lambda row: dict(zip(columns, row, strict=True))
    if read.how is How.ROW or (read.or_row and read.known.keys().isdisjoint(columns)):
        return lambda row: model(dict(zip(columns, row, strict=True)))
    arguments = tuple(read.known[name].argument if name in read.known else name for name in columns)
    if arguments == read.in_order[: len(arguments)]:
        return lambda row: model(*row)
    return lambda row: model(**dict(zip(arguments, row, strict=True)))
