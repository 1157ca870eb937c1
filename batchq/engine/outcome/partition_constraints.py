# SPDX-License-Identifier: MIT
"""Look up the partitioned table's constraint that a partition's constraint belongs to.

Each partition has indexes and foreign keys of its own, with names of their own, and the server
reports those names: ``b2_id_day_key``, for example, if the table's constraint is ``b_key``. Only
the catalog knows which belongs to which. So if a step fails, and has a mapping for another
constraint than the reported one, the catalog is queried after the transaction has ended.

CHECK constraints have the same name in all partitions, and NOT NULL is reported with the column:
they need no query.

Answers are cached per connection. The key is the statement, and the constraint with its table and
columns. A cached answer may be out of date. So if it leads to no mapping, the catalog is queried
again; and an answer that may choose among the constraints of several tables is not cached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from attrs import define, evolve, field, frozen
from psycopg import OperationalError
from psycopg.pq import ExecStatus

from batchq.engine.wire.exchange import Slots, exchange
from batchq.engine.wire.flight import CATALOG, SYNC, Flight
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
    JOIN pg_catalog.pg_class AS partition_ ON partition_.oid {_EQUALS} pg_index.indrelid
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid {_EQUALS} partition_.relnamespace
    WHERE nspname {_EQUALS} $1 AND partition_.relname {_EQUALS} $2 AND own.relname {_EQUALS} $3
  UNION
    SELECT inhparent, level OPERATOR(pg_catalog.+) 1
    FROM pg_catalog.pg_inherits JOIN part ON inhrelid {_EQUALS} id
)
SELECT relname FROM pg_catalog.pg_class JOIN part ON oid {_EQUALS} id
WHERE level OPERATOR(pg_catalog.>) 0 ORDER BY level"""
"""A constraint that is enforced by an index has the index's name. A unique index need not belong to
a constraint."""

_FOREIGN_KEYS = f"""\
WITH RECURSIVE part(id, name, above, level) AS (
    SELECT pg_constraint.oid, conname, conparentid, 0
    FROM pg_catalog.pg_constraint
    JOIN pg_catalog.pg_class AS partition_ ON partition_.oid {_EQUALS} conrelid
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid {_EQUALS} partition_.relnamespace
    WHERE nspname {_EQUALS} $1 AND partition_.relname {_EQUALS} $2 AND conname {_EQUALS} $3
        AND contype {_EQUALS} 'f'::pg_catalog."char"
  UNION
    SELECT pg_constraint.oid, conname, conparentid, level OPERATOR(pg_catalog.+) 1
    FROM pg_catalog.pg_constraint JOIN part ON pg_constraint.oid {_EQUALS} above
)
SELECT name FROM part WHERE level OPERATOR(pg_catalog.>) 0 ORDER BY level"""
"""A foreign key has a constraint for each partition of its own table, and of the referenced one."""

_QUERIES = {
    ViolationKind.UNIQUE: _INDEXES,
    ViolationKind.EXCLUSION: _INDEXES,
    ViolationKind.FOREIGN_KEY: _FOREIGN_KEYS,
}
OF_PARTITIONS = frozenset(_QUERIES)
"""The kinds of violations by a constraint that a partition has under another name."""
_NAME_OID = 19
"""OID of the type ``name`` (pg_type.dat)."""
_CACHE_SIZE = 1024

_CacheKey = tuple[object, ...]
_Cache = dict[_CacheKey, tuple[str, ...]]
_caches: WeakKeyDictionary[AnyConnection, _Cache] = WeakKeyDictionary()


@frozen
class _Candidates:
    """The statements with mappings that the answer may lead to."""

    sources: tuple[Source, ...]
    names: frozenset[str | None]
    """Constraint names in these mappings."""

    @property
    def may_be_cached(self) -> bool:
        """Return True if there is one statement on one table, or one name to choose from.

        SQL that writes to two tables may fail in a partition that was attached to the one, and now
        is attached to the other.
        """
        one_table = len(self.sources) == 1 and not isinstance(self.sources[0], RawSql)
        return one_table or len(self.names) == 1


@define(eq=False)
class PartitionLookup:
    """The look-up of the constraint of one failure, if its mapping depends on it."""

    connection: AnyConnection
    statements: Mapping[int, PlacedStatement]
    """Those that may have failed, by their indexes."""
    verdict: Verdict
    """The verdict so far; once they are known, its violation has the parent constraints."""
    is_needed: bool = field(init=False)
    """True if the query has to run."""
    _key: _CacheKey | None = field(init=False, default=None)
    """Key of the answer in the cache; None if it is not cached."""

    def __attrs_post_init__(self) -> None:
        """Use the cached answer, if it leads to a mapping."""
        candidates, initial = self._candidates(), self.verdict
        self.is_needed = candidates is not None
        if candidates is None or not candidates.may_be_cached:
            return
        self._key = _cache_key(candidates, initial)
        cached = self._cache.get(self._key) if self._key else None
        if cached is not None:
            self.verdict = _with_parents(initial, cached)
            # It has parents, but none is mapped: it may have been attached to another table.
            self.is_needed = bool(cached) and self._candidates() is not None
            if self.is_needed:
                self.verdict = initial

    @property
    def _cache(self) -> _Cache:
        return _caches.setdefault(self.connection, {})

    def _candidates(self) -> _Candidates | None:
        """Return the mappings that the parent constraint may lead to; None if there are none.

        There are none if a mapping has the reported name itself.
        """
        verdict, violation = self.verdict, self.verdict.violation
        if (
            violation is None
            or violation.kind not in _QUERIES
            or None in _names_of(violation)
            or verdict.outcome is not Outcome.ROLLED_BACK
            or verdict.link_lost
        ):
            return None
        sources, names = list[Source](), set[str | None]()
        for placed in self.statements.values():
            mapping, other_names = _first_match(placed, violation)
            if mapping is not None and _is_named(mapping, violation):
                return None
            if other_names:
                sources.append(placed.statement._shape.source)
                names |= other_names
        return _Candidates(tuple(sources), frozenset(names)) if sources else None

    def query(self, pg: PGconn, frame: Frame, encoding: str) -> PQGen[OperationalError | None]:
        """Query the catalog, and add the parent constraints to the verdict if they are sent.

        :return: why the connection is lost, if it is.
        """
        violation = self.verdict.violation
        if violation is None:
            return None
        slots = Slots()
        try:
            flight = _flight(pg, violation, frame, encoding)
            yield from exchange(pg, [(flight.send, flight.owners, slots, None)])
        except OperationalError as error:
            return error
        parents = _parents_in(slots.answers, encoding)
        if parents is not None:
            if self._key is not None:
                cache = self._cache
                if len(cache) >= _CACHE_SIZE:
                    cache.clear()
                cache[self._key] = parents
            self.verdict = _with_parents(self.verdict, parents)
        return slots.lost


def _names_of(violation: Violation) -> tuple[str | None, ...]:
    return violation.schema, violation.table, violation.constraint


def _cache_key(candidates: _Candidates, verdict: Verdict) -> _CacheKey | None:
    """Return the key of an answer. The columns are in DETAIL: ``Key (id, day)=(7, 1) …``."""
    violation = verdict.violation
    if violation is None:
        return None
    columns = (violation.detail or "").partition(")=(")[0]
    return (*candidates.sources, violation.kind, *_names_of(violation), columns)


def _first_match(
    placed: PlacedStatement, violation: Violation
) -> tuple[ErrorMapping | None, set[str | None]]:
    """Return the first mapping that matches, and the constraint names of the mappings before it."""
    other_names = set[str | None]()
    for mapping in placed.declared.mappings:
        if isinstance(mapping, str):
            continue
        if mapping.matcher.matches(violation):
            return mapping, other_names
        if _is_named(mapping, violation):
            other_names.add(mapping.matcher.name)
    return None, other_names


def _is_named(mapping: ErrorMapping, violation: Violation) -> bool:
    """Return True if a mapping matches constraints of that kind by name."""
    matcher = mapping.matcher
    return matcher.sqlstate is None and matcher.kind in (None, violation.kind)


def _with_parents(verdict: Verdict, parents: tuple[str, ...]) -> Verdict:
    if not parents:
        return verdict
    violation = verdict.violation
    return evolve(verdict, violation=violation and evolve(violation, part_of=parents))


def _flight(pg: PGconn, violation: Violation, frame: Frame, encoding: str) -> Flight:
    """Return the flight with the query; in the caller's own transaction, inside a savepoint."""
    params = [(name or "").encode(encoding, "replace") for name in _names_of(violation)]
    sql = _QUERIES[violation.kind].encode()
    commands: list[Callable[[], Any]] = [
        partial(pg.send_query_params, sql, params, (_NAME_OID,) * len(params))
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
    """Return the parent constraints; None if the server did not send them."""
    for answer in answers:
        if answer is not None and answer.status == ExecStatus.TUPLES_OK:
            cells = (answer.get_value(row, 0) for row in range(answer.ntuples))
            return tuple(cell.decode(encoding, "replace") for cell in cells if cell is not None)
    return None
