# SPDX-License-Identifier: MIT
"""Charging, releasing and resizing: each locks the counter in a step of its own, then writes.

The lock is a step of its own so that the statement behind it has a snapshot taken after the lock:
what it reads of the ledger is true until COMMIT. Above READ COMMITTED the snapshot is older; but
whoever writes the ledger changes the counter too, so the lock is a conflict then, and nothing
behind it runs. Both steps run behind all others of the batch, so the lock is held as shortly as can
be, and in one order for all batches (scope, resource, table): no two lock two counters crosswise,
whatever names they call one table by. What one batch does to one counter stays as it was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import psycopg
from attrs import field, frozen

from batchq.engine.client_encoding import codec
from batchq.engine.compile.quoting import check_table, derived, unqualified
from batchq.engine.dialects import COCKROACHDB, dialect_of
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql, select
from batchq.language.compose import gather, sequence
from batchq.language.mapping import Raises
from batchq.language.matchers import check, sqlstate
from batchq.language.outputs import Output
from batchq.language.placement import Scheduled
from batchq.language.statement import Statement
from batchq.limits import tables
from batchq.limits.drift import Drift, in_order
from batchq.limits.errors import LimitExceeded, LimitMissing, NotCharged
from batchq.limits.queries import Queries, queries
from batchq.limits.shortfalls import Shortfall, shortfalls_of
from batchq.limits.tables import (
    UNLIMITED,
    DialectName,
    Scopes,
    checked_amount,
    checked_id,
    checked_resource,
    checked_scopes,
)

if TYPE_CHECKING:
    from attrs import Attribute

T = TypeVar("T")

_OUT_OF_RANGE = sqlstate("22003")
"""Beyond bigint is beyond every limit; the server adds before it looks at the CHECK."""


def _table(_: object, __: Attribute[str], name: str) -> None:
    check_table(name, "Limits")


@frozen(kw_only=True)
class Limits:
    """Counters with a ledger, in two tables.

    Every verb takes a ``scope``, a UUID or several (a project, its silo, the fleet), each of which
    has a limit of its own; the ``id`` of what is counted, a UUID or the output of the statement
    that makes it; and, for failures of yours, the meanings of :meth:`Statement.on`: ``exceeded=``,
    ``missing=``. Two steps that lock one counter lock it once: the first one's ``missing=`` counts.

    >>> from uuid import UUID
    >>> from batchq import steps
    >>> limits = Limits(table="quota.resource_limit", ledger="quota.resource_charge")
    >>> project, silo, disk = UUID(int=1), UUID(int=2), UUID(int=3)
    >>> grow = limits.charge("gigabytes", 100, scope=[silo, project], id=disk)
    >>> [f"{step.path} {step.parameters[0].int}" for step in steps(grow)[::2]]
    ['lock gigabytes 1', 'lock gigabytes 2']
    """

    table: str = field(default="resource_limit", validator=_table)
    """The counters, one row for each scope and resource."""
    ledger: str = field(default="resource_charge", validator=_table)
    """What each resource is charged, one row for each scope, resource and id."""

    # -- the tables --------------------------------------------------------------------------------

    def ddl(self, dialect: DialectName = "postgresql") -> tuple[str, ...]:
        """Write the DDL of the two tables, for a migration of yours or for :meth:`create`.

        It makes what is not there, and changes nothing that is. Counters are made by
        :meth:`set_limit`, which keeps ``ceiling`` in step with ``lim``; a row inserted otherwise
        may not be limited at all.
        """
        return tables.ddl(self.table, self.ledger, dialect)

    def create(self, conn: psycopg.Connection[Any], /) -> None:
        """Apply :meth:`ddl`, as this server wants it, in a transaction or as a part of yours."""
        with conn.transaction():
            for command in self._ddl_for(conn):
                conn.execute(command)

    async def acreate(self, conn: psycopg.AsyncConnection[Any], /) -> None:
        """Apply :meth:`ddl` on an async connection; as :meth:`create`."""
        async with conn.transaction():
            for command in self._ddl_for(conn):
                await conn.execute(command)

    def _ddl_for(
        self, conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]
    ) -> tuple[bytes, ...]:
        on_cockroachdb = dialect_of(conn.pgconn) is COCKROACHDB
        commands = self.ddl("cockroachdb" if on_cockroachdb else "postgresql")
        encoding = codec(conn.info.encoding)
        return tuple(command.encode(encoding) for command in commands)

    # -- counting ----------------------------------------------------------------------------------

    def charge(
        self,
        resource: str,
        amount: int = 1,
        *,
        scope: Scopes,
        id: UUID | Output,
        exceeded: Raises | None = None,
        missing: Raises | None = None,
    ) -> Batch[bool]:
        """Charge a resource once; what is charged already stays as it is, whatever the amount.

        :param resource: what is counted: ``"vpcs"``. No secret: it is in paths and messages.
        :param exceeded: what it means that there is no room; :class:`LimitExceeded` if left out.
        :param missing: what it means that nobody has set this limit; :class:`LimitMissing` if left
            out.
        :return: whether anything was charged; False for a request that is repeated.
        """
        checked_amount(amount, "what charge() charges", least=1)
        charged = checked_id(id)

        def charging(one: UUID) -> Statement[int]:
            meaning = LimitExceeded(resource, one, amount) if exceeded is None else exceeded
            statement = raw_sql(
                self._sql.charge, scope=one, resource=resource, id=charged, n=amount
            )
            return self._limited(statement, meaning).count()

        return self._at("charge", resource, scope, charging, missing=missing).map(any)

    def release(
        self,
        resource: str,
        *,
        scope: Scopes,
        id: UUID | Output,
        missing: Raises | None = None,
    ) -> Batch[bool]:
        """Give back exactly what was charged, once. No limit ever stands in the way.

        A counter that says less than what is given back fails with
        :class:`~batchq.InvariantViolation`: somebody else writes it; see :meth:`reconcile`.

        :return: whether anything was given back; False when nothing was charged.
        """
        charged = checked_id(id)

        def releasing(one: UUID) -> Statement[int]:
            statement = raw_sql(self._sql.release, scope=one, resource=resource, id=charged)
            return self._counted(statement).count()

        return self._at("release", resource, scope, releasing, missing=missing).map(any)

    def resize(
        self,
        resource: str,
        amount: int,
        *,
        scope: Scopes,
        id: UUID | Output,
        exceeded: Raises | None = None,
        missing: Raises | None = None,
        not_charged: Raises | None = None,
    ) -> Batch[None]:
        """Make a charge larger or smaller: only the difference needs room, and less is always fine.

        :param amount: the new amount.
        :param not_charged: what it means that nothing is charged; :class:`NotCharged` if left out.
        """
        checked_amount(amount, "what resize() makes of a charge", least=1)
        charged = checked_id(id)

        def resizing(one: UUID) -> Statement[None]:
            meaning = LimitExceeded(resource, one, amount) if exceeded is None else exceeded
            unknown = NotCharged(resource, one, charged) if not_charged is None else not_charged
            statement = raw_sql(
                self._sql.resize, scope=one, resource=resource, id=charged, n=amount
            )
            limited = self._limited(self._counted(statement), meaning)
            return limited.expect(1, missing=unknown)

        return self._at("resize", resource, scope, resizing, missing=missing).map(_nothing)

    def set_limit(self, resource: str, limit: int | None, *, scope: Scopes) -> Batch[None]:
        """Set a limit, whether there is one or not.

        :param limit: how much may be used, from 0; None for no limit. If more is used already, what
            is used stays, and nothing more is charged until enough is given back.
        """
        checked_resource(resource)
        checked = UNLIMITED if limit is None else checked_amount(limit, "a limit", least=0)
        setting = (
            self._last(
                raw_sql(self._sql.set_limit, scope=one, resource=resource, lim=checked),
                f"set limit of {resource}",
                one,
                resource,
            )
            for one in checked_scopes(scope)
        )
        return sequence(setting).map(_nothing)

    # -- looking -----------------------------------------------------------------------------------

    def shortfalls(self, batch: Batch[Any], /) -> Batch[list[Shortfall]]:
        """Read everything that a batch lacks room for, not only what fails first.

        :param batch: one that was refused, say. It is not run: this reads its counters and what its
            resources are charged, now, and takes no lock.
        :return: a :class:`Shortfall` for each step of these limits that would be refused, in the
            order in which they run.
        """
        return shortfalls_of(batch, self._sql)

    def reconcile(self, scope: UUID, /) -> Batch[list[Drift]]:
        """Recount a scope's counters from the ledger, and put right those that are wrong.

        A counter that is missing is not made: nobody knows its limit. Set it, then reconcile.
        """
        (one,) = checked_scopes((scope,))
        locking = raw_sql(self._sql.lock_scope, scope=one)
        counting = raw_sql(self._sql.recount, scope=one).all(Drift)
        return gather(
            self._last(locking, "lock counters", one), self._last(counting, "recount", one)
        ).map(lambda both: in_order(both[1]))

    # -- parts -------------------------------------------------------------------------------------

    @property
    def _sql(self) -> Queries:
        return queries(self.table, self.ledger)

    def _limited(self, statement: Statement[T], exceeded: Raises) -> Statement[T]:
        """Say what no room means."""
        full = check(derived(self.table, "exceeded"))
        return statement.on(full, exceeded).on(_OUT_OF_RANGE, exceeded)

    def _counted(self, statement: Statement[T]) -> Statement[T]:
        """Declare what can only be drift."""
        return statement.invariant(derived(self.table, "negative"))

    def _at(
        self,
        verb: str,
        resource: str,
        scope: Scopes,
        statement_for: Callable[[UUID], Statement[T]],
        *,
        missing: Raises | None,
    ) -> Batch[list[T]]:
        """Lock the counter of each scope, then do something to it."""
        checked_resource(resource)
        return sequence(
            gather(
                self._lock(resource, one, missing),
                self._last(statement_for(one), f"{verb} {resource}", one, resource),
            ).map(_second)
            for one in checked_scopes(scope)
        )

    def _lock(self, resource: str, scope: UUID, missing: Raises | None) -> Batch[None]:
        meaning = LimitMissing(resource, scope) if missing is None else missing
        where = {"scope_id": scope, "resource": resource}
        # As strong as the update that follows: it keeps no reader and no foreign key waiting.
        counter = select(self.table, where=where)._locked("no key update", fresh=False)
        locking = counter.expect(1, missing=meaning)
        key = ("limit", self.table, scope, resource)
        return self._last(locking, f"lock {resource}", scope, resource, dedupe_key=key)

    def _last(
        self,
        statement: Statement[T],
        label: str,
        scope: UUID,
        resource: str = "",
        *,
        dedupe_key: tuple[object, ...] | None = None,
    ) -> Batch[T]:
        """Place a step behind all others: by the counter first, for the table may have two names.

        What is about a whole scope comes before what is about one of its counters.
        """
        place = (str(scope), resource, unqualified(self.table), self.table)
        return Scheduled(statement.label(label), dedupe_key=dedupe_key, run_last=place)


def _second(pair: tuple[None, T]) -> T:
    return pair[1]


def _nothing(_: object) -> None:
    return None
