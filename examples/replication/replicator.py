# SPDX-License-Identifier: MIT
"""Drive the depots toward the wanted set, in bounded steps, from any number of processes.

An activation collects, plans, chooses and executes. Between two of these any time may pass, and
other replicators may act on newer states of the set. That needs no lease and no leader: every
request names the state that it is based on, and a depot refuses one that is older than the newest
it was asked by. So a slow replicator can do nothing that a newer state does not want.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from random import Random, SystemRandom
from typing import assert_never
from uuid import UUID

from attrs import define, field
from attrs.validators import ge

from batchq import run
from batchq.progress import Kept
from examples.replication.basis import Basis
from examples.replication.depot import Depot
from examples.replication.errors import (
    UNAVAILABLE,
    Conflict,
    DepotError,
    SetChanged,
    Stale,
    Unreachable,
)
from examples.replication.planning import Kind, Limits, Listings, Request, choose, plan
from examples.replication.report import Report, Result, Sent, Stopped
from examples.replication.uploads import Upload, Uploads
from examples.replication.wanted import Database, Wanted, artifact_names, artifacts_add, wanted_read

_LOGGER = logging.getLogger("replication")


@define(kw_only=True, eq=False)
class Replicator:
    """Replicates a set of artifacts. Nothing runs by itself: call :meth:`activate`, from a timer
    and whenever the set has changed."""

    database: Database
    set_id: UUID
    depots: Sequence[Depot]
    least: int = field(validator=ge(1))
    """The copies that make an artifact safe, so that this process need not hold it."""
    limits: Limits = field(factory=Limits)
    page: int = 1000
    """How many artifacts one flight reads. Most sets are one page."""
    deadline: timedelta = timedelta(seconds=10)
    """The time for each flight to the database."""
    random: Random = field(factory=SystemRandom)
    uploads: Uploads = field(init=False, factory=Uploads)
    kept: Kept[Sent, Report] = field(init=False, factory=lambda: Kept[Sent, Report](max_events=128))
    """The latest requests, the report of the last activation, and the sum of all."""

    def upload(self, artifacts: Iterable[str]) -> None:
        """Want artifacts that this process has received, and hold them until depots have them.

        First the rows: an artifact that was sent to a depot before it is wanted would be deleted
        there. If this process ends between the two, :attr:`Report.missing` names the artifacts. An
        upload that fails may be repeated, whatever its outcome is.

        :raises ValueError: for a name that is not a SHA-256 in lower case; nothing is wanted then.
        :raises TypeError: for a str instead of a list of them.
        :raises NoSet: if there is no such set.
        """
        names = artifact_names(artifacts)
        added = artifacts_add(self.set_id, names)
        generation = run(self.database, added, deadline=self.deadline)
        self.uploads.hold(Upload(generation, frozenset(names)))

    def activate(self) -> Report:
        """Do a bounded part of what is to do, and return what was done.

        What fails is counted, logged and tried again by the next activation. A depot or a database
        that is not available raises nothing.

        :raises NoSet: if there is no such set.
        """
        report = Report()
        try:
            self._activate(report)
        except (Stale, SetChanged) as error:
            # The plan is of an older set, all of it. The next activation makes another one.
            report.stopped, report.detail = Stopped.STALE, str(error)
        except Conflict as error:
            report.stopped, report.detail = Stopped.CONFLICT, str(error)
            _LOGGER.error("%s", error)  # noqa: TRY400  one line says it all
        self.kept.add_report(report)
        _LOGGER.info("activation ended, %s: %s", report.stopped.name, report)
        return report

    def _activate(self, report: Report) -> None:
        try:
            wanted = wanted_read(self.database, self.set_id, page=self.page, deadline=self.deadline)
        except UNAVAILABLE as error:
            _LOGGER.warning("the wanted set could not be read: %s", error)
            report.stopped, report.detail = Stopped.UNREAD, str(error)
            return
        report.generation, report.malformed = wanted.basis.generation, len(wanted.malformed)
        for row in sorted(wanted.malformed):
            _LOGGER.error("the set has a row that names no artifact: %r", row)
        listings = self._listings(wanted.basis)
        report.silent = tuple(depot for depot, copies in listings.items() if copies is None)
        if len(report.silent) == len(listings):
            # No depot has a copy, or there is no network: that looks the same from here.
            report.stopped = Stopped.SILENT
            return
        report.dropped = self.uploads.drop(wanted, listings, self.least)
        report.unlisted = tuple(sorted(self.uploads.unlisted(wanted)))
        if report.unlisted:
            _LOGGER.error("held, and the set does not list: %s", ", ".join(report.unlisted))
        self._execute(self._chosen(wanted, listings, report), wanted.basis, report)

    def _listings(self, basis: Basis) -> Listings:
        """List the copies of each depot, and have it refuse what is based on an older set.

        With many depots, ask them at the same time: each silent one takes its whole deadline.
        """
        listings: dict[str, frozenset[str] | None] = {}
        for depot in self.depots:
            try:
                listings[depot.name] = depot.listing(basis)
            except Unreachable as error:
                _LOGGER.warning("depot %s is silent: %s", depot.name, error.__cause__)
                listings[depot.name] = None
        return listings

    def _chosen(self, wanted: Wanted, listings: Listings, report: Report) -> list[Request]:
        planned = plan(wanted.artifacts, listings, self.uploads.artifacts, self.random)
        report.planned, report.missing = _kinds(planned.requests), tuple(sorted(planned.missing))
        if report.missing:
            _LOGGER.error("wanted, and no copy is known: %s", ", ".join(report.missing))
        chosen, deferred = choose(planned.requests, self.limits, self.random)
        report.deferred = _kinds(deferred)
        return chosen

    def _execute(self, chosen: Sequence[Request], basis: Basis, report: Report) -> None:
        depots = {depot.name: depot for depot in self.depots}
        for place, request in enumerate(chosen):
            try:
                _send(depots[request.depot], basis, request)
            except DepotError as error:
                _LOGGER.warning("%s failed: %s", request, error)
                report.failed[request.kind] += 1
                self._keep(request, basis, Result.FAILED, repr(error))
            except (Stale, Conflict) as error:
                report.deferred += _kinds(chosen[place:])
                self._keep(request, basis, Result.REFUSED, str(error))
                raise
            else:
                report.ok[request.kind] += 1
                self._keep(request, basis, Result.OK)

    def _keep(self, request: Request, basis: Basis, result: Result, detail: str = "") -> None:
        self.kept.add_event(Sent(request=request, basis=basis, result=result, detail=detail))


def _send(depot: Depot, basis: Basis, request: Request) -> None:
    match request.kind:
        case Kind.PUT:
            depot.put(basis, request.sha256)
        case Kind.COPY:
            depot.copy(basis, request.sha256, str(request.source))
        case Kind.DELETE:
            depot.delete(basis, request.sha256)
        case _:
            assert_never(request.kind)


def _kinds(requests: Iterable[Request]) -> Counter[Kind]:
    return Counter(request.kind for request in requests)
