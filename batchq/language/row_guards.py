# SPDX-License-Identifier: MIT
"""Guards on the rows of a statement: how many, which conditions, which locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Self, TypeVar, cast, get_args

from batchq.language import shape_changes
from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Bound, Requirement, When
from batchq.language.inputs import Where, read_conditions
from batchq.language.mapping import Raises
from batchq.language.matchers import MISSING_ROWS, UNEXPECTED_ROWS, Matcher, unmet
from batchq.language.shape import Shape
from batchq.language.syntax import Conditions, Insert, RawSql, columns_in
from batchq.language.templates import ErrorTemplate
from batchq.language.validation import is_text, listed

T_co = TypeVar("T_co", covariant=True)

Strength = Literal["update", "no key update", "share", "key share"]
"""PostgreSQL documentation, "Row-Level Locks", strongest first."""


class RowGuards(Batch[T_co]):
    """The methods of a statement that guard its rows; each returns a new statement."""

    __slots__ = ()

    _shape: Shape

    def on(self, matcher: Matcher, raises: Raises) -> Self:
        """Map a failure of this statement."""
        raise NotImplementedError

    def _shaped(self, shape: Shape, values: tuple[object, ...] = ()) -> Self:
        raise NotImplementedError

    def expect(
        self,
        rows: int | None = None,
        /,
        *,
        at_least: int | None = None,
        at_most: int | None = None,
        missing: Raises | None = None,
        unexpected: Raises | None = None,
        columns: Iterable[str] = (),
    ) -> Self:
        """Guard the number of rows: the server aborts the transaction before COMMIT.

        :param rows: exactly this number of rows.
        :param at_least: this number of rows or more; instead of ``rows``.
        :param at_most: this number of rows or fewer; instead of ``rows``.
        :param missing: what to raise for too few rows, as in :meth:`on`.
        :param unexpected: what to raise for too many rows. With ``expect(0)`` on a ``select()`` or
            on a ``sql()`` that selects, the error carries the first of them, and
            :func:`~batchq.format_error` writes its text.
        :param columns: with ``expect(0)`` on a ``sql()``, the columns that the error carries
            besides those that ``format_error()`` names. A ``select()`` carries all it selects by
            name.
        :raises InvalidBatch: for a number that always holds or never can.

        Without a mapping for it, the wrong number of rows raises :class:`~batchq.GuardFailed`.

        A select without a result shape is a guard alone. It is a step of its own, and under READ
        COMMITTED it sees what was committed until it runs. ``expect(0)``, and ``at_least=`` on a
        ``select()`` of plain columns, stop at the row that decides.

        >>> from batchq import format_error, select, update
        >>> update("project", {"name": "web"}, where={"id": 7}).expect(1, missing=LookupError("7"))
        <Statement update project: exactly 1 row>
        >>> vpcs = select("vpc", ["name"], where={"project_id": 7})
        >>> vpcs.expect(0, unexpected=format_error(ValueError, "project contains a vpc: {name}"))
        <Statement select vpc: exactly 0 rows>
        """
        bound, number = _row_count(rows, at_least, at_most)
        if missing is not None and (bound is Bound.AT_MOST or number == 0):
            message = "expect(missing=…): no number of rows is too few here; say unexpected="
            raise InvalidBatch(message)
        if unexpected is not None and bound is Bound.AT_LEAST:
            message = "expect(at_least=…, unexpected=…): no number of rows is too many here"
            raise InvalidBatch(message)
        carried = columns_of(columns)
        if isinstance(unexpected, ErrorTemplate):
            carried = (*carried, *unexpected.columns)
        if carried and (bound is not Bound.EXACTLY or number != 0):
            message = "expect(columns=…): only expect(0) finds a row to carry columns of"
            raise InvalidBatch(message)
        counted = shape_changes.with_row_count(self._shape, bound.value, number, carried)
        guarded: Self = self._shaped(counted)
        if missing is not None:
            guarded = guarded.on(MISSING_ROWS, missing)
        return guarded if unexpected is None else guarded.on(UNEXPECTED_ROWS, unexpected)

    def require(
        self, condition: Where, /, *, raises: Raises | None = None, columns: Iterable[str] = ()
    ) -> Self:
        """Require a condition of each row that ``where`` finds, before the statement changes it.

        A row that does not exist, a row that is soft-deleted and a row of another generation are
        three different answers to a caller. ``where`` says which row is meant; each ``require``
        says what must hold of it. They are checked in order. The first that does not hold decides
        the error, and :attr:`Violation.row` carries the values of the row.

        On an update or delete without a result shape it implies ``.expect(1)``: write
        ``.expect(1, missing=…)``, or ``.expect(at_most=1)`` if the row may be absent.

        :param condition: as ``where`` of :func:`~batchq.update`.
        :param raises: what to raise for a row that does not meet it, as in :meth:`on`; default:
            :class:`~batchq.GuardFailed`, an internal error.
        :param columns: columns whose values the error carries, besides those of the conditions.
        :raises InvalidBatch: on an insert or a ``sql()`` text; use :meth:`ensure` there.

        >>> from batchq import update
        >>> (
        ...     update("project", {"name": "web"}, where={"id": 7})
        ...     .expect(1, missing=LookupError("no such project"))
        ...     .require({"deleted_at": None}, raises=LookupError("deleted"))
        ...     .require({"version": 3}, raises=lambda v: ValueError(f"now {v.row['version']}"))
        ... )
        <Statement update project: exactly 1 row, require("deleted_at"), require("version")>
        """
        return self._check_before("require", condition, raises, columns)

    def refuse(
        self, condition: Where, /, *, raises: Raises | None = None, columns: Iterable[str] = ()
    ) -> Self:
        """Refuse each row that ``where`` finds and for which a condition holds.

        The negative of :meth:`require`, with the same arguments and in the same order as those. A
        row for which the condition is false or NULL passes.

        >>> from batchq import update
        >>> attach = update("disk", {"state": "attached", "instance_id": 3}, where={"id": 7})
        >>> mine = {"state": "attached", "instance_id": 3}
        >>> attach.refuse(mine, raises=ValueError("attached to this instance already"))
        <Statement update disk: exactly 1 row, refuse("state", "instance_id")>
        """
        return self._check_before("refuse", condition, raises, columns)

    def _check_before(
        self, call: str, condition: Where, raises: Raises | None, columns: Iterable[str]
    ) -> Self:
        if isinstance(self._shape.source, RawSql | Insert):
            message = (
                f"{call}(): where= finds no row of an insert or a sql() text; of the rows that "
                'they return say .ensure({"column": …})'
            )
            raise InvalidBatch(message)
        test, values = read_conditions(condition)
        return self._with_condition(
            When.BEFORE, test, values, raises, columns, refuses=call == "refuse"
        )

    def ensure(
        self,
        expected: Mapping[str, object],
        /,
        *,
        raises: Raises | None = None,
        columns: Iterable[str] = (),
    ) -> Self:
        """Check each row that the statement returns, as it is afterwards.

        :param expected: columns that are returned, each with its value as in ``where`` of
            :func:`~batchq.update`. A built write returns them for this alone.
        :param raises: what to raise for a row that differs, as in :meth:`require`.
        :param columns: columns whose values the error carries, besides these.

        >>> from batchq import insert
        >>> insert("disk", {"id": 7}).ensure({"state": "creating"}, raises=ValueError("raced"))
        <Statement insert disk: ensure("state")>
        """
        given = cast("object", expected)
        if not isinstance(given, Mapping):
            message = (
                'ensure(): name the columns that are returned, {"state": "ready"}, not '
                f"{type(given).__name__}"
            )
            raise InvalidBatch(message)
        test, values = read_conditions(expected)
        return self._with_condition(When.AFTER, test, values, raises, columns)

    def for_update(
        self,
        *,
        strength: Strength = "update",
        nowait: bool = False,
        skip_locked: bool = False,
        order: Iterable[str] = (),
    ) -> Self:
        """Lock the rows that a select finds until COMMIT.

        Under READ COMMITTED every statement sees what was committed before it began. The steps
        after this one begin once the lock is held, so what they see is no older than the lock.
        Conditions on the row itself are said by :meth:`require`, and ``.one(Model)`` reads it. A
        row that does not meet them fails at once, without waiting for a transaction that is about
        to change it.

        Under REPEATABLE READ the later steps would see what was committed when the transaction
        began, before the lock was held. It is rejected with :class:`~batchq.InvalidBatch` before
        anything is sent if ``isolation=`` or the connection says so, and by the server with
        :class:`~batchq.GuardFailed` if it is the default of the session or of an outer transaction.
        Under SERIALIZABLE the server finds the conflict with every other SERIALIZABLE transaction
        and with every change of the row; not with a transaction that only locks it at another
        level.

        :param strength: ``"update"`` also keeps out inserts that reference the row by a foreign
            key; ``"no key update"`` is what an update of other columns takes; ``"share"``, ``"key
            share"`` (PostgreSQL documentation, "Row-Level Locks"). CockroachDB has two of the four,
            and takes the stronger one for the others.
        :param nowait: fail with SQLSTATE 55P03 instead of waiting for a lock.
        :param skip_locked: leave out rows that are locked.
        :param order: columns by which the rows are locked in order, so that two batches that lock
            the same rows do not deadlock.
        :raises InvalidBatch: on anything but a ``select()``.

        >>> from batchq import select
        >>> project = select("project", where={"id": 7})
        >>> project.for_update().expect(1, missing=LookupError("no such project"))
        <Statement lock project: exactly 1 row>
        """
        return self._locked(strength, nowait=nowait, skip_locked=skip_locked, order=order)

    def _locked(
        self,
        strength: Strength,
        *,
        nowait: bool = False,
        skip_locked: bool = False,
        order: Iterable[str] = (),
        fresh: bool = True,
    ) -> Self:
        """Lock rows as :meth:`for_update`.

        :param fresh: False for patterns in which every other transaction *changes* that row. Above
            READ COMMITTED the second of them is a conflict, and an old snapshot decides nothing.
        """
        if strength not in get_args(Strength):
            message = (
                f"for_update(strength=): one of {', '.join(get_args(Strength))}, not "
                f"{strength!r:.40}"
            )
            raise InvalidBatch(message)
        if nowait and skip_locked:
            message = (
                "for_update(): nowait= fails at a locked row, skip_locked= leaves it out: drop one"
            )
            raise InvalidBatch(message)
        by = listed("for_update(order=)", order, '["id"]')
        if not all(map(is_text, by)):
            message = 'for_update(order=): name columns, ["id"]'
            raise InvalidBatch(message)
        wait = " NOWAIT" if nowait else " SKIP LOCKED" if skip_locked else ""
        return self._shaped(
            shape_changes.with_lock(self._shape, strength.upper() + wait, by, fresh)
        )

    def _with_condition(
        self,
        when: When,
        test: Conditions,
        values: tuple[object, ...],
        raises: Raises | None,
        columns: Iterable[str],
        *,
        refuses: bool = False,
    ) -> Self:
        """Add a requirement: :meth:`require`, :meth:`refuse` and :meth:`ensure` come down to it."""
        named = raises.columns if isinstance(raises, ErrorTemplate) else ()
        carried = tuple(dict.fromkeys((*columns_in(test), *columns_of(columns), *named)))
        requirement = Requirement(when, test, carried, refuses)
        shape = shape_changes.with_condition(self._shape, requirement)
        guarded = self._shaped(shape, values)
        if raises is None:
            return guarded
        return guarded.on(unmet(len(self._shape.conditions), requirement), raises)


def _row_count(rows: int | None, at_least: int | None, at_most: int | None) -> tuple[Bound, int]:
    """Read the arguments of :meth:`Statement.expect`.

    :raises InvalidBatch: for none or several of them.
    """
    if (rows is not None) + (at_least is not None) + (at_most is not None) != 1:
        message = "expect() takes either a number of rows, or at_least=, or at_most="
        raise InvalidBatch(message)
    if at_least is not None:
        return Bound.AT_LEAST, at_least
    return (Bound.EXACTLY, cast("int", rows)) if at_most is None else (Bound.AT_MOST, at_most)


def columns_of(columns: Iterable[str]) -> tuple[str, ...]:
    """Read ``columns=``.

    :raises InvalidBatch: for what is not a list.
    """
    return listed("columns=", columns, '["id", "name"]')
