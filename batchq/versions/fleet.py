# SPDX-License-Identifier: MIT
"""The processes that share tables, each of a version, and the versions that may run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import Enum
from typing import TypeVar

from attrs import field, frozen

from batchq.language.argument_types import checked
from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.spelling import with_article
from batchq.language.validation import listed
from batchq.versions import membership, tables, upgrade
from batchq.versions.contents import Since
from batchq.versions.fleet_arguments import (
    check_after,
    check_known,
    check_lease,
    check_name,
    check_version,
    checked_since,
    checked_stamps,
    fleet_name,
    fleet_table,
    fleet_version,
)
from batchq.versions.gate import WriteCheck, gate_step, gated
from batchq.versions.proof import Proof, stamp_proof
from batchq.versions.tables import FleetTables, Member, Status, Window

T = TypeVar("T")


@frozen(kw_only=True, eq=False)
class Fleet:
    """The processes that share tables: this code is one version of them.

    A version may run while it is in the *window* of the fleet, from the oldest that is not retired
    to the newest that the schema is expanded for. Two tables hold the windows and the members of
    all fleets, see :meth:`ddl`.

    :raises InvalidBatch: for an argument that is not valid; so do the methods.
    :raises ValueError: for a version below 1; so do the methods.

    >>> FLEET = Fleet(name="nexus", version=7, stamps={"rule": "row_version"})
    """

    name: str = field(validator=fleet_name)
    """What the fleet is known by in the tables."""
    version: int = field(validator=fleet_version)
    """The version of this code: an integer from 1, which each release increments that changes what
    is stored."""
    since: Mapping[Enum, int] = field(factory=dict[Enum, int])
    """Members of enums, each with the version that has added it. Of several flags in one value, the
    newest counts.

    A dict has one key for members that are equal, as those of two StrEnums may be: of these declare
    one here, and pass ``needs=`` for the other."""
    stamps: Mapping[str, str] = field(factory=dict[str, str])
    """Tables, each with the column that has the version that wrote the row: ``int NOT NULL DEFAULT
    0``. A name without a schema is the table of that name in each schema."""
    window_table: str = field(default="version_window", validator=fleet_table)
    """The table of windows, with one row per fleet."""
    member_table: str = field(default="version_member", validator=fleet_table)
    """The table of members, with one row per process."""
    _tables: FleetTables = field(init=False, repr=False)
    _check: WriteCheck = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.window_table == self.member_table:
            raise InvalidBatch(
                f"Fleet(member_table={self.member_table!r}): the windows are in that table; pass "
                f"another one"
            )
        made = FleetTables(self.name, self.window_table, self.member_table)
        object.__setattr__(self, "_tables", made)
        object.__setattr__(self, "since", checked_since(self.since, self.version))
        object.__setattr__(self, "stamps", checked_stamps(self.stamps))
        check = WriteCheck(self.version, Since(self.since), tuple(self.stamps.items()))
        object.__setattr__(self, "_check", check)

    # -- the tables --------------------------------------------------------------------------------

    def ddl(self) -> tuple[str, str]:
        """Return the DDL of the two tables, for a migration.

        It creates missing tables, and does not change existing ones. Fleets can share them. Without
        them each batch of a fleet raises :exc:`NoFleet` when it is run. Let no row-level security
        policy apply to the roles that use them: what has to see all rows fails under one.

        >>> window, _ = Fleet(name="nexus", version=7).ddl()
        >>> window.splitlines()[0]
        'CREATE TABLE IF NOT EXISTS "version_window" ('
        """
        return tables.ddl(self.window_table, self.member_table)

    # -- processes ---------------------------------------------------------------------------------

    def join(self, member: str, /, *, lease: timedelta) -> Batch[Window]:
        """Join, or renew the lease: at the start of a process, and then from a timer.

        It locks the window until its transaction ends, so run it in one of its own.

        :param member: what this process is known by, unlike all others of the fleet.
        :param lease: how long it counts as running without another join, which is positive.
        :return: a batch with the window. Its ``oldest`` is the ``floor=`` of
            :meth:`Document.write`.
        :raises NoFleet: when it is run, before :meth:`ddl` and :meth:`expand`.
        :raises TooOld: when it is run, if the version is retired: end the process.
        :raises TooNew: when it is run, before :meth:`expand` of this version.
        :raises ValueError: for a lease that is not positive.

        >>> from batchq import steps
        >>> join = Fleet(name="nexus", version=7).join("nexus-1", lease=timedelta(minutes=1))
        >>> [step.path for step in steps(join)]
        ['window', 'member']
        """
        check_name("join(member)", member)
        check_lease(lease)
        return membership.join(self._tables, self.version, member, lease)

    def leave(self, member: str, /) -> Batch[None]:
        """Leave, at the end of a process; a process that has not joined may leave too.

        :param member: the name by which it has joined.
        :raises NoFleet: when it is run, before :meth:`ddl`.

        >>> from batchq import steps
        >>> [step.path for step in steps(Fleet(name="nexus", version=7).leave("nexus-1"))]
        ['settings', 'leave', 'settings put back']
        """
        check_name("leave(member)", member)
        return membership.leave(self._tables, member)

    def members(self) -> Batch[list[Member]]:
        """Return a batch with every process that has joined and has not left, by name.

        Those whose leases have ended are among them: see :attr:`Member.is_running`.

        :raises NoFleet: when it is run, before :meth:`ddl`.

        >>> from batchq import steps
        >>> [step.path for step in steps(Fleet(name="nexus", version=7).members())]
        ['settings', 'members', 'settings put back']
        """
        return membership.members(self._tables)

    def status(self) -> Batch[Status]:
        """Return a batch with the window and the members, of one moment.

        :raises NoFleet: when it is run, before :meth:`ddl` and :meth:`expand`.

        >>> from batchq import steps
        >>> [step.path for step in steps(Fleet(name="nexus", version=7).status())]
        ['settings', 'status', 'settings put back']
        """
        return membership.status(self._tables)

    def gate(self, batch: Batch[T], /, *, needs: int = 0) -> Batch[T]:
        """Return a batch that runs only while this version may, and writes only what all know.

        Put it around everything that the service runs, in one place, and outermost. It adds one
        step, before all others; in the same round trip.

        The values that the batch writes are looked at here, when the gate is put around it, for
        variants in :attr:`since` and documents of :meth:`Document.write`, also in collections and
        models, and in JSON of these. The rows that it writes to tables in :attr:`stamps` must have
        this version as their stamp, except those of a parent that is touched or deleted softly,
        which stays in the form that it has. A ``sql()`` text is not looked into, only its values;
        those of a ``SELECT`` count if another statement uses its output. So pass ``needs=`` for a
        ``SELECT`` of a function that writes its argument.

        :param batch: a batch without parameters, or a bound one.
        :param needs: the version that the oldest running one has to be, for what is not found by
            itself, such as a column that another version does not know.
        :return: a batch with the result of ``batch``.
        :raises NoFleet: when it is run, before :meth:`ddl` and :meth:`expand`.
        :raises TooOld: when it is run, if this version is retired.
        :raises TooNew: when it is run, before :meth:`expand` of this version.
        :raises NotYet: when it is run, if it writes what a version does not know that may run.
        :raises InvalidBatch: for a row without its stamp, a batch that is not bound, or
            ``needs=`` above this version.

        >>> from batchq import insert, steps
        >>> batch = Fleet(name="nexus", version=7).gate(insert("project", {"name": "web"}))
        >>> [step.path or step.statement.title for step in steps(batch)]
        ['gate', 'insert project']
        """
        if not isinstance(batch, Batch):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidBatch(f"gate(): pass a batch, not {with_article(type(batch))}")
        if needs or type(needs) is not int:
            check_known("gate", "needs", needs, self.version)
        needs = max(needs, self._check.needs(batch))
        return gated(gate_step(self._tables, self.version, needs), batch)

    # -- an upgrade --------------------------------------------------------------------------------

    def expand(self, version: int, /) -> Batch[Window]:
        """Let a version run: in the migration that adds what it needs.

        It never lowers the newest version, and creates the window of a new fleet. No version is
        retired there: on a new database, where no older one has run, :meth:`retire` those below
        ``version`` as well, or the gate refuses all that they would not know.

        :param version: the one that may run from now on; it may be above that of this code.
        :return: a batch with the window.
        :raises NoFleet: when it is run, before :meth:`ddl`.

        >>> Fleet(name="nexus", version=7).expand(7)
        <Statement insert version_window: one(Window)>
        """
        check_version("expand", "version", version)
        return upgrade.expand(self._tables, version)

    def retire(self, *, below: int) -> Batch[Window]:
        """Retire the versions below one. There is no way back: they never run again.

        It never lowers the oldest version; if that is ``below`` or above already, nothing changes.
        Run it in a transaction of its own, after the last process of those versions has ended.

        :param below: the oldest version that may run afterwards.
        :return: a batch with the window.
        :raises StillRunning: when it is run, with one process that has not left, and whose lease
            has not ended.
        :raises TooNew: when it is run, if the schema is not expanded for ``below``.
        :raises NoFleet: when it is run, before :meth:`ddl` and :meth:`expand`.
        :raises InvalidBatch: for a version above this one, which would retire this one too.

        >>> from batchq import steps
        >>> [step.path for step in steps(Fleet(name="nexus", version=7).retire(below=7))]
        ['window', 'settings', 'members', 'settings put back', 'retire', 'result']
        """
        check_known("retire", "below", below, self.version)
        return upgrade.retire(self._tables, below)

    def proof(self, table: str, version: int, /) -> Proof:
        """Return the CHECK which proves that no row of a stamped table is of an older version.

        :param table: one of :attr:`stamps`.
        :param version: the oldest that a row may be of.
        :raises InvalidBatch: for another table, a version above this one, or a CHECK whose name
            would be too long.

        >>> fleet = Fleet(name="nexus", version=7, stamps={"rule": "row_version"})
        >>> fleet.proof("rule", 7).constraint
        'rule_row_version_7'
        """
        check_known("proof", "version", version, self.version)
        column = self.stamps.get(checked("proof", "table", table, str, '"rule"'))
        if column is None:
            known = ", ".join(self.stamps) or "none"
            raise InvalidBatch(f"proof({table!r:.80}): pass a table of stamps=, which has {known}")
        return stamp_proof(table, column, version)

    def contract(
        self,
        *,
        unused_since: int,
        proofs: Iterable[Proof] = (),
        after: timedelta = timedelta(hours=1),
    ) -> Batch[Window]:
        """Check that what older versions need may be dropped: it is not used any more.

        Run it in the transaction of the migration that drops it, with ``nested=True``.

        :param unused_since: the first version that does not use it.
        :param proofs: that no row is left to convert, see :meth:`proof` and
            :meth:`Document.proof`. Their versions are those that have converted the rows, which
            ``unused_since`` comes after.
        :param after: how long the older versions must have been retired. It must be longer than
            any transaction of these: one that was running when they were retired may commit
            after that.
        :return: a batch with the window.
        :raises NotYet: when it is run, while an older version may run, or one was retired less
            than ``after`` ago.
        :raises Unproven: when it is run, if a CHECK is missing or not validated.
        :raises NoFleet: when it is run, before :meth:`ddl` and :meth:`expand`.
        :raises ValueError: if ``after`` is negative.

        >>> from batchq import steps
        >>> fleet = Fleet(name="nexus", version=8, stamps={"rule": "row_version"})
        >>> batch = fleet.contract(unused_since=8, proofs=[fleet.proof("rule", 7)])
        >>> [step.path for step in steps(batch)]
        ['window', 'proof rule_row_version_7']
        """
        check_version("contract", "unused_since", unused_since)
        check_after(after)
        given = listed("contract(proofs=)", proofs, "[FLEET.proof(…)]")
        for proof in given:
            checked("contract", "proofs", proof, Proof, "[FLEET.proof(…)]")
        return upgrade.contract(self._tables, unused_since, given, after)
