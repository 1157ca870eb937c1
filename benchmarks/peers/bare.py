# SPDX-License-Identifier: MIT
"""libpq's pipeline by hand: BEGIN, the statements, Sync, COMMIT, Sync, all prepared beforehand.

https://www.postgresql.org/docs/18/libpq-pipeline-mode.html, through ``psycopg.pq``. It does nothing
that the job does not need: one fixed batch, no values that compose, no mapping by statement. It is
the baseline, that is, what any library on top of psycopg has to stand on. Its statements are those
of batchq, guards included, so what differs is the client.

:class:`BareModels` makes models of the rows, as a service wants them: no peer can save that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, cast

import psycopg
from attrs import define, field
from psycopg import adapt
from psycopg.adapt import PyFormat
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.types.numeric import Int8
from psycopg.waiting import Ready, Wait  # noqa: TID251  the rival may lean on what batchq leans on
from psycopg_pool import AsyncConnectionPool

from batchq import steps
from benchmarks.peers import Connection, OnPsycopg
from benchmarks.workloads import Rows, Values, Workload

if TYPE_CHECKING:
    from psycopg.abc import PQGen, Transformer
    from psycopg.pq.abc import PGresult

Params = list[tuple[Sequence[Any], Sequence[int]]]

_SENTINEL = "benchmark:"
"""The text that a guard of batchq aborts with."""


class StatementFailed(Exception):
    """The server has rejected the command at this place; its error is the cause."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


@define(eq=False)
class BarePipeline:
    """Statements that are prepared once, and sent in one flight each time.

    Attributes:
        texts: the statements.
        guards: the parameters that the guard of each statement adds to its own.
        bare: the places of statements without parameters: batchq's settings around a guard.
    """

    conn: Connection
    texts: Sequence[str]
    guards: Sequence[tuple[object, ...]]
    bare: Sequence[int]
    _names: list[bytes] = field(init=False, factory=list)

    def prepare(self, values: Values) -> None:
        """Prepare the statements for values of these types."""
        values = self._placed(values)
        types_of: dict[str, tuple[int, ...]] = {}
        for text, own, guard in zip(self.texts, values, self.guards, strict=True):
            transformer = adapt.Transformer(self.conn)
            sent = (*own, *guard)
            transformer.dump_sequence(sent, [PyFormat.AUTO] * len(sent))
            # The last one of a text wins: it is the one whose list is not empty.
            types_of[text] = tuple(transformer.types or ())
        names = {text: b"bare_%d" % i for i, text in enumerate(types_of)}
        pg = self.conn.pgconn
        for text, name in names.items():
            answer = pg.prepare(name, text.encode(), types_of[text])
            if answer.status != ExecStatus.COMMAND_OK:
                raise error_from_result(answer)
        pg.prepare(b"bare_begin", b"BEGIN")
        pg.prepare(b"bare_commit", b"COMMIT")
        self._names = [names[text] for text in self.texts]

    def run(self, values: Values) -> list[Rows]:
        """Run the statements with these values; return the rows of each."""
        transformer = adapt.Transformer(self.conn)
        params = self.encode(values, transformer)
        return self.decode(self.conn.wait(self.flight(params)), transformer)

    async def arun(self, values: Values) -> list[Rows]:
        """Run the statements on an async connection: only the waiting differs."""
        transformer = adapt.Transformer(self.conn)
        params = self.encode(values, transformer)
        conn = cast("psycopg.AsyncConnection[Any]", self.conn)
        return self.decode(await conn.wait(self.flight(params)), transformer)

    def encode(self, values: Values, transformer: Transformer) -> Params:
        """Turn all values into bytes."""
        flat: list[object] = []
        ends = [0]
        for own, guard in zip(self._placed(values), self.guards, strict=True):
            flat += own
            flat += guard
            ends.append(len(flat))
        dumped = transformer.dump_sequence(flat, [PyFormat.AUTO] * len(flat))
        formats = transformer.formats or []
        return [(dumped[start:end], formats[start:end]) for start, end in pairwise(ends)]

    def _placed(self, values: Values) -> Values:
        for place in self.bare:
            values = [*values[:place], (), *values[place:]]
        return values

    def decode(self, answers: list[PGresult], transformer: Transformer) -> list[Rows]:
        """Turn the answers into rows."""
        rows: list[Rows] = []
        for answer in answers:
            transformer.set_pgresult(answer)
            rows.append(transformer.load_rows(0, answer.ntuples, tuple))
        return rows

    def flight(self, params: Params) -> PQGen[list[PGresult]]:
        """Send all, and read all answers."""
        pg = self.conn.pgconn
        pg.enter_pipeline_mode()
        pg.send_query_prepared(b"bare_begin", None)
        for name, (own, formats) in zip(self._names, params, strict=True):
            pg.send_query_prepared(name, own, formats)
        pg.pipeline_sync()
        pg.send_query_prepared(b"bare_commit", None)
        pg.pipeline_sync()
        while pg.flush():
            if (yield Wait.RW) & Ready.R:
                pg.consume_input()
        answers: list[PGresult] = []
        syncs = 0
        while syncs < 2:  # noqa: PLR2004  the two that were sent
            while pg.is_busy():
                if (yield Wait.R):
                    pg.consume_input()
            answer = pg.get_result()
            if answer is None:
                continue
            if answer.status == ExecStatus.PIPELINE_SYNC:
                syncs += 1
                continue
            answers.append(answer)
        pg.exit_pipeline_mode()
        if answers[-1].command_status != b"COMMIT":
            failed = [answer.status for answer in answers].index(ExecStatus.FATAL_ERROR)
            place = failed - 1 - sum(place < failed - 1 for place in self.bare)
            raise StatementFailed(place) from error_from_result(answers[failed])
        return answers[1:-1]


class Bare(OnPsycopg):
    """Send all at once, and return tuples."""

    name: ClassVar[str] = "bare pgconn pipeline"

    def __init__(self, workload: Workload[Any]) -> None:
        super().__init__(workload)
        self._pipelines: dict[object, BarePipeline] = {}

    def call(self, conn: Connection, given: Any) -> object:
        """Run the statements on this connection."""
        values = self.workload.values(given)
        try:
            return self.result(self.pipeline(conn, given, values).run(values))
        except StatementFailed as failure:
            raise self._error(failure, given) from failure

    async def apooled(self, pool: AsyncConnectionPool[Any], given: Any) -> object:
        """Run the statements on an async pool."""
        values = self.workload.values(given)
        async with pool.connection() as conn:
            return await self.pipeline(cast("Connection", conn), given, values).arun(values)

    def pipeline(self, conn: Connection, given: Any, values: Values) -> BarePipeline:
        """Return the pipeline of this connection, prepared by its first input."""
        if (found := self._pipelines.get(conn)) is not None:
            return found
        own = iter(zip(values, self.workload.commands, strict=True))
        texts: list[str] = []
        guards: list[tuple[object, ...]] = []
        bare: list[int] = []
        for index, step in enumerate(steps(self.workload.batch(given))):
            texts.append(step.sql)
            guards.append(())
            if step.parameters:
                params, command = next(own)
                added = len(set(re.findall(r"\$\d+", step.sql))) - len(params)
                guards[-1] = (Int8(command.rows or 0), _SENTINEL)[2 - added :]
            else:
                bare.append(index)
        pipeline = self._pipelines[conn] = BarePipeline(conn, texts, guards, bare)
        pipeline.prepare(values)
        return pipeline

    def result(self, rows: Sequence[Rows]) -> object:
        """Return the rows as they are."""
        return rows

    def _error(self, failure: StatementFailed, given: Any) -> Exception:
        error = failure.__cause__
        if isinstance(error, psycopg.errors.InvalidTextRepresentation):  # a guard's sentinel
            return self.workload.commands[failure.index].error(given, [("?",)])
        if isinstance(error, psycopg.IntegrityError):
            return self.workload.error(error.diag.constraint_name, given)
        return failure


class BareModels(Bare):
    """Send all at once, and return models."""

    name: ClassVar[str] = "bare pgconn pipeline, models"

    def result(self, rows: Sequence[Rows]) -> object:
        """Make models of the rows."""
        return self.workload.result(
            [
                own if command.model is None else [command.model(*row) for row in own]
                for command, own in zip(self.workload.commands, rows, strict=True)
            ]
        )
