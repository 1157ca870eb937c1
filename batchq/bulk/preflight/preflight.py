# SPDX-License-Identifier: MIT
"""The dry run: what would be sent, the server's plans for it, the number of rows, and the errors.

It writes nothing: it reads in READ ONLY transactions, and statements are explained and never
executed (plain EXPLAIN: PostgreSQL documentation, "EXPLAIN"; CockroachDB's is the same).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from psycopg import AsyncConnection, Connection

from batchq.bulk.backfill import Backfill
from batchq.bulk.delete_rows import DeleteRows
from batchq.bulk.known_values import check_known
from batchq.bulk.preflight.catalog import Catalog, catalog
from batchq.bulk.preflight.explain import Explained, aexplain, explain, rejected
from batchq.bulk.preflight.findings import Finding, FindingCode
from batchq.bulk.preflight.foreign_keys import ForeignKeys
from batchq.bulk.preflight.indexes import find_ambiguous_keys, find_order_errors
from batchq.bulk.preflight.job_table import find_job_table_errors
from batchq.bulk.preflight.orders import StageOrder, scan_orders
from batchq.bulk.preflight.references import find_references, find_unindexed_references
from batchq.bulk.preflight.result import Preflight
from batchq.bulk.preflight.row_counts import StageRows, count_live_parents, count_rows, key_as_text
from batchq.bulk.preflight.row_security import find_row_security
from batchq.bulk.preflight.rules import find_delete_triggers, find_rules, find_update_triggers
from batchq.bulk.preflight.statements import PlannedStatement, planned
from batchq.bulk.preflight.tables import find_missing, find_wrong_columns
from batchq.bulk.table_task import TableTask
from batchq.bulk.tree import DeleteTree
from batchq.engine.result import Failed, Ok
from batchq.language.argument_types import checked, is_of
from batchq.language.batch import Batch
from batchq.language.compose import gather, sequence
from batchq.language.spelling import with_article
from batchq.language.syntax import Select
from batchq.running.run import aattempt, attempt
from batchq.running.target import check_idle, check_target

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    from batchq.bulk.chunks.stages import Stage


def preflight(
    database: Connection[Any] | ConnectionPool[Any],
    task: DeleteTree | TableTask,
    key: object = None,
    *,
    count_limit: int = 100_000,
) -> Preflight:
    """Report what a task would do, and write nothing.

    It takes three round trips, and three for each statement that is explained. A tree's statements
    are those without the caller's ``generation``, and chunks ask for as many rows as a first one.
    On a standby no write can be explained; everything else works there as well. On CockroachDB,
    where this was not tested, it reads what that server's sources have.

    :param database: a psycopg connection that is in no transaction, or a pool.
    :param key: the parent's key, required for a tree and not allowed without a parent.
    :param count_limit: up to how many rows of a kind are counted; at least a tree's
        ``inline_limit``.
    :raises ValueError: if the key is missing, or not allowed.
    :raises TypeError: if another argument is of another type.
    :raises BatchError: if the catalog cannot be read.

    Call it before the first start, and in a test of your schema::

        print(preflight(conn, TREE, 7))
        preflight(conn, TREE, 7).raise_for_errors()
    """
    check_target("preflight()", database, sync=True)
    check_idle("preflight()", database)
    with closing(_requests(task, key, count_limit)) as requests:
        request = next(requests)
        while True:
            response: object
            if isinstance(request, Batch):
                response = attempt(database, request, read_only=True)
            elif isinstance(database, Connection):
                response = explain(database, request)
            else:
                with database.connection() as connection:
                    response = explain(connection, request)
            try:
                request = requests.send(response)
            except StopIteration as end:
                return cast("Preflight", end.value)


async def apreflight(
    database: AsyncConnection[Any] | AsyncConnectionPool[Any],
    task: DeleteTree | TableTask,
    key: object = None,
    *,
    count_limit: int = 100_000,
) -> Preflight:
    """Report what a task would do on an async connection or pool; as :func:`preflight`."""
    check_target("apreflight()", database, sync=False)
    check_idle("apreflight()", database)
    with closing(_requests(task, key, count_limit)) as requests:
        request = next(requests)
        while True:
            response: object
            if isinstance(request, Batch):
                response = await aattempt(database, request, read_only=True)
            elif isinstance(database, AsyncConnection):
                response = await aexplain(database, request)
            else:
                async with database.connection() as connection:
                    response = await aexplain(connection, request)
            try:
                request = requests.send(response)
            except StopIteration as end:
                return cast("Preflight", end.value)


# -- the requests, which are the same sync and async -----------------------------------------------

_Request = Batch[Any] | list[PlannedStatement]
"""A batch to run, whose response is that of :func:`attempt`; or statements to explain, whose
response is an :data:`Explained`."""


def _requests(
    task: DeleteTree | TableTask, key: object, count_limit: int
) -> Generator[_Request, Any, Preflight]:
    if not is_of(task, (DeleteTree, TableTask)):
        given = with_article(type(task), unlike=(DeleteTree, Backfill, DeleteRows))
        raise TypeError(f"preflight() takes a DeleteTree, a Backfill or a DeleteRows, not {given}")
    checked("preflight", "count_limit", count_limit, int, "100_000", error=TypeError)
    tree = task if isinstance(task, DeleteTree) else None
    if (tree is None) is not (key is None):
        raise ValueError(
            f"preflight({task.name!r}, key={key!r}): only a DeleteTree takes the key of a parent"
            f", and needs it"
        )
    check_known(f"preflight({task.name!r})", (key,))
    root = TableTask.ROOT if tree is None else str(key)
    order_keys = [stage.order_key for stage in task.stages]
    result: Ok[Any] | Failed = yield catalog(_tables(task, key), order_keys, task.jobs)
    if isinstance(result, Failed):
        raise result.error
    read: Catalog = result.value
    missing = [*find_job_table_errors(task, read), *find_missing(task, read)]
    errors, warnings = _findings(task, read, missing)
    # What the server rejects for one of these reasons is not an error of its own.
    explained_already = bool(missing) or any(
        error.code is FindingCode.WRONG_COLUMN for error in errors
    )
    stages: tuple[Stage | TableTask, ...] = task.stages
    counted: list[StageRows] = []
    if not any(error.code in (FindingCode.NO_TABLE, FindingCode.NO_COLUMN) for error in missing):
        limit = count_limit if tree is None else max(count_limit, tree.inline_limit)
        parent = None if tree is None else tree.root(key)
        keys = gather() if tree is None else key_as_text(tree, key)
        live = gather() if tree is None else count_live_parents(tree, key)
        rows = [count_rows(stage, parent, key, limit) for stage in stages]
        result = yield gather(keys, live, sequence(rows))
        if isinstance(result, Ok):
            (found_keys, parents, counted) = result.value
            root = next(iter(found_keys), root)
            if tree is not None and not parents:
                # No error: a test of a schema has no rows.
                warnings.append(_no_parent(tree, key))
        elif (violation := result.report.violation) is not None:
            errors.append(rejected(result.report.path or task.name, violation.message))
            explained_already = True
        else:
            raise result.error
    counts = [
        rows.count
        for rows, stage in zip(counted, stages, strict=False)
        if isinstance(stage, TableTask) or stage.counts
    ]
    inline = False
    if tree is not None and counts:
        inline = not any(count.more or count.rows > tree.inline_limit for count in counts)
        if not inline and tree.parent.deleted_at is None:
            errors.append(_no_fence(tree))
    orders = yield from _orders([] if inline or not counts else stages, key)
    samples = {n: rows.sample for n, rows in enumerate(counted) if rows.sample is not None}
    now = inline or (tree is not None and tree.parent.deleted_at is None)
    statements = list(planned(task, key, root, now=now, samples=samples, orders=orders))
    explained: Explained = yield statements
    statements, rejections = explained
    return Preflight(
        name=task.name,
        key=None if tree is None else root,
        statements=tuple(statements),
        row_counts=tuple(counts),
        orders=tuple(orders),
        inline=inline,
        errors=_distinct(errors if explained_already else errors + rejections),
        warnings=_distinct(warnings),
    )


def _orders(
    stages: Iterable[Stage | TableTask], key: object
) -> Generator[_Request, Any, list[StageOrder]]:
    result: Ok[list[StageOrder]] | Failed = yield scan_orders(stages, key)
    # CockroachDB may lack what it reads: then the order is that of the key.
    return result.value if isinstance(result, Ok) else []


def _findings(
    task: DeleteTree | TableTask, read: Catalog, missing: list[Finding]
) -> tuple[list[Finding], list[Finding]]:
    """Return the errors and warnings that the catalog shows."""
    errors, warnings = [*missing, *find_wrong_columns(task, read)], list[Finding]()
    errors += [*find_order_errors(task, read), *find_rules(task, read), *find_row_security(read)]
    if isinstance(task, DeleteTree):
        errors += find_ambiguous_keys(task, read)
        foreign_keys = ForeignKeys(tree=task, catalog=read)
        errors += foreign_keys.errors()
        warnings += foreign_keys.warnings()
    elif isinstance(task, Backfill):
        warnings += find_update_triggers(task, read)
    elif isinstance(task, DeleteRows):
        errors += find_unindexed_references(task, read)
        warnings += [*find_references(task, read), *find_delete_triggers([task.table], read)]
    return errors, warnings


def _tables(task: DeleteTree | TableTask, key: object) -> list[str]:
    """Return the tables of a task, those of its guards included unless they are ``sql()``."""
    if isinstance(task, TableTask):
        return [task.table]
    relations = [relation for stage in task.stages for relation in stage.path]
    sources = (guard(key)._shape.source for guard in task.guards)
    guarded = [source.table for source in sources if isinstance(source, Select)]
    return [task.parent.table, *(relation.table for relation in relations), *guarded]


def _distinct(findings: list[Finding]) -> tuple[Finding, ...]:
    """Remove duplicates, which two stages over one table have."""
    by_place = {(found.code, found.table, found.name): found for found in findings[::-1]}
    return tuple(by_place.values())[::-1]


def _no_parent(tree: DeleteTree, key: object) -> Finding:
    table, deleted_at = tree.parent.table, tree.parent.deleted_at
    where = "" if deleted_at is None else f" whose {deleted_at} is NULL"
    return Finding(
        code=FindingCode.NO_PARENT,
        table=table,
        name=str(key),
        detail=f"no row{where} has this {tree.parent.key}",
        remedy="pass the key of a row that a start would find",
    )


def _no_fence(tree: DeleteTree) -> Finding:
    table, generation = tree.parent.table, tree.parent.generation
    return Finding(
        code=FindingCode.NO_FENCE,
        table=table,
        detail=f"it has no column for soft deletes, and more than {tree.inline_limit:,} children "
        f"of a kind",
        remedy=f"Parent(table={table!r}, deleted_at=…, generation={generation!r}, …)",
    )
