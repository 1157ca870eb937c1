# SPDX-License-Identifier: MIT
"""A parent and its children, of which there may be a million: fence, chunks, guarded end.

No child is deleted before a committed state exists in which the parent is hidden and can gain no
more of them: the fence. Then they go in chunks, each a small transaction of one round trip. The
parent goes last, in a batch that looks once more, under its lock, that no child is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID, uuid4

from attrs import evolve, field, frozen

from batchq.bulk.errors import FenceMoved, LateRows, LeaseLost, TooMany
from batchq.bulk.jobs import Job, Jobs
from batchq.engine.names import identifier, quoted
from batchq.language.batch import Batch, Placed
from batchq.language.builders import delete, written
from batchq.language.cells import Condition
from batchq.language.compose import gather, sequence
from batchq.language.errors import InvalidBatch
from batchq.language.existence import forbid, lock
from batchq.language.mapping import Meaning
from batchq.language.parents import Children, Parent, bump_of
from batchq.language.statement import Statement
from batchq.language.violation import Violation

INLINE = 1_000
"""Children of one kind up to which a tree is deleted in one batch."""


@frozen(kw_only=True)
class Drain:
    """One kind of children, and how they go."""

    children: Children
    order: str = "id"
    """A column that is unique among the children of one parent, and indexed with it."""

    def __attrs_post_init__(self) -> None:
        """Refuse children that are only some of the rows with that parent."""
        if self.children.where:
            message = f"Drain() takes all rows of {self.table!r} with that parent, not where="
            raise InvalidBatch(message)

    @property
    def table(self) -> str:
        """Their table."""
        return self.children.table


class Chunk(NamedTuple):
    """What a chunk did, and how far the job is then."""

    rows: int
    full: bool
    """Whether there were as many rows as it asked for."""
    seq: int
    rows_done: int
    child: int
    cursor: str | None


@frozen(kw_only=True)
class Tree:
    """What is deleted with a parent.

    >>> vpc = Parent(table="vpc")
    >>> rules = Drain(children=vpc.children("vpc_firewall_rule", by="vpc_id"))
    >>> tree = Tree(name="vpc", parent=vpc, drains=[rules])
    >>> fenced = tree.fence(7, gone=LookupError("no such vpc"))
    >>> [step.statement.title for step in fenced.steps()]
    ['lock vpc', 'update vpc', 'insert bulk_job']
    """

    name: str
    """What its jobs are called."""
    parent: Parent
    drains: tuple[Drain, ...] = field(converter=tuple)
    """The kinds of children, in the order in which they go."""
    removes: bool = True
    """Whether the parent's row goes in the end. Otherwise its tombstone is the end."""
    jobs: Jobs = field(factory=Jobs)
    inline: int = INLINE

    def fence(
        self,
        key: object,
        *,
        gone: Meaning,
        childless: Iterable[Statement[None]] = (),
        generation: object = None,
        stale: Meaning | None = None,
    ) -> Batch[UUID]:
        """Hide a parent and leave a job behind; an ordinary batch, to be composed with others.

        :param key: the parent's.
        :param gone: what it means that there is none, or no longer.
        :param childless: guards on children that are not drained but must not be there, as of
            :meth:`Parent.delete`.
        :param generation: the generation that the caller has seen, or None for any.
        :param stale: what another generation means.
        :return: the job's id.
        """
        if self.parent.tombstone is None:
            message = (
                f"a fence hides the parent until its children are gone, and {self.parent.table!r} "
                f"has no tombstone"
            )
            raise InvalidBatch(message)
        job = uuid4()
        hidden = self.parent.ending(key, gone=gone, generation=generation, stale=stale)
        fenced = hidden.output(self.parent.generation, "bigint")
        return gather(
            self.parent.lock(key, gone=gone),
            *childless,
            Placed(hidden, ends=bump_of(self.parent, key)),
            self.jobs.insert(job, self.name, str(key), fenced),
        ).map(lambda _: job)

    def at_once(
        self,
        key: object,
        *,
        gone: Meaning,
        childless: Iterable[Statement[None]] = (),
        generation: object = None,
        stale: Meaning | None = None,
    ) -> Batch[int]:
        """Delete a small tree in one batch; the arguments are those of :meth:`fence`.

        :return: how many children went.
        :raises TooMany: by the server, when there are more than ``inline`` of a kind.
        """
        ended = evolve(self.parent, tombstone=None) if self.removes else self.parent
        ending = ended.ending(key, gone=gone, generation=generation, stale=stale)
        few = [self._few(drain, key) for drain in self.drains]
        gone_rows = sequence([_all_gone(drain, key) for drain in self.drains])
        last = Placed(ending, ends=bump_of(self.parent, key))
        return gather(
            self.parent.lock(key, gone=gone), *childless, *few, gone_rows.map(sum), last
        ).map(lambda results: results[-2])

    def chunk(self, job: Job, rows: int, lease: timedelta) -> Statement[Chunk]:
        """Delete the next rows of a job, and count them in the same statement."""
        drain = self.drains[job.child]
        text = _chunk(drain, self.jobs.table, begun=job.cursor is not None)
        values: dict[str, object] = {"cursor": job.cursor} if job.cursor is not None else {}
        deleting = written(
            text,
            root=job.root,
            **values,
            rows=rows,
            lease=lease,
            job=job.id,
            epoch=job.epoch,
            seq=job.seq,
        )
        return deleting.one(Chunk).expect(1, missing=LeaseLost()).label(drain.table)

    def last(self, job: Job) -> Batch[Job]:
        """End a job whose children are gone: look once more, under the parent's lock."""
        tombstone = identifier(str(self.parent.tombstone))
        fenced: list[Condition] = [
            {self.parent.key: job.root, self.parent.generation: job.generation},
            written(f"{tombstone} IS NOT NULL"),
        ]
        locking = lock(self.parent.table, fenced, missing=FenceMoved(job.root))
        looking = [_none_left(drain, job.root) for drain in self.drains]
        removing = delete(self.parent.table, where={self.parent.key: job.root}).expect(1)
        parent = [removing] if self.removes else []
        done = self.jobs.step(job, {"phase": "done", "lease_until": None})
        return gather(locking, *looking, *parent, done).map(lambda results: results[-1])

    def _few(self, drain: Drain, key: object) -> Statement[None]:
        text = _FEW.format(table=quoted(drain.table), children=_of_root(drain))
        many = written(text, root=str(key), most=self.inline)
        return forbid(many, else_=TooMany(drain.table, self.inline)).label(drain.table)


_FEW = "SELECT 1 FROM {table} WHERE {children} OFFSET %(most)s LIMIT 1"
_GOES = "{goes} WHERE {children}"
_REMOVES = "DELETE FROM {table}"
_HIDES = "UPDATE {table} SET {tombstone} = now()"
_LEFT = "SELECT {order} FROM {table} WHERE {children}"
_CHUNK = """\
WITH page AS MATERIALIZED (
    SELECT ctid, {order} AS at FROM {table} WHERE {children}{behind}
    ORDER BY {order} LIMIT %(rows)s FOR UPDATE
), gone AS (
    {goes} WHERE ctid = ANY(ARRAY(SELECT ctid FROM page)) RETURNING 1
), done AS (
    SELECT rows, found >= %(rows)s AS full, rows BETWEEN 1 AND found - 1 AS again,
        (SELECT at FROM page ORDER BY at DESC LIMIT 1)::text AS last
    FROM (SELECT count(*) AS rows FROM gone) AS gone, (SELECT count(*) AS found FROM page) AS page
)
UPDATE {jobs} AS job SET seq = job.seq + 1, rows_done = job.rows_done + done.rows,
    child = CASE WHEN done.full OR done.again THEN job.child ELSE job.child + 1 END,
    cursor = CASE WHEN done.again THEN job.cursor WHEN done.full THEN done.last END,
    lease_until = now() + %(lease)s
FROM done WHERE job.id = %(job)s AND job.epoch = %(epoch)s AND job.seq = %(seq)s
RETURNING done.rows, done.full, job.seq, job.rows_done, job.child, job.cursor"""
"""The page is found by the order key from where the last one ended, so that no chunk looks at the
dead rows of those before it; MATERIALIZED keeps its LIMIT, and FOR UPDATE its rows. Deleting by
``ctid = ANY`` is several times as fast as by the key or by a join (measured: docs/adr/0019).

A row that somebody changes while the page waits for it has a new place, which the statement's
snapshot does not see: it stays, and the next chunk begins where this one did."""


def _of_root(drain: Drain) -> str:
    """The living children of one parent."""
    children = drain.children
    tests = [f"{identifier(children.by)} = %(root)s"]
    if children.tombstone is not None:
        tests.append(f"{identifier(children.tombstone)} IS NULL")
    return " AND ".join(tests)


def _all_gone(drain: Drain, key: object) -> Statement[int]:
    text = _GOES.format(goes=_goes(drain), children=_of_root(drain))
    return written(text, root=str(key)).count().label(drain.table)


def _goes(drain: Drain) -> str:
    """How a row goes: for good, or by its tombstone."""
    table, tombstone = quoted(drain.table), drain.children.tombstone
    if tombstone is None:
        return _REMOVES.format(table=table)
    return _HIDES.format(table=table, tombstone=identifier(tombstone))


def _none_left(drain: Drain, root: str) -> Statement[None]:
    def late(violation: Violation) -> LateRows:
        return LateRows(drain.table, violation.found[drain.order])

    order, table = identifier(drain.order), quoted(drain.table)
    left = written(_LEFT.format(order=order, table=table, children=_of_root(drain)), root=root)
    return forbid(left, else_=late, found=[drain.order]).label(drain.table)


@lru_cache(maxsize=256)
def _chunk(drain: Drain, jobs: str, *, begun: bool) -> str:
    """Write the statement of a chunk."""
    order = identifier(drain.order)
    return _CHUNK.format(
        order=order,
        table=quoted(drain.table),
        children=_of_root(drain),
        behind=f" AND {order} > %(cursor)s" if begun else "",
        goes=_goes(drain),
        jobs=quoted(jobs),
    )
