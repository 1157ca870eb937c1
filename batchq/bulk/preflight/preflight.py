# SPDX-License-Identifier: MIT
"""The dry run: what would be sent, how the server would do it, how much there is, what is wrong.

It writes nothing: what is asked is asked in READ ONLY transactions, and a statement is explained,
never executed (plain EXPLAIN: PostgreSQL documentation, "EXPLAIN"; on CockroachDB the same).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from psycopg import AsyncConnection, Connection

from batchq.bulk.backfill import Backfill
from batchq.bulk.chunks.stages import Stage
from batchq.bulk.preflight.catalog import Catalog, catalog
from batchq.bulk.preflight.explain import Explained, aexplained, explained, refused
from batchq.bulk.preflight.findings import Finding, FindingCode
from batchq.bulk.preflight.foreign_keys import References
from batchq.bulk.preflight.indexes import ambiguous, unfit
from batchq.bulk.preflight.job_table import wrong_job_table
from batchq.bulk.preflight.result import Preflight
from batchq.bulk.preflight.row_counts import StageRows, tally, written_key
from batchq.bulk.preflight.row_security import veiled
from batchq.bulk.preflight.rules import ruled, triggered
from batchq.bulk.preflight.statements import PlannedStatement, planned
from batchq.bulk.preflight.tables import missing, wrong_columns
from batchq.bulk.tree import DeleteTree
from batchq.language.batch import Batch
from batchq.language.compose import gather, sequence
from batchq.language.syntax import Select
from batchq.running.result import Failed, Ok
from batchq.running.run import aattempt, attempt

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

_NOTHING_THERE = (FindingCode.NO_TABLE, FindingCode.NO_COLUMN)


def preflight(
    database: Connection[Any] | ConnectionPool[Any],
    work: DeleteTree | Backfill,
    key: object = None,
    *,
    count_limit: int = 100_000,
) -> Preflight:
    """Look at what a tree or a rewrite would do, and write nothing.

    Two round trips, and three for each statement that is explained. A tree's statements are as sent
    without the caller's ``generation``; chunks ask for as many rows as a first one does. On a
    standby nothing that writes can be explained; the rest is found out there as well. On
    CockroachDB, where it was not run, it reads what that server's sources have.

    :param database: a psycopg connection that is in no transaction, or a pool.
    :param key: the parent's key, which a tree needs and a rewrite does not have.
    :param count_limit: up to how many rows of a kind are counted; a tree's ``inline`` at least.
    :raises ValueError: when the key is missing, or is one too many.
    :raises BatchError: when the catalog cannot be read.

    To be looked at before the first fence, and in a test of the schema::

        print(plan(conn, TREE, 7))
        plan(conn, TREE, 7).check()
    """
    with closing(_course(work, key, count_limit)) as context:
        request = next(context)
        while True:
            told: object
            if isinstance(request, Batch):
                told = attempt(database, request, read_only=True)
            elif isinstance(database, Connection):
                told = explained(database, request)
            else:
                with database.connection() as connection:
                    told = explained(connection, request)
            try:
                request = context.send(told)
            except StopIteration as end:
                return cast("Preflight", end.value)


async def apreflight(
    database: AsyncConnection[Any] | AsyncConnectionPool[Any],
    work: DeleteTree | Backfill,
    key: object = None,
    *,
    count_limit: int = 100_000,
) -> Preflight:
    """Look at what would be done on an async connection or pool; as :func:`plan`."""
    with closing(_course(work, key, count_limit)) as context:
        request = next(context)
        while True:
            told: object
            if isinstance(request, Batch):
                told = await aattempt(database, request, read_only=True)
            elif isinstance(database, AsyncConnection):
                told = await aexplained(database, request)
            else:
                async with database.connection() as connection:
                    told = await aexplained(connection, request)
            try:
                request = context.send(told)
            except StopIteration as end:
                return cast("Preflight", end.value)


# -- what is asked, and by whom --------------------------------------------------------------------

_Request = Batch[Any] | list[PlannedStatement]
"""A batch to run, which is answered as :func:`attempt` does; or statements to explain, which are
answered by the same with what was said, and by what is refused of them."""


def _course(
    work: DeleteTree | Backfill, key: object, most: int
) -> Generator[_Request, Any, Preflight]:
    is_tree = isinstance(work, DeleteTree)
    if is_tree is (key is None):
        raise ValueError(
            f"plan(…, {work.name!r}, key={key!r}): a tree has a parent, whose key it needs; a "
            f"rewrite has none"
        )
    root = str(key) if is_tree else Backfill.ROOT
    answer: Ok[Any] | Failed = yield catalog(
        _tables(work, key), [one.order_key for one in work.stages], work.jobs
    )
    if isinstance(answer, Failed):
        raise answer.error
    found: Catalog = answer.value
    lacking = [*wrong_job_table(work, found), *missing(work, found)]
    refusals, warnings = [*lacking, *wrong_columns(work, found)], list[Finding]()
    refusals += [*unfit(work, found), *ruled(work, found)]
    refusals += veiled(found)
    if isinstance(work, DeleteTree):
        refusals += ambiguous(work, found)
        references = References(tree=work, catalog=found)
        refusals += references.refusals()
        warnings += references.warnings()
        most = max(most, work.inline_limit)
    else:
        warnings += triggered(work, found)
    stages: tuple[Stage | Backfill, ...] = work.stages
    blamed = bool(lacking) or any(one.code is FindingCode.WRONG_COLUMN for one in refusals)
    tallies: list[StageRows] = []
    if not any(one.code in _NOTHING_THERE for one in lacking):
        keys, of = (
            (written_key(work, key), work.root(key))
            if isinstance(work, DeleteTree)
            else (gather(), None)
        )
        answer = yield gather(keys, sequence([tally(one, of, key, most) for one in stages]))
        if isinstance(answer, Ok):
            (found_keys, tallies) = answer.value
            root = next(iter(found_keys), root)
        elif (violation := answer.report.violation) is not None:
            refusals.append(refused(answer.report.path or work.name, violation.message))
            blamed = True
        else:
            raise answer.error
    counts = [
        one.count
        for one, swept in zip(tallies, stages, strict=False)
        if isinstance(swept, Backfill) or swept.counts
    ]
    inline = False
    if isinstance(work, DeleteTree) and counts:
        inline = not any(one.more or one.rows > work.inline_limit for one in counts)
        if not inline and work.parent.deleted_at is None:
            refusals.append(_no_fence(work))
    samples = {n: one.sample for n, one in enumerate(tallies) if one.sample is not None}
    at_once = inline or (isinstance(work, DeleteTree) and work.parent.deleted_at is None)
    statements = list(planned(work, key, root, at_once=at_once, samples=samples))
    told: Explained = yield statements
    statements, own = told
    return Preflight(
        name=work.name,
        key=root if is_tree else None,
        statements=tuple(statements),
        counts=tuple(counts),
        inline=inline,
        # What the server refuses for the same has been said.
        errors=_once(refusals if blamed else refusals + own),
        warnings=_once(warnings),
    )


def _tables(work: DeleteTree | Backfill, key: object) -> list[str]:
    """What is swept, and what is looked at, as far as a guard says it."""
    if isinstance(work, Backfill):
        return [work.table]
    reached = [children for one in work.stages for children in one.path]
    looks = (guard(key)._shape.source for guard in work.guards)
    guarded = [source.table for source in looks if isinstance(source, Select)]
    return [work.parent.table, *(one.table for one in reached), *guarded]


def _once(refusals: list[Finding]) -> tuple[Finding, ...]:
    """Two passes over one table find the same."""
    return tuple({(one.code, one.table, one.name): one for one in refusals[::-1]}.values())[::-1]


def _no_fence(tree: DeleteTree) -> Finding:
    table, generation = tree.parent.table, tree.parent.generation
    return Finding(
        code=FindingCode.NO_FENCE,
        table=table,
        detail=f"it has no tombstone, and more than {tree.inline_limit:,} children of a kind",
        remedy=f"Parent(table={table!r}, deleted_at=…, generation={generation!r})",
    )
