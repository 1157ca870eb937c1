# SPDX-License-Identifier: MIT
"""Drive a worker on a real server, one request after the other, and make chosen steps fail."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import Any
from uuid import UUID

import psycopg
from attrs import define, field

import batchq
from batchq.bulk import ChildDelete, DeleteTree, Job, Report
from batchq.bulk.errors import LeaseLost
from batchq.bulk.worker.context import RunContext
from batchq.bulk.worker.options import WorkerOptions
from batchq.bulk.worker.requests import BatchDone, RunBatch, Sleep
from batchq.bulk.worker.worker import Worker
from batchq.result import Failed, attempt
from batchq.types import ViolationKind
from tests.support.vpcs import VPC

Left = dict[str, list[int]]
"""How many rows are left, by the keys of the parents, in each of the tables."""
TABLE = """\
CREATE TABLE IF NOT EXISTS {} (id serial, vpc_id int NOT NULL, UNIQUE (vpc_id, id));
TRUNCATE {}"""
PARENTS = """\
CREATE TABLE IF NOT EXISTS vpc (
    id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
TRUNCATE vpc"""


@define(eq=False)
class Recorder:
    """A tree or its job table, which records what each batch that it makes is for."""

    target: Any
    made: dict[int, tuple[Any, str, int]]
    """By identity: the batch, its purpose, and the rows that it asks for."""
    roots: dict[UUID, str]

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the target; its methods record what they return."""
        found = getattr(self.target, name)
        if name == "jobs":
            return Recorder(found, self.made, self.roots)
        if not inspect.ismethod(found):
            return found

        def make(about: Any, *arguments: Any, **options: Any) -> Any:
            batch = found(about, *arguments, **options)
            subject = about.root if isinstance(about, Job) else self.roots.get(about, about)
            rows = arguments[0] if name == "chunk" else 0
            words = f"{name} {subject} {rows or ''}".rstrip()
            self.made[id(batch)] = batch, words, rows
            return batch

        return make


Failure = Callable[["Driven", RunBatch], BatchDone | None]
"""What a step returns instead of its result; None for its result."""


@define(eq=False)
class Driven:
    """A worker, and the answers to its requests."""

    conn: psycopg.Connection[Any]
    tasks: tuple[Any, ...]
    options: dict[str, Any]
    made: dict[int, tuple[Any, str, int]]
    failing: deque[Failure]
    """For the next chunks and final batches."""
    cost: float
    """Seconds for each row that a chunk asks for."""
    log: list[str] = field(factory=list)
    """What was requested, in words."""
    asked: list[Any] = field(factory=list)
    """The requests themselves."""
    worker: Worker = field(init=False)
    step_failed: bool = False
    """Whether the last step has failed: what is asked next about it is a diagnosis."""

    def __attrs_post_init__(self) -> None:
        options = WorkerOptions(**{"owner": "test", **self.options})
        self.worker = Worker(tasks=self.tasks, context=RunContext(options=options))

    @property
    def report(self) -> Report:
        return self.worker.context.report

    @property
    def of_job(self) -> list[str]:
        """What was requested for the first job, from its claim until the last look for jobs."""
        return self.log[self.log.index("claim 1") + 1 : self.log.index("stats vpc")]

    def requests(self, meddle: Callable[[str], object] = lambda _request: None) -> Iterator[str]:
        """Answer one request after the other; what ``meddle`` raises is thrown into the worker."""
        with closing(self.worker.run()) as asked, suppress(StopIteration):
            request: Any = next(asked)
            while True:
                words = self._words(request)
                self.asked.append(request)
                self.log.append(words)
                yield words
                try:
                    meddle(words)
                    received = self._answer(request, words)
                except Exception as error:  # noqa: BLE001  thrown in, as a driver does
                    request = asked.throw(error)
                else:
                    self.step_failed = isinstance(getattr(received, "result", None), Failed)
                    request = asked.send(received)

    def run(self, request: RunBatch) -> BatchDone:
        """Run a step."""
        _, _, rows = self.made.get(id(request.batch), (None, "", 0))
        return BatchDone(attempt(self.conn, request.batch), self.cost * rows)

    def _answer(self, request: Any, words: str) -> Any:
        if isinstance(request, Sleep):
            return None
        if not isinstance(request, RunBatch):
            return request()
        if words.startswith(("chunk", "finish")) and self.failing:
            failed = self.failing.popleft()(self, request)
            if failed is not None:
                return failed
        return self.run(request)

    def _words(self, request: Any) -> str:
        if isinstance(request, Sleep):
            return "sleep"
        if not isinstance(request, RunBatch):
            return "throttle"
        if id(request.batch) in self.made:
            return self.made[id(request.batch)][1]
        return "diagnose" if self.step_failed else "estimate"


def prepare(
    conn: psycopg.Connection[Any],
    *lefts: Left,
    failing: Iterable[Failure] = (),
    cost: float = 0.0,
    **options: Any,
) -> Driven:
    """Fill the tables, fence the parents, and make a worker for their jobs.

    :param lefts: one for each tree: ``vpc``; or, if there are several, ``a``, ``b``, ...
    """
    made: dict[int, tuple[Any, str, int]] = {}
    names = ["vpc"] if len(lefts) == 1 else "abc"
    tables = [f"rule{n}" for n in range(2)]
    for command in (PARENTS, *(TABLE.format(table, table) for table in tables)):
        conn.execute(command)
    children = [
        ChildDelete(relation=VPC.children(table, by="vpc_id", deleted_at=None)) for table in tables
    ]
    trees, roots = [], dict[UUID, str]()
    for name, left in zip(names, lefts, strict=False):
        kinds = max(map(len, left.values()), default=0)
        tree = DeleteTree(name=name, parent=VPC, children=children[:kinds])
        conn.execute(f"{tree.jobs.ddl()}; TRUNCATE bulk_job")
        trees.append(Recorder(tree, made, roots))
        for root, rows in left.items():
            conn.execute(f"INSERT INTO vpc VALUES ({root})")
            for table, n in zip(tables, rows, strict=False):
                conn.execute(
                    f"INSERT INTO {table} (vpc_id) SELECT {root} FROM generate_series(1, {n})"
                )
            roots[batchq.run(conn, tree.fence(int(root), missing=LookupError(root)))] = root
    return Driven(conn, tuple(trees), options, made, deque(failing), cost)


def driven(
    conn: psycopg.Connection[Any],
    *lefts: Left,
    meddle: Callable[[str], object] = lambda _request: None,
    **options: Any,
) -> Driven:
    """Drive a worker to its end; the arguments are those of :func:`prepare`."""
    made = prepare(conn, *lefts, **options)
    for _ in made.requests(meddle):
        pass
    return made


# -- what may come of a step -----------------------------------------------------------------------


def fails(kind: type[batchq.BatchError], sqlstate: str | None = None, **texts: Any) -> Failure:
    """Make a step fail with nothing kept."""
    rejected = None
    if sqlstate is not None:
        rejected = batchq.Violation(kind=ViolationKind.OTHER, sqlstate=sqlstate, **texts)
    error = kind(f"made up: {sqlstate}", outcome=batchq.Outcome.ROLLED_BACK, violation=rejected)
    return lambda _driven, _request: BatchDone(Failed(error, error), 0.0)


def means(meaning: Exception) -> Failure:
    """Make a guard of a step reject it."""
    guarded = batchq.GuardFailed("made up", outcome=batchq.Outcome.ROLLED_BACK)
    return lambda _driven, _request: BatchDone(Failed(meaning, guarded), 0.0)


def unsent(_driven: Driven, _request: RunBatch) -> BatchDone:
    """Find the connection closed before anything is sent over it."""
    error = batchq.ConnectionFailed("made up", outcome=batchq.Outcome.NOT_SENT)
    return BatchDone(Failed(error, error), 0.0)


def lost(*, done: bool) -> Failure:
    """Lose the answer to a step that was committed, or was not."""

    def lose(made: Driven, request: RunBatch) -> BatchDone:
        if done:
            made.run(request)
        error = batchq.OutcomeUnknown("made up", outcome=batchq.Outcome.UNKNOWN)
        return BatchDone(Failed(error, error), 0.0)

    return lose


def after(command: str) -> Failure:
    """Run a command before the step, whose own result is returned."""

    def change(made: Driven, _request: RunBatch) -> None:
        made.conn.execute(command)

    return change


def fine(_driven: Driven, _request: RunBatch) -> None:
    """Let a step succeed."""


moved = after("UPDATE vpc SET rcgen = rcgen + 1")
conflict = fails(batchq.SerializationConflict, "40001")
timeout = fails(batchq.UnmappedViolation, "57014")
integrity = fails(batchq.UnmappedViolation, "23503", constraint="hit_fkey")
denied = fails(batchq.UnmappedViolation, "42501")
cut = fails(batchq.ConnectionFailed)
lease_lost = means(LeaseLost())
