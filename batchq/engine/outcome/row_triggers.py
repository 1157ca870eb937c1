# SPDX-License-Identifier: MIT
"""Whether what a step puts into a table is what the table gets, and all that is written.

A BEFORE trigger may make another key of a row, a rule or a view another row. Where the key in
DETAIL is to tell which step broke a deferred constraint, their tables must have none of these; and
where a step is to be found innocent, nothing else may write for it: the server is asked, once the
transaction has ended. It is asked each time, for a trigger may come at any time, and such a failure
is rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, evolve
from psycopg import OperationalError
from psycopg.pq import ExecStatus

from batchq.engine.compile.quoting import identifier, quoted
from batchq.engine.outcome.attribute import TableFacts, Verdict
from batchq.engine.outcome.resolve import steps_decided_by_key
from batchq.engine.wire.exchange import Slots, exchange
from batchq.engine.wire.flight import CATALOG, SYNC, Flight
from batchq.language.outcome import Outcome
from batchq.language.syntax import Insert, RawSql, Select

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

    from batchq.engine.scope import PlacedStatement
    from batchq.engine.wire.frame import Frame

_IS, _IS_NOT, _AND = (f"OPERATOR(pg_catalog.{operator})" for operator in ("=", "<>", "&"))

_QUESTION = f"""\
SELECT rewrites, rewrites OR EXISTS (
        SELECT FROM pg_catalog.pg_trigger
        WHERE tgrelid {_IS} asked.oid AND NOT tgisinternal AND tgenabled {_IS_NOT} 'D'
    ) OR EXISTS (
        SELECT FROM pg_catalog.pg_constraint
        WHERE confrelid {_IS} asked.oid AND contype {_IS} 'f' AND moves
            AND NOT (confdeltype {_IS} ANY ('{{a,r}}') AND confupdtype {_IS} ANY ('{{a,r}}'))
    ), asked.oid {_IS_NOT} pg_catalog.to_regclass($1::pg_catalog.text) AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_inherits WHERE inhparent {_IS} asked.oid
    )
FROM (
    SELECT nr, moves, oid, oid IS NULL OR NOT (relkind {_IS} 'r' OR relkind {_IS} 'p')
        OR EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class {_IS} pg_class.oid)
        OR EXISTS (
            SELECT FROM pg_catalog.pg_trigger
            WHERE tgrelid {_IS} pg_class.oid AND NOT tgisinternal AND tgenabled {_IS_NOT} 'D'
                AND (tgtype {_AND} 3::pg_catalog.int2) {_IS} 3::pg_catalog.int2
                AND (tgtype {_AND} 20::pg_catalog.int2) {_IS_NOT} 0::pg_catalog.int2
        ) AS rewrites
    FROM (VALUES %s) AS told(nr, name, moves)
    LEFT JOIN pg_catalog.pg_class ON pg_class.oid {_IS} pg_catalog.to_regclass(name)
) AS asked
ORDER BY nr"""
"""Triggers BEFORE, FOR EACH ROW, for INSERT or UPDATE: TRIGGER_TYPE_… in pg_trigger.h; all of them
and, where rows are updated or deleted, foreign keys that cascade; and whether the table is another
one than the violation's, which is none that it is a partition of, or inherits from."""


@define(eq=False)
class TriggerLookup:
    """One failure, and whether the tables of the steps that it is told apart by rewrite rows."""

    leaves: Sequence[PlacedStatement]
    verdict: Verdict
    """What the slots say, and what the server answers once it is asked."""

    @property
    def asks(self) -> bool:
        """Whether the server has to be asked."""
        return self.verdict.outcome is Outcome.ROLLED_BACK and bool(self._tables)

    @property
    def _named(self) -> str | None:
        """The table that the server names, which may be a partition."""
        violation = self.verdict.violation
        if violation is None or not violation.schema or not violation.table:
            return None
        return f"{identifier(violation.schema)}.{identifier(violation.table)}"

    @property
    def _tables(self) -> dict[str, bool]:
        """Those of the steps, each with whether its rows are updated or deleted; and the one that
        the server names."""
        tables: dict[str, bool] = {}
        violation = self.verdict.violation
        if violation is None:
            return tables
        for step in steps_decided_by_key(self.verdict, violation, self.leaves):
            source = step.statement._shape.source
            if not isinstance(source, RawSql | Select):
                name, moves = quoted(source.table), not isinstance(source, Insert)
                tables[name] = moves or tables.get(name, False)
        if tables and self._named is not None:
            tables.setdefault(self._named, False)
        return tables

    def ask(self, pg: PGconn, frame: Frame, encoding: str) -> PQGen[OperationalError | None]:
        """Ask the server, and learn what it says, if anything.

        :return: why the link is gone or not usable any more, when it is.
        """
        del frame  # nothing is deferred to the end of a savepoint
        tables, named = self._tables, self._named
        told = ", ".join(
            f"({nr}, ${nr}::pg_catalog.text, {'true' if moves else 'false'})"
            for nr, moves in enumerate(tables.values(), start=2)
        )
        params = [
            None if table is None else table.encode(encoding, "replace")
            for table in (named, *tables)
        ]
        send = partial(pg.send_query_params, (_QUESTION % told).encode(), params)
        flight, slots = Flight(), Slots([])
        flight.commands += [send, pg.pipeline_sync]
        flight.owners += [CATALOG, SYNC]
        try:
            yield from exchange(pg, flight, slots)
        except OperationalError as error:
            return error
        answer = slots.answers[0]
        if answer is not None and answer.status == ExecStatus.TUPLES_OK:
            facts = {
                table: TableFacts(*(answer.get_value(row, column) == b"t" for column in range(3)))
                for row, table in enumerate(tables)
            }
            self.verdict = evolve(self.verdict, tables=facts)
        return slots.lost
