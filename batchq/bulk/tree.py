# SPDX-License-Identifier: MIT
"""A parent and its children, of which there may be a million: fence, chunks, guarded end.

No child is deleted before a committed state exists in which the parent is hidden and can gain no
more of them: the fence. Then they go in chunks, each a small transaction of one round trip. The
parent goes last, in a batch that looks once more, under its lock, that no child is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from attrs import Factory, evolve, field, frozen

from batchq.bulk.errors import FenceMoved
from batchq.bulk.jobs import Job, Jobs
from batchq.bulk.sweeping.chunk import Chunk, order_key
from batchq.bulk.sweeping.passes import Pass
from batchq.engine.names import identifier
from batchq.language.batch import Batch, Placed
from batchq.language.builders import delete, written
from batchq.language.cells import Condition
from batchq.language.compose import gather, sequence
from batchq.language.errors import InvalidBatch
from batchq.language.existence import lock
from batchq.language.mapping import Meaning
from batchq.language.parents import Children, Parent, bump_of
from batchq.language.statement import Statement

INLINE = 1_000
"""Children of one kind up to which a tree is deleted in one batch."""


Guard = Callable[[Any], Statement[None]]


def _guards(guards: Iterable[Guard]) -> tuple[Guard, ...]:
    return tuple(guards)


def _drains(drains: Iterable[Drain]) -> tuple[Drain, ...]:
    return tuple(drains)


def _removes(drain: Drain) -> bool:
    return drain.children.tombstone is None


@frozen(kw_only=True)
class Drain:
    """One kind of children, and how they go.

    >>> vpc, router = Parent(table="vpc"), Parent(table="vpc_router")
    >>> routes = router.children("router_route", by="router_id", tombstone=None)
    >>> routers = vpc.children("vpc_router", by="vpc_id")
    >>> drain = Drain(children=routers, below=[Drain(children=routes)])
    """

    children: Children
    order: tuple[str, ...] = field(default=("id",), converter=order_key)
    """A column, or several, unique among the children of one parent and indexed with its key."""
    removes: bool = field(default=Factory(_removes, takes_self=True))
    """Whether the rows are really deleted, those that were hidden before as well. Left out: where
    they have no tombstone. Otherwise they are hidden, which is the end of them."""
    set: Mapping[str, object] | None = None
    """What is set of them instead: ``{"vpc_id": None}`` makes them nobody's."""
    below: tuple[Drain, ...] = field(default=(), converter=_drains)
    """Their own children. They are hidden before these go, so they need a tombstone."""

    def __attrs_post_init__(self) -> None:
        """Refuse what could not end."""
        if self.set is not None and (self.below or self.children.by not in self.set):
            message = (
                f"Drain({self.table!r}, set=…) has to set {self.children.by!r}: rows that stay "
                f"children are found again, and such rows have nothing below"
            )
            raise InvalidBatch(message)
        for drain in self.below:
            parent = drain.children.parent
            if parent.table != self.table or parent.tombstone != self.children.tombstone:
                message = (
                    f"Drain({self.table!r}, below=…): {drain.table!r} are children of "
                    f"{parent.table!r}, with the tombstone {parent.tombstone!r}"
                )
                raise InvalidBatch(message)
            parent.hidden()  # refuses a parent that has no tombstone

    @property
    def table(self) -> str:
        """Their table."""
        return self.children.table

    def passes(self, above: tuple[Children, ...] = ()) -> Iterator[Pass]:
        """The passes over them and what is below them, in their order.

        :param above: whose children they are, where the tree's parent is not.
        """
        reach, order = (*above, self.children), self.order
        if self.below:
            hidden = tuple(self.below[0].children.parent.hidden().items())
            yield Pass(reach=reach, order=order, sets=hidden, counts=not self.removes)
            for drain in self.below:
                yield from drain.passes(reach)
        if self.removes and self.set is None:
            childless = tuple(drain.children for drain in self.below)
            yield Pass(reach=reach, order=order, sets=None, living=False, childless=childless)
        elif not self.below:
            yield Pass(reach=reach, order=order, sets=self._changes())

    def _changes(self) -> tuple[tuple[str, object], ...]:
        if self.set is not None:
            return tuple(self.set.items())
        return ((str(self.children.tombstone), written("now()")),)


def _passes(tree: Tree) -> tuple[Pass, ...]:
    return tuple(one for drain in tree.drains for one in drain.passes())


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
    drains: tuple[Drain, ...] = field(converter=_drains)
    """The kinds of children, in the order in which they go."""
    removes: bool = True
    """Whether the parent's row goes in the end. Otherwise its tombstone is the end."""
    childless: tuple[Guard, ...] = field(default=(), converter=_guards)
    """Guards on children that are not drained but must not be there, each made for a parent's key:
    ``lambda key: SUBNETS.forbid(key, else_=VpcHasSubnets())``; see :meth:`Parent.delete`."""
    jobs: Jobs = field(factory=Jobs)
    inline: int = INLINE
    passes: tuple[Pass, ...] = field(
        default=Factory(_passes, takes_self=True), init=False, repr=False, eq=False
    )
    """In which order the rows go: the leaves first."""

    def __attrs_post_init__(self) -> None:
        """Refuse a drain of another parent's children."""
        for drain in self.drains:
            if drain.children.parent != self.parent:
                message = (
                    f"Tree({self.name!r}) is one of {self.parent.table!r}, and {drain.table!r} are "
                    f"children of {drain.children.parent!r}: say Drain(…, below=[…]) of their own"
                )
                raise InvalidBatch(message)

    def fence(
        self,
        key: object,
        *,
        gone: Meaning,
        generation: object = None,
        stale: Meaning | None = None,
        job: UUID | None = None,
    ) -> Batch[UUID]:
        """Hide a parent and leave a job behind; an ordinary batch, to be composed with others.

        :param key: the parent's.
        :param gone: what it means that there is none, or no longer.
        :param generation: the generation that the caller has seen, or None for any.
        :param stale: what another generation means.
        :param job: the id of the job. Chosen by the caller, it tells after a lost connection
            whether the fence was committed: ``tree.jobs.read(job)``.
        :return: the job's id.
        """
        if self.parent.tombstone is None:
            message = (
                f"a fence hides the parent until its children are gone, and {self.parent.table!r} "
                f"has no tombstone"
            )
            raise InvalidBatch(message)
        job = job or uuid4()
        hidden = self.parent.ending(key, gone=gone, generation=generation, stale=stale)
        fenced = hidden.output(self.parent.generation, "bigint")
        return gather(
            self.parent.lock(key, gone=gone),
            *self._guards(key),
            Placed(hidden, ends=bump_of(self.parent, key)),
            self.jobs.insert(job, self.name, str(key), fenced),
        ).map(lambda _: job)

    def at_once(
        self,
        key: object,
        *,
        gone: Meaning,
        generation: object = None,
        stale: Meaning | None = None,
    ) -> Batch[int]:
        """Delete a small tree in one batch; the arguments are those of :meth:`fence`.

        :return: how many children went.
        :raises TooMany: by the server, when there are more than ``inline`` of a kind.
        :raises LateRows: by the server, when some have children that are not drained.
        """
        root = str(key)
        ended = evolve(self.parent, tombstone=None) if self.removes else self.parent
        ending = ended.ending(key, gone=gone, generation=generation, stale=stale)
        few = [one.few(root, self.inline) for one in self.passes if one.counts]
        going = [one.at_once(root) for one in self.passes]
        # What had children of another kind has stayed.
        left = [one.none_left(root) for one in self.passes if one.childless]
        last = Placed(ending, ends=bump_of(self.parent, key))
        place = -2 - len(left)
        return gather(
            self.parent.lock(key, gone=gone),
            *self._guards(key),
            *few,
            sequence(going).map(self._gone),
            *left,
            last,
        ).map(lambda results: results[place])

    def chunk(self, job: Job, rows: int, lease: timedelta) -> Statement[Chunk]:
        """Let the next rows of a job go, and count them in the same statement."""
        return self.passes[job.child].chunk(job, self.jobs.table, rows, lease)

    def last(self, job: Job) -> Batch[Job]:
        """End a job whose children are gone: look once more, under the parent's lock."""
        tombstone = identifier(str(self.parent.tombstone))
        fenced: list[Condition] = [
            {self.parent.key: job.root, self.parent.generation: job.generation},
            written(f"{tombstone} IS NOT NULL"),
        ]
        locking = lock(self.parent.table, fenced, missing=FenceMoved(job.root))
        looking = [one.none_left(job.root) for one in self.passes if one.counts]
        removing = delete(self.parent.table, where={self.parent.key: job.root}).expect(1)
        parent = [removing] if self.removes else []
        return gather(locking, *looking, *parent, self.jobs.done(job)).map(
            lambda results: results[-1]
        )

    def _guards(self, key: object) -> list[Statement[None]]:
        return [guard(key) for guard in self.childless]

    def _gone(self, rows: list[int]) -> int:
        return sum(n for n, one in zip(rows, self.passes, strict=True) if one.counts)
