# SPDX-License-Identifier: MIT
"""Charge, release and resize: lock the counter in one step, then write in the next.

The lock is a step of its own, so that the next statement's snapshot is taken after the lock: the
ledger rows that it reads do not change until COMMIT. Above READ COMMITTED the snapshot is older.
But every write to the ledger also updates the counter, so then the lock fails as a serialization
conflict, and no later step runs.

Both steps run after all other steps of the batch, so the lock is held as briefly as possible. They
run in the same order in all batches (scope, resource, table), so two batches do not deadlock on two
counters, even if they spell the name of a table differently. Steps on the same counter keep the
order in which the batch has them.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import psycopg
from attrs import field, frozen

from batchq.engine.compile.quoting import check_table, derived, unqualified
from batchq.language.batch import Batch
from batchq.language.compose import gather, sequence
from batchq.language.mapping import Raises
from batchq.language.matchers import check, sqlstate
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.placement import Scheduled
from batchq.language.selects import select
from batchq.language.statement import Statement
from batchq.limits import tables
from batchq.limits.drift import Drift, drifts_of, recount
from batchq.limits.errors import when_exceeded, when_missing, when_not_charged
from batchq.limits.queries import Queries, queries
from batchq.limits.shortfalls import Shortfall, shortfalls_of
from batchq.limits.tables import UNLIMITED, DialectName, Scope, Scopes

if TYPE_CHECKING:
    from attrs import Attribute

T = TypeVar("T")

_OUT_OF_RANGE = sqlstate("22003")
"""A sum beyond bigint exceeds every limit; the server adds before it evaluates the CHECK."""


def _table(_: object, __: Attribute[str], name: str) -> None:
    check_table(name, "Limits")


@frozen(kw_only=True)
class Limits:
    """Counters with a ledger, in two tables.

    The methods take these arguments. ``scope`` is a UUID or several (a project, its silo, the
    fleet), each with a limit of its own. ``id`` is the resource's UUID, or the output of the
    statement that creates it. ``exceeded=`` and ``missing=`` are the exceptions for these failures,
    as for :meth:`Statement.on`. Several steps on one counter lock it once, and the ``missing=`` of
    the first one applies.

    >>> from uuid import UUID
    >>> from batchq import steps
    >>> limits = Limits(table="quota.resource_limit", ledger="quota.resource_charge")
    >>> project, silo, disk = UUID(int=1), UUID(int=2), UUID(int=3)
    >>> grow = limits.charge("gigabytes", 100, scope=[silo, project], id=disk)
    >>> [f"{step.path} {step.parameters[0].int}" for step in steps(grow)[::2]]
    ['lock gigabytes 1', 'lock gigabytes 2']
    """

    table: str = field(default="resource_limit", validator=_table)
    """The table of counters, with one row per scope and resource."""
    ledger: str = field(default="resource_charge", validator=_table)
    """The table of charges, with one row per scope, resource and id."""

    # -- the tables --------------------------------------------------------------------------------

    def ddl(self, dialect: DialectName = "postgresql") -> tuple[str, ...]:
        """Return the DDL of the two tables, for a migration or for :meth:`create`.

        It creates missing tables, and does not change existing ones. Create counters with
        :meth:`set_limit` only, which keeps ``ceiling`` and ``lim`` consistent: a row inserted in
        another way may be unlimited.
        """
        return tables.ddl(self.table, self.ledger, dialect)

    def create(self, conn: psycopg.Connection[Any], /) -> None:
        """Execute :meth:`ddl` for this server, in a transaction or inside the open one."""
        with tables.checked_connection("create()", conn, psycopg.Connection).transaction():
            for command in tables.encoded_ddl(self.table, self.ledger, conn):
                conn.execute(command)

    async def acreate(self, conn: psycopg.AsyncConnection[Any], /) -> None:
        """Execute :meth:`ddl` on an async connection; as :meth:`create`."""
        checked = tables.checked_connection("acreate()", conn, psycopg.AsyncConnection)
        async with checked.transaction():
            for command in tables.encoded_ddl(self.table, self.ledger, conn):
                await conn.execute(command)

    # -- counting ----------------------------------------------------------------------------------

    def charge(
        self,
        resource: str,
        amount: int = 1,
        *,
        scope: Scopes,
        id: UUID | Output | Parameter,
        exceeded: Raises | None = None,
        missing: Raises | None = None,
    ) -> Batch[bool]:
        """Charge a resource once. An existing charge is not changed, whatever the amount.

        :param resource: the resource to count: ``"vpcs"``. It appears in paths and messages, so it
            must not be a secret.
        :param exceeded: the exception if the limit is exceeded; default :class:`LimitExceeded`.
        :param missing: the exception if the limit is not set; default :class:`LimitMissing`.
        :return: whether it was charged; False for a repeated request.
        :raises InvalidBatch: for an argument that is not valid; so do the other methods.

        >>> from uuid import UUID
        >>> from batchq import steps
        >>> charge = Limits().charge("vpcs", scope=UUID(int=7), id=UUID(int=8))
        >>> [step.path for step in steps(charge)]
        ['lock vpcs', 'charge vpcs']
        """
        tables.checked_amount("charge", amount, minimum=1)
        charged = tables.checked_id(id)

        def charge_in(scope_id: Scope) -> Statement[int]:
            raises = when_exceeded(exceeded, resource, scope_id, amount)
            statement = self._sql.charge.fill(
                scope=scope_id, resource=resource, id=charged, n=amount
            )
            return self._limited(statement, raises).count()

        return self._in_scopes("charge", resource, scope, charge_in, missing=missing).map(any)

    def release(
        self,
        resource: str,
        *,
        scope: Scopes,
        id: UUID | Output | Parameter,
        missing: Raises | None = None,
    ) -> Batch[bool]:
        """Release the amount that was charged, once. It never fails because of a limit.

        If the counter is less than that amount, it fails with :class:`~batchq.InvariantViolation`:
        another program has written to the counter. See :meth:`reconcile`.

        :return: whether a charge was released; False if there was none.
        """
        charged = tables.checked_id(id)

        def release_in(scope_id: Scope) -> Statement[int]:
            statement = self._sql.release.fill(scope=scope_id, resource=resource, id=charged)
            return self._counted(statement).count()

        return self._in_scopes("release", resource, scope, release_in, missing=missing).map(any)

    def resize(
        self,
        resource: str,
        amount: int,
        *,
        scope: Scopes,
        id: UUID | Output | Parameter,
        exceeded: Raises | None = None,
        missing: Raises | None = None,
        not_charged: Raises | None = None,
    ) -> Batch[None]:
        """Change the amount of a charge. Only an increase can exceed the limit.

        :param amount: the new amount.
        :param not_charged: the exception if nothing is charged; default :class:`NotCharged`.
        """
        tables.checked_amount("resize", amount, minimum=1)
        charged = tables.checked_id(id)

        def resize_in(scope_id: Scope) -> Statement[None]:
            raises = when_exceeded(exceeded, resource, scope_id, amount)
            none = when_not_charged(not_charged, resource, scope_id, charged)
            statement = self._sql.resize.fill(
                scope=scope_id, resource=resource, id=charged, n=amount
            )
            return self._limited(self._counted(statement), raises).expect(1, missing=none)

        return self._in_scopes("resize", resource, scope, resize_in, missing=missing).map(_nothing)

    def set_limit(self, resource: str, limit: int | None, *, scope: Scopes) -> Batch[None]:
        """Set a limit, and create its counter if it does not exist.

        :param limit: the maximum, from 0; None for unlimited. If more is used already, that stays
            charged, and further charges fail until enough is released.
        """
        tables.checked_resource(resource)
        lim = UNLIMITED if limit is None else tables.checked_amount("set_limit", limit, minimum=0)
        statements = (
            self._last(
                self._sql.set_limit.fill(scope=scope_id, resource=resource, lim=lim),
                f"set limit of {resource}",
                scope_id,
                resource,
            )
            for scope_id in tables.checked_scopes(scope)
        )
        return sequence(statements).map(_nothing)

    # -- reading -----------------------------------------------------------------------------------

    def shortfalls(self, batch: Batch[Any], /) -> Batch[list[Shortfall]]:
        """Return every limit that a batch would exceed, not only the first.

        :param batch: for example one that has failed. It is not run: its counters and charges are
            read, without locks.
        :return: a :class:`Shortfall` for each step of these limits that would fail, in the order of
            the steps.
        """
        return shortfalls_of(batch, self._sql)

    def reconcile(self, scope: UUID, /) -> Batch[list[Drift]]:
        """Recount the counters of a scope from the ledger, and correct those that are wrong.

        A missing counter is not created, since its limit is unknown. Set the limit first.

        :return: a :class:`Drift` for each counter that was corrected.
        """
        (scope_id,) = tables.checked_scopes((scope,))
        steps = recount(self._sql, scope_id)
        last = [self._last(step, label, scope_id) for label, step in steps.items()]
        return sequence(last).map(drifts_of)

    @property
    def _sql(self) -> Queries:
        return queries(self.table, self.ledger)

    def _limited(self, statement: Statement[T], exceeded: Raises) -> Statement[T]:
        """Map the violation of the limit."""
        exceeds = check(derived(self.table, "exceeded"))
        return statement.on(exceeds, exceeded).on(_OUT_OF_RANGE, exceeded)

    def _counted(self, statement: Statement[T]) -> Statement[T]:
        """Declare that a negative counter is a bug: it differs from the ledger."""
        return statement.invariant(derived(self.table, "negative"))

    def _in_scopes(
        self,
        verb: str,
        resource: str,
        scope: Scopes,
        statement_for: Callable[[Scope], Statement[T]],
        *,
        missing: Raises | None,
    ) -> Batch[list[T]]:
        """Lock the counter of each scope, then run the statement for it."""
        tables.checked_resource(resource)
        return sequence(
            gather(
                self._lock(resource, scope_id, missing),
                self._last(statement_for(scope_id), f"{verb} {resource}", scope_id, resource),
            ).map(itemgetter(1))
            for scope_id in tables.checked_scopes(scope)
        )

    def _lock(self, resource: str, scope: Scope, missing: Raises | None) -> Batch[None]:
        raises = when_missing(missing, resource, scope)
        where = {"scope_id": scope, "resource": resource}
        # As strong as the next step's UPDATE. It does not block readers or foreign key checks.
        counter = select(self.table, where=where)._locked("no key update", fresh=False)
        lock = counter.expect(1, missing=raises)
        key = ("limit", self.table, scope, resource)
        return self._last(lock, f"lock {resource}", scope, resource, dedupe_key=key)

    def _last(
        self,
        statement: Statement[T],
        label: str,
        scope: Scope,
        resource: str = "",
        *,
        dedupe_key: tuple[object, ...] | None = None,
    ) -> Batch[T]:
        """Schedule a step after all others: in the order of counters, then of table names.

        The counter comes first, since a table may be written by two names. A step on a whole scope
        comes before the steps on one counter.
        """
        place = (scope, resource, unqualified(self.table), self.table)
        return Scheduled(statement.label(label), dedupe_key=dedupe_key, last_key=place)


def _nothing(_: object) -> None:
    return None
