# SPDX-License-Identifier: MIT
"""Decide what to ask the depots for. Nothing here does I/O, so every case is tested without one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from random import Random

from attrs import frozen


class Kind(Enum):
    """What a request does."""

    PUT = "put"
    """Send an artifact of this process to a depot."""
    COPY = "copy"
    """Have a depot fetch an artifact from another depot."""
    DELETE = "delete"


@frozen
class Request:
    """A request to a depot."""

    kind: Kind
    depot: str
    sha256: str
    source: str | None = None
    """The depot to copy from."""


@frozen
class Plan:
    """Everything that is to do, however much it is."""

    requests: tuple[Request, ...]
    missing: frozenset[str]
    """Wanted artifacts of which no depot that answered, and not this process, has a copy. If no
    other process uploads them they are lost: an alarm, because no activation can repair it."""


Listings = Mapping[str, frozenset[str] | None]
"""The copies of each depot; None for a depot that did not answer."""


def plan(
    wanted: Collection[str], listings: Listings, local: Collection[str], random: Random
) -> Plan:
    """Compare what is wanted with what there is.

    Nothing is asked of a silent depot, and its copies do not count.

    :param local: the artifacts that this process can send.

    >>> listings = {"a": frozenset({"old", "new"}), "b": frozenset(), "c": None}
    >>> for request in plan({"new", "lost"}, listings, (), Random(1)).requests:
    ...     print(request.kind.value, request.sha256, request.depot, request.source)
    copy new b a
    delete old a None
    """
    answered = {depot: copies for depot, copies in listings.items() if copies is not None}
    requests: list[Request] = []
    missing: set[str] = set()
    for sha256 in sorted(wanted):
        having = sorted(depot for depot, copies in answered.items() if sha256 in copies)
        if having:
            requests += [
                Request(Kind.COPY, depot, sha256, random.choice(having))
                for depot, copies in answered.items()
                if sha256 not in copies
            ]
        elif sha256 not in local:
            missing.add(sha256)
        elif answered:
            # One copy is enough: from there the depots copy it among themselves.
            requests.append(Request(Kind.PUT, random.choice(sorted(answered)), sha256))
    requests += [
        Request(Kind.DELETE, depot, sha256)
        for depot, copies in answered.items()
        for sha256 in sorted(copies.difference(wanted))
    ]
    return Plan(tuple(requests), frozenset(missing))


@frozen(kw_only=True)
class Limits:
    """The most that one activation does, so that none takes for ever; the rest is deferred."""

    requests: int = 32
    puts: int = 8
    """Of these: an artifact may be large, and all of them leave this process."""


def choose(
    requests: Sequence[Request], limits: Limits, random: Random
) -> tuple[list[Request], list[Request]]:
    """Return the requests of this activation, and those that are left to a later one.

    The order is random, so that replicators that run at the same time do different things, and a
    request that always fails is not always the first. Artifacts that no depot has come before all
    others: the only copy of one is here.
    """
    shuffled = random.sample(requests, len(requests))
    shuffled.sort(key=lambda request: request.kind is not Kind.PUT)
    chosen: list[Request] = []
    deferred: list[Request] = []
    puts = 0
    for request in shuffled:
        is_put = request.kind is Kind.PUT
        if len(chosen) == limits.requests or (is_put and puts == limits.puts):
            deferred.append(request)
        else:
            chosen.append(request)
            puts += is_put
    return chosen, deferred


def is_safe(artifacts: Iterable[str], listings: Listings, least: int) -> bool:
    """Return whether this process may delete its copies of artifacts.

    :param least: the copies that make an artifact safe. It does not become less if there are fewer
        depots than that: then the copies stay.
    """
    answered = [copies for copies in listings.values() if copies is not None]
    return all(sum(sha256 in copies for copies in answered) >= least for sha256 in artifacts)
