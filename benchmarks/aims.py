# SPDX-License-Identifier: MIT
"""What batchq aims at, as ratios of two sides that were measured in turns."""

from __future__ import annotations

from attrs import frozen

from benchmarks.measure import Spread
from benchmarks.peers.all import BASELINE
from benchmarks.peers.asyncpg import Asyncpg
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.cte import Cte
from benchmarks.peers.pgbench import Pgbench
from benchmarks.peers.pipeline import Pipeline
from benchmarks.peers.plpgsql import Plpgsql
from benchmarks.peers.queued import Queued
from benchmarks.peers.sqlalchemy_core import Core
from benchmarks.peers.sqlalchemy_orm import Orm
from benchmarks.peers.transaction import Transaction
from benchmarks.results import Results, Settings
from benchmarks.workloads.inserts import INSERTS
from benchmarks.workloads.serving import TASKS

OURS = Batchq.name


@frozen
class Aim:
    """One ratio, and where it should be.

    Attributes:
        words: what is compared.
        of, to: a workload, its settings and a peer each; how many times as long the first one
            takes as the second.
        at_most, at_least: the aim; one of the two.
    """

    words: str
    of: tuple[str, Settings, str]
    to: tuple[str, Settings, str]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def limit(self) -> str:
        """The aim in short."""
        return f"<= {self.at_most:.2f}" if self.at_least is None else f">= {self.at_least:.2f}"

    def seen(self, results: Results) -> Spread | None:
        """What was seen; None when it was not measured."""
        mine, theirs = (results.find(workload, with_) for workload, with_, _ in (self.of, self.to))
        if mine is None or theirs is None:
            return None
        my_costs = mine.samples.costs.get(self.of[2])
        their_costs = theirs.samples.costs.get(self.to[2])
        if my_costs is None or their_costs is None:
            return None
        pairs = zip(my_costs, their_costs, strict=True)
        return Spread.of([one.wall / other.wall for one, other in pairs])

    def holds(self, seen: Spread) -> bool:
        """Whether the median is where it should be."""
        if self.at_least is not None:
            return seen.middle >= self.at_least
        return self.at_most is not None and seen.middle <= self.at_most


def _near() -> list[Aim]:
    """On the server's own socket."""
    limits = {BASELINE: 1.10, Pgbench.name: 1.25, Cte.name: 1.2, Plpgsql.name: 1.2}
    limits |= dict.fromkeys([kind.name for kind in _SLOWER], 1.0)
    return [
        Aim(
            f"project_create / {peer}",
            ("project_create", {}, OURS),
            ("project_create", {}, peer),
            at_most=limit,
        )
        for peer, limit in limits.items()
    ]


def _far(rtt: float) -> list[Aim]:
    """From a distance."""
    there: Settings = {"rtt": rtt}
    words = f"RTT {rtt * 1000:g} ms: "
    ours = ("project_create", there, OURS)
    slow = {Transaction.name: 6.0, Pipeline.name: 3.5}
    return [
        Aim(
            f"{words}project_create / {Plpgsql.name}",
            ours,
            ("project_create", there, Plpgsql.name),
            at_most=1.05,
        ),
        *[
            Aim(f"{words}{peer} / batchq", ("project_create", there, peer), ours, at_least=limit)
            for peer, limit in slow.items()
        ],
        Aim(
            f"{words}failing in the middle / succeeding",
            ("failing", {"at": "middle", **there}, OURS),
            ours,
            at_most=1.1,
        ),
    ]


def _failing() -> list[Aim]:
    return [
        Aim(
            f"failing, {at} / succeeding",
            ("failing", {"at": at}, OURS),
            ("failing", {"at": "nowhere"}, OURS),
            at_most=1.1,
        )
        for at in ("first", "middle", "last")
    ]


def _many() -> list[Aim]:
    """Large batches, and many at once: by the part of the baseline's rate, not of its time."""
    most: Settings = {"statements": 10_000}
    tasks: Settings = {"tasks": 16}
    return [
        Aim(
            "10,000 inserts: rows a second / bare",
            (INSERTS, most, BASELINE),
            (INSERTS, most, OURS),
            at_least=0.9,
        ),
        Aim(
            "16 tasks on 4 connections: batches a second / bare",
            (TASKS, tasks, BASELINE),
            (TASKS, tasks, OURS),
            at_least=0.9,
        ),
    ]


_SLOWER = (Queued, Pipeline, Transaction, Asyncpg, Core, Orm)

AIMS: list[Aim] = [
    *_near(),
    *_failing(),
    *_many(),
    *(aim for rtt in (0.001, 0.005, 0.02, 0.08) for aim in _far(rtt)),
]
