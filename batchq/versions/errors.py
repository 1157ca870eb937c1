# SPDX-License-Identifier: MIT
"""Define the errors of versions. They have versions and names in them, and no values of rows.

Those of a fleet are raised by a batch that was rolled back, with the BatchError as their
``__cause__``: nothing of it was applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


class VersionError(Exception):
    """The base class of the errors of :mod:`batchq.versions`.

    >>> error = TooOld(6, 7)
    >>> error.oldest, str(error)
    (7, 'version 6 is retired: the oldest that may run is 7')
    """


class NoFleet(VersionError):
    """There is no row of the fleet, or no table for it. A migration creates both.

    That is by :meth:`Fleet.ddl` and :meth:`Fleet.expand`. A row that a row-level security policy
    hides from the role looks the same as one that is not there.
    """

    def __init__(self, name: str, table: str | None = None) -> None:
        super().__init__(name, table)
        self.name = name
        """The name of the fleet."""
        self.table = table
        """The table that does not exist; None if it is the row."""

    def __str__(self) -> str:
        """Return what is missing, and which call creates it."""
        if self.table is not None:
            return (
                f"the table {self.table!r} does not exist: the search path leads to no such table; "
                f"create it in a migration with the DDL that Fleet.ddl() returns"
            )
        return (
            f"no window of the fleet {self.name!r} is visible: run expand() in a migration, unless "
            f"a row-level security policy hides it from this role"
        )


class TooOld(VersionError):
    """The version is retired: processes of it may not run any more."""

    def __init__(self, version: int, oldest: int) -> None:
        super().__init__(version, oldest)
        self.version = version
        """The version of this process."""
        self.oldest = oldest
        """The oldest version that may run."""

    def __str__(self) -> str:
        """Return both versions."""
        return f"version {self.version} is retired: the oldest that may run is {self.oldest}"


class TooNew(VersionError):
    """The schema is not expanded for the version yet."""

    def __init__(self, version: int, newest: int) -> None:
        super().__init__(version, newest)
        self.version = version
        """The version that was to run, or that :meth:`Fleet.retire` was to keep."""
        self.newest = newest
        """The newest version that the schema is expanded for."""

    def __str__(self) -> str:
        """Return both versions."""
        return (
            f"the schema is expanded for version {self.newest}, not for {self.version}; migrate it "
            f"first"
        )


class NotYet(VersionError):
    """Versions may still run that do not know what would be written or removed.

    Or they were retired too recently for :meth:`Fleet.contract`.
    """

    def __init__(self, needs: int, oldest: int, settled_at: datetime | None) -> None:
        super().__init__(needs, oldest, settled_at)
        self.needs = needs
        """The version that the oldest running one has to be."""
        self.oldest = oldest
        """The oldest version that may run."""
        self.settled_at = settled_at
        """When ``oldest`` became what it is (aware); None if no version was ever retired."""

    def __str__(self) -> str:
        """Return the versions, or since when the oldest one is the oldest."""
        if self.oldest == 0:
            return f"no version is retired yet, and this needs those below {self.needs} to be"
        if self.oldest < self.needs:
            return f"version {self.oldest} may still run, and this needs {self.needs}"
        return f"version {self.oldest} is the oldest only since {self.settled_at}"


class StillRunning(VersionError):
    """A process of a version to retire is running: it has joined, and its lease has not ended."""

    def __init__(self, member: str, version: int) -> None:
        super().__init__(member, version)
        self.member = member
        """The name by which the process has joined."""
        self.version = version
        """Its version."""

    def __str__(self) -> str:
        """Return the member and its version."""
        return f"{self.member!r} is running version {self.version}"


class Unproven(VersionError):
    """A proof is missing: the table has no such CHECK, or it is not validated."""

    def __init__(self, table: str, constraint: str) -> None:
        super().__init__(table, constraint)
        self.table = table
        """The table whose rows are not proven to be of the version."""
        self.constraint = constraint
        """The name of the CHECK."""

    def __str__(self) -> str:
        """Return the constraint and the table."""
        return f"{self.table} has no validated CHECK {self.constraint!r} as its proof says"


class Lossy(VersionError):
    """A document cannot be written as an older version without losing a part of it."""

    def __init__(self, document: str, version: int, paths: Iterable[str] = ()) -> None:
        self.paths = tuple(paths)
        """The parts that would be lost, as ``disks[0].boot``; empty if they are not known."""
        super().__init__(document, version, self.paths)
        self.document = document
        """The name of the document."""
        self.version = version
        """The version that cannot express it."""

    def __str__(self) -> str:
        """Return the document, the version and the paths, without their values."""
        lost = f": {', '.join(self.paths)} would be lost" if self.paths else ""
        return f"this {self.document} cannot be written as version {self.version}{lost}"


class NoCommonVersion(VersionError):
    """This process and its peer have no version of a document in common."""

    def __init__(self, document: str, known: Iterable[int], peer: Iterable[int]) -> None:
        self.known = tuple(sorted(known))
        """The versions that this process reads."""
        self.peer = tuple(sorted(peer))
        """The versions that the peer reads."""
        super().__init__(document, self.known, self.peer)
        self.document = document
        """The name of the document."""

    def __str__(self) -> str:
        """Return both lists of versions."""
        return (
            f"{self.document}: this process reads versions {_listed(self.known)}, the peer "
            f"{_listed(self.peer)}"
        )


def _listed(versions: Iterable[int]) -> str:
    return ", ".join(map(str, versions)) or "none"
