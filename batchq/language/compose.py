# SPDX-License-Identifier: MIT
"""Compose several batches into one: run in order, with their results combined."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, Never, TypeVar, overload

from batchq.language.batch import Batch
from batchq.language.combining import IN_ORDER, LISTED
from batchq.language.composites import Gathered, Into, Sequenced
from batchq.language.results import is_pydantic, model_fields
from batchq.language.signatures import takes_in_order, why_not_named
from batchq.language.traversal import checked_parts
from batchq.language.type_variables import Named
from batchq.language.validation import checked_call, listed

U = TypeVar("U")
M = TypeVar("M")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
G = TypeVar("G")
H = TypeVar("H")
I = TypeVar("I")  # noqa: E741  the ninth of ten type variables
J = TypeVar("J")


@overload
def gather() -> Batch[tuple[()]]: ...
@overload
def gather(a: Batch[A], /) -> Batch[tuple[A]]: ...
@overload
def gather(a: Batch[A], b: Batch[B], /) -> Batch[tuple[A, B]]: ...
@overload
def gather(a: Batch[A], b: Batch[B], c: Batch[C], /) -> Batch[tuple[A, B, C]]: ...
@overload
def gather(a: Batch[A], b: Batch[B], c: Batch[C], d: Batch[D], /) -> Batch[tuple[A, B, C, D]]: ...
@overload
def gather(
    a: Batch[A], b: Batch[B], c: Batch[C], d: Batch[D], e: Batch[E], /
) -> Batch[tuple[A, B, C, D, E]]: ...
@overload
def gather(
    a: Batch[A], b: Batch[B], c: Batch[C], d: Batch[D], e: Batch[E], f: Batch[F], /
) -> Batch[tuple[A, B, C, D, E, F]]: ...
@overload
def gather(
    a: Batch[A], b: Batch[B], c: Batch[C], d: Batch[D], e: Batch[E], f: Batch[F], g: Batch[G], /
) -> Batch[tuple[A, B, C, D, E, F, G]]: ...
@overload
def gather(
    a: Batch[A],
    b: Batch[B],
    c: Batch[C],
    d: Batch[D],
    e: Batch[E],
    f: Batch[F],
    g: Batch[G],
    h: Batch[H],
    /,
) -> Batch[tuple[A, B, C, D, E, F, G, H]]: ...
@overload
def gather(
    a: Batch[A],
    b: Batch[B],
    c: Batch[C],
    d: Batch[D],
    e: Batch[E],
    f: Batch[F],
    g: Batch[G],
    h: Batch[H],
    i: Batch[I],
    /,
) -> Batch[tuple[A, B, C, D, E, F, G, H, I]]: ...
@overload
def gather(
    a: Batch[A],
    b: Batch[B],
    c: Batch[C],
    d: Batch[D],
    e: Batch[E],
    f: Batch[F],
    g: Batch[G],
    h: Batch[H],
    i: Batch[I],
    j: Batch[J],
    /,
) -> Batch[tuple[A, B, C, D, E, F, G, H, I, J]]: ...
@overload
def gather(*batches: Batch[Any]) -> Batch[tuple[Any, ...]]: ...
# What is not bound: the whole takes its values by name, or a row by .takes().
@overload
def gather(a: Batch[A, Never], /) -> Batch[tuple[A], Named]: ...
@overload
def gather(a: Batch[A, Never], b: Batch[B, Never], /) -> Batch[tuple[A, B], Named]: ...
@overload
def gather(
    a: Batch[A, Never], b: Batch[B, Never], c: Batch[C, Never], /
) -> Batch[tuple[A, B, C], Named]: ...
@overload
def gather(
    a: Batch[A, Never], b: Batch[B, Never], c: Batch[C, Never], d: Batch[D, Never], /
) -> Batch[tuple[A, B, C, D], Named]: ...
@overload
def gather(
    a: Batch[A, Never],
    b: Batch[B, Never],
    c: Batch[C, Never],
    d: Batch[D, Never],
    e: Batch[E, Never],
    /,
) -> Batch[tuple[A, B, C, D, E], Named]: ...
@overload
def gather(
    a: Batch[A, Never],
    b: Batch[B, Never],
    c: Batch[C, Never],
    d: Batch[D, Never],
    e: Batch[E, Never],
    f: Batch[F, Never],
    /,
) -> Batch[tuple[A, B, C, D, E, F], Named]: ...
@overload
def gather(
    a: Batch[A, Never],
    b: Batch[B, Never],
    c: Batch[C, Never],
    d: Batch[D, Never],
    e: Batch[E, Never],
    f: Batch[F, Never],
    g: Batch[G, Never],
    /,
) -> Batch[tuple[A, B, C, D, E, F, G], Named]: ...
@overload
def gather(
    a: Batch[A, Never],
    b: Batch[B, Never],
    c: Batch[C, Never],
    d: Batch[D, Never],
    e: Batch[E, Never],
    f: Batch[F, Never],
    g: Batch[G, Never],
    h: Batch[H, Never],
    /,
) -> Batch[tuple[A, B, C, D, E, F, G, H], Named]: ...
@overload
def gather(
    a: Batch[A, Never],
    b: Batch[B, Never],
    c: Batch[C, Never],
    d: Batch[D, Never],
    e: Batch[E, Never],
    f: Batch[F, Never],
    g: Batch[G, Never],
    h: Batch[H, Never],
    i: Batch[I, Never],
    /,
) -> Batch[tuple[A, B, C, D, E, F, G, H, I], Named]: ...
@overload
def gather(
    a: Batch[A, Never],
    b: Batch[B, Never],
    c: Batch[C, Never],
    d: Batch[D, Never],
    e: Batch[E, Never],
    f: Batch[F, Never],
    g: Batch[G, Never],
    h: Batch[H, Never],
    i: Batch[I, Never],
    j: Batch[J, Never],
    /,
) -> Batch[tuple[A, B, C, D, E, F, G, H, I, J], Named]: ...
@overload
def gather(*batches: Batch[Any, Never]) -> Batch[tuple[Any, ...], Named]: ...
def gather(*batches: Batch[Any, Any]) -> Batch[Any, Any]:
    """Run batches in this order, in one transaction.

    :param batches: statements and batches; none is allowed.
    :return: a batch whose result is the tuple of their results.
    :raises InvalidBatch: if one is not a batch, or uses an output of a later one.

    >>> from batchq import sql, steps
    >>> pair = gather(sql("SELECT 1").scalar(int), sql("SELECT current_user").scalar(str))
    >>> [step.statement.title for step in steps(pair)]
    ['SELECT 1', 'SELECT current_user']
    """
    return Gathered(batches, checked_parts("gather()", batches), IN_ORDER)


@overload
def sequence(batches: Iterable[Batch[U]], /) -> Batch[list[U]]: ...
@overload
def sequence(batches: Iterable[Batch[U, Never]], /) -> Batch[list[U], Named]: ...
def sequence(batches: Iterable[Batch[U, Any]], /) -> Batch[list[U], Any]:
    """Run any number of batches of one result type in order, in one transaction.

    :param batches: an ordered iterable, which is read at once.
    :return: a batch whose result is the list of their results.
    :raises InvalidBatch: if it is a set or a mapping, or as in :func:`gather`.

    >>> from batchq import insert
    >>> sequence(insert("vpc", {"name": name}) for name in ["api", "web"])
    <Sequenced of 2 statements>
    """
    parts = listed("sequence()", batches, "[insert(…), update(…)]")
    return Sequenced(parts, checked_parts("sequence()", parts), LISTED)


@overload
def into(model: Callable[..., M], /, *steps: Batch[Any], **named: Batch[Any]) -> Batch[M]: ...
@overload
def into(
    model: Callable[..., M], /, *steps: Batch[Any, Never], **named: Batch[Any, Never]
) -> Batch[M, Named]: ...
def into(
    model: Callable[..., M], /, *steps: Batch[Any, Any], **named: Batch[Any, Any]
) -> Batch[M, Any]:
    """Run batches in order, and pass the named results to ``model`` as keyword arguments.

    :param model: a class or function with those arguments; called after COMMIT. Some written in C
        have no signature that can be read, and are not checked.
    :param steps: batches whose results are dropped; they run first.
    :param named: batches whose results are passed to ``model``. Their names are also the labels of
        their steps.
    :return: a batch whose result is what ``model`` returns.
    :raises InvalidBatch: if ``model`` does not take those arguments, or as in :func:`gather`.

    >>> from typing import NamedTuple
    >>> from batchq import sql, steps
    >>> class Counts(NamedTuple):
    ...     projects: int
    ...     vpcs: int
    >>> counts = into(
    ...     Counts,
    ...     projects=sql("SELECT count(*) FROM project").scalar(int),
    ...     vpcs=sql("SELECT count(*) FROM vpc").scalar(int),
    ... )
    >>> [step.path for step in steps(counts)]
    ['projects', 'vpcs']
    """
    names = tuple(named)
    try:
        is_in_order = _check_model(model, names)
    except TypeError:  # it is not hashable
        is_in_order = _check_model.__wrapped__(model, names)
    made: Callable[..., M] = model if is_in_order else partial(_by_name, model, names)
    parts = (*steps, *named.values())
    outputs = checked_parts("into()", parts, len(steps))
    return Into(parts, outputs, (made, True, len(steps)), names)


def _by_name(model: Callable[..., M], names: tuple[str, ...], *results: Any) -> M:
    return model(**dict(zip(names, results, strict=True)))


@lru_cache(maxsize=1024)
def _check_model(model: Any, names: tuple[str, ...]) -> bool:
    """Return whether a model takes these keywords in this order; reject one that takes others."""
    checked_call("into()", model, _why_not_called(model, names))
    return takes_in_order(model, names)


def _why_not_called(model: Any, names: tuple[str, ...]) -> str | None:
    """Return why a model cannot be called with these keywords; None if it can, or may."""
    cls: Any = typing.get_origin(model) or model
    if isinstance(cls, type) and (is_pydantic(cls) or typing.is_typeddict(cls)):
        fields = model_fields(cls) or ()
        required = [field for field in fields if field.required]
        needed = [field for field in required if field.argument not in names]
        missing = [field.argument for field in needed if field.alias not in names]
        return f"it also needs {', '.join(missing)}" if missing else None
    if cls is dict:
        return None
    return why_not_named(model, names)
