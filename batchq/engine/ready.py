# SPDX-License-Identifier: MIT
"""Make a batch ready to be sent on a connection.

Everything that can fail before the first byte is sent fails here, so such a failure leaves the
connection untouched.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from psycopg.pq import ConnStatus

from batchq.engine.abilities import Abilities
from batchq.engine.backslashes import check_backslashes
from batchq.engine.compile.compile import compiled
from batchq.engine.dialects import Dialect
from batchq.engine.filling import find_filling
from batchq.engine.program import program_of
from batchq.engine.step import invalid_step
from batchq.engine.truncated_names import check_name_lengths
from batchq.engine.wire.connection_state import AnyConnection, ConnectionState, state_of
from batchq.engine.wire.encode import encode
from batchq.engine.wire.encoded import Encoded
from batchq.engine.wire.layout import FlightBuilder
from batchq.engine.wire.transformers import KeptTransformer
from batchq.language.errors import ConnectionFailed, InvalidBatch
from batchq.language.outcome import Outcome
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.engine.plan import Plan

_OK = ConnStatus.OK
_NO_OUTPUTS = (
    "output(): {} does not pass values between statements; generate the key in the client, or "
    "select it by a known column in a sql() fragment"
)


@value
class Ready:
    """A batch that can be sent on a connection."""

    state: ConnectionState
    dialect: Dialect
    kept: KeptTransformer
    encoded: Encoded

    def builder(self, connection: AnyConnection, *, prepares: bool) -> FlightBuilder:
        """Return what adds commands to a flight.

        :param prepares: whether statements are prepared, and run prepared.
        """
        limit = connection.prepared_max
        return FlightBuilder(
            connection.pgconn,
            self.kept.codec,
            self.state.statements,
            connection.prepare_threshold if prepares else None,
            sys.maxsize if limit is None else limit,
            checks=self.dialect.supports_outputs,
        )


def make_ready(connection: AnyConnection, plan: Plan, kept: KeptTransformer | None = None) -> Ready:
    """Encode a batch, and reject a batch that this server cannot run.

    :param kept: converts the values, if it is that of another batch of the flight.
    :raises InvalidBatch: if the batch cannot be sent as it is.
    :raises ConnectionFailed: if the connection is closed already.
    """
    pg = connection.pgconn
    if pg.status != _OK:
        message = "run(): the connection is closed, nothing was sent; use an open connection"
        raise ConnectionFailed(message, outcome=Outcome.NOT_SENT)
    state = state_of(connection)
    dialect = state.dialect
    if kept is None:
        kept = state.transformers.take(connection)
    abilities = state.abilities if kept.is_plain else state.abilities.without_plain()
    takes, filling = plan.takes, None
    try:
        if takes is None:
            outputs = tuple(plan.outputs.items()) if plan.outputs else ()
            program = program_of(plan.shapes, outputs, abilities)
        else:
            filling = takes.known.get(abilities) or find_filling(plan, takes, abilities)
            program = filling.program
    except InvalidBatch as error:
        failure = _uncompiled(plan, abilities) or error
        raise failure from failure.__cause__
    encoded = encode(plan, program, kept, filling, dialect.max_message_bytes)
    if program.has_backslash and pg.parameter_status(b"standard_conforming_strings") == b"off":
        check_backslashes(plan, program)
    if (plan.wrapped_names or program.long_names) and dialect.truncates_names:
        check_name_lengths(plan, pg.parameter_status(b"server_encoding"))
    if plan.outputs and not dialect.supports_outputs:
        raise InvalidBatch(_NO_OUTPUTS.format(dialect.name))
    return Ready(state, dialect, kept, encoded)


def _uncompiled(plan: Plan, abilities: Abilities) -> InvalidBatch | None:
    """Return the error of the first statement that cannot be compiled."""
    for index, shape in enumerate(plan.shapes):
        try:
            compiled(shape, plan.outputs.get(index, ()), abilities)
        except InvalidBatch as error:
            failure = invalid_step(plan, index, error)
            failure.__cause__ = error
            return failure
    return None
