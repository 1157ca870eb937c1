# SPDX-License-Identifier: MIT
"""The rival: the commands of project_create written out by hand on libpq's pipeline.

It does nothing that the job does not need: no values that compose, no mapping of failures, no
models, one fixed batch whose statements are prepared before the clock starts. It is the floor that
any library on top of psycopg has to stand on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from attrs import define, field
from psycopg import Connection
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from psycopg.types.numeric import Int8
from psycopg.waiting import Ready, Wait  # noqa: TID251  the rival may lean on what batchq leans on

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

Stage = Callable[[str], None]
"""Called at the end of each stage with its name."""

_BLOCK = IPv4Network("172.30.0.0/22")
ONE_ROW = (Int8(1), "batchq-benchmark:rows:")
"""What a guard's SQL takes: the wanted number of rows, and the words of its sentinel."""


def project_create_values(silo_id: UUID, name: str) -> list[tuple[object, ...]]:
    """The parameters of the eight statements."""
    project, vpc, router = uuid4(), uuid4(), uuid4()
    return [
        (silo_id, *ONE_ROW),
        (project, silo_id, name, ""),
        (vpc, project, router, "default"),
        (router, vpc, "system", "system"),
        (uuid4(), vpc, "default", _BLOCK),
        (uuid4(), vpc, "allow-internal-inbound", "inbound", "allow", [], Int8(65534)),
        (uuid4(), vpc, "allow-ssh", "inbound", "allow", ["tcp"], Int8(65534)),
        (silo_id, *ONE_ROW),
    ]


@define(eq=False)
class BarePipeline:
    """BEGIN, the statements, Sync, COMMIT, Sync: prepared once, sent in one flight each time."""

    conn: Connection[Any]
    texts: Sequence[str]
    _names: list[bytes] = field(init=False, factory=list)

    def prepare(self, values: Sequence[Sequence[object]]) -> None:
        """Prepare the statements for values of these types."""
        types_of: dict[str, tuple[int, ...]] = {}
        for text, own in zip(self.texts, values, strict=True):
            transformer = Transformer(self.conn)
            transformer.dump_sequence(own, [PyFormat.AUTO] * len(own))
            # The last of a text wins: it is the one whose list is not empty.
            types_of[text] = tuple(transformer.types or ())
        names = {text: b"bare_%d" % i for i, text in enumerate(types_of)}
        pg = self.conn.pgconn
        for text, name in names.items():
            answer = pg.prepare(name, text.encode(), types_of[text])
            if answer.status != ExecStatus.COMMAND_OK:
                raise RuntimeError(answer.get_error_message())
        pg.prepare(b"bare_begin", b"BEGIN")
        pg.prepare(b"bare_commit", b"COMMIT")
        self._names = [names[text] for text in self.texts]

    def run(self, values: Sequence[Sequence[object]], stage: Stage | None = None) -> list[Any]:
        """Run them with these values; return the rows of each."""
        transformer = Transformer(self.conn)
        flat = [value for own in values for value in own]
        dumped = transformer.dump_sequence(flat, [PyFormat.AUTO] * len(flat))
        formats = transformer.formats or []
        params: list[tuple[Sequence[Any], Sequence[int]]] = []
        end = 0
        for own in values:
            start, end = end, end + len(own)
            params.append((dumped[start:end], formats[start:end]))
        if stage:
            stage("encode")
        answers = self.conn.wait(self._flight(params))
        if stage:
            stage("wire")
        rows: list[Any] = []
        for answer in answers:
            transformer.set_pgresult(answer)
            rows.append(transformer.load_rows(0, answer.ntuples, tuple))
        if stage:
            stage("decode")
        return rows

    def _flight(self, params: list[tuple[Sequence[Any], Sequence[int]]]) -> PQGen[list[PGresult]]:
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
        *done, commit = answers
        if commit.command_status != b"COMMIT":
            failed = next(a for a in done if a.status == ExecStatus.FATAL_ERROR)
            raise RuntimeError(failed.get_error_message())
        return done[1:]
