# SPDX-License-Identifier: MIT
"""A parent ends while a child is added, in every order and at every isolation level.

The table in docs/guards.md lists which writers can leave an orphan.
"""

from __future__ import annotations

from itertools import product

import pytest
from psycopg import IsolationLevel

from batchq import delete, gather, insert, select, sql, update
from batchq.hierarchy import Parent
from tests.support.interleaved_session import Side, once
from tests.support.interleavings import Interleaver

pytestmark = pytest.mark.postgres_only("waits are seen in pg_blocking_pids()")

TABLES = """
CREATE TABLE project (id int PRIMARY KEY, name text, time_deleted timestamptz, rcgen int NOT NULL);
CREATE TABLE vpc (id int PRIMARY KEY, project_id int NOT NULL);
CREATE TABLE disk (id int PRIMARY KEY, project_id int NOT NULL REFERENCES project);
"""
RESET = """
DELETE FROM vpc; DELETE FROM disk; DELETE FROM project; INSERT INTO project VALUES (1, '', NULL, 1)
"""
ORPHANS = """
SELECT id FROM (TABLE vpc UNION ALL TABLE disk) AS child WHERE NOT EXISTS (
    SELECT FROM project WHERE project.id = child.project_id AND time_deleted IS NULL
)
"""
RC, RR, SER = LEVELS = (
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
)
ALL_PAIRS = set(product(LEVELS, LEVELS))
FEW_PAIRS = {
    "Children.add": [(RC, RC), (RR, RC), (SER, RC)],
    "FOR SHARE": [(RC, RC), (RR, RC), (SER, RC), (SER, SER)],
    "foreign key": [(RC, RC), (RR, RC)],
    "looks": [(RC, RC)],
}


class Missing(Exception):
    pass


class InUse(Exception):
    pass


LIVING = {"id": 1, "time_deleted": None}
VPC, DISK = {"id": 7, "project_id": 1}, {"id": 7, "project_id": 1}
TOMBSTONE = update("project", {"time_deleted": sql("now()")}, LIVING).expect(1, missing=Missing)
DELETE = delete("project", LIVING).expect(1, missing=Missing)


def by_hand(end):
    """Write the pattern of docs/guards.md, "Locks"."""
    vpcs, disks = (select(table, ["id"], where={"project_id": 1}) for table in ("vpc", "disk"))
    none_left = vpcs.expect(0, unexpected=InUse), disks.expect(0, unexpected=InUse)
    return gather(
        select("project", where=LIVING).for_update().expect(1, missing=Missing), *none_left, end
    )


def parent(deleted_at):
    return Parent(table="project", deleted_at=deleted_at, key="id", generation="rcgen")


def of_parent(deleted_at):
    """Do the same by :class:`Parent`."""
    kinds = [
        parent(deleted_at).children(table, by="project_id", deleted_at=None)
        for table in ("vpc", "disk")
    ]
    childless = [children.forbid(1, unexpected=InUse) for children in kinds]
    return parent(deleted_at).delete(1, missing=Missing, guards=childless)


def add(deleted_at):
    vpcs = parent(deleted_at).children("vpc", by="project_id", deleted_at=None)
    return vpcs.add(1, insert("vpc", VPC), missing=Missing)


def looks(*lock):
    words = " ".join(("SELECT 1 FROM project WHERE id = 1 AND time_deleted IS NULL", *lock))
    return gather(sql(words).expect(1, missing=Missing), insert("vpc", VPC))


ENDS = {
    "lock, forbid, update": by_hand(TOMBSTONE),
    "lock, forbid, delete": by_hand(DELETE),
    "Parent.delete, tombstone": of_parent("time_deleted"),
    "Parent.delete, really": of_parent(None),
}
ADDS = {
    "Children.add": lambda end: add("time_deleted" if hides(end) else None),
    "updates": lambda _: gather(
        update("project", {"name": "web"}, LIVING).expect(1, missing=Missing), insert("vpc", VPC)
    ),
    "FOR SHARE": lambda _: looks("FOR SHARE"),
    "FOR KEY SHARE": lambda _: looks("FOR KEY SHARE"),
    "foreign key": lambda _: insert("disk", DISK),
    "looks": lambda _: looks(),
}


def hides(end):
    return end.endswith(("update", "tombstone"))


def is_refused(end, own):
    return end.startswith("lock") and own is RR


def is_covered(end, own, adds, other):
    """Check the table in docs/guards.md; ``own`` is the level of the batch that deletes."""
    match adds:
        case "Children.add" | "updates":
            return True
        case "FOR SHARE" | "FOR KEY SHARE":
            return own is RC or own is other is SER
        case "foreign key":
            return not hides(end)
        case "looks":
            return own is other is SER


@pytest.fixture
def table(conn, connect):
    conn.execute(TABLES)
    return Interleaver.connect(connect, RESET)


def play(table, end, own, adds, other):
    def orphans(_played):
        return table.observer.execute(ORPHANS).fetchall()

    summary = table.check_all(
        Side("delete", once(ENDS[end]), own), Side("add", once(ADDS[adds](end)), other), orphans
    )
    if is_refused(end, own):
        assert not summary.wrong, str(summary)
        assert all(committed is False for committed, _ in summary.committed)
        assert any(failure.refused for failure in summary.failures)
        return
    assert not any(failure.refused for failure in summary.failures)
    if is_covered(end, own, adds, other):
        assert not summary.wrong, str(summary)
        assert summary.committed >= {(True, False), (False, True)}, "one of the two always fails"
    else:
        assert summary.wrong, "docs/guards.md says less than is so"


@pytest.mark.parametrize("adds", FEW_PAIRS)
@pytest.mark.parametrize("end", ENDS)
def test_documentation_lists_the_levels_that_can_orphan_a_row(table, end, adds):
    for own, other in FEW_PAIRS[adds]:
        play(table, end, own, adds, other)


@pytest.mark.soak
@pytest.mark.parametrize("adds", ADDS)
@pytest.mark.parametrize("end", ENDS)
def test_so_it_is_between_all_levels(table, end, adds):
    for own, other in ALL_PAIRS:
        play(table, end, own, adds, other)
