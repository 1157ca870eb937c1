# SPDX-License-Identifier: MIT
"""A chunk: one statement that lets the next rows go and counts them in their job.

What is deleted and what is written down of it is one statement, so that no crash comes between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import NamedTuple

from attrs import frozen

from batchq.bulk.chunks.cursor import place
from batchq.bulk.chunks.fence import Fence
from batchq.bulk.chunks.order_key import OrderKey, described, judgement
from batchq.bulk.chunks.subquery import column, columns, embed, quoted
from batchq.bulk.errors import InvalidOrderKey, LeaseLost
from batchq.bulk.job import Job
from batchq.engine.client_encoding import own, textual
from batchq.engine.compile.quoting import identifier, listed
from batchq.language.builders import raw_sql, select
from batchq.language.errors import InvalidBatch
from batchq.language.inputs import Condition
from batchq.language.statement import Statement
from batchq.language.violation import Violation


@own
class Chunk(NamedTuple):
    """What a chunk did, and how far the job is then."""

    rows: int
    """That went for good: none, of those that are only hidden to be deleted later."""
    full: bool
    """Whether there were as many rows as it asked for."""
    seq: int
    rows_done: int
    scan_rows: int
    stage: int
    cursor: list[str] | None
    fenced: bool = True
    """The fence held: a chunk of which it did not is undone."""
    cursor_key: list[str] | None = None
    unfit: str | None = None
    """Nothing is wrong with the order key: a chunk of which something is is undone."""
    passed: bool = False
    """Whether it passed over rows that others have locked."""


@frozen(kw_only=True)
class ChunkParts:
    """What a chunk is made of."""

    table: str
    page: Statement[None]
    """Finds the keys of the rows behind the cursor, in their order."""
    where: tuple[Condition, ...]
    """Which rows of the table go: those that are :func:`within` the page, and due."""
    mutation: Callable[[list[Condition]], Statement[None]]
    """Lets rows go of which some conditions hold."""
    order: tuple[str, ...]
    """The columns of the page, which the cursor is made of."""
    counts: bool
    """Whether the rows are gone then, and not only hidden."""
    fence: Fence | None = None
    """What has to hold of their parent; None where there is none."""
    given: str | None = None
    """Which of these columns is compared with a parent's key."""
    held: Statement[None] | None = None
    """Locks the parents of the page's rows; None where the fence does."""
    in_place: bool = False
    """Whether the rows stay what they are to a pass, which they must not meet again."""


_CHUNK = """\
WITH {fence}batchq_page AS MATERIALIZED (
    {page}
), batchq_last AS MATERIALIZED (
    SELECT * FROM batchq_page ORDER BY {downwards} LIMIT 1
), {held}{free}batchq_gone AS (
    {going} RETURNING {returned}
), {place}, batchq_done AS MATERIALIZED (
    SELECT (SELECT count(*) FROM batchq_gone) AS rows,
        (SELECT count(*) FROM batchq_page) >= %(rows)s AS full,
        (SELECT told FROM batchq_place WHERE back <> '') AS last,
        {described} AS described, {unfit} AS unfit, {passed} AS passed
)
UPDATE {jobs} AS job SET seq = job.seq + 1,
    rows_done = job.rows_done + {counted}, scan_rows = job.scan_rows + {found},
    skipped_locked = job.skipped_locked OR done.passed,
    stage = CASE WHEN done.full THEN job.stage ELSE job.stage + 1 END,
    cursor = CASE WHEN done.full THEN done.last END,
    cursor_key = CASE WHEN done.full THEN done.described END,
    lease_until = now() + %(lease)s
FROM batchq_done AS done
WHERE job.id = %(job)s AND job.epoch = %(epoch)s AND job.seq = %(seq)s AND job.phase = 'active'
RETURNING {fenced} AS fenced, {counted} AS rows, done.full, job.seq, job.rows_done, job.scan_rows,
    job.stage, job.cursor, job.cursor_key, done.unfit, done.passed
"""
"""The fence comes first: the page and what goes are found by the key of the row that it locks. The
page is found by the order key from where the last one ended, so that no chunk looks at the
dead rows of those before it. What goes is what lies between the two by the same key: each row is
visited once, and one that somebody changes meanwhile is followed to its new version. By a list of
keys or of ``ctid`` it takes half as long again, and more (measured: docs/adr/0019)."""
_FENCE = """\
batchq_fence AS MATERIALIZED (
    {held}
), """
_HELD = """\
batchq_held AS MATERIALIZED (
    {held}
), """
_FREE = """\
batchq_free AS MATERIALIZED (
    {free} FOR UPDATE SKIP LOCKED
), """
_ALL_FREE = "SELECT FROM batchq_free"
_IS_FREE = "({keys}) IN (SELECT {keys} FROM batchq_free)"
_PASSED = "EXISTS ({due} EXCEPT SELECT {keys} FROM batchq_free)"
"""Locks first what is free of the rows that go, so that no other is waited for; what is due and not
free is passed over. Only where it has to be: it takes 1.6 times as long (docs/adr/0032)."""
_FENCED = "(SELECT count(*) = 1 FROM batchq_fence) AND {same}"
_KEPT = "CASE WHEN done.rows = 0 AND job.scan_rows = 0 AND EXISTS ({due}) THEN 1 ELSE done.rows END"
"""Rows that stay are looked for where none has changed: one that is due, and that a trigger or a
policy has kept as it was, is there for the pass all the same. It is seen as it was before."""
_ORDERED = "{rows} ORDER BY {order} LIMIT %(most)s"
_LAST = "(SELECT {key} FROM batchq_last)"
_WITHIN = "({keys}) <= ({last})"
_BEYOND = "({keys}) > ({last})"


def chunk(
    parts: ChunkParts,
    job: Job,
    jobs: str,
    rows: int,
    lease: timedelta,
    *,
    skip_locked: bool = False,
) -> Statement[Chunk]:
    """Write the statement of a chunk.

    :param jobs: the table of jobs.
    :param rows: how many rows to look for.
    :param lease: how long the job is then this owner's.
    :param skip_locked: whether rows that others have locked are left, instead of waited for.
    """
    fence, fenced = ("", dict[str, object]()) if parts.fence is None else parts.fence.held(job)
    key = OrderKey(parts.table, parts.order, parts.given)
    begins = job.cursor is None
    unfit, judged = judgement(key, job.cursor_key, begins=begins, moves=parts.in_place)
    last = ", ".join(_LAST.format(key=column(name)) for name in parts.order)
    beyond = _BEYOND.format(keys=columns(parts.order), last=last)
    page, found = embed(parts.page, "page")
    held, held_with = ("", {}) if parts.held is None else embed(parts.held, "held")
    where, free, passed, due, due_with = list(parts.where), "", "false", "", dict[str, object]()
    if skip_locked or parts.in_place:
        due, due_with = embed(select(parts.table, parts.order, where=where), "due")
    if skip_locked:
        free = _FREE.format(free=due)
        passed = _PASSED.format(due=due, keys=columns(parts.order))
        where.append(raw_sql(_IS_FREE.format(keys=listed(parts.order))))
        due = _ALL_FREE
    counted = "done.rows" if parts.counts else "0"
    going, going_with = embed(parts.mutation(where), "gone")
    text = _CHUNK.format(
        fence=_FENCE.format(held=fence) if fence else "",
        fenced="true" if parts.fence is None else _FENCED.format(same=parts.fence.same()),
        page=page,
        held=_HELD.format(held=held) if held else "",
        free=free,
        passed=passed,
        going=going,
        returned=f"{beyond} AS moved" if parts.in_place else "1",
        place=place(parts.order),
        described=described(key),
        unfit=unfit,
        downwards=columns(parts.order, behind=" DESC"),
        counted=counted,
        found=_KEPT.format(due=due) if parts.in_place else counted,
        jobs=quoted(jobs),
    )
    values = {
        **fenced,
        **found,
        **held_with,
        **due_with,
        **going_with,
        **judged,
        "described": key.names,
    }
    values |= {"rows": rows, "lease": lease}
    deleting = raw_sql(text, **values, job=job.id, epoch=job.epoch, seq=job.seq)
    one = deleting.one(Chunk).expect(1, missing=LeaseLost()).label(parts.table)
    if parts.fence is not None:
        moved = parts.fence.moved(job)
        one = one.ensure({"fenced": raw_sql("true")}, raises=lambda _: moved)

    def refused(violation: Violation) -> InvalidOrderKey:
        return InvalidOrderKey(key.told(str(textual(violation.row["unfit"]))))

    return one.ensure({"unfit": None}, raises=refused)


def ordered(rows: Statement[None], order: tuple[str, ...], most: int) -> Statement[None]:
    """Write a query for the first of its rows in an order."""
    text, values = embed(rows, "row")
    return raw_sql(_ORDERED.format(rows=text, order=columns(order)), **values, most=most)


def behind(order: tuple[str, ...], cursor: list[str]) -> Statement[None]:
    """Write the condition that a row comes behind the cursor."""
    places = ", ".join(f"%(at{n})s" for n in range(len(cursor)))
    values = {f"at{n}": value for n, value in enumerate(cursor)}
    return raw_sql(f"({columns(order)}) > ({places})", **values)


def within(order: tuple[str, ...], cursor: list[str] | None) -> list[Statement[None]]:
    """Write the conditions that a row lies on the page: behind the cursor, up to its last row."""
    last = ", ".join(_LAST.format(key=identifier(key)) for key in order)
    upto = raw_sql(_WITHIN.format(keys=listed(order), last=last))
    return [upto] if cursor is None else [behind(order, cursor), upto]


def order_key(order: str | Iterable[str]) -> tuple[str, ...]:
    """Read the columns of an order key.

    :raises InvalidBatch: when there is none.
    """
    names = (order,) if isinstance(order, str) else tuple(order)
    if not names:
        message = "order=(): a chunk begins behind the last row of the one before, in some order"
        raise InvalidBatch(message)
    return names
