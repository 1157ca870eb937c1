# SPDX-License-Identifier: MIT
"""libpq's pipeline by hand: BEGIN, the statements, Sync, COMMIT, Sync, all prepared beforehand.

https://www.postgresql.org/docs/18/libpq-pipeline-mode.html, through ``psycopg.pq``. It does nothing
that the job does not need: one fixed batch, no values that compose, no mapping by statement. It is
the baseline, that is, what any library on top of psycopg has to stand on. Its statements are those
of batchq, guards included, so what differs is the client.

:class:`BareModels` makes models of the rows, as a service wants them: no peer can save that.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from psycopg import adapt
from psycopg.adapt import PyFormat
from psycopg.errors import InvalidTextRepresentation, error_from_result
from psycopg.pq import ExecStatus
from psycopg.types.numeric import Int8
from psycopg.waiting import Ready, Wait  # noqa: TID251  the rival may lean on what batchq leans on

from batchq import steps
from benchmarks.peers import AsyncConnection, Connection, OnPsycopg
from benchmarks.workloads import Command, Rows, Values, Workload

if TYPE_CHECKING:
    from psycopg.abc import PQGen, Transformer
    from psycopg.pq.abc import PGconn, PGresult

Params = list[tuple[Sequence[Any], Sequence[int]]]

_SENTINEL = "benchmark:"
"""The text that a guard of batchq aborts with."""


class Bare(OnPsycopg):
    """Send all at once, and return tuples."""

    name = "bare pgconn pipeline"

    def __init__(self, workload: Workload, name: str = "") -> None:
        super().__init__(workload, name)
        self._guards = [_guard(command) for command in workload.commands]
        self._names: dict[object, list[bytes]] = {}

    def call(self, conn: Connection, given: Any) -> object:
        """Run the statements on a connection."""
        values = self.workload.values(given)
        return self.result(conn.wait(self.run(conn, given, values)))

    async def acall(self, conn: AsyncConnection, given: Any) -> object:
        """Run the statements on an async connection: only the waiting differs."""
        values = self.workload.values(given)
        return self.result(await conn.wait(self.run(conn, given, values)))

    def run(
        self, conn: Connection | AsyncConnection, given: Any, values: Values
    ) -> PQGen[list[Rows]]:
        """Run the statements with these values; prepare them if they are not yet."""
        transformer = adapt.Transformer(conn)
        params = self.encode(values, transformer)
        names = self._names.get(conn) or self._prepare(conn, given, params, transformer.types or ())
        answers = yield from _flight(conn.pgconn, names, params)
        return self.decode(answers, transformer, given)

    def result(self, rows: Sequence[Rows]) -> object:
        """Return the rows as they are."""
        return rows

    def encode(self, values: Values, transformer: Transformer) -> Params:
        """Turn all values into bytes."""
        flat: list[object] = []
        ends = [0]
        for own, guard in zip(values, self._guards, strict=True):
            flat += own
            flat += guard
            ends.append(len(flat))
        dumped = transformer.dump_sequence(flat, [PyFormat.AUTO] * len(flat))
        formats = transformer.formats or []
        return [(dumped[start:end], formats[start:end]) for start, end in pairwise(ends)]

    def decode(self, answers: list[PGresult], transformer: Transformer, given: Any) -> list[Rows]:
        """Turn the answers into rows; raise the error if one has failed."""
        if answers[-1].command_status != b"COMMIT":
            failed = [answer.status for answer in answers].index(ExecStatus.FATAL_ERROR)
            error = error_from_result(answers[failed])
            if isinstance(error, InvalidTextRepresentation):  # the sentinel of a guard
                raise self.workload.commands[failed - 1].error(given) from error
            raise error
        rows: list[Rows] = []
        for answer in answers[1:-1]:
            transformer.set_pgresult(answer)
            rows.append(transformer.load_rows(0, answer.ntuples, tuple))
        return rows

    def _prepare(
        self,
        conn: Connection | AsyncConnection,
        given: Any,
        params: Params,
        types: tuple[int, ...],
    ) -> list[bytes]:
        """Prepare the statements for values of these types; return their names."""
        (form, *_) = self.workload.batches.values()
        texts = [step.sql for step in steps(form(given))]
        each = iter(types)
        # The last one of a text wins: it is the one whose list is not empty.
        types_of = {
            text: tuple(islice(each, len(own)))
            for text, (own, _) in zip(texts, params, strict=True)
        }
        names = {text: b"bare_%d" % number for number, text in enumerate(types_of)}
        to_prepare = [(names[text], text.encode(), own) for text, own in types_of.items()]
        to_prepare += [(b"bare_begin", b"BEGIN", ()), (b"bare_commit", b"COMMIT", ())]
        for prepared in to_prepare:
            answer = conn.pgconn.prepare(*prepared)
            if answer.status != ExecStatus.COMMAND_OK:
                raise error_from_result(answer)
        self._names[conn] = [names[text] for text in texts]
        return self._names[conn]


class BareModels(Bare):
    """Send all at once, and return models."""

    name = "bare pgconn pipeline, models"

    def result(self, rows: Sequence[Rows]) -> object:
        """Make models of the rows."""
        return self.workload.result(
            [
                own if command.model is None else [command.model(*row) for row in own]
                for command, own in zip(self.workload.commands, rows, strict=True)
            ]
        )


def _guard(command: Command) -> tuple[object, ...]:
    """Return the parameters that batchq's guard adds to those of the statement."""
    if command.rows is None:
        return ()
    # An expected number of 0 or 1 is in the text.
    return (_SENTINEL,) if command.rows in (0, 1) else (Int8(command.rows), _SENTINEL)


def _flight(pg: PGconn, names: list[bytes], params: Params) -> PQGen[list[PGresult]]:
    """Send all, and read all answers."""
    pg.enter_pipeline_mode()
    pg.send_query_prepared(b"bare_begin", None)
    for name, (own, formats) in zip(names, params, strict=True):
        pg.send_query_prepared(name, own, formats)
    pg.pipeline_sync()
    pg.send_query_prepared(b"bare_commit", None)
    pg.pipeline_sync()
    while pg.flush():
        if (yield Wait.RW) & Ready.R:
            pg.consume_input()
    answers: list[PGresult] = []
    syncs = 2
    while syncs:
        while pg.is_busy():
            if (yield Wait.R):
                pg.consume_input()
        answer = pg.get_result()
        if answer is not None and answer.status == ExecStatus.PIPELINE_SYNC:
            syncs -= 1
        elif answer is not None:
            answers.append(answer)
    pg.exit_pipeline_mode()
    return answers
