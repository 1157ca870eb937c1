# SPDX-License-Identifier: MIT
"""What a constraint of a partition is a part of: the name that a user has declared.

Each partition has indexes and foreign keys of its own, under names of their own, and the server
names those in its errors: ``b2_id_day_key`` where the table's constraint is ``b_key``. Only the
catalogue knows which is part of which. So when a step fails, and a mapping of its names another
constraint than the server does, the server is asked, once the transaction has ended.

CHECK constraints have one name in all partitions, and NOT NULL has a column's: nothing is asked.

An answer is remembered by connection, for the statement that it was asked for, and the constraint
with its table and the columns of its key. It may grow older than the partitions are. So one that
leads to no mapping is asked for again, and none is remembered that chooses among the names of
several tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from attrs import define, evolve, field, frozen
from psycopg import OperationalError
from psycopg.pq import ExecStatus

from batchq.engine.wire.exchange import Slots, exchange
from batchq.engine.wire.flight import CATALOG, CLOSING, SYNC, Flight
from batchq.language.outcome import Outcome
from batchq.language.syntax import RawSql, Source
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.scope import PlacedStatement
    from batchq.engine.wire.connection_state import AnyConnection
    from batchq.engine.wire.frame import Frame
    from batchq.language.mapping import ErrorMapping

_EQUALS = "OPERATOR(pg_catalog.=)"

_INDEXES = f"""\
WITH RECURSIVE part(id, level) AS (
    SELECT pg_index.indexrelid, 0
    FROM pg_catalog.pg_index
    JOIN pg_catalog.pg_class AS own ON own.oid {_EQUALS} pg_index.indexrelid
    JOIN pg_catalog.pg_class AS told ON told.oid {_EQUALS} pg_index.indrelid
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid {_EQUALS} told.relnamespace
    WHERE nspname {_EQUALS} $1 AND told.relname {_EQUALS} $2 AND own.relname {_EQUALS} $3
  UNION
    SELECT inhparent, level OPERATOR(pg_catalog.+) 1
    FROM pg_catalog.pg_inherits JOIN part ON inhrelid {_EQUALS} id
)
SELECT relname FROM pg_catalog.pg_class JOIN part ON oid {_EQUALS} id
WHERE level OPERATOR(pg_catalog.>) 0 ORDER BY level"""
"""A constraint that an index upholds has its name; a unique index need not be a constraint."""

_KEYS = f"""\
WITH RECURSIVE part(id, name, above, level) AS (
    SELECT pg_constraint.oid, conname, conparentid, 0
    FROM pg_catalog.pg_constraint
    JOIN pg_catalog.pg_class AS told ON told.oid {_EQUALS} conrelid
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid {_EQUALS} told.relnamespace
    WHERE nspname {_EQUALS} $1 AND told.relname {_EQUALS} $2 AND conname {_EQUALS} $3
        AND contype {_EQUALS} 'f'::pg_catalog."char"
  UNION
    SELECT pg_constraint.oid, conname, conparentid, level OPERATOR(pg_catalog.+) 1
    FROM pg_catalog.pg_constraint JOIN part ON pg_constraint.oid {_EQUALS} above
)
SELECT name FROM part WHERE level OPERATOR(pg_catalog.>) 0 ORDER BY level"""
"""A foreign key has a part for each partition of the table that has it, and of the one that it
refers to."""

_QUESTIONS = {
    ViolationKind.UNIQUE: _INDEXES,
    ViolationKind.EXCLUSION: _INDEXES,
    ViolationKind.FOREIGN_KEY: _KEYS,
}
_NAME = 19
"""The type ``name``: pg_type.dat."""
_MOST_REMEMBERED = 1024

_Key = tuple[object, ...]
_Answers = dict[_Key, tuple[str, ...]]
_remembered: WeakKeyDictionary[AnyConnection, _Answers] = WeakKeyDictionary()


@frozen
class _Asking:
    """The statements with mappings that an answer may lead to."""

    sources: tuple[Source, ...]
    names: frozenset[str | None]
    """What these mappings call the constraint."""

    @property
    def is_certain(self) -> bool:
        """Whether an answer stays true: one statement of one table, or one name to choose from.

        SQL that writes to two tables may meet a partition that was the one's and is the other's.
        """
        one_table = len(self.sources) == 1 and not isinstance(self.sources[0], RawSql)
        return one_table or len(self.names) == 1


@define(eq=False)
class PartitionLookup:
    """One failure, and what its constraint is a part of as far as that decides what it means."""

    connection: AnyConnection
    leaves: Sequence[PlacedStatement]
    verdict: Verdict
    """What the slots say, and what the constraint is part of once that is known."""
    asks: bool = field(init=False)
    """Whether the server has to be asked."""
    _key: _Key | None = field(init=False, default=None)
    """What the answer is remembered by; None where it is not."""

    def __attrs_post_init__(self) -> None:
        """Judge by what is remembered, where that is enough."""
        asking, sent = self._asking(), self.verdict
        self.asks = asking is not None
        if asking is None or not asking.is_certain:
            return
        self._key = _key_of(asking, sent)
        known = self._answers.get(self._key) if self._key else None
        if known is not None:
            self.verdict = _answered(sent, known)
            # Part of something, but of nothing that is mapped: it may be part of another by now.
            self.asks = bool(known) and self._asking() is not None
            if self.asks:
                self.verdict = sent

    @property
    def _answers(self) -> _Answers:
        return _remembered.setdefault(self.connection, {})

    def _asking(self) -> _Asking | None:
        """Find whether what the constraint is part of may decide what the failure means.

        It may not where a mapping has the very name that the server has sent.
        """
        verdict, violation, leaves = self.verdict, self.verdict.violation, self.leaves
        if (
            violation is None
            or violation.kind not in _QUESTIONS
            or None in _names_of(violation)
            or verdict.outcome is not Outcome.ROLLED_BACK
            or verdict.link_lost
        ):
            return None
        if verdict.step_index is not None:
            leaves = (leaves[verdict.step_index],)
        elif verdict.owner != CLOSING:
            return None
        sources, names = list[Source](), set[str | None]()
        for leaf in leaves:
            matched, passed = _decided(leaf, violation)
            if matched is not None and _is_named(matched, violation):
                return None
            if passed:
                sources.append(leaf.statement._shape.source)
                names |= passed
        return _Asking(tuple(sources), frozenset(names)) if sources else None

    def ask(self, pg: PGconn, frame: Frame, encoding: str) -> PQGen[OperationalError | None]:
        """Ask the server, and learn what it says, if anything.

        :return: why the link is gone or not usable any more, when it is.
        """
        violation = self.verdict.violation
        if violation is None:
            return None
        slots = Slots([])
        try:
            yield from exchange(pg, _load(pg, violation, frame, encoding), slots)
        except OperationalError as error:
            return error
        parents = _parents_in(slots.answers, encoding)
        if parents is not None:
            if self._key is not None:
                answers = self._answers
                if len(answers) >= _MOST_REMEMBERED:
                    answers.clear()
                answers[self._key] = parents
            self.verdict = _answered(self.verdict, parents)
        return slots.lost


def _names_of(violation: Violation) -> tuple[str | None, ...]:
    return violation.schema, violation.table, violation.constraint


def _key_of(asking: _Asking, verdict: Verdict) -> _Key | None:
    """What an answer is for. The columns stand in DETAIL: ``Key (id, day)=(7, 1) …``."""
    violation = verdict.violation
    if violation is None:
        return None
    columns = (violation.detail or "").partition(")=(")[0]
    return (*asking.sources, violation.kind, *_names_of(violation), columns)


def _decided(
    leaf: PlacedStatement, violation: Violation
) -> tuple[ErrorMapping | None, set[str | None]]:
    """Find the mapping that decides, and the other names that stronger ones have for a constraint
    of that kind."""
    passed = set[str | None]()
    for one in leaf.mappings:
        if isinstance(one, str):
            continue
        if one.matcher.matches(violation):
            return one, passed
        if _is_named(one, violation):
            passed.add(one.matcher.name)
    return None, passed


def _is_named(rule: ErrorMapping, violation: Violation) -> bool:
    """Whether a mapping is for constraints of that kind, by name."""
    return rule.matcher.sqlstate is None and rule.matcher.kind in (None, violation.kind)


def _answered(verdict: Verdict, parents: tuple[str, ...]) -> Verdict:
    violation = verdict.violation
    return evolve(verdict, violation=violation and evolve(violation, part_of=parents))


def _load(pg: PGconn, violation: Violation, frame: Frame, encoding: str) -> Flight:
    """Load the question: by itself or, in the caller's own transaction, behind a savepoint."""
    params = [(name or "").encode(encoding, "replace") for name in _names_of(violation)]
    sql = _QUESTIONS[violation.kind].encode()
    commands: list[Callable[[], Any]] = [
        partial(pg.send_query_params, sql, params, (_NAME,) * len(params))
    ]
    if frame.nested:
        first, last = frame.opening.encode(), frame.closing.encode()
        commands.insert(0, partial(pg.send_query_params, first, None))
        commands.append(partial(pg.send_query_params, last, None))
    flight = Flight()
    flight.commands += [*commands, pg.pipeline_sync]
    flight.owners += [*(CATALOG,) * len(commands), SYNC]
    return flight


def _parents_in(answers: Sequence[PGresult | None], encoding: str) -> tuple[str, ...] | None:
    """Read the answer; None where the server has not given one."""
    for answer in answers:
        if answer is not None and answer.status == ExecStatus.TUPLES_OK:
            cells = (answer.get_value(row, 0) for row in range(answer.ntuples))
            return tuple(cell.decode(encoding, "replace") for cell in cells if cell is not None)
    return None
