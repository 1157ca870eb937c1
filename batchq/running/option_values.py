# SPDX-License-Identifier: MIT
"""What may be said as an option of a run: anything else gets a sentence, before a connection is
taken or a byte is sent."""

from __future__ import annotations

from datetime import timedelta
from numbers import Real
from typing import TYPE_CHECKING

from attrs import field, frozen
from psycopg import IsolationLevel

from batchq.engine.wire.deadline import Deadline, deadline_from
from batchq.engine.wire.frame import LONGEST_TIMEOUT, SHORTEST_TIMEOUT
from batchq.language.errors import InvalidBatch
from batchq.running.retry import Retry

if TYPE_CHECKING:
    from attrs import Attribute, AttrsInstance


def _isolation(value: object) -> IsolationLevel | None:
    if value is None or isinstance(value, IsolationLevel):
        return value
    if isinstance(value, str):
        words = value.replace("_", " ").replace("-", " ").upper().split()
        level = IsolationLevel.__members__.get("_".join(words))
        if level is not None:
            return level
    levels = ", ".join(repr(level.name.replace("_", " ").lower()) for level in IsolationLevel)
    raise _wrong("isolation", value, f"one of {levels}, or a psycopg.IsolationLevel")


def _timeout(value: object) -> float | None:
    """Read seconds: a number or a timedelta, within what ``statement_timeout`` can be."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, timedelta | Real):
        raise _wrong("timeout", value, "a number of seconds, or a timedelta")
    try:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    except OverflowError:
        seconds = float("inf")
    if not SHORTEST_TIMEOUT <= seconds <= LONGEST_TIMEOUT:
        raise _wrong("timeout", value, "between a millisecond and 24 days, in seconds")
    return seconds


def _deadline(value: object) -> Deadline | None:
    return None if value is None else deadline_from(value)


def _truth(_: AttrsInstance, attribute: Attribute[bool | None], value: object) -> None:
    if not (value is None or isinstance(value, bool)):
        raise _wrong(attribute.name, value, "True or False")


def _policy(_: AttrsInstance, attribute: Attribute[Retry | None], value: object) -> None:
    if not (value is None or isinstance(value, Retry)):
        raise _wrong(attribute.name, value, "a Retry, as in retry=Retry(attempts=3)")


def _wrong(name: str, value: object, right: str) -> InvalidBatch:
    return InvalidBatch(f"{name}={value!r}: it takes {right}")


@frozen(kw_only=True)
class OptionValues:
    """The options of a run, each read; None is one that was left out.

    :raises InvalidBatch: for a value that cannot be meant, naming the option.
    """

    isolation: IsolationLevel | None = field(default=None, converter=_isolation)
    read_only: bool | None = field(default=None, validator=_truth)
    timeout: float | None = field(default=None, converter=_timeout)
    deadline: Deadline | None = field(default=None, converter=_deadline)
    """Which begins to run when it is read."""
    nested: bool | None = field(default=None, validator=_truth)
    retry: Retry | None = field(default=None, validator=_policy)


NO_OPTIONS = OptionValues()
"""All of them left out."""
