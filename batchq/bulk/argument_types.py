# SPDX-License-Identifier: MIT
"""Check the types of arguments for callers who run no type checker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from psycopg import AsyncConnection, Connection

from batchq.language.errors import InvalidBatch

if TYPE_CHECKING:
    from attrs import Attribute

T = TypeVar("T")

NUMBER = (int, float)


def is_of(value: object, kind: type[object] | tuple[type[object], ...]) -> bool:
    """Return whether an argument is of a type, whatever its annotation promises.

    A bool is not a number.
    """
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def items_of(value: Any) -> tuple[Any, ...] | None:
    """Return the items of an iterable; None for another object."""
    return tuple(value) if is_of(value, Iterable) else None


def checked(
    call: str,
    name: str,
    value: T,
    kind: type[object] | tuple[type[object], ...],
    example: str,
    *,
    error: type[Exception] = InvalidBatch,
) -> T:
    """Return an argument of the right type.

    :param call: the function or class, for the text of the error: ``"DeleteTree"``.
    :param example: an expression to pass instead, for the text of the error.
    :param error: what is raised for another type: InvalidBatch by what makes a batch or a part of
        it, TypeError by what runs or observes one.
    """
    if is_of(value, kind):
        return value
    kinds = kind if isinstance(kind, tuple) else (kind,)
    names = "a number" if kind is NUMBER else f"of type {' or '.join(k.__name__ for k in kinds)}"
    raise error(f"{call}({name}={value!r:.60}): it must be {names}; write {name}={example}")


def checked_job_id(call: str, job: UUID) -> UUID:
    """Return the id of a job.

    :raises InvalidBatch: if it is not a UUID.
    """
    return checked(call, "job", job, UUID, "UUID(…), the id of the job")


def of(
    call: str,
    kind: type[object] | tuple[type[object], ...],
    example: str,
    error: type[Exception] = InvalidBatch,
) -> Callable[[object, Attribute[Any], Any], None]:
    """Return a validator that checks the type of a field; see :func:`checked`."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        checked(call, attribute.name, value, kind, example, error=error)

    return check


def check_database(call: str, database: object, *, sync: bool) -> None:
    """Reject what is neither a connection nor a pool, before anything else is done.

    psycopg_pool is an extra, so a pool is recognized by its methods.

    :raises TypeError: for another object, and for an async one if the call is sync.
    """
    kinds = (Connection, AsyncConnection) if sync else (AsyncConnection, Connection)
    is_right, is_other = (isinstance(database, kind) for kind in kinds)
    getconn = getattr(database, "getconn", None)
    is_pool = callable(getconn) and hasattr(database, "connection")
    if is_right or (is_pool and iscoroutinefunction(getconn) is not sync):
        return
    hint = ""
    if is_other or is_pool:
        other = f"await a{call}" if sync else call.removeprefix("a")
        hint = f"; use {other}"
    name = type(database).__name__
    raise TypeError(f"{call} takes a psycopg {kinds[0].__name__} or a pool, not {name}{hint}")
