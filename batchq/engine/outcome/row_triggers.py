# SPDX-License-Identifier: MIT
"""Look up whether a table stores the rows that a step writes, and no others.

A BEFORE trigger may change the key of a row; a rule or a view may write another row. If the key in
DETAIL decides which step violated a deferred constraint, the tables must have none of these; and if
a step is excluded by its key, nothing else may write rows because of it. So the catalog is queried
after the transaction has ended. The answer is not cached, since a trigger may be created at any
time, and such a failure is rare.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, evolve
from psycopg import OperationalError
from psycopg.pq import ExecStatus

from batchq.engine.compile.quoting import identifier, quoted
from batchq.engine.outcome.attribute import TableFacts, Verdict
from batchq.engine.outcome.resolve import steps_decided_by_key
from batchq.engine.wire.exchange import Slots, exchange
from batchq.engine.wire.flight import CATALOG, CLOSING, SYNC, Flight
from batchq.language.outcome import Outcome
from batchq.language.syntax import Delete, Insert, RawSql, Select, Update

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

    from batchq.engine.scope import PlacedStatement
    from batchq.engine.wire.frame import Frame

_EQ, _NE, _AND = (f"OPERATOR(pg_catalog.{operator})" for operator in ("=", "<>", "&"))

_QUERY = f"""\
SELECT rewrites, rewrites OR EXISTS (
        SELECT FROM pg_catalog.pg_trigger
        WHERE tgrelid {_EQ} written.oid AND NOT tgisinternal AND tgenabled {_NE} 'D'
    ) OR EXISTS (
        SELECT FROM pg_catalog.pg_constraint
        WHERE confrelid {_EQ} written.oid AND contype {_EQ} 'f' AND moves
            AND NOT (confdeltype {_EQ} ANY ('{{a,r}}') AND confupdtype {_EQ} ANY ('{{a,r}}'))
    ), written.oid {_NE} pg_catalog.to_regclass($1::pg_catalog.text) AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_inherits WHERE inhparent {_EQ} written.oid
    )
FROM (
    SELECT nr, moves, oid, oid IS NULL OR NOT (relkind {_EQ} 'r' OR relkind {_EQ} 'p')
        OR EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class {_EQ} pg_class.oid)
        OR EXISTS (
            SELECT FROM pg_catalog.pg_trigger
            WHERE tgrelid {_EQ} pg_class.oid AND NOT tgisinternal AND tgenabled {_NE} 'D'
                AND (tgtype {_AND} 3::pg_catalog.int2) {_EQ} 3::pg_catalog.int2
                AND (tgtype {_AND} 20::pg_catalog.int2) {_NE} 0::pg_catalog.int2
        ) AS rewrites
    FROM (VALUES %s) AS given(nr, name, moves)
    LEFT JOIN pg_catalog.pg_class ON pg_class.oid {_EQ} pg_catalog.to_regclass(name)
) AS written
ORDER BY nr"""
"""The columns are the fields of :class:`TableFacts`. The first: triggers BEFORE INSERT or UPDATE,
FOR EACH ROW (TRIGGER_TYPE_… in pg_trigger.h). The second: any trigger and, if rows are updated or
deleted, foreign keys that cascade. The third: a table is not another one if the violation's may be
a partition of it, or inherit from it."""


@define(eq=False)
class TriggerLookup:
    """The look-up of the tables of the steps that may have failed."""

    statements: Mapping[int, PlacedStatement]
    verdict: Verdict
    """The verdict so far; after the query with ``tables``."""

    @property
    def is_needed(self) -> bool:
        """Return True if the query has to run."""
        verdict = self.verdict
        at_commit = verdict.owner == CLOSING and verdict.outcome is Outcome.ROLLED_BACK
        return at_commit and bool(self._tables)

    @property
    def _violated_table(self) -> str | None:
        """Return the table of the violation, which may be a partition."""
        violation = self.verdict.violation
        if violation is None or not violation.schema or not violation.table:
            return None
        return f"{identifier(violation.schema)}.{identifier(violation.table)}"

    @property
    def _tables(self) -> dict[str, bool]:
        """Return the steps' tables, each with whether rows of it are updated or deleted, and the
        table of the violation."""
        tables: dict[str, bool] = {}
        violation = self.verdict.violation
        if violation is None:
            return tables
        for step in steps_decided_by_key(self.verdict, violation, self.statements):
            source = step.statement._shape.source
            if not isinstance(source, RawSql | Select):
                name, moves = quoted(source.table), not _only_inserts(source)
                tables[name] = moves or tables.get(name, False)
        if tables and self._violated_table is not None:
            tables.setdefault(self._violated_table, False)
        return tables

    def query(self, pg: PGconn, frame: Frame, encoding: str) -> PQGen[OperationalError | None]:
        """Query the catalog, and add the facts to the verdict if the server sends them.

        :return: why the connection is lost, if it is.
        """
        del frame  # no constraint is deferred to the end of a savepoint
        tables, violated = self._tables, self._violated_table
        rows = ", ".join(
            f"({nr}, ${nr}::pg_catalog.text, {'true' if moves else 'false'})"
            for nr, moves in enumerate(tables.values(), start=2)
        )
        params = [
            None if table is None else table.encode(encoding, "replace")
            for table in (violated, *tables)
        ]
        send = partial(pg.send_query_params, (_QUERY % rows).encode(), params)
        flight, slots = Flight(), Slots()
        flight.commands += [send, pg.pipeline_sync]
        flight.owners += [CATALOG, SYNC]
        try:
            yield from exchange(pg, [(flight.send, flight.owners, slots, None)])
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


def _only_inserts(source: Insert | Update | Delete) -> bool:
    return isinstance(source, Insert) and not (source.conflict and source.conflict.updates)
