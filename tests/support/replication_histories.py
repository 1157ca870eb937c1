# SPDX-License-Identifier: MIT
"""Histories of two replicators: held up anywhere, killed, and cut off, while the set changes.

What happens depends on the seed alone: an activation has a thread of its own, which runs only while
the history waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random

import psycopg
from attrs import define, field

from examples.replication.errors import DepotError, Stale
from examples.replication.planning import Kind
from examples.replication.replicator import Replicator
from examples.replication.report import Report, Stopped
from tests.support.lock_waits import TIMEOUT
from tests.support.replication import Network, NetworkDepot, World, artifact, nothing

ARTIFACTS = [artifact(n) for n in range(2)]
LIMITS = {"requests": 5, "puts": 2}


class Killed(BaseException):
    """The process of a replicator ends; the files that it holds are there when it starts again."""


@define(eq=False)
class Activation:
    """An activation that stops before each request, and waits to be continued."""

    replicator: Replicator
    network: Network
    report: Report | None = field(init=False, default=None)
    error: BaseException | None = field(init=False, default=None)
    late: Callable[[], object] | None = field(init=False, default=None)
    """Delivers the request that it waits to send."""
    _go: threading.Semaphore = field(init=False, factory=lambda: threading.Semaphore(0))
    _stopped: threading.Semaphore = field(init=False, factory=lambda: threading.Semaphore(0))
    _killed: bool = field(init=False, default=False)
    _thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self):
        self.network.before = self._wait
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def step(self) -> None:
        """Let it run until it is about to send the next request, or ends."""
        self._go.release()
        assert self._stopped.acquire(timeout=TIMEOUT)
        if self.late is None:
            self._thread.join()
        if self.error is not None:
            raise self.error

    def kill(self) -> None:
        self._killed = True
        self.late = None
        self.step()

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._killed:
                self.report = self.replicator.activate()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  raised by step()
            self.error = error
        self.late = None
        self._stopped.release()

    def _wait(self, _depot: str, deliver: Callable[[], object]) -> None:
        self.late = deliver
        self._stopped.release()
        self._go.acquire()
        if self._killed:
            raise Killed


@define(eq=False)
class History:
    """One history. After each action, what is wanted has a copy (C1)."""

    conn: psycopg.Connection
    seed: int
    depot: type[NetworkDepot] = NetworkDepot
    lost: set[str] = field(init=False, factory=set)
    """Wanted artifacts without any copy."""
    world: World = field(init=False)
    random: Random = field(init=False)
    replicators: list[Replicator] = field(init=False)
    reports: list[list[Report]] = field(init=False, factory=lambda: [[], []])
    _running: list[Activation | None] = field(init=False, factory=lambda: [None, None])
    _wanted: set[str] = field(init=False, factory=set)
    _late: list[Callable[[], object]] = field(init=False, factory=list)
    _generations: dict[str, int] = field(init=False, factory=dict)

    def __attrs_post_init__(self):
        self.random = Random(self.seed)
        names = ("d0", "d1", "d2")[: self.random.randrange(2, 4)]
        self.world = World(self.conn, names, depot=self.depot)
        self.replicators = [
            self.world.replicator(seed=self.random.randrange(1 << 30), **LIMITS) for _ in range(2)
        ]

    def play(self, rounds: int) -> None:
        """Play it, then leave the replicators undisturbed: they reach the wanted state (C2)."""
        for _ in range(rounds):
            self._round(*self.random.sample(range(2), 2))
        self._end()

    def _round(self, slow: int, fast: int) -> None:
        """Hold one of them up somewhere, while the other one acts and the set changes."""
        change, activate = partial(self._change, fast), partial(self._activate, fast)
        change()
        self._step(slow)
        acts = [change, change, activate, activate, activate, self._silence, self._deliver]
        for act in self.random.choices(acts, k=self.random.randrange(2, 8)):
            act()
            self._check()
        self.random.choice([self._kill, *3 * [self._step], *3 * [self._activate]])(slow)
        self._check()

    # -- what may happen

    def _started(self, which: int) -> Activation:
        """Return the activation that is held up, or another one."""
        activation = self._running[which]
        if activation is None:
            replicator = self.replicators[which]
            activation = Activation(replicator, self.world.network(replicator))
            self._running[which] = activation
        return activation

    def _step(self, which: int) -> None:
        """Let it send some requests: as many as list the depots, or one more or less."""
        activation = self._started(which)
        for _ in range(len(self.world.names) + self.random.randrange(3)):
            if not activation.over:
                activation.step()
        if activation.over:
            self._finish(which)

    def _activate(self, which: int) -> None:
        """Let it run to the end."""
        activation = self._started(which)
        while not activation.over:
            activation.step()
        self._finish(which)

    def _change(self, which: int) -> None:
        """Remove an artifact, or upload one: also one that was wanted before, or is wanted."""
        changed = self.random.choice(ARTIFACTS)
        if changed in self._wanted and self.random.randrange(3):
            self.world.remove(changed)
            self._wanted.remove(changed)
        else:
            others = self.random.sample(ARTIFACTS, self.random.randrange(4) == 0)
            self.replicators[which].upload({changed, *others})
            self._wanted.update([changed, *others])

    def _silence(self) -> None:
        """Have a depot be silent for one of them, or answer again."""
        network = self.random.choice(self.world.networks)
        network.silent ^= {self.random.choice(self.world.names)}

    def _deliver(self) -> None:
        """Deliver a request whose sender waits no longer; or one that its sender sends again."""
        waiting = [activation.late for activation in self._running if activation is not None]
        self._late += [self.random.choice(waiting)] if waiting else []
        if self._late:
            late = self._late.pop(self.random.randrange(len(self._late)))
            with suppress(Stale, DepotError):
                late()

    def _kill(self, which: int) -> None:
        """End it where it is held up; what it was about to send may arrive all the same."""
        activation = self._running[which]
        if activation is not None:
            self._late.append(activation.late)
            activation.kill()
            self._running[which] = None

    # -- what holds

    def _finish(self, which: int) -> None:
        self._running[which], activation = None, self._running[which]
        self._count(which, activation.report)

    def _count(self, which: int, report: Report) -> None:
        """Check what an activation reports (C3)."""
        self.reports[which].append(report)
        sent = report.ok + report.failed
        assert sent + report.deferred == report.planned
        assert sent.total() <= LIMITS["requests"]
        assert sent[Kind.PUT] <= LIMITS["puts"]
        assert report.stopped is not Stopped.CONFLICT

    def _check(self) -> None:
        held = [replicator.uploads.artifacts for replicator in self.replicators]
        self.lost |= self._wanted.difference(*held, *self.world.copies().values())
        generations = self.world.generations()
        for name, generation in self._generations.items():
            assert generations.get(name, 0) >= generation
        self._generations = generations

    def _end(self) -> None:
        for network in self.world.networks:
            network.silent.clear()
        for which in range(2):
            self._activate(which)
        for late in self._late:
            with suppress(Stale, DepotError):
                late()
        for network in self.world.networks:
            network.before = nothing
        self._check()
        if self.lost:
            return
        self._settle()
        assert self.world.copies() == self.world.everywhere(self._wanted)
        for replicator, reports in zip(self.replicators, self.reports, strict=True):
            assert replicator.kept.lifetime == sum(reports[1:], reports[0])

    def _settle(self) -> None:
        """Activate both until neither has anything to do."""
        for _ in range(10):
            latest = [replicator.activate() for replicator in self.replicators]
            for report, reports in zip(latest, self.reports, strict=True):
                assert report.ok or report.deferred == {}
                reports.append(report)
            if latest[0].planned == latest[1].planned == {}:
                return
        raise AssertionError("it does not converge")
