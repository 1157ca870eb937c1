# SPDX-License-Identifier: MIT
"""Who refers to the rows that are deleted: foreign keys that do more than they should, or forbid.

A foreign key with ON DELETE CASCADE or SET NULL does its work inside the chunk, as much of it as
there is. One that forbids the delete sends the job back until it is stuck. So the rows that refer
have to be declared and to go first; then neither finds any.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from attrs import frozen

from batchq.bulk.chunks.stages import Stage
from batchq.bulk.preflight.catalog import Catalog, ForeignKey
from batchq.bulk.preflight.findings import Finding, FindingCode, create_index
from batchq.bulk.tree import DeleteTree
from batchq.engine.compile.quoting import identifier, quoted
from batchq.patterns.hierarchy import Children

_ACTIONS = {"c": "ON DELETE CASCADE", "n": "ON DELETE SET NULL", "d": "ON DELETE SET DEFAULT"}


@frozen(kw_only=True)
class References:
    """The foreign keys onto the tables of which rows are really deleted."""

    tree: DeleteTree
    catalog: Catalog

    def refusals(self) -> Iterator[Finding]:
        """Find those that cannot stay as they are."""
        for cycle in self._cycles:
            tables = list(dict.fromkeys(one.table for one in cycle))
            how = " and ".join(f"{one.table!r} to {one.onto!r}" for one in cycle)
            yield Finding(
                code=FindingCode.CYCLE,
                table=", ".join(tables),
                name=", ".join(one.name for one in cycle),
                detail=f"{how}, and the rows are really deleted",
                remedy=_dropping(cycle[-1]),
            )
        for one in self._undeclared():
            if one.action in _ACTIONS:
                yield Finding(
                    code=FindingCode.CASCADE,
                    table=one.table,
                    name=one.name,
                    detail=f"it refers to {one.onto!r} {_ACTIONS[one.action]}",
                    remedy=self._declaring(one),
                )
            elif self._hiding(one) is not None:
                yield Finding(
                    code=FindingCode.STILL_REFERS,
                    table=one.table,
                    name=one.name,
                    detail=f"its rows are hidden and stay, and those of {one.onto!r} are deleted",
                    remedy=self._declaring(one),
                )
        for one in self._all():
            if not one.indexed and self._chunked(one) and not self._covered(one):
                columns = tuple(one.columns)
                yield Finding(
                    code=FindingCode.UNINDEXED,
                    table=one.table,
                    name=one.name,
                    detail=f"no index on ({', '.join(columns)}), which refers to {one.onto!r}",
                    remedy=create_index(self.catalog, one.table, columns, unique=False),
                )

    def warnings(self) -> Iterator[Finding]:
        """Find what may be as it should."""
        deleted = {self._oid(one.table) for one in self.tree.stages if one.sets is None}
        for one in self._undeclared():
            before = one.oid in deleted and self._deleted[one.oid] < self._when(one)
            if one.action not in _ACTIONS and self._hiding(one) is None and not before:
                yield Finding(
                    code=FindingCode.MAY_REFER,
                    table=one.table,
                    name=one.name,
                    detail=f"it refers to {one.onto!r}, and nobody says that its rows go first",
                    remedy=self._declaring(one),
                )
        for trigger in self.catalog.triggers:
            if trigger.deletes and self._oid(trigger.table) in deleted:
                yield Finding(
                    code=FindingCode.TRIGGER,
                    table=trigger.table,
                    name=trigger.name,
                    detail="it is fired FOR EACH ROW that is deleted, and is part of every chunk",
                    remedy=f"DROP TRIGGER {identifier(trigger.name)} ON {quoted(trigger.table)};",
                )

    @cached_property
    def _deleted(self) -> dict[int, int]:
        """When the rows of each table are deleted: in which pass, or after the last."""
        deleting = [one.table if one.sets is None else None for one in self.tree.stages]
        if self.tree.hard:
            deleting.append(self.tree.parent.table)
        return {self._oid(table): at for at, table in enumerate(deleting) if table is not None}

    @cached_property
    def _cycles(self) -> list[list[ForeignKey]]:
        drained = {self._oid(one.table) for one in self.tree.stages}
        edges = [one for one in self._all() if {one.oid, self._oid(one.onto)} <= drained]
        cycles: list[list[ForeignKey]] = []
        while True:
            sorter = TopologicalSorter[int]()
            for one in edges:
                sorter.add(one.oid, self._oid(one.onto))
            try:
                sorter.prepare()
            except CycleError as error:
                around = set(pairwise(error.args[1]))
                found = [one for one in edges if (self._oid(one.onto), one.oid) in around]
                cycles.append(found)
                edges = [one for one in edges if one not in found]
            else:
                return cycles

    def _all(self) -> list[ForeignKey]:
        return [one for one in self.catalog.references if self._oid(one.onto) in self._deleted]

    def _undeclared(self) -> list[ForeignKey]:
        """Those that find rows when their turn has come, as far as the tree says."""
        cyclic = [one for cycle in self._cycles for one in cycle]
        return [one for one in self._all() if one not in cyclic and not self._covered(one)]

    def _of(self, one: ForeignKey) -> list[Stage]:
        """The passes over just the rows that refer: they go before, as children do."""
        return [
            drain
            for drain in self.tree.stages
            if drain.counts
            and not drain.relation.where
            and self._oid(drain.table) == one.oid
            and [drain.relation.by] == one.columns
            and [drain.relation.parent.key] == one.referred
            and self._oid(drain.relation.parent.table) == self._oid(one.onto)
        ]

    def _covered(self, one: ForeignKey) -> bool:
        """Whether all the rows that refer are gone before, whichever pass deletes the others."""
        gone = [
            _same(drain.path[:-1])
            for drain in self._of(one)
            if drain.sets is None
            or (drain.relation.deleted_at is None and drain.relation.by in dict(drain.sets))
        ]
        onto = self._oid(one.onto)
        deleting = [drain for drain in self.tree.stages if drain.sets is None]
        reaches = [_same(drain.path) for drain in deleting if self._oid(drain.table) == onto]
        if self.tree.hard and self._oid(self.tree.parent.table) == onto:
            reaches.append(())
        return all(path in gone for path in reaches)

    def _hiding(self, one: ForeignKey) -> Stage | None:
        """The pass that only hides the rows that refer."""
        return next(iter(self._of(one)), None)

    def _chunked(self, one: ForeignKey) -> bool:
        return self._when(one) < len(self.tree.stages)

    def _when(self, one: ForeignKey) -> int:
        return self._deleted[self._oid(one.onto)]

    def _oid(self, table: str) -> int:
        relation = self.catalog.relation(table)
        return 0 if relation is None else relation.oid

    def _declaring(self, one: ForeignKey) -> str:
        """Write what lets the rows that refer go first."""
        if self._hiding(one) is not None:
            return f"Drain(children=….children({one.table!r}, …), removes=True)"
        if len(one.columns) > 1:
            return _dropping(one)
        where = "drains" if self._when(one) == len(self.tree.stages) else "below"
        children = f"Parent(table={one.onto!r}).children({one.table!r}, by={one.columns[0]!r}, …)"
        return f"Drain(children={children}) in {where}=[…], before {one.onto!r} goes"


def _same(path: tuple[Children, ...]) -> tuple[int, ...]:
    """Children that differ in what makes them such are equal, and not the same."""
    return tuple(map(id, path))


def _dropping(one: ForeignKey) -> str:
    return f"ALTER TABLE {quoted(one.table)} DROP CONSTRAINT {identifier(one.name)};"
