# SPDX-License-Identifier: MIT
"""Keep the state of each connection as long as the connection lives.

What a run has learned is replaced, never changed: another thread may be sending by it.

It is known by a weak reference: a connection that a pool drops takes its state with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from attrs import define, field
from psycopg import AsyncConnection, Connection

from batchq.engine.abilities import NEWEST, Abilities
from batchq.engine.dialects import Dialect, dialect_of
from batchq.engine.wire.prepared_flight import MOST_FLIGHTS, PreparedFlight, prepared_flight
from batchq.engine.wire.statement_cache import StatementCache
from batchq.engine.wire.transformers import Transformers

if TYPE_CHECKING:
    from batchq.engine.compile.compile import Compiled
    from batchq.engine.program import Program
    from batchq.engine.wire.encoded import Encoded
    from batchq.engine.wire.flight import Flight
    from batchq.engine.wire.frame import Frame
    from batchq.engine.wire.liveness import Watched

AnyConnection = Connection[Any] | AsyncConnection[Any]

_FlightKey = tuple["Program", "Frame", tuple[int, ...], tuple[int, ...]]
"""The statements, the frame, the types of the values, and which values have no type."""


@define(eq=False)
class ConnectionState:
    """What is known of a connection: its server, its prepared statements, the types it sent."""

    dialect: Dialect
    abilities: Abilities = NEWEST
    statements: StatementCache = field(factory=StatementCache)
    parameter_types: dict[Compiled, tuple[int, ...]] = field(
        factory=dict["Compiled", tuple[int, ...]]
    )
    """The types of each statement's parameters when it was last sent. Per connection, because the
    same statement may name two different tables in two databases."""

    transformers: Transformers = field(init=False, factory=Transformers)
    socket: Watched | None = field(init=False, default=None)
    """The connection's socket, if it was watched before."""
    _flights: dict[_FlightKey, PreparedFlight] = field(
        init=False, factory=dict["_FlightKey", PreparedFlight]
    )

    def prepared_flight(self, encoded: Encoded, frame: Frame) -> PreparedFlight | None:
        """Return the flight to send a batch by now; None if it has to be laid out.

        That is so if its values would not keep their meaning by the names of an earlier one. Its
        statements become the most recently used ones.
        """
        statements = self.statements
        found = self._flights.get((encoded.program, frame, encoded.types, encoded.missing))
        if found is None or found.version != statements.version:
            return None
        checks, constants = found.checks, encoded.constants
        if checks:
            if constants is not None:
                left = constants.left.get(found)
                checks = constants.find_left(found, checks) if left is None else left
            params = encoded.params
            for place, is_exact in checks:
                if params[place] is not None and not is_exact(params[place]):
                    return None
        if found.keys is not statements.latest:
            statements.touch(found.keys)
        return found

    def remember(self, sent: Flight, encoded: Encoded, frame: Frame, *, barrier: bool) -> None:
        """Keep a flight, if it can be sent again with other values.

        :param barrier: whether it has a Sync before the closing command.
        """
        version = self.statements.version
        prepared = prepared_flight(sent, encoded, frame, version, barrier=barrier)
        if prepared is None:
            return
        if len(self._flights) >= MOST_FLIGHTS:
            self._flights.clear()
        key = encoded.program, frame, encoded.types, encoded.missing
        self._flights[key] = prepared

    def invalidate(self, *, lost: bool) -> None:
        """Drop the prepared statements and types, and use new names from now on.

        :param lost: whether the names were lost on the server, which may happen again.
        """
        self.statements.invalidate(lost=lost)
        self.parameter_types.clear()
        self._flights.clear()


_states: dict[ref[AnyConnection], ConnectionState] = {}


def state_of(connection: AnyConnection) -> ConnectionState:
    """Return the state of a connection."""
    state = _states.get(ref(connection))
    if state is None:
        pg = connection.pgconn
        dialect = dialect_of(pg)
        abilities = dialect.abilities(pg.server_version)
        # As a WeakKeyDictionary, but looked up without a call. Of two threads, one makes it.
        key = ref(connection, _states.pop)
        state = _states.setdefault(key, ConnectionState(dialect, abilities))
    return state
