# SPDX-License-Identifier: MIT
"""Lay out a flight from a batch's encoded steps and its frame.

The order of commands and Syncs decides what an error skips, and that differs by dialect. So it is
decided in one place, before any command is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from attrs import define, field
from psycopg import capabilities

from batchq.engine.compile.quoting import name_of
from batchq.engine.wire.flight import (
    CLOSE,
    CLOSING,
    DESCRIBE,
    OPENING,
    ROLLBACK,
    SETTING,
    SYNC,
    Flight,
    Run,
)

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from batchq.engine.compile.compile import Form
    from batchq.engine.wire.encoded import EncodedStep
    from batchq.engine.wire.frame import Frame
    from batchq.engine.wire.statement_cache import Learnt, StatementCache, ValueChecks


@define(eq=False)
class FlightBuilder:
    """Adds a batch's commands to a flight, one by one."""

    pg: PGconn
    encoding: str
    statements: StatementCache
    threshold: int | None
    """psycopg's ``prepare_threshold``; None: prepare nothing."""
    limit: int
    """psycopg's ``prepared_max``."""
    checks: bool = True
    """Whether the server can check the types of columns."""
    names_changed: bool = field(init=False, default=False)
    """Whether names may now refer to other tables and types than at the beginning of the flight."""
    flight: Flight = field(init=False, factory=Flight)

    def add_steps(self, owner: int, steps: EncodedStep) -> None:
        """Add one step, or several of one statement.

        Each is counted as a use until the statement is prepared; then the rest is sent at once.
        """
        may_repeat = True
        for number in range(steps.count):
            if number and may_repeat and (run := self._latest()) is not None:
                may_repeat = _pass(steps, number, run.checks)
                if may_repeat:
                    self._add_rest(owner + number, steps, number, run)
                    return
            self._add_step(owner + number, steps.one(number) if steps.count > 1 else steps)

    def _latest(self) -> Run | None:
        """Return how the step before runs, if it runs prepared."""
        run = self.flight.runs[-1]
        return None if run.key is None else run

    def _add_rest(self, owner: int, steps: EncodedStep, first: int, run: Run) -> None:
        """Add all steps of a prepared statement from one on."""
        flight, width, count = self.flight, len(steps.types), steps.count - first
        slot = len(flight.owners)
        if steps.compiled.form(steps.settled).checks_types:
            flight.checked.update(range(slot, slot + count))
        flight.runs += [run] * count
        flight.owners += range(owner, owner + count)
        send, result_format = self.pg.send_query_prepared, steps.compiled.result_format

        def send_all() -> None:
            params, formats = steps.params, steps.formats
            for start in range(first * width, len(params), width):
                end = start + width
                send(run.command, params[start:end], formats[start:end], result_format)

        flight.commands.append(send_all)

    def _add_step(self, owner: int, step: EncodedStep) -> None:
        """Add one step: Parse if it has to be prepared, then the command itself."""
        compiled, flight = step.compiled, self.flight
        form = compiled.form(step.settled)
        key, types = form.key, step.settled
        checks: ValueChecks = ()
        if form.inferred:
            key = None
            if (learnt := self._learnt(owner, form, step)) is not None:
                key, types, checks = learnt.key, learnt.types, learnt.checks
        name, parse = self._prepared_name(key)
        send: Callable[[], Any]
        if name is None or key is None:
            sql = compiled.sql.encode(self.encoding)
            query = sql, step.params, step.types, step.formats, compiled.result_format
            send = partial(self.pg.send_query_params, *query)
            flight.unnamed.add(len(flight.owners))
            flight.runs.append(Run(owner, sql, None))
        else:
            flight.runs.append(Run(owner, name, key, checks))
            if parse:
                if form.checks_types:
                    flight.checked.add(len(flight.owners))
                self._parse(owner, key, name, form.sql.encode(self.encoding), types)
            send = partial(
                self.pg.send_query_prepared, name, step.params, step.formats, compiled.result_format
            )
            if form.checks_types:
                flight.checked.add(len(flight.owners))
        flight.owners.append(owner)
        flight.commands.append(send)
        if compiled.may_change_names:
            self.names_changed = True

    def add_frame_command(self, owner: int, sql: str, *, prepare: bool) -> None:
        """Add one of the frame's commands, which take no parameters."""
        text = sql.encode()
        key = _frame_key(sql) if prepare else b""
        name, parse = self._prepared_name(key) if prepare else (None, False)
        if name is None:
            self.flight.unnamed.add(len(self.flight.owners))
            self.flight.runs.append(Run(owner, text, None))
            self._add(owner, partial(self.pg.send_query_params, text, None))
            return
        self.flight.runs.append(Run(owner, name, key))
        if parse:
            self._parse(owner, key, name, text, ())
        self._add(owner, partial(self.pg.send_query_prepared, name, None))

    def add_sync(self) -> None:
        """Add a Sync: the server answers all commands before it, and an error skips up to it."""
        self._add(SYNC, self.pg.pipeline_sync)

    def add_close(self, name: bytes) -> None:
        """Add the command that closes a prepared statement."""
        self.flight.closes.append(len(self.flight.owners))
        if capabilities.has_send_close_prepared():
            self._add(CLOSE, partial(self.pg.send_close_prepared, name))
        else:  # libpq before 17
            self._add(CLOSE, partial(self.pg.send_query_params, b'DEALLOCATE "%b"' % name, None))

    def _prepared_name(self, key: bytes | None) -> tuple[bytes | None, bool]:
        if key is None or self.threshold is None:
            return None, False
        return self.statements.use(key, self.threshold, self.limit)

    def _learnt(self, owner: int, form: Form, step: EncodedStep) -> Learnt | None:
        """Return the inferred types to prepare a step by; None if it runs unprepared.

        It does until the server has reported the types, or if its values would be read differently.
        """
        key, statements, threshold = form.key, self.statements, self.threshold
        if key is None or threshold is None or (form.checks_types and not self.checks):
            return None
        if key in statements.learnt:
            learnt = statements.learnt[key]
            if learnt is None or (learnt.checks and not learnt.fits(step.params)):
                return None
            return learnt
        if not self.names_changed and statements.should_describe(key, threshold, self.limit):
            self._describe(owner, form, key, step)
        return None

    def _parse(self, owner: int, key: bytes, name: bytes, sql: bytes, types: Sequence[int]) -> None:
        self.flight.parses.append((len(self.flight.owners), key))
        self._add(owner, partial(self.pg.send_prepare, name, sql, types))

    def _describe(self, owner: int, form: Form, key: bytes, step: EncodedStep) -> None:
        """Add a Parse and a Describe, which report the types that the server infers.

        The Parse has no name: a statement with a name may be another client's, prepared under
        another schema. The step owns the Parse, as it owns that of a prepared statement. It does
        not own the Describe.
        """
        # Not unnamed: a NULL may be declared with the type of an earlier value, and fail by it,
        # while the step itself, which declares no type, succeeds.
        slot = len(self.flight.owners)
        if form.checks_types:
            self.flight.checked.add(slot)
        sql = form.sql.encode(self.encoding)
        self._add(owner, partial(self.pg.send_prepare, b"", sql, step.settled))
        self.flight.describes.append((slot + 1, key, step))
        self._add(DESCRIBE, partial(self.pg.send_describe_prepared, b""))

    def _add(self, owner: int, command: Callable[[], Any]) -> None:
        self.flight.owners.append(owner)
        self.flight.commands.append(command)


def _pass(steps: EncodedStep, first: int, checks: ValueChecks) -> bool:
    """Return whether the values of all steps from one on keep their meaning if they run alike."""
    width = len(steps.types)
    for place, is_exact in checks:
        column = steps.params[first * width + place :: width]
        if not all(value is None or is_exact(value) for value in column):
            return False
    return True


_READABLE = 40
"""The server compares 63 bytes of a name (NAMEDATALEN), and an epoch may follow the key."""


@lru_cache(maxsize=64)
def _frame_key(sql: str) -> bytes:
    name = b"batchq_" + sql.replace(" ", "_").encode()
    if len(name) > _READABLE:
        return name_of(sql)
    return name


def lay_out(
    builder: FlightBuilder,
    frame: Frame,
    steps: Sequence[EncodedStep],
    *,
    barrier: bool,
    closes: bool = True,
) -> Flight:
    """Return the flight of a batch: opening, steps, closing, and the Syncs of the dialect.

    A transaction of the caller's has no barrier, because the RELEASE after it would fail.

    :param closes: whether the prepared statements that are no longer needed are closed.
    """
    # A lost name would fail the SAVEPOINT, and with it the transaction around it.
    prepare = not frame.nested
    builder.add_frame_command(OPENING, frame.opening, prepare=prepare)
    for setting in frame.settings:
        builder.add_frame_command(SETTING, setting, prepare=False)
    index = 0
    for step in steps:
        builder.add_steps(index, step)
        index += step.count
    if barrier and not frame.nested:
        builder.add_sync()
    builder.add_frame_command(CLOSING, frame.closing, prepare=prepare)
    builder.flight.closing = len(builder.flight.owners) - 1  # after its Parse, if there is one
    if not closes:
        builder.add_sync()
    elif capabilities.has_send_close_prepared():
        for name in builder.statements.to_close:
            builder.add_close(name)
        builder.add_sync()
    else:
        builder.add_sync()
        _deallocate(builder, frame)
    return builder.flight


def _deallocate(builder: FlightBuilder, frame: Frame) -> None:
    """Close prepared statements with a libpq before 17.

    DEALLOCATE fails for a name that no longer exists, so each runs by itself, outside a
    transaction.
    """
    if not frame.nested:
        for name in builder.statements.to_close:
            builder.add_close(name)
            builder.add_sync()


def lay_out_rollback(builder: FlightBuilder, frame: Frame) -> Flight:
    """Return the flight that ends a transaction which an error has left open."""
    for command in frame.undo:
        builder.add_frame_command(ROLLBACK, command, prepare=False)
    builder.add_sync()
    return builder.flight
