# SPDX-License-Identifier: MIT
"""Keep a row as a sender has it, by the version that the sender counts.

It is one statement: ON CONFLICT DO UPDATE sees the row as it is committed, also one that another
transaction has inserted since the statement began, and locks it before it decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from attrs import evolve

from batchq.language.batch import Batch
from batchq.language.builders import insert, raw_sql
from batchq.language.conditions import ne
from batchq.language.conflict_arguments import read_update
from batchq.language.created import created
from batchq.language.errors import InvalidBatch
from batchq.language.guards import When
from batchq.language.left_rows import updated_if
from batchq.language.mapping import Raises
from batchq.language.operands import without_version
from batchq.language.parameters import Parameter
from batchq.language.quoted_names import quoted_name, record
from batchq.language.shape import Shape
from batchq.language.special import Special
from batchq.language.syntax import Insert, RawSql
from batchq.language.validation import is_text
from batchq.patterns.arguments import check_raises
from batchq.patterns.insert_keys import check_set, checked_key

if TYPE_CHECKING:
    from batchq.language.inputs import Row

R = TypeVar("R")


class Advanced(Enum):
    """The result of :func:`insert_or_advance`."""

    NEW = "new"
    """The row was inserted."""
    APPLIED = "applied"
    """The row existed with a lower version, and was updated."""
    UNCHANGED = "unchanged"
    """The row exists as it was passed, and was not written."""


@overload
def insert_or_advance(
    table: str, row: type[R], *, key: Iterable[str], version: str, stale: Raises, raises: Raises
) -> Batch[Advanced, R]: ...
@overload
def insert_or_advance(
    table: str, row: Row, *, key: Iterable[str], version: str, stale: Raises, raises: Raises
) -> Batch[Advanced]: ...
def insert_or_advance(
    table: str, row: Any, *, key: Iterable[str], version: str, stale: Raises, raises: Raises
) -> Batch[Advanced, Any]:
    """Insert a row, or update the existing one if the row to insert has a higher version.

    What a receiver does with a sender's version: a lower one is refused, of an equal one the row
    has to be the same, a higher one is applied. Messages may so be repeated and overtake each
    other. The row is locked until COMMIT. A stored NULL is lower than each version. A write that a
    trigger suppresses is :class:`~batchq.GuardFailed`.

    :param table: as in :func:`~batchq.insert`.
    :param row: as in :func:`~batchq.insert`, with the columns of ``key`` and ``version``.
    :param key: the columns of the unique index, which is not partial.
    :param version: the column with the version, which is never None.
    :param stale: what to raise if the existing row has a higher version. Its ``Violation.row`` has
        that version.
    :param raises: what to raise if the existing row has the same version and differs in another
        column of the row, as stored. Its ``Violation.row`` has the stored values.
    :return: a batch whose result is an :class:`Advanced`.
    :raises InvalidBatch: for a row without these columns, or a version that is or may be None,
        also when it is bound. An output or a fragment that is NULL raises
        :class:`~batchq.GuardFailed`.

    >>> from batchq import insert_or_advance
    >>> report = {"depot": 7, "generation": 30, "digest": "x"}
    >>> insert_or_advance(
    ...     "ledger", report, key=["depot"], version="generation",
    ...     stale=ValueError("an older report"), raises=ValueError("another report"),
    ... )
    <Mapped of 1 statement>
    """
    call = "insert_or_advance"
    check_raises(f"{call}(stale=)", stale)
    check_raises(f"{call}(raises=)", raises)
    inserting = insert(table, row)
    keys = checked_key(f"{call}(key=)", key, '["depot"]')
    if not all(map(is_text, keys)):
        raise InvalidBatch(f"{call}(key=): name the columns of a unique index, not expressions")
    if not is_text(version) or version in keys:
        raise InvalidBatch(f"{call}(version=): name the column with the version, not one of key=")
    source = cast("Insert", inserting._shape.source)
    if source.query is not None:
        raise InvalidBatch(f"{call}(): pass one row, not a select(), whose rows are unknown")
    for name in (*keys, version):
        if name not in source.columns:
            raise InvalidBatch(f"{call}(): the row has no {name!r}; set it")
    value = check_set(f"{call}()", inserting, version)
    accepted = value.accepted if isinstance(value, Parameter) else None
    if value is None or (accepted is not None and accepted.nullable):
        raise without_version(f"{call}(version=)", version)
    others = tuple(name for name in source.columns if name not in (*keys, version))
    there, new = quoted_name(table.rpartition(".")[2]), "excluded"
    number = quoted_name(version)
    lower = (
        f"{there}.{number} IS NULL OR {new}.{number} IS NULL OR {there}.{number} < {new}.{number}"
    )
    inserting = inserting._shaped(_with_version(inserting._shape, version))
    where = raw_sql(updated_if(lower))
    conflict, _ = read_update(f"{call}()", keys, None, [version, *others], where)
    upsert = inserting._on_conflict(f"{call}()", evolve(conflict, notes_left=True), ())
    higher = f"{there}.{number} > {new}.{number}"
    upsert = upsert._with_condition(
        When.CONFLICT, _test(higher), (), stale, (version,), refuses=True
    )
    if others:
        stored, passed = (record(of, others) for of in (there, new))
        differs = f"{there}.{number} = {new}.{number} AND {stored} IS DISTINCT FROM {passed}"
        upsert = upsert._with_condition(When.CONFLICT, _test(differs), (), raises, others)
    if isinstance(value, RawSql | Special) and not isinstance(value, Parameter):
        # It may turn out to be NULL. A parameter is not: it is checked when it is bound.
        upsert = upsert.ensure({version: ne(None)})
    return upsert.returning(created()).scalar(bool, null=True).map(_advanced)


@lru_cache(maxsize=4096)
def _with_version(shape: Shape, version: str) -> Shape:
    return evolve(shape, source=evolve(cast("Insert", shape.source), version=version))


def _test(text: str) -> RawSql:
    return raw_sql(text)._as_expression("insert_or_advance()")[0]


def _advanced(inserted: bool | None) -> Advanced:  # noqa: FBT001  the result of the statement
    if inserted is None:
        return Advanced.UNCHANGED
    return Advanced.NEW if inserted else Advanced.APPLIED
