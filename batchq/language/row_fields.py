# SPDX-License-Identifier: MIT
"""Know the fields of a row's class, their types and defaults, and read them from a row."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping
from inspect import get_annotations
from operator import attrgetter
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import attrs
from attrs import frozen

from batchq.language.errors import InvalidBatch
from batchq.language.spelling import with_article


@frozen
class Default:
    """The default of a field: a value, or what makes it for each row."""

    value: object = None
    factory: Callable[[], object] | None = None


def field_names(cls: type[Any]) -> tuple[str, ...] | None:
    """Return the fields of an attrs class or a dataclass; None for another class."""
    if attrs.has(cls):
        return tuple(field.name for field in attrs.fields(cls))
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    return None


def annotation_of(cls: type[Any], name: str) -> object:
    """Return the annotation of a field, resolved; None if it has none.

    Each is resolved by itself. ``get_type_hints`` of the class would resolve none if one of them
    names what is not there at run time.

    :raises Exception: if it cannot be resolved: any, because an annotation may be any expression.
    """
    for base in cls.__mro__:
        annotations = get_annotations(base)
        if name in annotations:
            alone: Any = type(name, (), {"__annotations__": {name: annotations[name]}})
            own = {each.__name__: each for each in getattr(base, "__type_params__", ())}
            # Names of the module win over those of the class, most of which are its fields.
            module = getattr(sys.modules.get(base.__module__), "__dict__", {})
            found: Any = get_type_hints(alone, {**vars(base), **own}, module)[name]
            return _with_arguments(found, _arguments(cls).get(base, {}))
    return None


_Arguments = Mapping[object, Any]
"""What stands for the type variables of a class."""


def _arguments(cls: type[Any]) -> Mapping[object, _Arguments]:
    """Return what stands for the type variables of each generic class that a class is derived from.

    They are kept by class, because two classes may use one variable for different types.
    """
    known: dict[object, _Arguments] = {}
    for base in cls.__mro__:
        for generic in vars(base).get("__orig_bases__", ()):
            origin = get_origin(generic)
            arguments = [_with_arguments(each, known.get(base, {})) for each in get_args(generic)]
            known[origin] = dict(
                zip(getattr(origin, "__parameters__", ()), arguments, strict=False)
            )
    return known


def _with_arguments(annotation: Any, arguments: _Arguments) -> Any:
    """Return an annotation with types in the place of type variables."""
    if isinstance(annotation, TypeVar):
        return arguments.get(annotation, annotation)
    variables: tuple[object, ...] = getattr(annotation, "__parameters__", ())
    if not variables or isinstance(annotation, type):
        return annotation
    return annotation[tuple(arguments.get(each, each) for each in variables)]


def field_reader(names: tuple[str, ...]) -> Callable[[Any], tuple[object, ...]]:
    """Return a function that reads these fields of a row."""
    if len(names) > 1:
        return attrgetter(*names)  # which returns a tuple only for several
    return lambda row: tuple(getattr(row, name) for name in names)


def unreadable(call: str, row: object, names: Iterable[str]) -> InvalidBatch:
    """Return the error for a row of which a field was not set.

    :param call: the call that it was passed to, for the text of the error: ``"bind()"``.
    """
    name = next((name for name in names if not hasattr(row, name)), "")
    return InvalidBatch(
        f"{call}: the field {name!r} of {with_article(type(row))} cannot be read; set it first"
    )


def default_of(cls: type[Any], name: str) -> Default | None:
    """Return the default of a field of a row's class; None if it has none.

    :raises InvalidBatch: if it is made from the other fields of the row.
    """
    if attrs.has(cls):
        return _attrs_default(attrs.fields_dict(cls)[name])
    if dataclasses.is_dataclass(cls):
        field = next(field for field in dataclasses.fields(cls) if field.name == name)
        if field.default_factory is not dataclasses.MISSING:
            return Default(factory=field.default_factory)
        return None if field.default is dataclasses.MISSING else Default(field.default)
    defaults: dict[str, object] = getattr(cls, "_field_defaults", {})
    return Default(defaults[name]) if name in defaults else None


def _attrs_default(field: attrs.Attribute[Any]) -> Default | None:
    default: Any = field.default
    convert = cast("Any", field.converter)  # pyright: ignore[reportUnknownMemberType]
    if default is attrs.NOTHING:
        return None
    is_made = isinstance(default, cast("type[Any]", attrs.Factory))  # a function, to type checkers
    if isinstance(convert, attrs.Converter) or (is_made and default.takes_self):
        raise InvalidBatch(
            f"partial(): the default of {field.name!r} is made from the rest of the row; set it: "
            f"{field.name}=…"
        )
    if convert is None:
        return Default(factory=default.factory) if is_made else Default(default)
    make: Callable[[], object] = default.factory if is_made else lambda: default
    return Default(factory=lambda: convert(make()))
