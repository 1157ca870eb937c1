# SPDX-License-Identifier: MIT
"""Whether what a step puts into a table is what the table gets.

A BEFORE trigger may make another key of a row, a rule or a view another row. Where the key in
DETAIL is to tell which of several steps broke a deferred constraint, their tables must have none of
these: the server is asked, once the transaction has ended. It is asked each time, for a trigger may
come at any time, and such a failure is rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, evolve
from psycopg import OperationalError
from psycopg.pq import ExecStatus

from batchq.engine.blame import told_by_key
from batchq.engine.flight import LINEAGE, SYNC, Flight
from batchq.engine.names import identifier, quoted
from batchq.engine.wire import Slots, exchange
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

    from batchq.engine.attribute import Verdict
    from batchq.engine.frame import Frame
    from batchq.language.plan import Leaf

_IS, _IS_NOT, _AND = (f"OPERATOR(pg_catalog.{operator})" for operator in ("=", "<>", "&"))

_QUESTION = f"""\
SELECT pg_catalog.bool_or(
    oid IS NULL OR NOT (relkind {_IS} 'r' OR relkind {_IS} 'p')
    OR EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class {_IS} pg_class.oid)
    OR EXISTS (
        SELECT FROM pg_catalog.pg_trigger
        WHERE tgrelid {_IS} pg_class.oid AND NOT tgisinternal AND tgenabled {_IS_NOT} 'D'
            AND (tgtype {_AND} 3::pg_catalog.int2) {_IS} 3::pg_catalog.int2
            AND (tgtype {_AND} 20::pg_catalog.int2) {_IS_NOT} 0::pg_catalog.int2
    )
)
FROM (VALUES %s) AS told(name)
LEFT JOIN pg_catalog.pg_class ON pg_class.oid {_IS} pg_catalog.to_regclass(name)"""
"""Triggers BEFORE, FOR EACH ROW, for INSERT or UPDATE: TRIGGER_TYPE_… in pg_trigger.h."""


@define(eq=False)
class Rewriting:
    """One failure, and whether the tables of the steps that it is told apart by rewrite rows."""

    leaves: Sequence[Leaf]
    verdict: Verdict
    """What the slots say, and what the server answers once it is asked."""

    @property
    def asks(self) -> bool:
        """Whether the server has to be asked."""
        return self.verdict.outcome is Outcome.ROLLED_BACK and bool(self._tables)

    @property
    def _tables(self) -> list[str]:
        """Those of the steps, and the one that the server names, which may be a partition."""
        violation = self.verdict.violation
        if violation is None:
            return []
        steps = told_by_key(self.verdict, violation, self.leaves)
        named = [step.statement.source.table for step in steps]
        tables = [quoted(name) for name in named if name is not None]
        if tables and violation.schema and violation.table:
            tables.append(f"{identifier(violation.schema)}.{identifier(violation.table)}")
        return list(dict.fromkeys(tables))

    def ask(self, pg: PGconn, frame: Frame, encoding: str) -> PQGen[OperationalError | None]:
        """Ask the server, and learn what it says, if anything.

        :return: why the link is gone or not usable any more, when it is.
        """
        del frame  # nothing is deferred to the end of a savepoint
        tables = self._tables
        told = ", ".join(f"(${n}::pg_catalog.text)" for n in range(1, len(tables) + 1))
        params = [table.encode(encoding, "replace") for table in tables]
        send = partial(pg.send_query_params, (_QUESTION % told).encode(), params)
        flight, slots = Flight(), Slots([])
        flight.commands += [send, pg.pipeline_sync]
        flight.owners += [LINEAGE, SYNC]
        try:
            yield from exchange(pg, flight, slots)
        except OperationalError as error:
            return error
        answer = slots.answers[0]
        if answer is not None and answer.status == ExecStatus.TUPLES_OK:
            self.verdict = evolve(self.verdict, rewrites=answer.get_value(0, 0) == b"t")
        return slots.lost
