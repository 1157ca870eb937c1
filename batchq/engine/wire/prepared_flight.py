# SPDX-License-Identifier: MIT
"""Send a batch again by the names under which its statements are prepared.

Most batches of a service are like earlier ones but for their values. For these there is nothing to
decide: the names are known, and nothing is prepared or closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from batchq.engine.wire.flight import CLOSING, OPENING, SETTING, Flight

if TYPE_CHECKING:
    from psycopg.pq import Format
    from psycopg.pq.abc import PGconn

    from batchq.engine.wire.encoded import Encoded
    from batchq.engine.wire.flight import Run
    from batchq.engine.wire.frame import Frame
    from batchq.engine.wire.statement_cache import ValueChecks


MOST_FLIGHTS = 1024
"""The number of prepared flights that are kept for a connection, and what is known of them."""


@frozen(eq=False)
class PreparedFlight:
    """A flight in which each step runs a prepared statement, without its values."""

    flight: Flight
    """What each command is for. It has no values."""
    before: tuple[Run, ...]
    """The frame's commands before the steps."""
    steps: tuple[tuple[bytes, slice, Format], ...]
    """For each step the name, where its parameters are, and the format of its result."""
    closing: Run
    barrier: bool
    """Whether a Sync is sent between the last step and the closing command."""
    checks: ValueChecks
    """The tests that values have to pass to be sent by these names."""
    keys: tuple[bytes, ...]
    """The keys of the prepared statements."""
    version: int
    """The version of the statement cache in which the names hold."""
    of_steps: slice
    """Where the answers of the steps are among those of all commands."""

    def send(self, pg: PGconn, encoded: Encoded) -> None:
        """Pass every command to libpq's buffer."""
        params, formats = encoded.params, encoded.formats
        send_prepared, send_unprepared = pg.send_query_prepared, pg.send_query_params
        for run in self.before:
            (send_unprepared if run.key is None else send_prepared)(run.command, None)
        for name, own, result_format in self.steps:
            send_prepared(name, params[own], formats[own], result_format)
        if self.barrier:
            pg.pipeline_sync()
        (send_unprepared if self.closing.key is None else send_prepared)(self.closing.command, None)
        pg.pipeline_sync()


def prepared_flight(
    sent: Flight, encoded: Encoded, frame: Frame, version: int, *, barrier: bool
) -> PreparedFlight | None:
    """Return a flight like one that was sent, to be sent again; None if it had more to do.

    :param version: the version of the statement cache after it.
    :param barrier: whether it has a Sync before the closing command.
    """
    if not sent.is_repeatable((OPENING, SETTING, CLOSING) if frame.nested else (SETTING,)):
        return None
    flight = Flight()
    flight.owners, flight.closing = sent.owners, sent.closing
    flight.checked, flight.unnamed = sent.checked, sent.unnamed
    first = next((n for n, run in enumerate(sent.runs) if run.owner >= 0), 0)
    *steps, closing = sent.runs[first:]
    starts = (0, *encoded.program.ends)
    compiled = encoded.program.steps
    return PreparedFlight(
        flight,
        tuple(sent.runs[:first]),
        tuple(
            (run.command, slice(starts[n], starts[n + 1]), compiled[n].result_format)
            for n, run in enumerate(steps)
        ),
        closing,
        barrier,
        tuple(
            (starts[n] + place, is_exact)
            for n, run in enumerate(steps)
            for place, is_exact in run.checks
        ),
        tuple(run.key for run in sent.runs if run.key is not None),
        version,
        slice(first, first + len(steps)),
    )
