# SPDX-License-Identifier: MIT
"""Define parameters: places for values in a statement that is declared once and bound per call.

A parameter is known by identity: the same object is the same parameter. It stands in the place of a
value, so it decides nothing about the SQL but that a value is there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from typing import Any, NoReturn, TypeVar, cast, get_origin

from batchq.language.accepted import Accepted, accepted_by, class_of
from batchq.language.errors import InvalidBatch
from batchq.language.row_fields import annotation_of, field_names
from batchq.language.signatures import why_not_named
from batchq.language.special import Special
from batchq.language.spelling import with_article
from batchq.language.validation import checked_call, is_text

Row = TypeVar("Row")


class Parameter(Special):
    """A place for a value; created by :func:`param`, or as an attribute of :func:`row`."""

    __slots__ = ("accepted", "factory", "is_checked", "is_default", "is_unresolved", "name", "row")

    def __init__(
        self,
        name: str,
        accepted: Accepted | None,
        row: type[Any] | None = None,
        factory: Callable[[], object] | None = None,
        *,
        is_default: bool = False,
        is_unresolved: bool = False,
        is_checked: bool = False,
    ) -> None:
        self.name = name
        self.accepted = accepted
        """The values that it accepts; None if they are unknown. Those of a field are not checked:
        they are those of its class."""
        self.row = row
        """The class of the row of which it is a field; None if it is bound by name."""
        self.factory = factory
        """Makes its value if none is given."""
        self.is_default = is_default
        """Whether it is the default of a field, which cannot be given by name."""
        self.is_unresolved = is_unresolved
        """Whether it is a field whose annotation cannot be resolved."""
        self.is_checked = is_checked
        """Whether it is a field in the place of a parameter, whose type its value has to have."""

    @property
    def takes_list(self) -> bool:
        """Whether it takes a list, by its type.

        :raises InvalidBatch: if the type cannot be known.
        """
        if self.is_unresolved and self.row is not None:
            raise InvalidBatch(
                f"the annotation of {self.name!r} cannot be resolved, which decides how this field "
                f"of {self.row.__name__} is compared; import its names at run time, not under "
                f"TYPE_CHECKING only, and define them in a module, not in a function"
            )
        return self.accepted is not None and self.accepted.items is not None

    def is_same(self, other: object) -> bool:
        """Return whether another one has the same value: it is the same, or of the same field."""
        if self is other or not isinstance(other, Parameter):
            return self is other
        return self.row is not None and (self.row, self.name) == (other.row, other.name)

    def __repr__(self) -> str:
        """Return the name, and what it takes."""
        if self.row is not None:
            return f"<field {self.row.__name__}.{self.name}>"
        accepted = "" if self.accepted is None else f", {self.accepted}"
        return f"<parameter {self.name}{accepted}>"

    def __copy__(self) -> Parameter:
        """Return itself: the same object is the same parameter."""
        return self

    def __deepcopy__(self, _: object) -> Parameter:
        """Return itself."""
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        """Reject pickling, which would make another parameter."""
        raise InvalidBatch("a parameter cannot be pickled; pickle the row, and bind it there")

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same parameter; its value is not known."""
        if isinstance(other, Parameter):
            return self is other
        raise InvalidBatch(self._unknown())

    __hash__ = object.__hash__

    # Otherwise code that looks at a value would be decided by the parameter, and by every value.

    def __getattr__(self, name: str) -> NoReturn:
        """Reject a look at the value."""
        raise AttributeError(name if name.startswith("_") else self._unknown())

    def _reject(self, *_: object) -> NoReturn:
        raise InvalidBatch(self._unknown())

    __str__ = __format__ = __bool__ = __len__ = __iter__ = __int__ = __float__ = _reject
    __lt__ = __le__ = __gt__ = __ge__ = __index__ = __contains__ = __getitem__ = _reject

    def _unknown(self) -> str:
        return f"the value of {self.name!r} is not known before bind()"


def parameter_in(held: object) -> Parameter | None:
    """Return a parameter that an exception or a collection holds, in whatever depth; else None."""
    todo, seen = [held], set[int]()
    while todo:
        item = todo.pop()
        if isinstance(item, Parameter):
            return item
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, BaseException):
            todo += [item.args, getattr(item, "__dict__", None)]
        elif isinstance(item, dict):
            todo += chain.from_iterable(cast("dict[object, object]", item).items())
        elif isinstance(item, list | tuple | set | frozenset):
            todo += cast("list[object]", item)
    return None


def param(name: str, type: Any, /, *, factory: Callable[[], object] | None = None) -> Parameter:
    """Return a parameter that is bound by name: ``.bind(org=…)``.

    The same object is the same parameter, wherever it stands. Its type decides how it is compared
    in ``where=``: a class by ``=``, a list as "one of these". The value never does.

    :param name: the keyword of :meth:`Statement.bind`.
    :param type: a class, ``X | None``, or ``list[X]``; checked when it is bound.
    :param factory: makes the value at each bind to which none is given.
    :raises InvalidBatch: for another name or type, or a factory that takes arguments.

    >>> from uuid import UUID
    >>> from batchq import param, update
    >>> rename = update("org", {"name": param("name", str)}, where={"id": param("org", UUID)})
    >>> rename.bind(org=UUID(int=7), name="web")
    <Statement update org>
    """
    if not is_text(name) or not name.isidentifier():
        raise InvalidBatch(f'param(): the name must be a keyword, such as "org", not {name!r:.40}')
    if factory is not None:
        checked_call("param(factory=)", factory, why_not_named(factory, ()))
    return Parameter(name, accepted_by(type), factory=factory)


def row(cls: type[Row], /) -> Row:
    """Return a row that is not there yet: each field is a parameter.

    To type checkers it is a row of that class, so a field that does not exist is an error.

    :param cls: an attrs class, a dataclass or a NamedTuple; the same fields each time.
    :raises InvalidBatch: for another class.

    >>> from typing import NamedTuple
    >>> from batchq import delete, row
    >>> class Leave(NamedTuple):
    ...     org: int
    ...     user: str
    >>> leave = delete("member", where={"org_id": row(Leave).org, "name": row(Leave).user})
    >>> leave.bind(Leave(org=7, user="ann"))
    <Statement delete member>
    """
    fields_of("row()", cls)
    return cast("Row", _fields(cls))  # type: ignore[arg-type]  # a class is hashable


def fields_of(call: str, cls: object) -> dict[str, Parameter]:
    """Return the parameter of each field of a row's class.

    :param call: the call that it was passed to, for the text of the error: ``"insert()"``.
    :raises InvalidBatch: if it is not an attrs class, a dataclass or a NamedTuple.
    """
    fields = _fields(cls) if isinstance(cls, type) else None
    if fields is None:
        given = cls.__name__ if isinstance(cls, type) else with_article(type(cls))
        raise InvalidBatch(
            f"{call}: a row must be of an attrs class, a dataclass or a NamedTuple, not {given}"
        )
    return fields.parameters


@lru_cache(maxsize=4096)
def _fields(cls: Any) -> Fields | None:
    names = _names(class_of(cls))
    if not names:
        return None
    return Fields(cls, {name: _field(cls, name) for name in names})


def _field(cls: type[Any], name: str) -> Parameter:
    """Return the parameter of a field, with what its annotation says."""
    try:
        return Parameter(name, _of_field(annotation_of(cls, name)), cls)
    except Exception:  # noqa: BLE001  an annotation may be any expression
        return Parameter(name, None, cls, is_unresolved=True)


def _of_field(annotation: Any) -> Accepted | None:
    """Return what a field accepts; None for what :func:`param` does not take.

    A list is one whatever is in it: the values of fields are not checked.
    """
    try:
        return accepted_by(annotation)
    except InvalidBatch:
        is_list = annotation is list or get_origin(annotation) is list
        return Accepted(list, object) if is_list else None


def _names(cls: Any) -> tuple[str, ...]:
    """Return the fields of a row's class; none if it is not one."""
    if cls is None:
        return ()
    if (names := field_names(cls)) is not None:
        return names
    fields: tuple[str, ...] = getattr(cls, "_fields", ())
    return fields if issubclass(cls, tuple) else ()


class Fields(Special):
    """The fields of a row, as attributes."""

    __slots__ = ("_cls", "parameters")

    def __init__(self, cls: type[Any], parameters: dict[str, Parameter]) -> None:
        self._cls = cls
        self.parameters = parameters
        """The parameter of each field."""

    def __getattr__(self, name: str) -> Parameter:
        parameter = self.parameters.get(name)
        if parameter is None:
            known = ", ".join(self.parameters)
            raise AttributeError(f"{self._cls.__name__} has no field {name!r}; it has {known}")
        return parameter

    def __repr__(self) -> str:
        return f"<row of {self._cls.__name__}>"
