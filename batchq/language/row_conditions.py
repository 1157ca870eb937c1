# SPDX-License-Identifier: MIT
"""Guard each row of a statement by conditions: before it is changed, and as it is returned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from batchq.language import guard_changes
from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.guards import When
from batchq.language.inputs import Where, read_conditions
from batchq.language.mapping import Raises, checked_raises
from batchq.language.parameters import Parameter
from batchq.language.shape import Shape
from batchq.language.spelling import with_article
from batchq.language.syntax import (
    CREATED,
    Conditions,
    Delete,
    Insert,
    RawSql,
    Select,
    Source,
    Update,
)
from batchq.language.templates import ErrorTemplate
from batchq.language.type_variables import R_contra, T_co
from batchq.language.validation import listed_columns
from batchq.language.whole_rows import not_columns

_INSTEAD_OF_UNLESS: Mapping[type[Source], str] = {
    Insert: "an insert finds no row; for one that may exist already use insert_or_get() or "
    "on_conflict_do_update()",
    Delete: "a row that is missing already is a success of a delete with .expect(at_most=1); for a "
    "row that may exist already there is insert_or_get()",
    Select: "a select changes no row; write the condition into where=",
    RawSql: "a sql() text has no where= to select rows; write the condition into it",
}

_BEFORE, _LEAVE, _AFTER = When.BEFORE, When.LEAVE, When.AFTER  # which an enum finds slowly


def _is_bool(value: object) -> bool:
    if not isinstance(value, Parameter):
        return isinstance(value, bool)
    return value.accepted is not None and value.accepted.kind is bool


class RowConditions(Batch[T_co, R_contra]):
    """The methods of a statement with a condition on its rows; each returns a new statement."""

    __slots__ = ()

    _shape: Shape

    def _shaped(
        self, shape: Shape, values: tuple[object, ...] = (), raises: tuple[Raises, ...] = ()
    ) -> Self:
        raise NotImplementedError

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
        test, values = read_conditions("require()", condition)
        more = () if columns == () else listed_columns("require()", columns)
        return self._with_condition(_BEFORE, test, values, raises, more)

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
        test, values = read_conditions("refuse()", condition)
        more = () if columns == () else listed_columns("refuse()", columns)
        return self._with_condition(_BEFORE, test, values, raises, more, refuses=True)

    def unless(self, condition: Where, /) -> Self:
        """Leave the row as it is if a condition holds for it; that is a success.

        For a request that may be repeated: the row that it would make is there already. It is
        judged in the order of the calls with :meth:`require` and :meth:`refuse`: what is written
        before it is checked first, and what is written after it is skipped. The row is locked first
        and not written: no trigger of the row fires, its ``xmin`` stays. It counts as a row for
        :meth:`expect`, is what the result shape returns, and what :meth:`ensure` checks.

        As :meth:`require`, this implies ``.expect(1)`` on a statement without a result shape. Use
        ``.updated(Model)`` to learn whether the row was changed.

        :param condition: as ``where`` of :func:`~batchq.update`; a row for which it is false or
            NULL is changed.
        :raises InvalidBatch: on any statement but an ``update()``, or with a result of several
            rows: ``all()``, ``count()``, ``expect(2)``.

        >>> from batchq import update
        >>> mine = {"state": "attached", "instance_id": 3}
        >>> (
        ...     update("disk", mine, where={"id": 7})
        ...     .unless(mine)
        ...     .require({"state": "detached"}, raises=ValueError("attached elsewhere"))
        ... )
        <Statement update disk: exactly 1 row, unless("state", "instance_id"), require("state")>
        """
        source = self._shape.source
        if not isinstance(source, Update):
            raise InvalidBatch(f"unless(): {_INSTEAD_OF_UNLESS[type(source)]}")
        if source.join is not None:
            raise InvalidBatch(
                "unless(): an update with from_= cannot leave a row as it is; write the opposite "
                "condition into where="
            )
        test, values = read_conditions("unless()", condition)
        return self._with_condition(_LEAVE, test, values, None, ())

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
            Of an upsert, ``{created(): True}`` is one that inserted its row; like
            any condition it holds if no row is returned, as when a trigger suppresses it.
        :param raises: what to raise for a row that differs, as in :meth:`require`.
        :param columns: columns of the row to report, in addition to these.
        :raises InvalidBatch: if ``expected`` is not a mapping.

        >>> from batchq import insert
        >>> insert("disk", {"id": 7}).ensure({"state": "creating"}, raises=ValueError("raced"))
        <Statement insert disk: ensure("state")>
        """
        given: object = expected
        kind: type[object] = type(expected)
        if kind is not dict and not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  an argument
            raise not_columns("ensure()", given) or InvalidBatch(
                'ensure(): pass a mapping of returned columns, {"state": "ready"}, not '
                f"{with_article(kind)}"
            )
        if CREATED in expected and not _is_bool(expected[CREATED]):
            raise InvalidBatch("ensure(): created() is compared with True or False")
        test, values = read_conditions("ensure()", expected)
        more = () if columns == () else listed_columns("ensure()", columns)
        return self._with_condition(_AFTER, test, values, raises, more)

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
        if type(raises) is ErrorTemplate and isinstance(raises, ErrorTemplate):
            more = (*more, *raises.columns)
        shape, unmet = guard_changes.with_condition(
            self._shape, when, test, more, refuses, raises is not None
        )
        return self._shaped(
            shape, values, () if raises is None else (checked_raises(unmet, raises),)
        )
