# SPDX-License-Identifier: MIT
"""libpq's pipeline by hand: BEGIN, the statements, Sync, COMMIT, Sync, prepared beforehand.

https://www.postgresql.org/docs/18/libpq-pipeline-mode.html, through ``psycopg.pq``. It does nothing
that the job does not need: one fixed batch, no values that compose, no mapping by statement. It is
the baseline: what any library on top of psycopg has to stand on. The statements are those of
batchq, guards included, so what differs is the client.

:class:`BareTyped` hands out models, as a service wants them: what it takes more nobody can save.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID, uuid4

import psycopg
from attrs import define, field
from psycopg import adapt
from psycopg.adapt import PyFormat
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.types.numeric import Int8
from psycopg.waiting import Ready, Wait  # noqa: TID251  the rival may lean on what batchq leans on

from batchq import steps
from benchmarks.peers.on_psycopg import OnPsycopg
from benchmarks.peers.statements import BLOCK, RULES, meaning
from benchmarks.scene import Scene
from examples.datastore.models import (
    FirewallRule,
    NewProject,
    Project,
    ProjectCreated,
    Router,
    Subnet,
    Vpc,
    VpcCreated,
)
from examples.datastore.project import project_create

if TYPE_CHECKING:
    from psycopg.abc import PQGen, Transformer
    from psycopg.pq.abc import PGresult

Values = Sequence[Sequence[object]]
Params = list[tuple[Sequence[Any], Sequence[int]]]

ONE_ROW = (Int8(1), "benchmark:")
"""What a guard's SQL takes: the wanted number of rows, and the words of its sentinel."""


@define(eq=False)
class BarePipeline:
    """Statements that are prepared once, and sent in one flight each time."""

    conn: psycopg.Connection[Any]
    texts: Sequence[str]
    _names: list[bytes] = field(init=False, factory=list)

    def prepare(self, values: Values) -> None:
        """Prepare the statements for values of these types."""
        types_of: dict[str, tuple[int, ...]] = {}
        for text, own in zip(self.texts, values, strict=True):
            transformer = adapt.Transformer(self.conn)
            transformer.dump_sequence(own, [PyFormat.AUTO] * len(own))
            # The last of a text wins: it is the one whose list is not empty.
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

    def run(self, values: Values) -> list[list[tuple[Any, ...]]]:
        """Run them with these values; return the rows of each."""
        transformer = adapt.Transformer(self.conn)
        params = self.encode(values, transformer)
        return self.decode(self.wire(params), transformer)

    def encode(self, values: Values, transformer: Transformer) -> Params:
        """Turn all values into bytes."""
        flat = [value for own in values for value in own]
        dumped = transformer.dump_sequence(flat, [PyFormat.AUTO] * len(flat))
        formats = transformer.formats or []
        params: Params = []
        end = 0
        for own in values:
            start, end = end, end + len(own)
            params.append((dumped[start:end], formats[start:end]))
        return params

    def wire(self, params: Params) -> list[PGresult]:
        """Send all, and read all answers."""
        return self.conn.wait(self._flight(params))

    def decode(
        self, answers: list[PGresult], transformer: Transformer
    ) -> list[list[tuple[Any, ...]]]:
        """Turn the answers into rows."""
        rows: list[list[tuple[Any, ...]]] = []
        for answer in answers:
            transformer.set_pgresult(answer)
            rows.append(transformer.load_rows(0, answer.ntuples, tuple))
        return rows

    def _flight(self, params: Params) -> PQGen[list[PGresult]]:
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
            raise error_from_result(next(a for a in answers if a.status == ExecStatus.FATAL_ERROR))
        return answers[1:-1]


class Bare(OnPsycopg):
    """Sends all at once, and returns tuples."""

    name: ClassVar[str] = "bare pgconn pipeline"
    pipeline: BarePipeline

    @classmethod
    @contextmanager
    def opened(cls, scene: Scene) -> Iterator[Self]:
        """Connect, and prepare the statements."""
        with super().opened(scene) as peer:
            new = scene.project(0)
            peer.pipeline = BarePipeline(peer.conn, [s.sql for s in steps(project_create(new))])
            peer.pipeline.prepare(values(new, uuid4()))
            yield peer

    def create(self, new: NewProject, router_id: UUID) -> object:
        """Create a project."""
        return self._rows(new, router_id)

    def _rows(self, new: NewProject, router_id: UUID) -> list[list[tuple[Any, ...]]]:
        try:
            return self.pipeline.run(values(new, router_id))
        except psycopg.errors.InvalidTextRepresentation as error:  # a guard's sentinel
            raise meaning(None, new) from error
        except psycopg.IntegrityError as error:
            raise meaning(error.diag.constraint_name, new) from error


class BareTyped(Bare):
    """Sends all at once, and returns models."""

    name: ClassVar[str] = "bare pgconn pipeline, models"

    def create(self, new: NewProject, router_id: UUID) -> ProjectCreated:
        """Create a project."""
        _, (project,), (vpc,), (router,), (subnet,), *rules, _ = self._rows(new, router_id)
        return ProjectCreated(
            Project(*project),
            VpcCreated(
                Vpc(*vpc), Router(*router), Subnet(*subnet), [FirewallRule(*r) for (r,) in rules]
            ),
        )


def values(new: NewProject, router_id: UUID) -> list[tuple[object, ...]]:
    """The parameters of the eight statements."""
    vpc_id = uuid4()
    return [
        (new.silo_id, *ONE_ROW),
        (new.id, new.silo_id, new.name, new.description),
        (vpc_id, new.id, router_id, "default"),
        (router_id, vpc_id, "system", "system"),
        (uuid4(), vpc_id, "default", BLOCK),
        *[
            (uuid4(), vpc_id, name, "inbound", "allow", protocols, Int8(65534))
            for name, protocols in RULES
        ],
        (new.silo_id, *ONE_ROW),
    ]
