# SPDX-License-Identifier: MIT
"""Guards that are steps of their own: that a row exists, that none does, that one is locked.

Under READ COMMITTED a step of its own sees what was committed until it runs, a lock that was waited
for included. A condition inside the statement that writes does not: its snapshot may be older than
the row that it writes. At the other levels all steps see what was committed when the first began.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeGuard, get_args

from batchq.language import shape as shapes
from batchq.language.builders import select
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Judged
from batchq.language.inputs import Where, is_bare
from batchq.language.mapping import Meaning
from batchq.language.matchers import MISSING_ROWS
from batchq.language.statement import Statement, columns_of
from batchq.language.syntax import Select, Text

Strength = Literal["update", "no key update", "share", "key share"]
"""PostgreSQL documentation, "Row-Level Locks", strongest first."""


def require(query: Statement[None], /, *, else_: Meaning | None = None) -> Statement[None]:
    """Require that a row exists: the server aborts the transaction when the query finds none.

    :param query: a bare ``select(...)``, or a ``sql()`` that selects.
    :param else_: what its absence means, as of :meth:`Statement.require`.

    >>> from batchq import select
    >>> silo = select("silo", ["id"], where={"id": 7, "time_deleted": None})
    >>> require(silo, else_=LookupError("no such silo"))
    <Statement select silo: at least 1 row>
    """
    probe = _probe("require", query).expect(at_least=1)
    return probe if else_ is None else probe.on(MISSING_ROWS, else_)


def forbid(
    query: Statement[None], /, *, else_: Meaning | None = None, found: Iterable[str] = ()
) -> Statement[None]:
    """Forbid that a row exists: the server aborts the transaction when the query finds one.

    :param query: a bare ``select(...)``, or a ``sql()`` that selects.
    :param else_: what such a row means, as of :meth:`Statement.require`;
        :func:`~batchq.saying` writes an error's text from what that row holds.
    :param found: of a ``sql()`` text: the columns whose values the error is to carry, besides those
        that ``saying()`` names. Of a ``select`` it carries all that are selected by name.

    >>> from batchq import saying, select
    >>> vpcs = select("vpc", ["name"], where={"project_id": 7, "time_deleted": None})
    >>> forbid(vpcs, else_=saying(ValueError, "project to be deleted contains a vpc: {name}"))
    <Statement select vpc: forbid(...)>
    """
    probe = _probe("forbid", query)
    selected = probe.source.columns or () if isinstance(probe.source, Select) else ()
    named = [column for column in selected if isinstance(column, str)]
    return probe.requiring(Judged.ANY, (), (), else_, (*columns_of(found), *named))


def lock(
    table: str, where: Where, *, missing: Meaning, strength: Strength = "update"
) -> Statement[None]:
    """Lock one row, so that what the steps behind it see of it stays true until COMMIT.

    Under READ COMMITTED every statement sees what was committed before it began: the steps behind
    this one begin when the lock is held, so what they see is no older than the lock. Conditions on
    the row itself are said by :meth:`Statement.require`, and ``.one(Model)`` reads it. A row that
    does not meet them fails at once: nobody waits for whoever is about to change it.

    Under REPEATABLE READ they would see what was committed when the transaction began, before
    whoever held the lock then: refused, by :class:`~batchq.InvalidBatch` before anything is sent
    where ``isolation=`` or the connection says so, and by the server with
    :class:`~batchq.GuardFailed` where it is the session's default or an outer transaction's. Under
    SERIALIZABLE the server finds the conflict, with everybody who is SERIALIZABLE as well and with
    whoever changes the row; not with whoever only locks it at another level.

    :param where: which row, as in :func:`~batchq.update`.
    :param missing: what its absence means, as the meaning of :meth:`Statement.on`.
    :param strength: ``"update"`` keeps out whoever references the row by a foreign key as well;
        ``"no key update"`` is what an update of other columns takes. CockroachDB has two of the
        four, and takes the stronger one for the others.

    >>> lock("project", {"id": 7}, missing=LookupError("no such project")).steps()[0].statement
    <Statement lock project: exactly 1 row>
    """
    if strength not in get_args(Strength):
        message = f"lock(strength=): one of {', '.join(get_args(Strength))}, not {strength!r:.40}"
        raise InvalidBatch(message)
    row = lock_in_any(table, where, missing=missing, strength=strength)
    return Statement(shapes.fresh(row.shape), row.values, row.meanings)


def lock_in_any(
    table: str, where: Where, *, missing: Meaning, strength: Strength = "update"
) -> Statement[None]:
    """Lock one row as :func:`lock`, at any isolation level.

    For patterns in which everybody else *changes* that row: above READ COMMITTED whoever comes
    second is a conflict then, and an old snapshot decides nothing.
    """
    return locking(table, where, strength).expect(1).on(MISSING_ROWS, missing)


def locking(table: str, where: Where, strength: Strength) -> Statement[None]:
    """Select rows and lock them, however many there are."""
    rows = select(table, where=where)
    return Statement(shapes.locking(rows.shape, strength.upper()), rows.values)


def _probe(call: str, query: object) -> Statement[None]:
    """Check that a query is one, and look for one row of it only."""
    if not _is_statement(query) or not _is_bare_query(query):
        message = (
            f"{call}() takes a bare select(…), or a sql() that selects: no result shape, no "
            f"mappings, no guards of its own"
        )
        raise InvalidBatch(message)
    return Statement(shapes.probing(query.shape), query.values, (), query.labels, query.origin)


def _is_statement(value: object) -> TypeGuard[Statement[Any]]:
    return isinstance(value, Statement)


def _is_bare_query(statement: Statement[Any]) -> bool:
    return isinstance(statement.source, Select | Text) and is_bare(statement.shape)
