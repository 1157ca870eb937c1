# SPDX-License-Identifier: MIT
"""Keep the state of each connection as long as the connection lives.

The dictionary is weak: a connection that a pool drops takes its state with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from attrs import define, field
from psycopg import AsyncConnection, Connection

from batchq.engine.wire.statement_cache import StatementCache

if TYPE_CHECKING:
    from batchq.engine.compile.compile import Compiled

AnyConnection = Connection[Any] | AsyncConnection[Any]


@define(eq=False)
class ConnectionState:
    """The prepared statements of a connection, and the parameter types it last sent."""

    statements: StatementCache = field(factory=StatementCache)
    parameter_types: dict[Compiled, tuple[int, ...]] = field(
        factory=dict["Compiled", tuple[int, ...]]
    )
    """The types of each statement's parameters when it was last sent. Per connection, because the
    same statement may name two different tables in two databases."""

    def invalidate(self, *, lost: bool) -> None:
        """Drop the prepared statements and types, and use new names from now on.

        :param lost: whether the names were lost on the server, which may happen again.
        """
        self.statements.invalidate(lost=lost)
        self.parameter_types.clear()


_states: WeakKeyDictionary[AnyConnection, ConnectionState] = WeakKeyDictionary()


def state_of(connection: AnyConnection) -> ConnectionState:
    """Return the state of a connection."""
    state = _states.get(connection)
    if state is None:
        state = _states[connection] = ConnectionState()
    return state
