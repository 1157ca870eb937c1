# SPDX-License-Identifier: MIT
"""Check the arguments of ``run`` and its variants, and keep them as one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict, cast

from attrs import define
from psycopg import AsyncConnection, Connection, IsolationLevel

from batchq.engine.plan import Plan
from batchq.engine.transaction import Transaction
from batchq.engine.wire.deadline import Deadline
from batchq.language.errors import InvalidBatch
from batchq.language.outcome import Outcome
from batchq.running.interrupts import note_interrupt, result_outcome
from batchq.running.option_values import OptionValues
from batchq.running.retry import Retry

if TYPE_CHECKING:
    from batchq.engine.result import Result


class ManyOptions(TypedDict, total=False):
    """Options of a run of several batches, which :func:`~batchq.result.run_many` describes."""

    isolation: IsolationLevel | str | None
    read_only: bool | None
    timeout: float | timedelta | None
    deadline: float | timedelta | None
    retry: Retry | None


class Options(ManyOptions, total=False):
    """Options of a run, which :func:`~batchq.run` describes."""

    nested: bool


@define(eq=False)
class RunRequest:
    """The plan of a batch, and the options to run it with."""

    plan: Plan
    values: OptionValues
    retry: Retry | None
    deadline: Deadline | None = None
    transaction: Transaction | None = None
    """The latest attempt, as soon as it can be sent."""

    @property
    def count(self) -> int:
        """How many batches are run."""
        return 1

    def note_interrupt(self, error: BaseException, results: Sequence[Result] | None) -> None:
        """Note the outcome on an exception that interrupts an attempt on a pool.

        :param results: the results of the attempt, if it has any.
        """
        outcomes = [Outcome.NOT_SENT] if results is None else map(result_outcome, results)
        note_interrupt(error, *outcomes)


def request_outcome(request: RunRequest | None) -> Outcome:
    """Return the outcome of the latest attempt; None for options that were not checked yet."""
    attempt = None if request is None else request.transaction
    return Outcome.NOT_SENT if attempt is None else attempt.outcome


OF_MANY = frozenset(ManyOptions.__annotations__)
"""The names of the options of several batches."""
_KNOWN = OF_MANY | Options.__annotations__.keys()
_INSTEAD_OF = {
    "isolation": "set isolation_level of the connection before the outer transaction begins",
    "read_only": "set read_only of the connection before the outer transaction begins",
    "timeout": "execute SET LOCAL statement_timeout in the outer transaction",
    "deadline": (
        "execute SET LOCAL transaction_timeout (PostgreSQL 17) or statement_timeout in the outer "
        "transaction, or cancel that: asyncio.timeout(), or connection.cancel_safe() in a thread"
    ),
    "retry": "run the outer transaction again as a whole, if the error has rerun_outer=True",
}
"""What to do instead of an option that a nested batch does not take."""


def check_options(
    call: str,
    options: Mapping[str, object],
    known: AbstractSet[str],
    required: AbstractSet[str] = frozenset(),
) -> None:
    """Reject unknown options, and missing ones that are required.

    :param call: the called function, as the caller wrote it: ``run()``.
    :raises TypeError: as Python does for the arguments of a function; it lists the known ones.
    """
    if unknown := options.keys() - known:
        message = f"{call} has no option {min(unknown)!r}; it has {', '.join(sorted(known))}"
        raise TypeError(message)
    if missing := required - options.keys():
        message = f"{call} needs {min(missing)}=; it has {', '.join(sorted(known))}"
        raise TypeError(message)


def read_options(
    target: object, options: ManyOptions, call: str, known: AbstractSet[str] = _KNOWN
) -> OptionValues:
    """Return the converted options of a run.

    :param call: the called function, as the caller wrote it: ``run()``.
    :param known: the names of its options.
    :raises TypeError: for an unknown option.
    :raises InvalidBatch: if a value is not valid.
    """
    check_options(call, options, known)
    values = OptionValues(**cast("dict[str, Any]", options))
    if values.nested:
        _check_nested(target, values)
    return values


def _check_nested(target: object, values: OptionValues) -> None:
    if not isinstance(target, Connection | AsyncConnection):
        message = "nested=True: a pool has no open transaction; pass the connection that has it"
        raise InvalidBatch(message)
    for name, instead in _INSTEAD_OF.items():
        if getattr(values, name) is not None:
            message = f"{name}=: not with nested=True; {instead}"
            raise InvalidBatch(message)
