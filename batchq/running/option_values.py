# SPDX-License-Identifier: MIT
"""Check and convert the options of a run, before a connection is used."""

from __future__ import annotations

from datetime import timedelta
from numbers import Real
from typing import TYPE_CHECKING

from attrs import field, frozen
from psycopg import IsolationLevel

from batchq.engine.wire.deadline import Deadline, deadline_from
from batchq.engine.wire.frame import LONGEST_TIMEOUT, SHORTEST_TIMEOUT
from batchq.language.errors import InvalidBatch
from batchq.language.spelling import with_article
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
    raise _invalid("isolation", value, f"one of {levels}, or a psycopg.IsolationLevel")


def _timeout(value: object) -> float | None:
    """Return seconds, from a number or a timedelta within the limits of ``statement_timeout``."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, timedelta | Real):
        raise _invalid("timeout", value, "a number of seconds or a timedelta")
    try:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    except OverflowError:
        seconds = float("inf")
    if not SHORTEST_TIMEOUT <= seconds <= LONGEST_TIMEOUT:
        raise _invalid("timeout", value, "between a millisecond and 24 days, in seconds")
    return seconds


def _deadline(value: object) -> Deadline | None:
    return None if value is None else deadline_from(value)


def _check_bool(_: AttrsInstance, attribute: Attribute[bool | None], value: object) -> None:
    if not (value is None or isinstance(value, bool)):
        raise _invalid(attribute.name, value, "True or False")


def _check_retry(_: AttrsInstance, attribute: Attribute[Retry | None], value: object) -> None:
    if not (value is None or isinstance(value, Retry)):
        expected = with_article(Retry, unlike=(type(value),))
        raise _invalid(attribute.name, value, f"{expected}, as in retry=Retry(attempts=3)")


def _invalid(name: str, value: object, expected: str) -> InvalidBatch:
    return InvalidBatch(f"{name}={value!r} is not valid: it must be {expected}")


@frozen(kw_only=True)
class OptionValues:
    """The converted options of a run; None if left out.

    :raises InvalidBatch: for an invalid value, with the option's name.
    """

    isolation: IsolationLevel | None = field(default=None, converter=_isolation)
    read_only: bool | None = field(default=None, validator=_check_bool)
    timeout: float | None = field(default=None, converter=_timeout)
    deadline: Deadline | None = field(default=None, converter=_deadline)
    """The deadline, which starts when it is converted."""
    nested: bool | None = field(default=None, validator=_check_bool)
    retry: Retry | None = field(default=None, validator=_check_retry)


NO_OPTIONS = OptionValues()
"""No option given."""
