# SPDX-License-Identifier: MIT
"""The cases of a run: which peers are measured with which workload, under which conditions."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Case
from benchmarks.peers import InTasks, Peer
from benchmarks.peers.asyncpg import Asyncpg
from benchmarks.peers.bare import Bare, BareModels
from benchmarks.peers.batchq import Batchq, InOneFlight, forms
from benchmarks.peers.contention import CHARGES, InProcesses
from benchmarks.peers.one_statement import Cte, Plpgsql
from benchmarks.peers.psycopg3 import Copy, ExecuteMany, Pipeline, Queued, Transaction
from benchmarks.peers.sqlalchemy import Core, Orm
from benchmarks.workloads import DECLARED, Workload
from benchmarks.workloads.gate import gate
from benchmarks.workloads.guards import guards
from benchmarks.workloads.projects import FAILURES, IN_MANY_SILOS, PROJECT_CREATE, failing
from benchmarks.workloads.rules import inserts, single_inserts

ALL: tuple[type[Peer], ...] = (
    *(Bare, BareModels, Cte, Plpgsql, Queued, Pipeline, Transaction, Asyncpg, Core, Orm),
)
"""The peers beside batchq. The first one is the baseline that the others are compared with: all
that a library on psycopg needs, and no more."""

SUCCEEDING = ", succeeding"
"""Ends the names of batchq's forms that succeed, in a case where the others fail."""

_FAILING = (Bare, Queued, Pipeline, Transaction, Asyncpg)
_INSERTING = (Bare, Pipeline, Transaction, ExecuteMany, Copy)


def peers(workload: Workload, others: tuple[type[Peer], ...]) -> list[Peer]:
    """Return batchq's forms of a workload, and other peers."""
    return [*forms(workload), *(other(workload) for other in others)]


def _cases() -> Iterator[Case]:
    create = peers(PROJECT_CREATE, ALL)
    yield Case("project_create", {}, create)
    for rtt in (0.001, 0.005, 0.02, 0.08):
        failure = Batchq(failing("second"), f"{DECLARED}, failing")
        yield Case("project_create", {"rtt": rtt}, [*create, failure])
    single = single_inserts()
    independent = [*forms(single), InOneFlight(single, 16)]
    yield Case("independent batches", {"rtt": 0.001}, independent, statements=1, callers=16)
    for at in FAILURES:
        # A quarter of the calls.
        sides = [*peers(failing(at), _FAILING), *forms(PROJECT_CREATE, suffix=SUCCEEDING)]
        yield Case("failing", {"at": at}, sides, statements=32)
    for size in (1, 10, 100, 1_000, 10_000):
        inserting = peers(inserts(size), _INSERTING)
        yield Case("inserts", {"statements": size}, inserting, statements=size)
    for size in (1, 8, 50):
        yield Case("guards", {"updates": size}, forms(guards(size)), statements=size)
    for size in (2, 8):
        yield Case("gate", {"updates": size}, forms(gate(size)), statements=size)
    yield Case("gate", {"updates": 2, "rtt": 0.001}, forms(gate(2)), statements=2)
    for distance in ({}, {"rtt": 0.001}):
        for number in (1, 4, 16):
            charging = [InProcesses(name, number) for name in CHARGES]
            settings = {"processes": number, **distance}
            yield Case("charges", settings, charging, statements=1, callers=number)
    for number in (1, 16, 128):
        others = [kind(IN_MANY_SILOS) for kind in (Bare, Transaction, Asyncpg)]
        tasks = [InTasks(peer, number) for peer in (*forms(IN_MANY_SILOS), *others)]
        yield Case("throughput", {"tasks": number}, tasks, callers=number)


CASES: tuple[Case, ...] = tuple(_cases())
