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

from batchq.language.batch import Mapped
from batchq.language.builders import insert
from batchq.language.compose import gather
from batchq.language.errors import InvalidBatch
from batchq.language.guards import When
from batchq.language.mapping import Raises
from batchq.language.models import check_named
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.results import Inserted
from batchq.language.selects import select
from batchq.language.statement import Statement
from batchq.language.syntax import SAME, Insert, RawSql
from batchq.language.type_variables import R_contra
from batchq.language.value import value
from batchq.patterns.insert_keys import Key, check_set, checked_key, checked_names, conditions_of
from batchq.patterns.insert_values import value_of

if TYPE_CHECKING:
    from batchq.language.inputs import Row

M = TypeVar("M")
R = TypeVar("R")


@value
class InsertOrGet(Mapped[Inserted[M], R_contra]):
    """The batch that :func:`insert_or_get` returns."""

    def output(self, column: str, type: str | None = None, /) -> Output:
        """Return a reference to a column of the row, as :meth:`Statement.output`."""
        (steps,) = self.parts
        _, getting = cast("tuple[Any, Statement[M]]", steps._inner)
        return getting.output(column, type)


@overload
def insert_or_get(
    table: str,
    row: type[R],
    model: Callable[..., M],
    *,
    key: Iterable[Key],
    where: Mapping[str, bool | int | str | None] | None = None,
    nulls_not_distinct: bool = False,
    same: Iterable[str] = (),
    raises: Raises | None = None,
) -> InsertOrGet[M, R]: ...
@overload
def insert_or_get(
    table: str,
    row: Row,
    model: Callable[..., M],
    *,
    key: Iterable[Key],
    where: Mapping[str, bool | int | str | None] | None = None,
    nulls_not_distinct: bool = False,
    same: Iterable[str] = (),
    raises: Raises | None = None,
) -> InsertOrGet[M, object]: ...
def insert_or_get(
    table: str,
    row: Any,
    model: Callable[..., M],
    *,
    key: Iterable[Key],
    where: Mapping[str, bool | int | str | None] | None = None,
    nulls_not_distinct: bool = False,
    same: Iterable[str] = (),
    raises: Raises | None = None,
) -> InsertOrGet[M, Any]:
    """Insert a row, or get the existing one, so that a request can be repeated.

    The row is locked until COMMIT. If another transaction deletes an existing row between the two
    steps, the run raises :class:`~batchq.GuardFailed`; with ``same=`` the first step locks it, so
    that cannot happen. Above READ COMMITTED, a row inserted or deleted by another transaction since
    this one started raises :class:`~batchq.SerializationConflict`.

    :param table: as in :func:`~batchq.insert`.
    :param row: as in :func:`~batchq.insert`.
    :param model: the model of the row, as in :meth:`Statement.one`. It must be a class with fields,
        which determine the columns to read.
    :param key: the columns of the unique index, and its expressions: ``sql("lower(name)")``. The
        row is found again by their values, so neither the type of a column nor a trigger may
        change these.
    :param where: the predicate of that index, if it is partial, as in
        :meth:`Statement.on_conflict_do_nothing`.
    :param nulls_not_distinct: True if the index is NULLS NOT DISTINCT: a None in ``key`` is then
        found as well.
    :param same: columns in which an existing row must equal the row to insert. They are compared as
        stored, after the column's type and triggers are applied: 12.345 in a numeric(10, 2) is
        12.35. A row that is inserted is not checked.
    :param raises: what to raise if they differ, as in :meth:`Statement.require`.
    :return: a batch whose result is :class:`~batchq.types.Inserted`: the row, and if it is new. Its
        :meth:`InsertOrGet.output` is a column of the row.
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
    keys = checked_key("insert_or_get(key=)", key, '["silo_id", "name"]')
    compared = checked_names("insert_or_get(same=)", same, '["size"]')
    if raises is not None and not compared:
        raise InvalidBatch(
            "insert_or_get(raises=): without same= no row is compared; pass same= or drop raises="
        )
    predicate = _predicate(where)
    if type(nulls_not_distinct) is not bool:
        raise InvalidBatch(
            f"insert_or_get(nulls_not_distinct=): pass True or False, not "
            f"{nulls_not_distinct!r:.40}"
        )
    source = cast("Insert", inserting._shape.source)
    if source.query is not None:
        raise InvalidBatch("insert_or_get(): pass one row, not a select(), whose rows are unknown")
    for name, required in predicate.items():
        _check_indexed(source, inserting._values, name, required)
    known, more = conditions_of(inserting, keys, nulls_not_distinct=nulls_not_distinct)
    plain = {**known, **predicate}
    existing = select(table, where=[*([plain] if plain else []), *more] if more else plain)
    getting = existing._locked("no key update", fresh=False).one(model)
    inserted = inserting.on_conflict_do_nothing(*keys, index_where=predicate or None).count()
    for name in compared:
        if isinstance(check_set("insert_or_get()", inserting, name), RawSql):
            raise InvalidBatch(
                f"insert_or_get(same=): {name!r} is an expression; pass a value to compare"
            )
        inserted = inserted._with_condition(When.CONFLICT, ((name, SAME),), (), raises, ())
    check_named("insert_or_get()", model)
    steps = gather(inserted.label("insert"), getting.label("get"))
    return InsertOrGet((steps,), steps._required_outputs, (_both, True, 0))


def _both(results: tuple[int, M]) -> Inserted[M]:
    return Inserted(results[1], results[0] == 1)


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
