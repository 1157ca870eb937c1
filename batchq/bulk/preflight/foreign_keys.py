# SPDX-License-Identifier: MIT
"""Find foreign keys onto the rows of a tree that change more rows, or forbid the delete.

A foreign key with ON DELETE CASCADE or SET NULL changes its rows inside the chunk, however many
there are. One that forbids the delete makes the job stuck. So the rows that refer must be part of
the tree and be deleted first; then neither finds any.
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
from batchq.bulk.preflight.rules import find_delete_triggers
from batchq.bulk.tree import DeleteTree
from batchq.engine.compile.quoting import identifier, quoted
from batchq.patterns.hierarchy import Children

ACTIONS = {"c": "ON DELETE CASCADE", "n": "ON DELETE SET NULL", "d": "ON DELETE SET DEFAULT"}


@frozen(kw_only=True)
class ForeignKeys:
    """The foreign keys onto tables whose rows are deleted."""

    tree: DeleteTree
    catalog: Catalog

    def errors(self) -> Iterator[Finding]:
        """Find foreign keys that must be changed first."""
        for cycle in self._cycles:
            tables = list(dict.fromkeys(key.table for key in cycle))
            references = " and ".join(f"{key.table!r} to {key.onto!r}" for key in cycle)
            yield Finding(
                code=FindingCode.CYCLE,
                table=", ".join(tables),
                name=", ".join(key.name for key in cycle),
                detail=f"{references}, and the rows of all are deleted",
                remedy=drop(cycle[-1]),
            )
        for key in self._unhandled():
            if key.action in ACTIONS:
                yield Finding(
                    code=FindingCode.CASCADE,
                    table=key.table,
                    name=key.name,
                    detail=f"it refers to {key.onto!r} {ACTIONS[key.action]}",
                    remedy=self._declare(key),
                )
            elif self._soft_delete(key) is not None:
                yield Finding(
                    code=FindingCode.STILL_REFERS,
                    table=key.table,
                    name=key.name,
                    detail=f"its rows are soft-deleted, and those of {key.onto!r} are deleted",
                    remedy=self._declare(key),
                )
        for key in self._all():
            if not key.indexed and self._in_chunks(key) and not self._handled(key):
                yield unindexed(key, self.catalog)

    def warnings(self) -> Iterator[Finding]:
        """Find foreign keys and triggers that may be in order."""
        deleted = {self._oid(stage.table) for stage in self.tree.stages if stage.changes is None}
        for key in self._unhandled():
            before = key.oid in deleted and self._deleted[key.oid] < self._stage_of(key)
            if key.action not in ACTIONS and self._soft_delete(key) is None and not before:
                yield Finding(
                    code=FindingCode.MAY_REFER,
                    table=key.table,
                    name=key.name,
                    detail=f"it refers to {key.onto!r}, whose rows the tree does not delete last",
                    remedy=self._declare(key),
                )
        names = {found.name for found in self.catalog.relations if found.oid in deleted}
        yield from find_delete_triggers(names, self.catalog)

    @cached_property
    def _deleted(self) -> dict[int, int]:
        """The stage in which the rows of each table are deleted; the parent's after the last."""
        tables = [stage.table if stage.changes is None else None for stage in self.tree.stages]
        if self.tree.hard:
            tables.append(self.tree.parent.table)
        return {self._oid(table): at for at, table in enumerate(tables) if table is not None}

    @cached_property
    def _cycles(self) -> list[list[ForeignKey]]:
        tables = {self._oid(stage.table) for stage in self.tree.stages}
        edges = [key for key in self._all() if {key.oid, self._oid(key.onto)} <= tables]
        cycles: list[list[ForeignKey]] = []
        while True:
            sorter = TopologicalSorter[int]()
            for key in edges:
                sorter.add(key.oid, self._oid(key.onto))
            try:
                sorter.prepare()
            except CycleError as error:
                around = set(pairwise(error.args[1]))
                cycle = [key for key in edges if (self._oid(key.onto), key.oid) in around]
                cycles.append(cycle)
                edges = [key for key in edges if key not in cycle]
            else:
                return cycles

    def _all(self) -> list[ForeignKey]:
        return [key for key in self.catalog.references if self._oid(key.onto) in self._deleted]

    def _unhandled(self) -> list[ForeignKey]:
        """Return those that may find rows when the rows that they refer to are deleted."""
        cyclic = [key for cycle in self._cycles for key in cycle]
        return [key for key in self._all() if key not in cyclic and not self._handled(key)]

    def _stages_of(self, key: ForeignKey) -> list[Stage]:
        """Return the stages over exactly the rows that refer: these are deleted before."""
        return [
            stage
            for stage in self.tree.stages
            if stage.counts
            and not stage.relation.where
            and self._oid(stage.table) == key.oid
            and [stage.relation.by] == key.columns
            and [stage.relation.parent.key] == key.referred
            and self._oid(stage.relation.parent.table) == self._oid(key.onto)
        ]

    def _handled(self, key: ForeignKey) -> bool:
        """Return whether all rows that refer are deleted before each stage that deletes others."""
        done = [
            _identity(stage.path[:-1])
            for stage in self._stages_of(key)
            if stage.changes is None
            or (stage.relation.deleted_at is None and stage.relation.by in dict(stage.changes))
        ]
        onto = self._oid(key.onto)
        deletes = [stage for stage in self.tree.stages if stage.changes is None]
        paths = [_identity(stage.path) for stage in deletes if self._oid(stage.table) == onto]
        if self.tree.hard and self._oid(self.tree.parent.table) == onto:
            paths.append(())
        return all(path in done for path in paths)

    def _soft_delete(self, key: ForeignKey) -> Stage | None:
        """Return the stage that only soft-deletes the rows that refer."""
        return next(iter(self._stages_of(key)), None)

    def _in_chunks(self, key: ForeignKey) -> bool:
        return self._stage_of(key) < len(self.tree.stages)

    def _stage_of(self, key: ForeignKey) -> int:
        return self._deleted[self._oid(key.onto)]

    def _oid(self, table: str) -> int:
        relation = self.catalog.relation(table)
        return 0 if relation is None else relation.oid

    def _declare(self, key: ForeignKey) -> str:
        """Write how to delete the rows that refer first."""
        if self._soft_delete(key) is not None:
            return f"ChildDelete(relation=….children({key.table!r}, …), hard=True)"
        if len(key.columns) > 1:
            return drop(key)
        is_last = self._stage_of(key) == len(self.tree.stages)
        owner = f"DeleteTree({self.tree.name!r}, …)" if is_last else "the ChildDelete"
        parent = f"Parent(table={key.onto!r}, …)"
        children = f"{parent}.children({key.table!r}, by={key.columns[0]!r}, …)"
        return f"ChildDelete(relation={children}) in the children=[…] of {owner} of {key.onto!r}"


def _identity(path: tuple[Children, ...]) -> tuple[int, ...]:
    """Compare relations by identity: equal ones may differ in their ``where``."""
    return tuple(map(id, path))


def unindexed(key: ForeignKey, catalog: Catalog) -> Finding:
    """Return the error that each deleted row would cost a scan of the table that refers."""
    columns = tuple(key.columns)
    return Finding(
        code=FindingCode.UNINDEXED,
        table=key.table,
        name=key.name,
        detail=f"no index on ({', '.join(columns)}), which refers to {key.onto!r}",
        remedy=create_index(catalog, key.table, columns, unique=False),
    )


def drop(key: ForeignKey) -> str:
    """Write how to drop a foreign key."""
    return f"ALTER TABLE {quoted(key.table)} DROP CONSTRAINT {identifier(key.name)};"
