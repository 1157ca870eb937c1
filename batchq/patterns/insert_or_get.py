# SPDX-License-Identifier: MIT
"""Insert or get: an insert that may be repeated, and says whether the row was there already.

Two steps, in one round trip. The first inserts, or judges the row that is there and passes over it;
the second reads and locks the row, whoever inserted it. One statement could not: what it sees is
older than a row that somebody else has just committed and that it conflicts with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from attrs import frozen

from batchq.language.batch import Batch
from batchq.language.builders import insert, select
from batchq.language.comparisons import Reading, reading_of
from batchq.language.compose import gather
from batchq.language.errors import InvalidBatch
from batchq.language.guards import When
from batchq.language.mapping import Raises
from batchq.language.models import check_named
from batchq.language.statement import Statement
from batchq.language.syntax import SAME, Insert, RawSql, value_of
from batchq.language.validation import is_text, listed

if TYPE_CHECKING:
    from batchq.language.inputs import Row

M = TypeVar("M")


@frozen
class Inserted(Generic[M]):
    """What :func:`insert_or_get` answers."""

    row: M
    created: bool
    """Whether this batch inserted it; False when it was there already."""


def insert_or_get(
    table: str,
    row: Row,
    model: Callable[..., M],
    *,
    key: Iterable[str],
    where: Mapping[str, bool | int | str | None] | None = None,
    same: Iterable[str] = (),
    raises: Raises | None = None,
) -> Batch[Inserted[M]]:
    """Insert a row, or get the one that is there, so that a request may safely be repeated.

    :param model: what the row is made into, as of :meth:`Statement.one`; of a class that names its
        columns, for nothing else says which are read.
    :param key: the columns of the unique index by which a row is the same. The row is found again
        by their values, so no column or trigger may make others of them.
    :param where: the predicate of that index, where it is partial; see
        :meth:`Statement.on_conflict_do_nothing`.
    :param same: columns in which a row that is there already has to equal what this one would have
        been: of the column's type, 12.345 in a numeric(10, 2) is 12.35, and after the triggers. A
        row that this inserts is not judged.
    :param raises: what it means that it does not, as of :meth:`Statement.require`.
    :return: the row, locked until COMMIT, and whether it is new. A row that is there and is deleted
        by somebody else between the two steps fails the batch with :class:`~batchq.GuardFailed`;
        with ``same=`` it is locked by the first.
        Above READ COMMITTED one that was inserted or deleted since the transaction began is a
        :class:`~batchq.SerializationConflict`.

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
    wanted = listed("insert_or_get(same=)", same, '["size"]')
    if not keys or not all(map(is_text, (*keys, *wanted))):
        message = "insert_or_get(key=[…]) names the columns of a unique index"
        raise InvalidBatch(message)
    if raises is not None and not wanted:
        message = "insert_or_get(raises=…) means nothing without same=[…]"
        raise InvalidBatch(message)
    predicate = _predicate(where)
    for name, value in predicate.items():
        _check_indexed(cast("Insert", inserting._shape.source), inserting._values, name, value)
    known = {name: _plain(inserting, name) for name in keys}
    there = select(table, where={**known, **predicate})
    getting = there._locked("no key update", fresh=False).one(model)
    quiet = inserting.on_conflict_do_nothing(*keys, where=predicate or None).count()
    for name in wanted:
        _value(inserting, name)
        quiet = quiet._with_condition(When.CONFLICT, ((name, SAME),), (), raises, ())
    check_named("insert_or_get()", model)
    steps = quiet.label("insert"), getting.label("get")
    return gather(*steps).map(lambda both: Inserted(both[1], both[0] == 1))


def _predicate(where: object) -> Mapping[str, object]:
    if where is None:
        return {}
    if not isinstance(where, Mapping):
        message = (
            "insert_or_get(where=…) is a mapping of columns: the row is found again by it, so it "
            "has to be conditions that select() takes as well"
        )
        raise InvalidBatch(message)
    return cast("Mapping[str, object]", where)


def _check_indexed(source: Insert, values: tuple[object, ...], column: str, wanted: object) -> None:
    """Refuse a row that says itself that the index does not hold it: nothing would keep it from
    being there twice, and what is read again would be another one."""
    if column not in source.columns:
        return
    value = value_of(source, values, column)
    if type(value) is type(wanted) and value != wanted:
        message = f"insert_or_get(where=…): by its {column!r} the index does not hold the row"
        raise InvalidBatch(message)


def _plain(inserting: Statement[Any], column: str) -> object:
    """The value by which the row is found again."""
    value = _value(inserting, column)
    if value is None:
        message = f"insert_or_get(): {column!r} is NULL, and no unique index finds that again"
        raise InvalidBatch(message)
    return value


def _value(inserting: Statement[Any], column: str) -> object:
    source = cast("Insert", inserting._shape.source)
    if column not in source.columns:
        message = f"insert_or_get(): the row has no {column!r}"
        raise InvalidBatch(message)
    value = value_of(source, inserting._values, column)
    if isinstance(value, RawSql):
        message = f"insert_or_get(): {column!r} is an expression, which only the server knows"
        raise InvalidBatch(message)
    reading = reading_of(type(value))  # type: ignore[arg-type]  # a class is
    if reading is Reading.CHOICE or reading is Reading.REFUSED:
        message = (
            f"insert_or_get(): the value for {column!r} is a {type(value).__name__}, which is not "
            f"compared as a whole, as an array of another type never equals it: leave the column "
            f"out of key= and same="
        )
        raise InvalidBatch(message)
    return value
