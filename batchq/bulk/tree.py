# SPDX-License-Identifier: MIT
"""A parent and its children, to be deleted now or by a job: fence, chunks, guarded end.

No child is deleted before the fence: a committed state in which the parent is hidden and can gain
no more children. Then the children are deleted in chunks, each a small transaction of one round
trip. The parent is deleted last, in a batch that checks, under the parent's lock, that no child is
left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

from attrs import Factory, evolve, field, frozen

from batchq.bulk.child_delete import ChildDelete, child_deletes
from batchq.bulk.chunks.fence import CANONICAL, Fence
from batchq.bulk.chunks.record import Chunk
from batchq.bulk.chunks.stages import Stage
from batchq.bulk.errors import ParentKept
from batchq.bulk.job import Job, checked_job
from batchq.bulk.jobs import Jobs
from batchq.bulk.known_values import check_known
from batchq.language.argument_types import checked, checked_job_id, of
from batchq.language.batch import Batch
from batchq.language.compose import gather, sequence
from batchq.language.errors import InvalidBatch
from batchq.language.local_settings import ALL_ROWS, put_back, with_settings
from batchq.language.mapping import Raises
from batchq.language.placement import Scheduled
from batchq.language.selects import select
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement
from batchq.language.validation import is_text, listed
from batchq.patterns.hierarchy import Parent
from batchq.patterns.touch import touch_key

INLINE_LIMIT = 1_000
"""Up to how many children of one kind a tree is deleted in one batch."""
Guard = Callable[[Any], Statement[None]]
_ROOT = sql_template("{parent}")
_GUARD = "[lambda key: CHILDREN.forbid(key, unexpected=…)]"


def _guards(guards: Iterable[Guard]) -> tuple[Guard, ...]:
    functions = () if isinstance(guards, Batch) else listed("guards=", guards, _GUARD)
    if isinstance(guards, Batch) or not all(map(callable, functions)):
        raise InvalidBatch(
            f"DeleteTree(guards=…): pass a list of functions of the parent's key; write "
            f"guards={_GUARD}"
        )
    return functions


def _parent(parent: Parent) -> Parent:
    return checked("DeleteTree", "parent", parent, Parent, "Parent(table=…, …)")


def _stages(tree: DeleteTree) -> tuple[Stage, ...]:
    return tuple(stage for child in tree.children for stage in child.stages())


def _fence(tree: DeleteTree) -> Fence:
    tables = (relation.table for stage in tree.stages for relation in stage.path)
    return Fence(tree.parent, tuple(dict.fromkeys((tree.parent.table, *tables))))


@frozen(kw_only=True)
class DeleteTree:
    """A parent, and the children to delete with it.

    >>> from batchq import steps
    >>> vpc = Parent(table="vpc", key="id", deleted_at="deleted_at", generation="version")
    >>> rules = vpc.children("vpc_firewall_rule", by="vpc_id", deleted_at=None)
    >>> tree = DeleteTree(name="vpc", parent=vpc, children=[ChildDelete(relation=rules)])
    >>> fenced = tree.fence(7, missing=LookupError("no such vpc"))
    >>> [step.path for step in steps(fenced)]
    ['vpc', 'vpc', 'insert bulk_job', 'settings put back']
    """

    name: str
    """The task name of its jobs."""
    parent: Parent = field(converter=_parent)
    children: tuple[ChildDelete, ...] = field(converter=child_deletes)
    """The kinds of children, in the order in which they are deleted."""
    hard: bool = field(default=True, validator=of("DeleteTree", bool, "True"))
    """Delete the parent row; if False, leave it soft-deleted."""
    guards: tuple[Guard, ...] = field(default=(), converter=_guards)
    """Functions that make a guard for a parent's key, on children that must not exist:
    ``lambda key: SUBNETS.forbid(key, unexpected=VpcHasSubnets())``; see :meth:`Parent.delete`."""
    jobs: Jobs = field(factory=Jobs, validator=of("DeleteTree", Jobs, "Jobs()"))
    inline_limit: int = field(default=INLINE_LIMIT, validator=of("DeleteTree", int, "1_000"))
    """Up to how many children of one kind :meth:`delete_now` deletes the tree in one batch."""
    stages: tuple[Stage, ...] = field(
        default=Factory(_stages, takes_self=True), init=False, repr=False, eq=False
    )
    """The stages of a job, in order: a table's children are deleted before its own rows."""
    _fence: Fence = field(
        default=Factory(_fence, takes_self=True), init=False, repr=False, eq=False
    )

    def __attrs_post_init__(self) -> None:
        """Reject an empty name, and children of another parent."""
        if not is_text(self.name):
            raise InvalidBatch(
                f"DeleteTree(name={self.name!r:.40}): its jobs are found by the name; pass a "
                f"non-empty str"
            )
        for child in self.children:
            if child.relation.parent != self.parent:
                raise InvalidBatch(
                    f"DeleteTree({self.name!r}): {child.table!r} are children of "
                    f"{child.relation.parent!r}, not of {self.parent.table!r}; declare them in the "
                    f"children=[…] of that table's ChildDelete"
                )

    def fence(
        self,
        key: object,
        *,
        missing: Raises,
        generation: object = None,
        stale: Raises | None = None,
        job: UUID | None = None,
    ) -> Batch[UUID]:
        """Hide a parent and insert a job; an ordinary batch that can be composed with others.

        :param key: the parent's key.
        :param missing: the error if there is no such parent, or it is soft-deleted.
        :param generation: the generation that the caller has seen, or None for any.
        :param stale: the error if the parent has another generation.
        :param job: the id of the job. If the caller chooses it, ``tree.jobs.get(job)`` shows after
            a lost connection whether the fence was committed.
        :return: the job's id.
        :raises InvalidBatch: if an argument is of another type, or a parameter: each batch has a
            job of its own, so a fence is not declared once and bound.
        :raises NoJobTable: by the server, if the job table does not exist.
        :raises JobExists: by the server, if the job of an earlier fence is not finished.
        :raises ParentKept: by the server, if a trigger or a rule keeps the parent as it was.
        """
        if self.parent.deleted_at is None:
            raise InvalidBatch(
                f"DeleteTree({self.name!r}).fence(): it hides the parent until its children are "
                f"deleted, and {self.parent.table!r} has no column for that; declare "
                f"Parent(…, deleted_at=…)"
            )
        check_known(f"DeleteTree({self.name!r}).fence()", (key, generation), outputs=True)
        job = uuid4() if job is None else checked_job_id("fence", job)
        # The lock has found the parent, so only a trigger or a rule can keep it from being hidden.
        kept = ParentKept(self.parent.table)
        hidden = self.parent.delete_row(key, missing=kept, generation=generation, stale=stale)
        snapshot = self._fence.snapshot(key)
        return gather(
            self.parent.lock(key, missing=missing),
            *self._guarded(key),
            Scheduled(hidden, resets=touch_key(self.parent, key)),
            self.jobs.create_fenced(job, self.name, snapshot, missing=kept),
            put_back(CANONICAL).label("settings put back"),
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

        :return: how many children were deleted.
        :raises TooManyRows: by the server, if there are more than ``inline_limit`` of a kind.
        :raises RowsAfterFence: by the server, if some are left: they have children that are not
            part of the tree, or a trigger or a rule keeps them.
        :raises ParentKept: by the server, if a trigger or a rule keeps the parent.
        """
        root = self.root(key)
        kept = ParentKept(self.parent.table)
        deleted = self._deleted_parent.delete_row(
            key, missing=kept, generation=generation, stale=stale
        )
        counted = self._counted
        limits = [stage.check_at_most(root, self.inline_limit) for stage in counted]
        deletes = sequence([stage.apply_all(root) for stage in self.stages]).map(self._total)
        # Left are rows that a trigger keeps, and rows with children that are not part of the tree.
        checks = [stage.check_empty(root) for stage in counted]
        place = len(self.guards) + len(limits)
        children = with_settings(ALL_ROWS, gather(*self._guards(key), *limits, deletes, *checks))
        return gather(
            self.parent.lock(key, missing=missing),
            children,
            Scheduled(deleted, resets=touch_key(self.parent, key)),
            *self._check_hidden(key, kept),
        ).map(lambda results: results[1][place])

    def chunk(
        self, job: Job, rows: int, lease: timedelta, *, skip_locked: bool = False
    ) -> Statement[Chunk]:
        """Delete the next chunk and record it in the job, in one statement.

        :param skip_locked: skip rows that other transactions have locked, instead of waiting.
        """
        stage, jobs = self.stages[job.stage], self.jobs.table
        return stage.chunk(job, jobs, self._fence, rows, lease, skip_locked=skip_locked)

    def finish(self, job: Job) -> Batch[Job]:
        """End a job after its last stage: check under the parent's lock that no child is left."""
        root = self.root(job.root)
        checks = [stage.check_empty_for(job, root, self._fence) for stage in self._counted]
        kept = ParentKept(self.parent.table)
        parent = [self._fence.delete_parent(job).expect(1, missing=kept)] if self.hard else []
        return gather(
            with_settings(ALL_ROWS, gather(self._fence.lock(job), *checks)),
            *parent,
            self.jobs.mark_done(job),
        ).map(lambda results: results[-1])

    def rescan(self, job: Job) -> Statement[Job]:
        """Restart a job for locked rows that were skipped."""
        return self.jobs.rescan(job)

    def adopt(self, job: Job) -> Statement[int]:
        """Make a stuck job claimable again, with its parent and tables as they are now.

        To be called after a person has looked at what has changed. The parent must still be hidden.

        :param job: the job as that person has seen it: :meth:`Jobs.get`.
        :return: 1; 0 if it is not stuck any more, or no hidden parent has its key.
        """
        return self.jobs.adopt(job, self._fence.current(checked_job(job)))

    def root(self, key: object) -> Statement[None]:
        """Return an expression for the key in the parent's row, to compare the children with.

        Children are then found by the value in the row, however the caller has written the key:
        ``"A0EE…"`` finds the same parent as the UUID does.
        """
        parent = select(self.parent.table, [self.parent.key], where={self.parent.key: key})
        return _ROOT.fill(parent=parent)

    @cached_property
    def _deleted_parent(self) -> Parent:
        """The parent as :meth:`delete_now` deletes it: its row, or softly."""
        return evolve(self.parent, deleted_at=None) if self.hard else self.parent

    @cached_property
    def _counted(self) -> tuple[Stage, ...]:
        """The stages that finish rows, and do not only hide them."""
        return tuple(stage for stage in self.stages if stage.counts)

    def _check_hidden(self, key: object, kept: ParentKept) -> list[Statement[None]]:
        """Check that a soft-deleted parent is hidden: a trigger may have reset the column."""
        if self.hard or self.parent.deleted_at is None:
            return []
        live = {self.parent.key: key, self.parent.deleted_at: None}
        parent = select(self.parent.table, [self.parent.key], where=live)
        return [parent.expect(0, unexpected=kept).label(self.parent.table)]

    def _guarded(self, key: object) -> list[Batch[Any]]:
        """Return the guards, which see all rows whatever the policies are."""
        return [with_settings(ALL_ROWS, gather(*self._guards(key)))] if self.guards else []

    def _guards(self, key: object) -> list[Statement[None]]:
        return [guard(key) for guard in self.guards]

    def _total(self, rows: list[int]) -> int:
        return sum(n for n, stage in zip(rows, self.stages, strict=True) if stage.counts)
