# SPDX-License-Identifier: MIT
"""Guard the rows of a statement by their number, and by locks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self, get_args

from batchq.language import guard_changes, shape_changes
from batchq.language.errors import InvalidBatch
from batchq.language.mapping import Raises, checked_raises
from batchq.language.matchers import MISSING_ROWS, UNEXPECTED_ROWS
from batchq.language.row_conditions import RowConditions
from batchq.language.templates import ErrorTemplate
from batchq.language.type_variables import R_contra, T_co
from batchq.language.validation import listed_columns

Strength = Literal["update", "no key update", "share", "key share"]
"""PostgreSQL documentation, "Row-Level Locks", strongest first."""


class RowGuards(RowConditions[T_co, R_contra]):
    """The methods of a statement that guard its rows; each returns a new statement."""

    __slots__ = ()

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
        :param missing: what to raise for too few rows; as ``raises`` of :meth:`on`.
        :param unexpected: what to raise for too many rows. With ``expect(0)`` on a ``select()`` or
            on a ``sql()`` that selects, the error has the first of them in
            :attr:`Violation.row`, and :func:`~batchq.format_error` can use it in its text.
        :param columns: with ``expect(0)`` on a ``sql()``, the columns of that row to report, in
            addition to those in ``format_error()``. A ``select()`` reports all columns that it
            selects by name.
        :raises InvalidBatch: for a number that is always or never reached, or an argument that the
            number excludes.

        Without ``missing`` and ``unexpected``, the wrong number of rows raises
        :class:`~batchq.GuardFailed`.

        A select without a result shape is only a guard: a step of its own, which under READ
        COMMITTED sees what was committed before it runs. With ``expect(0)``, and with ``at_least=``
        on a ``select()`` of plain columns, the server stops at the row that decides.

        >>> from batchq import format_error, select, update
        >>> update("project", {"name": "web"}, where={"id": 7}).expect(1, missing=LookupError("7"))
        <Statement update project: exactly 1 row>
        >>> vpcs = select("vpc", ["name"], where={"project_id": 7})
        >>> vpcs.expect(0, unexpected=format_error(ValueError, "project contains a vpc: {name}"))
        <Statement select vpc: exactly 0 rows>
        """
        reported = () if columns == () else listed_columns("expect()", columns)
        if type(unexpected) is ErrorTemplate and isinstance(unexpected, ErrorTemplate):
            reported = (*reported, *unexpected.columns)
        few, many = missing is not None, unexpected is not None
        try:
            shape = guard_changes.with_row_count(
                self._shape, rows, at_least, at_most, reported, few, many
            )
        except TypeError:  # one is not hashable
            given = rows, at_least, at_most
            wrong = next(
                number for number in given if number is not None and type(number) is not int
            )
            raise guard_changes.not_a_number(wrong) from None
        raises: tuple[Raises, ...] = ()
        if missing is not None:
            raises = (checked_raises(MISSING_ROWS, missing),)
        if unexpected is not None:
            raises += (checked_raises(UNEXPECTED_ROWS, unexpected),)
        return self._shaped(shape, (), raises)

    def for_update(
        self,
        *,
        strength: Strength = "update",
        nowait: bool = False,
        skip_locked: bool = False,
    ) -> Self:
        """Lock the rows of a select until COMMIT.

        Under READ COMMITTED, each statement sees what was committed before it started. The steps
        after this one start when the lock is held, so they see the state as of the lock or later.
        Two batches that lock the same rows do not deadlock if both have the same ``order_by=``.
        Add :meth:`require` for conditions on the row, and ``.one(Model)`` to read it. A row that
        does not meet the conditions fails at once, without waiting for a transaction that has
        locked it.

        Under REPEATABLE READ, the later steps would see the state as of the start of the
        transaction, before the lock. So the batch is rejected: with :class:`~batchq.InvalidBatch`
        before anything is sent if ``isolation=`` or the connection sets that level, and by the
        server with :class:`~batchq.GuardFailed` if it is the level of the session or of an outer
        transaction. Under SERIALIZABLE, the server detects a conflict with another SERIALIZABLE
        transaction and with any change of the row, but not with a transaction at another level
        that only locks the row.

        :param strength: ``"update"`` also blocks inserts that reference the row by a foreign key;
            ``"no key update"`` is the lock of an UPDATE of other columns; ``"share"``; ``"key
            share"`` (PostgreSQL documentation, "Row-Level Locks"). CockroachDB has two of the four,
            and uses the stronger one instead of each other.
        :param nowait: fail with SQLSTATE 55P03 instead of waiting for a lock.
        :param skip_locked: omit rows that are locked.
        :raises InvalidBatch: on any statement but a ``select()``, or for a wrong argument.

        >>> from batchq import select
        >>> project = select("project", where={"id": 7})
        >>> project.for_update().expect(1, missing=LookupError("no such project"))
        <Statement lock project: exactly 1 row>
        """
        return self._locked(strength, nowait=nowait, skip_locked=skip_locked)

    def _locked(
        self,
        strength: Strength,
        *,
        nowait: bool = False,
        skip_locked: bool = False,
        fresh: bool = True,
    ) -> Self:
        """Lock rows as :meth:`for_update`.

        :param fresh: False if every other transaction that locks the row also *changes* it. Above
            READ COMMITTED the second one then fails with a conflict, so an old snapshot is safe.
        """
        if strength not in get_args(Strength):
            raise InvalidBatch(
                f"for_update(strength=): pass one of {', '.join(get_args(Strength))}, not "
                f"{strength!r:.40}"
            )
        for name, flag in ("nowait", nowait), ("skip_locked", skip_locked):
            if type(flag) is not bool:
                raise InvalidBatch(f"for_update({name}=): pass True or False, not {flag!r:.40}")
        if nowait and skip_locked:
            raise InvalidBatch(
                "for_update(): nowait= fails at a locked row, skip_locked= omits it; drop one"
            )
        wait = " NOWAIT" if nowait else " SKIP LOCKED" if skip_locked else ""
        return self._shaped(shape_changes.with_lock(self._shape, strength.upper() + wait, fresh))
