# SPDX-License-Identifier: MIT
"""What is to be done: a batch, the options of running it, and what to refuse before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypedDict, cast

from attrs import define
from psycopg import AsyncConnection, Connection, IsolationLevel

from batchq.engine.outcome.messages import OLD_SNAPSHOT
from batchq.engine.plan import Plan, plan
from batchq.engine.step import PlacedStep
from batchq.engine.wire.deadline import Deadline
from batchq.engine.wire.frame import NESTED, NESTED_READ_ONLY, PLAIN, Frame, transaction
from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.outcome import Outcome
from batchq.running.option_values import NO_OPTIONS, OptionValues
from batchq.running.retry import Retry

if TYPE_CHECKING:
    from batchq.engine.transaction import Transaction
    from batchq.engine.wire.connection_state import AnyConnection


class Options(TypedDict, total=False):
    """How to run a batch; what is left out is left to the connection and the session."""

    isolation: IsolationLevel | str | None
    """The transaction's isolation level, or its name: ``"repeatable read"``."""
    read_only: bool | None
    """READ ONLY or READ WRITE."""
    timeout: float | timedelta | None
    """The longest that any one statement may take, in seconds; gone after the batch. The server
    keeps it, and for statements alone: COMMIT, where deferred triggers run, takes what it takes."""
    deadline: float | timedelta | None
    """The longest that the whole run may take, in seconds: waiting for a connection, all attempts
    and the pauses between them, COMMIT. The client keeps it, and bounds the server by what is left.
    It ends a grace of a second later at the latest (``batchq.engine.wire.deadline.GRACE``)."""
    nested: bool
    """Be part of the transaction that is open on the connection: SAVEPOINT … RELEASE."""
    retry: Retry | None
    """Run again what has kept nothing and may succeed."""


@define(eq=False)
class RunRequest:
    """A batch laid flat, and how it is to run."""

    plan: Plan
    values: OptionValues
    retry: Retry | None
    deadline: Deadline | None = None
    work: Transaction | None = None
    """The attempt at it that was begun last."""

    def frame_for(self, connection: AnyConnection) -> Frame:
        """Frame it by the options and, where they are silent, by the connection's own settings."""
        values = self.values
        if values.nested:
            return NESTED_READ_ONLY if connection.read_only else NESTED
        isolation, read_only, timeout = values.isolation, values.read_only, values.timeout
        if isolation is None:
            isolation = connection.isolation_level
        if read_only is None:
            read_only = connection.read_only
        deferrable = connection.deferrable
        if isolation is IsolationLevel.REPEATABLE_READ:
            _refuse_old_snapshots(self.plan)
        if isolation is None and read_only is None and deferrable is None and timeout is None:
            return PLAIN
        return transaction(
            isolation=isolation, read_only=read_only, deferrable=deferrable, timeout=timeout
        )


def _refuse_old_snapshots(plan: Plan) -> None:
    """Refuse what the server would refuse; where nobody says the level, only it knows."""
    for index, statement in enumerate(plan.statements):
        if statement._shape.fresh:
            step = PlacedStep(index, plan.placed[index])
            message = f"{step}: not at the isolation level REPEATABLE READ\n{OLD_SNAPSHOT}"
            raise InvalidBatch(message, step=step)


def request_outcome(request: RunRequest | None) -> Outcome:
    """What became of a batch, by its last attempt; None is one whose options were being read."""
    work = None if request is None else request.work
    return Outcome.NOT_SENT if work is None else work.outcome


_KNOWN = frozenset(Options.__annotations__)
_NOT_NESTED = ("isolation", "read_only", "timeout", "deadline", "retry")


def run_request(target: object, batch: Batch[Any], options: Options, *, sync: bool) -> RunRequest:
    """Check the arguments before anything happens."""
    kinds: tuple[type[Any], type[Any]] = (AsyncConnection, Connection)
    wrong, right = kinds if sync else kinds[::-1]
    call = "run()" if sync else "arun()"
    if not isinstance(target, right):
        _check_target(target, wrong, right, call, "await arun()" if sync else "run()")
    values = _read(target, options, call) if options else NO_OPTIONS
    return RunRequest(plan(batch), values, values.retry, values.deadline)


def _check_target(
    target: object, wrong: type[Any], right: type[Any], call: str, other_call: str
) -> None:
    """Accept a pool; psycopg_pool is an extra, so it is known by what it can do."""
    is_pool = all(hasattr(target, method) for method in ("connection", "getconn", "putconn"))
    getconn = getattr(target, "getconn", None) if is_pool else None
    if isinstance(target, wrong) or (
        getconn is not None and iscoroutinefunction(getconn) is (wrong is AsyncConnection)
    ):
        hint = f": use {other_call}"
    elif getconn is not None:
        return
    else:
        hint = ""
    kind = type(target).__name__
    message = f"{call} takes a psycopg {right.__name__} or a pool, not {kind}{hint}"
    raise TypeError(message)


def check_options(
    call: str,
    options: Mapping[str, object],
    known: AbstractSet[str],
    required: AbstractSet[str] = frozenset(),
) -> None:
    """Refuse options that there are not, and the lack of those that there have to be.

    :param call: who is asked, in the words of the caller's program: ``run()``.
    :raises TypeError: as Python does for a function's own arguments, and says which there are.
    """
    if unknown := options.keys() - known:
        message = f"{call} has no option {min(unknown)!r}; it has {', '.join(sorted(known))}"
        raise TypeError(message)
    if missing := required - options.keys():
        message = f"{call} needs {min(missing)}=; it has {', '.join(sorted(known))}"
        raise TypeError(message)


def _read(target: object, options: Options, call: str) -> OptionValues:
    check_options(call, options, _KNOWN)
    values = OptionValues(**cast("dict[str, Any]", options))
    if values.nested:
        _check_nested(target, values)
    return values


def _check_nested(target: object, values: OptionValues) -> None:
    if not isinstance(target, Connection | AsyncConnection):
        message = "nested=True is for a connection with an open transaction; a pool's have none"
        raise InvalidBatch(message)
    for name in _NOT_NESTED:
        if getattr(values, name) is not None:
            message = f"{name}= is the outer transaction's business: it cannot go with nested=True"
            raise InvalidBatch(message)
