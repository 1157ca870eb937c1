# SPDX-License-Identifier: MIT
"""Let an insert skip or update a row that exists already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from batchq.language import shape_changes
from batchq.language.conflict_arguments import read_target, read_update
from batchq.language.inputs import Where
from batchq.language.statement_base import StatementBase
from batchq.language.syntax import Conflict, Expression
from batchq.language.type_variables import R_contra, T_co
from batchq.language.value_places import places_in_source

if TYPE_CHECKING:
    from batchq.language.inputs import Row


class OnConflict(StatementBase[T_co, R_contra]):
    """The methods of an insert for a row that exists already; each returns a new statement."""

    __slots__ = ()

    def on_conflict_do_nothing(
        self, *target: str | Expression, index_where: Where | None = None
    ) -> Self:
        """Let an insert skip a row that exists already; it then affects no row.

        :param target: the columns of the unique index, or its expressions:
            ``sql("lower(name)")``; without any, a conflict with each index and exclusion
            constraint.
        :param index_where: the predicate of that index, if it is partial: a mapping of columns to
            None, bool, int or str, or a ``sql()`` without parameters. It becomes part of the SQL
            text, because the server selects the index when it plans the statement.
        :raises InvalidBatch: on any statement but an ``insert()``, or for another predicate.

        >>> from batchq import insert, steps
        >>> project = insert("project", {"account_id": 7, "name": "web"})
        >>> live = {"deleted_at": None}
        >>> new = project.on_conflict_do_nothing("account_id", "name", index_where=live)
        >>> steps(new)[0].sql.partition(" ON ")[2]
        'CONFLICT ("account_id", "name") WHERE "deleted_at" IS NULL DO NOTHING'
        """
        call = "on_conflict_do_nothing()"
        return self._on_conflict(call, Conflict(*read_target(call, target, index_where)), ())

    def on_conflict_do_update(
        self,
        *target: str | Expression,
        index_where: Where | None = None,
        set: Iterable[str] | Row,
        where: Where | None = None,
    ) -> Self:
        """Let an insert update a row that exists already.

        In fragments, ``excluded.x`` is a column of the row that would have been inserted, and
        ``"table".x`` one of the existing row: a bare name is ambiguous to the server.

        Without ``where=`` the statement affects one row, unless a BEFORE trigger returns NULL and
        so suppresses it. With ``where=``, an existing row for which the conditions do not hold is
        locked, but neither changed nor returned: ``.maybe()`` is None, and ``.one()`` fails. So
        ``where=`` can leave equal rows unwritten.

        :param target: the columns or expressions of the unique index, as in
            :meth:`on_conflict_do_nothing`. A conflict with another index is a violation.
        :param index_where: the predicate of that index, if it is partial.
        :param set: a list of columns that are set to the values of the row to insert; or the new
            values by column, as ``set`` of :func:`~batchq.update`.
        :param where: conditions on the existing row, as in :func:`~batchq.update`.
        :raises InvalidBatch: on any statement but an ``insert()``, without a target or a column to
            set, or for a column that the row to insert does not have.

        >>> from batchq import insert, sql, steps
        >>> from batchq.conditions import lt
        >>> seen = insert("host", {"name": "a", "seen": 7})
        >>> steps(seen.on_conflict_do_update("name", set=["seen"]))[0].sql.partition(" DO ")[2]
        'UPDATE SET "seen" = EXCLUDED."seen"'
        >>> later = seen.on_conflict_do_update(
        ...     "name",
        ...     set={"seen": sql("excluded.seen"), "times": sql('"host".times + 1')},
        ...     where={"seen": lt(sql("excluded.seen"))},
        ... )
        >>> steps(later)[0].sql.partition(" WHERE ")[2]
        '"host"."seen" < (excluded.seen)'
        """
        call = "on_conflict_do_update()"
        index, predicate = read_target(call, target, index_where)
        conflict, values = read_update(call, index, predicate, set, where)
        return self._on_conflict(call, conflict, values)

    def _on_conflict(self, call: str, conflict: Conflict, values: tuple[object, ...]) -> Self:
        shape = shape_changes.with_conflict(self._shape, call, conflict)
        if not self._shape.requirements:
            return self._shaped(shape, values)
        # The values of conditions on rows are the last.
        place = len(places_in_source(self._shape.source))
        return self._filled(self._values[:place] + values + self._values[place:])._shaped(shape)
