# SPDX-License-Identifier: MIT
"""Guard the rows of a statement: their number, conditions on each, and locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Self, cast, get_args

from batchq.language import shape_changes
from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.guards import When, operator_of
from batchq.language.inputs import Where, read_conditions
from batchq.language.mapping import Raises
from batchq.language.matchers import MISSING_ROWS, UNEXPECTED_ROWS, Matcher
from batchq.language.shape import Shape
from batchq.language.spelling import with_article
from batchq.language.syntax import Conditions, Insert, RawSql
from batchq.language.templates import ErrorTemplate
from batchq.language.type_variables import R_contra, T_co
from batchq.language.validation import is_text, listed, listed_columns
from batchq.language.whole_rows import not_columns

Strength = Literal["update", "no key update", "share", "key share"]
"""PostgreSQL documentation, "Row-Level Locks", strongest first."""


class RowGuards(Batch[T_co, R_contra]):
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
        operator, number = operator_of(rows, at_least, at_most)
        if missing is not None and (operator == "<=" or number == 0):
            raise InvalidBatch(
                "expect(missing=…): any number of rows is enough here; use unexpected="
            )
        if unexpected is not None and operator == ">=":
            raise InvalidBatch(
                "expect(at_least=…, unexpected=…): no number is too large here; use missing="
            )
        reported = listed_columns("expect()", columns)
        if isinstance(unexpected, ErrorTemplate):
            reported = (*reported, *unexpected.columns)
        if reported and (operator != "=" or number != 0):
            raise InvalidBatch(
                "expect(columns=…): only expect(0) reports a row; drop columns= and the names in "
                "format_error()"
            )
        try:
            counted = shape_changes.with_row_count(self._shape, operator, number, reported)
        except TypeError:  # it is not hashable
            raise shape_changes.not_a_number(number) from None
        guarded: Self = self._shaped(counted)
        if missing is not None:
            guarded = guarded.on(MISSING_ROWS, missing)
        return guarded if unexpected is None else guarded.on(UNEXPECTED_ROWS, unexpected)

    def require(
        self, condition: Where, /, *, raises: Raises | None = None, columns: Iterable[str] = ()
    ) -> Self:
        """Require a condition of each row that ``where`` selects, before the statement changes it.

        For a caller, a row that does not exist, a row that is soft-deleted and a row with another
        version are three different errors. So ``where`` selects the row, and each ``require``
        checks one condition on it. They are checked in order: the first that fails determines the
        error, whose :attr:`Violation.row` has the values of the row.

        On a statement without a result shape (update, delete or select), ``require`` and ``refuse``
        imply ``.expect(1)``. Add ``.expect(1, missing=…)``, or ``.expect(at_most=1)`` if the row
        may be missing.

        :param condition: as ``where`` of :func:`~batchq.update`.
        :param raises: what to raise for a row that does not meet it, as in :meth:`on`; default:
            :class:`~batchq.GuardFailed`, for a bug.
        :param columns: columns of the row to report, in addition to those of the condition.
        :raises InvalidBatch: on an insert or a ``sql()`` text; use :meth:`ensure` instead.

        >>> from batchq import update
        >>> (
        ...     update("project", {"name": "web"}, where={"id": 7})
        ...     .expect(1, missing=LookupError("no such project"))
        ...     .require({"deleted_at": None}, raises=LookupError("deleted"))
        ...     .require({"version": 3}, raises=lambda v: ValueError(f"now {v.row['version']}"))
        ... )
        <Statement update project: exactly 1 row, require("deleted_at"), require("version")>
        """
        return self._check_before("require()", condition, raises, columns)

    def refuse(
        self, condition: Where, /, *, raises: Raises | None = None, columns: Iterable[str] = ()
    ) -> Self:
        """Reject each row that ``where`` selects and for which a condition holds.

        The opposite of :meth:`require`, with the same arguments; both are checked in the order of
        the calls. A row for which the condition is false or NULL passes. A mapping of two columns
        rejects a row only if both match; to reject it for either, call ``refuse`` twice.

        As :meth:`require`, this implies ``.expect(1)`` on a statement without a result shape.

        :raises InvalidBatch: as :meth:`require`.

        >>> from batchq import update
        >>> attach = update("disk", {"state": "attached", "instance_id": 3}, where={"id": 7})
        >>> mine = {"state": "attached", "instance_id": 3}
        >>> attach.refuse(mine, raises=ValueError("attached to this instance already"))
        <Statement update disk: exactly 1 row, refuse("state", "instance_id")>
        """
        return self._check_before("refuse()", condition, raises, columns)

    def _check_before(
        self, call: str, condition: Where, raises: Raises | None, columns: Iterable[str]
    ) -> Self:
        if isinstance(self._shape.source, RawSql | Insert):
            raise InvalidBatch(
                f"{call}: an insert or a sql() text has no where= to select rows; check the rows "
                'that it returns with .ensure({"column": …})'
            )
        test, values = read_conditions(call, condition)
        more = listed_columns(call, columns)
        return self._with_condition(
            When.BEFORE, test, values, raises, more, refuses=call == "refuse()"
        )

    def ensure(
        self,
        expected: Mapping[str, object],
        /,
        *,
        raises: Raises | None = None,
        columns: Iterable[str] = (),
    ) -> Self:
        """Check each row that the statement returns, as it is after the statement.

        :param expected: columns and their values, as in ``where`` of :func:`~batchq.update`. A
            built insert, update or delete returns these columns; a ``sql()`` text must return them.
        :param raises: what to raise for a row that differs, as in :meth:`require`.
        :param columns: columns of the row to report, in addition to these.
        :raises InvalidBatch: if ``expected`` is not a mapping.

        >>> from batchq import insert
        >>> insert("disk", {"id": 7}).ensure({"state": "creating"}, raises=ValueError("raced"))
        <Statement insert disk: ensure("state")>
        """
        given = cast("object", expected)
        if not isinstance(given, Mapping):
            raise not_columns("ensure()", given) or InvalidBatch(
                'ensure(): pass a mapping of returned columns, {"state": "ready"}, not '
                f"{with_article(type(given))}"
            )
        test, values = read_conditions("ensure()", expected)
        more = listed_columns("ensure()", columns)
        return self._with_condition(When.AFTER, test, values, raises, more)

    def for_update(
        self,
        *,
        strength: Strength = "update",
        nowait: bool = False,
        skip_locked: bool = False,
        order: Iterable[str] = (),
    ) -> Self:
        """Lock the rows of a select until COMMIT.

        Under READ COMMITTED, each statement sees what was committed before it started. The steps
        after this one start when the lock is held, so they see the state as of the lock or later.
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
        :param order: columns by which to order the rows, so that two batches that lock the same
            rows do not deadlock.
        :raises InvalidBatch: on any statement but a ``select()``, or for a wrong argument.

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
        by = listed("for_update(order=)", order, '["id"]')
        if not all(map(is_text, by)):
            raise InvalidBatch(
                'for_update(order=): column names must be non-empty str, such as ["id"]'
            )
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
        more: tuple[str, ...],
        *,
        refuses: bool = False,
    ) -> Self:
        """Add a requirement and the mapping for it.

        :param more: columns of the row to report, in addition to those of the test.
        """
        named = raises.columns if isinstance(raises, ErrorTemplate) else ()
        reported = (*more, *named)
        shape, unmet = shape_changes.with_condition(self._shape, when, test, reported, refuses)
        guarded = self._shaped(shape, values)
        return guarded if raises is None else guarded.on(unmet, raises)
