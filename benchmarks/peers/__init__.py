# SPDX-License-Identifier: MIT
"""The ways to send a workload's commands, each as its own documentation would write it.

A peer connects to a sandbox and returns a driver: a function that makes one call for each of the
inputs that it is given, and returns their results. A peer that has a loop enters it once for all of
them, as a service enters its loop once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, ClassVar

import psycopg
from psycopg_pool import ConnectionPool

from benchmarks.workloads import Workload, described

Connection = psycopg.Connection[Any]
Driver = Callable[[Sequence[Any]], list[object]]


class Peer(ABC):
    """A way to do a workload."""

    name: ClassVar[str]

    def __init__(self, workload: Workload[Any]) -> None:
        self.workload = workload

    @abstractmethod
    def open(self, conninfo: str, /) -> AbstractContextManager[Driver]:
        """Connect, and create what is created once."""

    def driver(self, call: Callable[[Any], object]) -> Driver:
        """Make one call after the other; compare failures with the one that is expected."""

        def fail(given: Any) -> object:
            try:
                call(given)
            except Exception as error:  # noqa: BLE001  compared with the failure that is expected
                return self.outcome(error)
            return self.outcome(None)

        one = call if self.workload.failure is None else fail
        return lambda inputs: [one(given) for given in inputs]

    def outcome(self, error: Exception | None) -> str | None:
        """Describe how a call ended; reject an end that is not the workload's.

        :raises AssertionError: the call failed with another error, or did not fail.
        """
        found = None if error is None else described(error)
        if found != self.workload.failure:
            message = f"{self.name}: {found!r} and not {self.workload.failure!r}"
            raise AssertionError(message) from error
        return found


class OnPsycopg(Peer):
    """A peer on a psycopg connection with the defaults of psycopg, in autocommit: a statement is
    prepared after five executions, and the peer itself says where a transaction begins."""

    @abstractmethod
    def call(self, conn: Connection, given: Any, /) -> object:
        """Do the work for one input."""

    def pooled(self, pool: ConnectionPool[Connection], given: Any) -> object:
        """Do the work for one input on a connection of a pool."""
        with pool.connection() as conn:
            return self.call(conn, given)

    @contextmanager
    def open(self, conninfo: str) -> Iterator[Driver]:
        """Connect."""
        with psycopg.connect(conninfo, autocommit=True) as conn:
            yield self.driver(partial(self.call, conn))
