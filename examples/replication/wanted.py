# SPDX-License-Identifier: MIT
"""The artifacts that are wanted: children of a set, whose generation counts its changes.

The generation makes it safe to act on a state that was read some time ago: each change of the set
increments it, so a depot can refuse a request that is based on an older state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from attrs import frozen
from psycopg import Connection
from psycopg_pool import ConnectionPool

from batchq import Batch, asc, delete, gather, insert, run, select, sequence
from batchq.hierarchy import Parent
from examples.replication.basis import Basis, basis_of
from examples.replication.errors import NoSet, SetChanged

Database = ConnectionPool[Any] | Connection[Any]

SET = Parent(table="artifact_set", key="id", deleted_at=None, generation="generation")
ARTIFACTS = SET.children("artifact", by="set_id", deleted_at=None)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def set_create(set_id: UUID) -> Batch[None]:
    """Create an empty set."""
    return insert("artifact_set", {"id": set_id, "generation": 1}).label("set_create")


def artifact_names(artifacts: Iterable[str]) -> list[str]:
    """Return the names of artifacts, sorted, each once.

    :raises TypeError: for a str: it would be one name for each of its letters.
    :raises ValueError: for what names no artifact. As a row it would only be reported.
    """
    for name in (names := sorted(_listed(artifacts))):
        if not _SHA256.fullmatch(name):
            raise ValueError(f"{name!r:.80} names no artifact; pass SHA-256 sums in lower case")
    return names


def _listed(artifacts: Iterable[str]) -> frozenset[str]:
    if isinstance(artifacts, str):
        raise TypeError(f"pass a list of names, not a str: [{artifacts!r:.80}]")
    return frozenset(artifacts)


def artifacts_add(set_id: UUID, artifacts: Iterable[str]) -> Batch[int]:
    """Want artifacts, and return the generation from which on they are wanted.

    One that is wanted already stays: to upload it again is the remedy if its last copy is lost.

    :raises TypeError: as :func:`artifact_names`.
    :raises ValueError: as :func:`artifact_names`.
    """
    rows = sequence(
        insert("artifact", {"set_id": set_id, "sha256": sha256}).on_conflict_do_nothing()
        for sha256 in artifact_names(artifacts)
    )
    return (
        gather(ARTIFACTS.add(set_id, rows, missing=NoSet(set_id)), _generation(set_id))
        .map(lambda added: added[1])
        .label("artifacts_add")
    )


def artifacts_remove(set_id: UUID, artifacts: Iterable[str]) -> Batch[int]:
    """Want artifacts no longer, and return the generation from which on they are not wanted.

    Rows that name no artifact can be removed too.

    :raises TypeError: for a str.
    """
    return (
        gather(
            SET.touch(set_id, missing=NoSet(set_id)),
            delete("artifact", where={"set_id": set_id, "sha256": sorted(_listed(artifacts))}),
            _generation(set_id),
        )
        .map(lambda removed: removed[2])
        .label("artifacts_remove")
    )


def _generation(set_id: UUID) -> Batch[int]:
    return (
        select("artifact_set", ["generation"], where={"id": set_id})
        .scalar(int)
        .expect(1, missing=NoSet(set_id))
    )


@frozen
class Artifact:
    """A row of a set."""

    sha256: str


def wanted_page(
    set_id: UUID, after: str | None = None, *, limit: int
) -> Batch[tuple[int, list[Artifact]]]:
    """Read the generation of a set, and the artifacts after another one, in the order of the key.

    Run it as one snapshot: in READ COMMITTED the second statement may see a change that the first
    has not seen, and artifacts of generation 8 would be taken for those of 7.
    """
    return gather(
        _generation(set_id),
        select(
            "artifact",
            where={"set_id": set_id},
            order_by=[asc("sha256", nullable=False)],
            after=None if after is None else {"sha256": after},
            limit=limit,
        ).all(Artifact),
    ).label("wanted_page")


@frozen
class Wanted:
    """A set of artifacts, as it was at one moment."""

    basis: Basis
    artifacts: frozenset[str]
    malformed: frozenset[str]
    """Rows that name no artifact. They are reported, and do not stop the others."""


def wanted_read(database: Database, set_id: UUID, *, page: int, deadline: timedelta) -> Wanted:
    """Read a set: each page in one flight and one snapshot, all of the same generation.

    :raises SetChanged: if the generation has changed between two pages.
    """
    rows: list[str] = []
    first = None
    while True:
        generation, artifacts = run(
            database,
            wanted_page(set_id, rows[-1] if rows else None, limit=page),
            isolation="repeatable read",
            read_only=True,
            deadline=deadline,
        )
        first = generation if first is None else first
        if generation != first:
            raise SetChanged(f"set {set_id} has changed while it was read")
        rows += [artifact.sha256 for artifact in artifacts]
        if len(artifacts) < page:
            break
    malformed = frozenset(row for row in rows if not _SHA256.fullmatch(row))
    return Wanted(basis_of(generation, rows), frozenset(rows) - malformed, malformed)
