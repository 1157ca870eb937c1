# SPDX-License-Identifier: MIT
"""A parent and its children, of which there may be a million: fence, chunks, guarded end.

No child is deleted before a committed state exists in which the parent is hidden and can gain no
more of them: the fence. Then they go in chunks, each a small transaction of one round trip. The
parent goes last, in a batch that looks once more, under its lock, that no child is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from attrs import Factory, evolve, field, frozen

from batchq.bulk.child_delete import ChildDelete, child_deletes
from batchq.bulk.chunks.chunk import Chunk, chunk
from batchq.bulk.chunks.fence import CANONICAL, Fence
from batchq.bulk.chunks.stages import Stage
from batchq.bulk.chunks.subquery import embed
from batchq.bulk.errors import ParentKept
from batchq.bulk.job import Job
from batchq.bulk.jobs import Jobs
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql, select
from batchq.language.compose import gather, sequence
from batchq.language.errors import InvalidBatch
from batchq.language.local_settings import ALL_ROWS, put_back, with_settings
from batchq.language.mapping import Raises
from batchq.language.placement import Scheduled
from batchq.language.statement import Statement
from batchq.patterns.hierarchy import Parent, touch_key

INLINE_LIMIT = 1_000
"""Children of one kind up to which a tree is deleted in one batch."""
Guard = Callable[[Any], Statement[None]]


def _guards(guards: Iterable[Guard]) -> tuple[Guard, ...]:
    return tuple(guards)


def _stages(tree: DeleteTree) -> tuple[Stage, ...]:
    return tuple(one for drain in tree.children for one in drain.stages())


def _fence(tree: DeleteTree) -> Fence:
    swept = (children.table for one in tree.stages for children in one.path)
    return Fence(tree.parent, tuple(dict.fromkeys((tree.parent.table, *swept))))


@frozen(kw_only=True)
class DeleteTree:
    """What is deleted with a parent.

    >>> from batchq import steps
    >>> vpc = Parent(table="vpc", key="id", deleted_at="deleted_at", generation="version")
    >>> rules = vpc.children("vpc_firewall_rule", by="vpc_id", deleted_at=None)
    >>> tree = DeleteTree(name="vpc", parent=vpc, children=[ChildDelete(relation=rules)])
    >>> fenced = tree.fence(7, missing=LookupError("no such vpc"))
    >>> [step.path for step in steps(fenced)]
    ['vpc', 'vpc', 'insert bulk_job', 'settings put back']
    """

    name: str
    """What its jobs are called."""
    parent: Parent
    children: tuple[ChildDelete, ...] = field(converter=child_deletes)
    """The kinds of children, in the order in which they go."""
    hard: bool = True
    """Whether the parent's row goes in the end. Otherwise its tombstone is the end."""
    guards: tuple[Guard, ...] = field(default=(), converter=_guards)
    """Guards on children that are not drained but must not be there, each made for a parent's key:
    ``lambda key: SUBNETS.forbid(key, unexpected=VpcHasSubnets())``; see :meth:`Parent.delete`."""
    jobs: Jobs = field(factory=Jobs)
    inline_limit: int = INLINE_LIMIT
    stages: tuple[Stage, ...] = field(
        default=Factory(_stages, takes_self=True), init=False, repr=False, eq=False
    )
    """In which order the rows go: the leaves first."""
    _fence: Fence = field(
        default=Factory(_fence, takes_self=True), init=False, repr=False, eq=False
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a drain of another parent's children."""
        for drain in self.children:
            if drain.relation.parent != self.parent:
                message = (
                    f"Tree({self.name!r}) is one of {self.parent.table!r}, and {drain.table!r} are "
                    f"children of {drain.relation.parent!r}: say Drain(…, below=[…]) of their own"
                )
                raise InvalidBatch(message)

    def fence(
        self,
        key: object,
        *,
        missing: Raises,
        generation: object = None,
        stale: Raises | None = None,
        job: UUID | None = None,
    ) -> Batch[UUID]:
        """Hide a parent and leave a job behind; an ordinary batch, to be composed with others.

        :param key: the parent's.
        :param missing: what it means that there is none, or no longer.
        :param generation: the generation that the caller has seen, or None for any.
        :param stale: what another generation means.
        :param job: the id of the job. Chosen by the caller, it tells after a lost connection
            whether the fence was committed: ``tree.jobs.get(job)``.
        :return: the job's id.
        :raises JobExists: by the server, when the job of an earlier fence is not finished.
        :raises ParentKept: by the server, when a trigger or a rule does not let it be hidden.
        """
        if self.parent.deleted_at is None:
            message = (
                f"a fence hides the parent until its children are gone, and {self.parent.table!r} "
                f"has no tombstone"
            )
            raise InvalidBatch(message)
        job = job or uuid4()
        # The lock has found it: what keeps it from being hidden is a trigger or a rule.
        kept = ParentKept(self.parent.table)
        hidden = self.parent.delete_row(key, missing=kept, generation=generation, stale=stale)
        told = self._fence.told(key)
        return gather(
            self.parent.lock(key, missing=missing),
            *self._guarded(key),
            Scheduled(hidden, resets=touch_key(self.parent, key)),
            self.jobs.create_fenced(job, self.name, told, missing=kept),
            put_back(CANONICAL),
        ).map(lambda _: job)

    def delete_now(
        self,
        key: object,
        *,
        missing: Raises,
        generation: object = None,
        stale: Raises | None = None,
    ) -> Batch[int]:
        """Delete a small tree in one batch; the arguments are those of :meth:`fence`.

        :return: how many children went.
        :raises TooManyRows: by the server, when there are more than ``inline`` of a kind.
        :raises RowsAfterFence: by the server, when some are left: they have children that are not
            drained, or a trigger or a rule keeps them.
        :raises ParentKept: by the server, when a trigger or a rule keeps the parent.
        """
        root = self.root(key)
        ended = evolve(self.parent, deleted_at=None) if self.hard else self.parent
        kept = ParentKept(self.parent.table)
        ending = ended.delete_row(key, missing=kept, generation=generation, stale=stale)
        few = [one.check_at_most(root, self.inline_limit) for one in self.stages if one.counts]
        going = [one.apply_all(root) for one in self.stages]
        # What had children of another kind has stayed, and what a trigger keeps.
        left = [one.check_empty(root) for one in self.stages if one.counts]
        last = Scheduled(ending, resets=touch_key(self.parent, key))
        swept = sequence(going).map(self._gone)
        place = len(self.guards) + len(few)
        seen = with_settings(ALL_ROWS, gather(*self._guards(key), *few, swept, *left))
        return gather(
            self.parent.lock(key, missing=missing), seen, last, *self._ended(key, kept)
        ).map(lambda results: results[1][place])

    def chunk(
        self, job: Job, rows: int, lease: timedelta, *, skip_locked: bool = False
    ) -> Statement[Chunk]:
        """Let the next rows of a job go, and count them in the same statement; all of them, or
        around those that others have locked."""
        parts = self.stages[job.stage].chunk_parts(job, self._fence, rows)
        return chunk(parts, job, self.jobs.table, rows, lease, skip_locked=skip_locked)

    def finish(self, job: Job) -> Batch[Job]:
        """End a job whose children are gone: look once more, under the parent's lock."""
        root = self.root(job.root)
        looking = [one.check_empty_for(job, root, self._fence) for one in self.stages if one.counts]
        kept = ParentKept(self.parent.table)
        parent = [self._fence.remove(job).expect(1, missing=kept)] if self.hard else []
        return gather(
            with_settings(ALL_ROWS, gather(self._fence.lock(job), *looking)),
            *parent,
            self.jobs.mark_done(job),
        ).map(lambda results: results[-1])

    def adopt(self, job: Job) -> Statement[int]:
        """Let a stuck job go on with its parent as it is now, once people have seen that it may.

        That is: with the tables that the names lead to now, and at the generation that the parent
        has now. It still has to be hidden.

        :param job: as it was looked at: :meth:`Jobs.get`.
        :return: 1, or 0 where it is not stuck any more, or no parent of its key is hidden.
        """
        return self.jobs.adopt(job, self._fence.now(job))

    def root(self, key: object) -> Statement[None]:
        """Write the parent's key as its row has it, a ``sql()`` fragment to compare children with.

        So they are those of the row that the caller's key finds, however he says it: ``"A0EE…"`` is
        a UUID's key as well.
        """
        parent = select(self.parent.table, [self.parent.key], where={self.parent.key: key})
        text, values = embed(parent, "root")
        return raw_sql(text, **values)

    def _ended(self, key: object, kept: ParentKept) -> list[Statement[None]]:
        """Forbid that a parent that stays lives on: a trigger may have set its tombstone back."""
        if self.hard or self.parent.deleted_at is None:
            return []
        living = {self.parent.key: key, self.parent.deleted_at: None}
        found = select(self.parent.table, [self.parent.key], where=living)
        return [found.expect(0, unexpected=kept).label(self.parent.table)]

    def _guarded(self, key: object) -> list[Batch[Any]]:
        """The guards, which see all rows; nothing, where there are none."""
        return [with_settings(ALL_ROWS, gather(*self._guards(key)))] if self.guards else []

    def _guards(self, key: object) -> list[Statement[None]]:
        return [guard(key) for guard in self.guards]

    def _gone(self, rows: list[int]) -> int:
        return sum(n for n, one in zip(rows, self.stages, strict=True) if one.counts)
