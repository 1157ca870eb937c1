# SPDX-License-Identifier: MIT
"""Check the types of arguments for callers who run no type checker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from batchq.language.errors import InvalidBatch
from batchq.language.spelling import name_of

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
    given: tuple[type[object]] = (type(value),)
    names = " or ".join(name_of(k, unlike=given) for k in kinds)
    names = "a number" if kind is NUMBER else f"of type {names}"
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
