# SPDX-License-Identifier: MIT
"""Insert a row, or get the existing one, so that a request can be repeated.

It takes two steps, in one round trip. The first inserts the row, or checks the existing row and
does nothing. The second reads and locks the row, old or new. One statement cannot do both: its
snapshot may be older than the row that it conflicts with, if another transaction has just committed
that row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from batchq.language.batch import Batch
from batchq.language.builders import insert, select
from batchq.language.comparisons import Reading, reading_of
from batchq.language.compose import gather
from batchq.language.errors import InvalidBatch
from batchq.language.guards import When
from batchq.language.mapping import Raises
from batchq.language.models import check_named
from batchq.language.parameters import Parameter
from batchq.language.results import Inserted
from batchq.language.spelling import with_article
from batchq.language.statement import Statement
from batchq.language.syntax import SAME, Insert, RawSql
from batchq.language.validation import is_text, listed
from batchq.patterns.insert_values import value_of

if TYPE_CHECKING:
    from batchq.language.inputs import Row

M = TypeVar("M")
R = TypeVar("R")


@overload
def insert_or_get(
    table: str,
    row: type[R],
    model: Callable[..., M],
    *,
    key: Iterable[str],
    where: Mapping[str, bool | int | str | None] | None = None,
    same: Iterable[str] = (),
    raises: Raises | None = None,
) -> Batch[Inserted[M], R]: ...
@overload
def insert_or_get(
    table: str,
    row: Row,
    model: Callable[..., M],
    *,
    key: Iterable[str],
    where: Mapping[str, bool | int | str | None] | None = None,
    same: Iterable[str] = (),
    raises: Raises | None = None,
) -> Batch[Inserted[M]]: ...
def insert_or_get(
    table: str,
    row: Any,
    model: Callable[..., M],
    *,
    key: Iterable[str],
    where: Mapping[str, bool | int | str | None] | None = None,
    same: Iterable[str] = (),
    raises: Raises | None = None,
) -> Batch[Inserted[M], Any]:
    """Insert a row, or get the existing one, so that a request can be repeated.

    The row is locked until COMMIT. If another transaction deletes an existing row between the two
    steps, the run raises :class:`~batchq.GuardFailed`; with ``same=`` the first step locks it, so
    that cannot happen. Above READ COMMITTED, a row inserted or deleted by another transaction since
    this one started raises :class:`~batchq.SerializationConflict`.

    :param table: as in :func:`~batchq.insert`.
    :param row: as in :func:`~batchq.insert`.
    :param model: the model of the row, as in :meth:`Statement.one`. It must be a class with fields,
        which determine the columns to read.
    :param key: the columns of the unique index. The row is found again by their values, so neither
        the type of a column nor a trigger may change these.
    :param where: the predicate of that index, if it is partial, as in
        :meth:`Statement.on_conflict_do_nothing`.
    :param same: columns in which an existing row must equal the row to insert. They are compared as
        stored, after the column's type and triggers are applied: 12.345 in a numeric(10, 2) is
        12.35. A row that is inserted is not checked.
    :param raises: what to raise if they differ, as in :meth:`Statement.require`.
    :return: a batch whose result is :class:`~batchq.types.Inserted`: the row, and if it is new.
    :raises InvalidBatch: if the values of ``key`` cannot find the row again, or for a wrong
        argument.

    >>> from typing import NamedTuple
    >>> from batchq import insert_or_get, steps
    >>> class Disk(NamedTuple):
    ...     id: int
    ...     name: str
    >>> other = ValueError("another disk has this id")
    >>> boot = insert_or_get(
    ...     "disk", {"id": 7, "name": "boot"}, Disk, key=["id"], same=["name"], raises=other
    ... )
    >>> for step in steps(boot):
    ...     step.statement
    <Statement insert disk: count(), same("name")>
    <Statement lock disk: one(Disk), exactly 1 row>
    """
    inserting = insert(table, row)
    keys = listed("insert_or_get(key=)", key, '["silo_id", "name"]')
    compared = listed("insert_or_get(same=)", same, '["size"]')
    if not keys or not all(map(is_text, (*keys, *compared))):
        raise InvalidBatch("insert_or_get(key=): name the columns of a unique index")
    if raises is not None and not compared:
        raise InvalidBatch(
            "insert_or_get(raises=): without same= no row is compared; pass same= or drop raises="
        )
    predicate = _predicate(where)
    source = cast("Insert", inserting._shape.source)
    if source.query is not None:
        raise InvalidBatch("insert_or_get(): pass one row, not a select(), whose rows are unknown")
    for name, value in predicate.items():
        _check_indexed(source, inserting._values, name, value)
    known = {name: _plain(inserting, name) for name in keys}
    existing = select(table, where={**known, **predicate})
    getting = existing._locked("no key update", fresh=False).one(model)
    inserted = inserting.on_conflict_do_nothing(*keys, index_where=predicate or None).count()
    for name in compared:
        _value(inserting, name)
        inserted = inserted._with_condition(When.CONFLICT, ((name, SAME),), (), raises, ())
    check_named("insert_or_get()", model)
    steps = inserted.label("insert"), getting.label("get")
    return gather(*steps).map(lambda both: Inserted(both[1], both[0] == 1))


def _predicate(where: object) -> Mapping[str, object]:
    if where is None:
        return {}
    if not isinstance(where, Mapping):
        raise InvalidBatch(
            "insert_or_get(where=): pass a mapping of columns, because the row is found again by "
            "select() with the same conditions"
        )
    return cast("Mapping[str, object]", where)


def _check_indexed(
    source: Insert, values: tuple[object, ...], column: str, required: object
) -> None:
    """Reject a row that the predicate of the index excludes.

    The index would not prevent a second insert, and another row would be read.
    """
    if column not in source.columns:
        return
    value = value_of(source, values, column)
    if isinstance(value, Parameter):
        raise InvalidBatch(
            f"insert_or_get(where=): {column!r} of the row is a parameter, and the index may "
            f"exclude its value; set it to the constant of the index"
        )
    if type(value) is type(required) and value != required:
        raise InvalidBatch(
            f"insert_or_get(where=): the row has another {column!r}, which the index excludes"
        )


def _plain(inserting: Statement[Any], column: str) -> object:
    """Return the value of a key column, by which the row is found again."""
    value = _value(inserting, column)
    if value is None:
        raise InvalidBatch(
            f"insert_or_get(key=): {column!r} is NULL, which a unique index does not find; set it"
        )
    return value


def _value(inserting: Statement[Any], column: str) -> object:
    source = cast("Insert", inserting._shape.source)
    if column not in source.columns:
        raise InvalidBatch(f"insert_or_get(): the row has no {column!r}; set it")
    value = value_of(source, inserting._values, column)
    if isinstance(value, RawSql):
        raise InvalidBatch(
            f"insert_or_get(): {column!r} is an expression; pass a value, to find the row again"
        )
    reading = reading_of(type(value))  # type: ignore[arg-type]  # is hashable
    is_list = isinstance(value, Parameter) and value.takes_list
    if is_list or reading is Reading.CHOICE or reading is Reading.REFUSED:
        kind = "a list" if is_list else with_article(type(value))
        raise InvalidBatch(
            f"insert_or_get(): {column!r} is {kind}; an array of another type never equals it; "
            f"leave the column out of key= and same="
        )
    return value
