# SPDX-License-Identifier: MIT
"""Define the statement: one SQL command with its parameters, result, guards and mappings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast, overload

from batchq.language import shape_changes
from batchq.language.binding import NO_ROW, given
from batchq.language.each import Each, read_rows
from batchq.language.errors import InvalidBatch
from batchq.language.on_conflict import OnConflict
from batchq.language.other_names import OtherNames
from batchq.language.parameters import Parameter
from batchq.language.partial import replaced, replacements_of, taken_as
from batchq.language.placement import Schedulable
from batchq.language.results import Changed, Inserted, Updated
from batchq.language.tree import declared
from batchq.language.type_variables import Named, R_contra, T_co
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.batch import Batch

M = TypeVar("M")
N = TypeVar("N", bound=NamedTuple)
R = TypeVar("R")


@value
class Statement(OnConflict[T_co, R_contra], Schedulable[T_co, R_contra], OtherNames):
    """A batch of one SQL command. Immutable: every method returns a new statement.

    Created by :func:`~batchq.sql`, :func:`~batchq.insert`, :func:`~batchq.update`,
    :func:`~batchq.delete` and :func:`~batchq.select`. It can be run alone or composed.
    """

    # -- the result shape --------------------------------------------------------------------------

    @overload
    def one(self, model: type[N]) -> Statement[N, R_contra]: ...
    @overload
    def one(self, model: type[tuple[Any, ...]]) -> Statement[tuple[Any, ...], R_contra]: ...
    @overload
    def one(self, model: type[dict[Any, Any]]) -> Statement[dict[str, Any], R_contra]: ...
    @overload
    def one(self, model: Callable[..., M]) -> Statement[M, R_contra]: ...
    def one(self, model: Callable[..., Any]) -> Statement[Any, R_contra]:
        """Return exactly one row as a ``model``.

        On a built insert, update or delete this adds RETURNING with the columns of the model. On
        any statement that may return another number of rows it is also a guard: the server aborts
        the transaction unless there is exactly one row.

        :param model: an attrs class, dataclass, NamedTuple, TypedDict, or any other class that
            takes columns by name, such as Pydantic's and msgspec's; ``tuple`` or ``dict``; or a
            function. A class of one argument gets the column of that name, or the row as a dict. A
            function of one argument gets the row as a dict, one of several the columns by name.
        :raises InvalidBatch: if the model cannot take the columns, as far as they are known.

        >>> from batchq import select
        >>> select("project", ["id", "name"], where={"id": 7}).one(tuple)
        <Statement select project: one(tuple), exactly 1 row>
        """
        return self._with_result("one", model)

    @overload
    def maybe(self, model: type[N]) -> Statement[N | None, R_contra]: ...
    @overload
    def maybe(
        self, model: type[tuple[Any, ...]]
    ) -> Statement[tuple[Any, ...] | None, R_contra]: ...
    @overload
    def maybe(self, model: type[dict[Any, Any]]) -> Statement[dict[str, Any] | None, R_contra]: ...
    @overload
    def maybe(self, model: Callable[..., M]) -> Statement[M | None, R_contra]: ...
    def maybe(self, model: Callable[..., Any]) -> Statement[Any, R_contra]:
        """Return one row as a ``model``, or None if there is none.

        It is also a guard: the server aborts the transaction if there is a second row.

        :param model: as in :meth:`one`.
        :raises InvalidBatch: as in :meth:`one`.
        """
        return self._with_result("maybe", model)

    @overload
    def all(  # pyright: ignore[reportOverlappingOverload]  a list is invariant
        self, model: type[N]
    ) -> Statement[list[N], R_contra]: ...
    @overload
    def all(self, model: type[tuple[Any, ...]]) -> Statement[list[tuple[Any, ...]], R_contra]: ...
    @overload
    def all(self, model: type[dict[Any, Any]]) -> Statement[list[dict[str, Any]], R_contra]: ...
    @overload
    def all(self, model: Callable[..., M]) -> Statement[list[M], R_contra]: ...
    def all(self, model: Callable[..., Any]) -> Statement[Any, R_contra]:
        """Return every row as a ``model``, in a list.

        :param model: as in :meth:`one`.
        :raises InvalidBatch: as in :meth:`one`.
        """
        return self._with_result("all", model)

    @overload
    def updated(self, model: type[N]) -> Statement[Updated[N], R_contra]: ...
    @overload
    def updated(
        self, model: type[tuple[Any, ...]]
    ) -> Statement[Updated[tuple[Any, ...]], R_contra]: ...
    @overload
    def updated(
        self, model: type[dict[Any, Any]]
    ) -> Statement[Updated[dict[str, Any]], R_contra]: ...
    @overload
    def updated(self, model: Callable[..., M]) -> Statement[Updated[M], R_contra]: ...
    def updated(self, model: Callable[..., Any]) -> Statement[Updated[Any], R_contra]:
        """Return the row of an update with :meth:`unless`, and whether it was changed.

        A guard as in :meth:`one`: the row must exist.

        :param model: as in :meth:`one`.
        :return: a statement whose result is :class:`~batchq.types.Updated`.
        :raises InvalidBatch: as in :meth:`one`, and without an ``unless()`` before it.

        >>> from batchq import update
        >>> on = update("disk", {"state": "on"}, where={"id": 7}).unless({"state": "on"})
        >>> on.returning("id", "state").updated(tuple)
        <Statement update disk: updated(tuple), exactly 1 row, unless("state")>
        """
        return self._with_result("updated", model)

    @overload
    def change(self, model: type[N]) -> Statement[Changed[N], R_contra]: ...
    @overload
    def change(
        self, model: type[tuple[Any, ...]]
    ) -> Statement[Changed[tuple[Any, ...]], R_contra]: ...
    @overload
    def change(
        self, model: type[dict[Any, Any]]
    ) -> Statement[Changed[dict[str, Any]], R_contra]: ...
    @overload
    def change(self, model: Callable[..., M]) -> Statement[Changed[M], R_contra]: ...
    def change(self, model: Callable[..., Any]) -> Statement[Changed[Any], R_contra]:
        """Return the row of an update before and after it; a guard as in :meth:`one`.

        The row is locked first, so no other transaction has changed it between the two.

        :param model: as in :meth:`one`.
        :return: a statement whose result is :class:`~batchq.types.Changed`.
        :raises InvalidBatch: as in :meth:`one`, on any statement but an ``update()``, and with
            :meth:`unless`.

        >>> from batchq import sql, update
        >>> once_more = update("host", {"seen": sql("seen + 1")}, where={"id": 7})
        >>> once_more.returning("seen").change(tuple)
        <Statement update host: change(tuple), exactly 1 row>
        """
        return self._with_result("change", model)

    @overload
    def inserted(self, model: type[N]) -> Statement[Inserted[N], R_contra]: ...
    @overload
    def inserted(
        self, model: type[tuple[Any, ...]]
    ) -> Statement[Inserted[tuple[Any, ...]], R_contra]: ...
    @overload
    def inserted(
        self, model: type[dict[Any, Any]]
    ) -> Statement[Inserted[dict[str, Any]], R_contra]: ...
    @overload
    def inserted(self, model: Callable[..., M]) -> Statement[Inserted[M], R_contra]: ...
    def inserted(self, model: Callable[..., Any]) -> Statement[Inserted[Any], R_contra]:
        """Return the row of an upsert, and whether it was inserted; a guard as in :meth:`one`.

        Without a guard, an insert of which a BEFORE trigger returns NULL is
        :class:`~batchq.DecodeFailed`, after COMMIT.
        Before PostgreSQL 18 a partitioned table does not report it; :func:`insert_or_get` does.

        :param model: as in :meth:`one`.
        :return: a statement whose result is :class:`~batchq.types.Inserted`.
        :raises InvalidBatch: as in :meth:`one`, and without ``on_conflict_do_update()`` before it.

        >>> from batchq import insert
        >>> seen = insert("host", {"name": "a"}).on_conflict_do_update("name", set=["name"])
        >>> seen.returning("id").inserted(tuple)
        <Statement insert host: inserted(tuple)>
        """
        return self._with_result("inserted", model)

    @overload
    def scalar(self, type_: type[M]) -> Statement[M, R_contra]: ...
    @overload
    def scalar(self, type_: type[M], *, null: Literal[False]) -> Statement[M, R_contra]: ...
    @overload
    def scalar(self, type_: type[M], *, null: bool) -> Statement[M | None, R_contra]: ...
    def scalar(self, type_: type[Any], *, null: bool = False) -> Statement[Any, R_contra]:
        """Return the value of one column of exactly one row.

        A guard as in :meth:`one`. A value of another type, or NULL, raises
        :class:`~batchq.DecodeFailed` after COMMIT.

        :param type_: the Python class of the value.
        :param null: True if the value may be NULL, which is returned as None.
        :raises InvalidBatch: if it is not a class, or the statement names several columns.
        """
        if type(null) is not bool:
            raise InvalidBatch(f"scalar(null=): pass True or False, not {null!r:.40}")
        return self._shaped(shape_changes.with_result(self._shape, "scalar", type_, null))

    def count(self) -> Statement[int, R_contra]:
        """Return the number of rows affected; for a select, of those found, counted there."""
        return self._with_result("count", None)

    def exists(self) -> Statement[bool, R_contra]:
        """Return whether a select finds a row; the server stops at the first one.

        To fail without one, or with one, use :meth:`expect` instead.

        :raises InvalidBatch: on any statement but a ``select()``, or beside guards or locks.

        >>> from batchq import select, steps
        >>> taken = select("project", where={"name": "web"}).exists()
        >>> steps(taken)[0].sql
        'SELECT EXISTS (SELECT 1 FROM "project" WHERE "name" = $1) AS found'
        """
        return self._with_result("exists", None)

    @overload
    def bind(self: Statement[T_co, Named], /, **values: object) -> Statement[T_co]: ...
    @overload
    def bind(self, row: R_contra, /, **values: object) -> Statement[T_co]: ...
    def bind(self, row: Any = NO_ROW, /, **values: object) -> Statement[T_co]:
        """Return the statement with values in the place of its parameters, ready to be run.

        As :meth:`Batch.bind`.

        >>> from batchq import delete, param
        >>> MEMBER = delete("member", where={"org_id": param("org", int)}).count()
        >>> MEMBER.bind(org=7)
        <Statement delete member: count()>
        """
        if row is NO_ROW and not values and Parameter not in map(type, self._values):
            return cast("Statement[T_co]", self)
        takes = (getattr(self, "_declared", None) or declared(self, "bind()"))[1]
        own = given(takes, row, values)
        own = own if takes.pick is None else takes.pick(own + takes.constants)
        return Statement(self._shape, own, self._raises, self._labels)

    def partial(self, /, **values: object) -> Statement[T_co, Named]:
        """Return the statement with some of its parameters set; as :meth:`Batch.partial`.

        :param values: for each name a constant, a :func:`~batchq.param`, a field of
            :func:`~batchq.row`, a ``sql()`` fragment, or an :meth:`output`.
        :raises InvalidBatch: as :meth:`Batch.partial`.

        >>> from batchq import param, steps, update
        >>> NAME = update("vpc", {"name": param("name", str)}, where={"id": param("id", int)})
        >>> DEFAULT = NAME.partial(name="default")
        >>> steps(DEFAULT.bind(id=7))[0].parameters
        ('default', 7)
        """
        replace = replacements_of(declared(self, "partial()")[1], (self,), values)
        shape, own = replaced(self._shape, self._values, replace)
        statement: Statement[T_co, Named] = Statement(shape, own, self._raises, self._labels)
        declared(statement, "partial()")
        return statement

    def each(self, rows: Iterable[R_contra], /) -> Batch[list[T_co]]:
        """Return a batch that runs the statement once for each row, in order.

        Each is a statement of its own, in one transaction; see also ``BatchError.bound_row``.

        :param rows: rows of the class that the statement takes; they are read at once.
        :return: a batch with the list of the results; with None if the statement has no result.
        :raises InvalidBatch: for a row of another class, or if values by name are missing.

        >>> from attrs import frozen
        >>> from batchq import insert
        >>> @frozen
        ... class NewRule:
        ...     vpc_id: int
        ...     name: str
        >>> insert("rule", NewRule).each([NewRule(7, "ssh"), NewRule(7, "web")])
        <Each of 2 statements>
        """
        # Another statement, because an output of the declared one is that of no row.
        repeated: Statement[T_co] = Statement(self._shape, self._values, self._raises, self._labels)
        return Each(self, repeated, *read_rows(declared(self, "each()")[1], rows))

    def takes(self, row: type[R], /) -> Statement[T_co, R]:
        """Return the statement with the fields of a class in the place of its parameters."""
        replace = taken_as(declared(self, "takes()")[1], (self,), row)
        return cast("Statement[T_co, R]", self._replaced(replace))

    def _with_result(self, rows: str, model: object) -> Statement[Any]:
        shape = shape_changes.with_result(self._shape, rows, model)
        return Statement(shape, self._values, self._raises, self._labels, self._first or self)
