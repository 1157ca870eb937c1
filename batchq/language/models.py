# SPDX-License-Identifier: MIT
"""Construct models from rows: from the values, from the row as a dict, or from columns by name.

Models are constructed after COMMIT, when an error is too late. So the fields or the signature of a
model are checked when the statement is built.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
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
from batchq.language.signatures import has_own_signature, is_async, signature_of, why_not_one

Row = Sequence[Any]
Maker = tuple[Callable[..., Any], bool]
"""What constructs a model from a row, and whether it takes each value as an argument."""

_VALUES = frozenset(
    {
        *(bool, int, float, complex, str, bytes, bytearray, memoryview),
        *(list, set, frozenset, range, slice, type, type(None)),
        *(date, datetime, time, timedelta, Decimal, UUID),
        *(IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
    }
)
"""Classes of single values. Most accept a dict, but the result would make no sense."""
_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class How(Enum):
    """What a model is called with."""

    VALUES = "the row's values, in a tuple"
    ROW = "the row as a dict"
    COLUMNS = "the columns, by name"


@frozen
class Model:
    """How to call a model; known before there is a row."""

    how: How
    fields: tuple[ModelField, ...] = ()
    """The fields of a model that takes columns, in their order."""
    others: bool = False
    """True if it also takes columns for which it has no field."""
    or_row: bool = False
    """True if it takes the row as a dict if no column has the name of a field."""
    in_order: tuple[str, ...] = ()
    """The arguments that may be passed by position, in their order."""
    known: Mapping[str, ModelField] = field(factory=dict[str, ModelField])
    """The field of each column."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns that it needs; None if unknown."""
        if self.how is not How.COLUMNS or self.or_row or not self.fields:
            return None
        return tuple(field.column for field in self.fields)


def model_of(model: Any) -> Model:
    """Return how to call a model.

    :raises InvalidBatch: if it cannot be constructed from a row, whatever the columns are.
    """
    answer = _read(model)
    if isinstance(answer, str):
        raise InvalidBatch(answer)
    return answer


@lru_cache(maxsize=4096)
def _read(model: Any) -> Model | str:
    """Return how to call a model, or why it is not one."""
    cls = typing.get_origin(model) or model
    if isinstance(cls, type) and callable(model):
        return _read_class(cast("type[Any]", cls))
    if cls is not model or not callable(model):
        return f"a model must be a class or a function of the row, not {model!r:.40}"
    reason = why_not_one(model)
    if reason is None:
        return Model(How.ROW)
    named = _named(model)
    if named is None or is_async(model) or not (named.fields or named.others):
        return f"{model_name(model)} cannot be called with a row: {reason}"
    return named


def _read_class(cls: type[Any]) -> Model | str:
    """Return how to call a class. It takes columns if it has fields or several arguments."""
    fields = model_fields(cls)  # type: ignore[arg-type]  # is hashable
    read: Model | str
    if typing.is_typeddict(cls):
        read = _model(fields or (), in_order=())
    elif _is_abstract(cls):
        read = f"{cls.__name__} is abstract; pass a class that can be instantiated"
    elif fields is not None:
        read = _reconciled(cls, fields)
    elif issubclass(cls, tuple):
        read = Model(How.VALUES)
    elif issubclass(cls, dict):
        read = Model(How.ROW)
    elif _is_value(cls):
        read = f"{cls.__name__} is the type of one value; use scalar({cls.__name__}), or a tuple"
    else:
        read = _by_signature(cls)
    return read


def _is_abstract(cls: Any) -> bool:
    no_class = cls in (typing.Any, typing.Annotated, object)
    return no_class or inspect.isabstract(cls) or bool(getattr(cls, "_is_protocol", False))


def _is_value(cls: type[Any]) -> bool:
    """Return True for a class of single values without a constructor of its own."""
    if issubclass(cls, Enum):
        return True
    for base in cls.__mro__:
        if base in _VALUES:
            return True
        if not vars(base).keys().isdisjoint(("__new__", "__init__")):
            return False
    return False


def _by_signature(cls: type[Any]) -> Model | str:
    named, reason = _named(cls), why_not_one(cls)
    if named is None or not (named.fields or named.others):
        if reason is None:
            return Model(How.ROW)
        return f"{cls.__name__} cannot be constructed from a row: {reason}"
    # One of *arguments and **columns takes columns: what a decorator puts around a class does.
    return evolve(named, or_row=reason is None and bool(named.fields))


def _named(function: object) -> Model | None:
    """Return how to call a function by keyword; None if an argument is positional only."""
    signature = signature_of(function)
    if signature is None:
        return None
    parameters = signature.parameters.values()
    allowed = (*_BY_KEYWORD, *_VARIABLE)
    if any(_is_required(each) and each.kind not in allowed for each in parameters):
        return None
    fields = tuple(_field(each) for each in parameters if each.kind in _BY_KEYWORD)
    others = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
    return _model(fields, others=others, in_order=_positions(function, parameters))


def _reconciled(cls: type[Any], fields: tuple[ModelField, ...]) -> Model | str:
    """Combine the fields of a class with its signature, which may be written by hand."""
    if is_pydantic(cls):
        return _model(fields, others=takes_others(cls), in_order=())
    signature = signature_of(cls)
    if signature is None:
        return _model(fields, in_order=())
    parameters = dict(signature.parameters)
    others = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    kept: list[ModelField] = []
    for field_ in fields:
        parameter = parameters.pop(field_.argument, None)
        if parameter is None:
            if others:
                kept.append(field_)
        elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            return f"{cls.__name__} takes {field_.argument} by position only; use a function"
        else:
            keyword_only = parameter.kind is inspect.Parameter.KEYWORD_ONLY
            required = _is_required(parameter)
            kept.append(evolve(field_, required=required, keyword_only=keyword_only))
    kept += [_field(each) for each in parameters.values() if each.kind in _BY_KEYWORD]
    return _model(
        tuple(kept),
        others=others,
        in_order=_positions(cls, signature.parameters.values()),
    )


def _model(
    fields: tuple[ModelField, ...],
    *,
    in_order: tuple[str, ...],
    others: bool = False,
) -> Model:
    known = {each.alias: each for each in fields if each.alias is not None}
    known |= {each.column: each for each in fields}
    return Model(How.COLUMNS, fields, others=others, in_order=in_order, known=known)


def _field(parameter: inspect.Parameter) -> ModelField:
    keyword_only = parameter.kind is inspect.Parameter.KEYWORD_ONLY
    return ModelField(parameter.name, parameter.name, _is_required(parameter), keyword_only)


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty and parameter.kind not in _VARIABLE


def _positions(function: object, parameters: Collection[inspect.Parameter]) -> tuple[str, ...]:
    """Return the arguments that may be passed by position; none after one that has to be."""
    positional_only = (each.kind is inspect.Parameter.POSITIONAL_ONLY for each in parameters)
    if has_own_signature(function) or any(positional_only):
        return ()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return tuple(each.name for each in parameters if each.kind is kind)


def model_name(model: object) -> str:
    """Return the name of a model, for messages."""
    return getattr(model, "__name__", type(model).__name__)


def check_named(call: str, model: Any) -> None:
    """Reject a model whose columns are unknown, for a call that reads the columns of its model.

    :param call: the call, for the text of the error: ``"read()"``.
    :raises InvalidBatch: if they are unknown.
    """
    if model_of(model).columns is None:
        raise InvalidBatch(
            f"{call}: the columns of {model_name(model)} are unknown; pass a class with fields, "
            f"such as a NamedTuple, and .map() the result"
        )


def why_not(model: Any, columns: tuple[str | None, ...]) -> str | None:
    """Return why a model cannot be constructed from these columns; None if it can, or may.

    :param columns: their names, None for each that is unknown.
    """
    read = model_of(model)
    if read.how is How.VALUES:
        return None
    names = [name for name in columns if name is not None]
    shown = ", ".join("…" if name is None else name for name in columns)
    if len(set(names)) != len(names):
        return f"two columns have the same name: {shown}"
    if read.how is How.ROW or (read.or_row and read.known.keys().isdisjoint(names)):
        return None
    unknown = [] if read.others else [name for name in names if name not in read.known]
    given = {read.known[name].argument for name in names if name in read.known}
    required = [field for field in read.fields if field.required]
    missing = [field.column for field in required if field.argument not in given]
    if len(missing) <= len(columns) - len(names):
        missing = []
    if not unknown and not missing:
        return None
    name = model_name(model)
    message = f"the columns are {shown}"
    message += f"; {name} has no field for {', '.join(unknown)}" if unknown else ""
    return message + (f"; {name} also needs {', '.join(missing)}" if missing else "")


def of_row(make: Callable[[Row], Any]) -> Maker:
    """Return a maker that takes the row."""
    return make, False


def maker(model: Any, columns: tuple[str, ...]) -> Maker:
    """Return a function that constructs a model from a row with these columns.

    :param columns: must be columns that the model takes, see :func:`why_not`.
    """
    read = model_of(model)
    if read.how is How.VALUES:
        return of_row(tuple if (typing.get_origin(model) or model) is tuple else model)
    if model is dict:
        return of_row(lambda row: dict(zip(columns, row, strict=True)))
    if read.how is How.ROW or (read.or_row and read.known.keys().isdisjoint(columns)):
        return of_row(lambda row: model(dict(zip(columns, row, strict=True))))
    arguments = tuple(read.known[name].argument if name in read.known else name for name in columns)
    if arguments == read.in_order[: len(arguments)]:
        return model, True
    return of_row(lambda row: model(**dict(zip(arguments, row, strict=True))))
