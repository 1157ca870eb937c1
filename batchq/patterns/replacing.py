# SPDX-License-Identifier: MIT
"""Replace a whole set of children by its difference: only what differs is written.

The parent is touched first, so two replacements of one set run one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from attrs import frozen

from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.changes import delete, update
from batchq.language.compose import gather, sequence
from batchq.language.conditions import not_in
from batchq.language.errors import InvalidBatch
from batchq.language.inputs import Condition
from batchq.language.quoted_names import quoted_name, record
from batchq.language.results import NO_RESULT
from batchq.language.special import Special
from batchq.language.spelling import with_article
from batchq.language.statement import Statement
from batchq.language.syntax import Insert
from batchq.language.validation import is_text, listed
from batchq.patterns.insert_keys import plain_value
from batchq.patterns.parent import NOW


@frozen
class Replaced:
    """The result of :meth:`Children.replace`: how many rows were written."""

    written: int
    """The children that were inserted or updated; one that is equal already is not written."""
    removed: int
    """The children that were deleted, because none of the inserts has their key."""


def replacement(
    table: str,
    inserts: Sequence[Statement[None, Any]],
    *,
    live: Mapping[str, object],
    of_parent: str,
    deleted_at: str | None,
    by: str | Iterable[str],
    keep: Iterable[str],
) -> Batch[Replaced]:
    """Return the batch that makes inserts the whole set of the children of one parent.

    :param live: the conditions by which its children are found.
    :param of_parent: the column with the key of the parent.
    """
    keys = (by,) if isinstance(by, str) else listed("replace(by=)", by, '["name"]')
    if not keys or not all(map(is_text, keys)):
        raise InvalidBatch('replace(by=): name the columns of a unique index, such as "name"')
    kept = listed("replace(keep=)", keep, '["id"]')
    named = [_key_of(table, child, keys) for child in inserts]
    places: dict[tuple[object, ...], int] = {}
    for place, key in enumerate(named):
        if places.setdefault(key, place) != place:
            names = " and ".join(keys)
            raise InvalidBatch(f"replace(): insert {place} has the {names} of an earlier one")
    others: list[Condition] = [dict(live), *_others(keys, named)]
    if deleted_at is None:
        predicate, removal = None, delete(table, others)
    else:
        predicate, removal = {deleted_at: None}, update(table, {deleted_at: NOW}, others)
    target = of_parent, *keys
    upserts = [_upsert(table, child, target, kept, predicate) for child in inserts]
    return gather(removal.count().label("removed"), sequence(upserts)).map(_replaced)


def _key_of(table: str, child: Statement[Any, Any], keys: Sequence[str]) -> tuple[object, ...]:
    if not isinstance(cast("object", child), Statement):
        raise InvalidBatch(f"replace(): pass a list of inserts, not {with_article(type(child))}")
    source = child._shape.source
    if not isinstance(source, Insert) or source.table != table:
        raise InvalidBatch(f"replace(): {child.title} is not an insert into {table!r}")
    if child._shape.result is not NO_RESULT or child._shape.returned is not None:
        raise InvalidBatch(
            "replace(): an insert has a result shape, and a child that is equal returns no row; "
            "drop it"
        )
    values = tuple([plain_value("replace()", child, key) for key in keys])
    for key, value in zip(keys, values, strict=True):
        if value is None or isinstance(value, Special):
            kind = "None" if value is None else with_article(type(value))
            raise InvalidBatch(f"replace(): {key!r} is {kind}; set it to a value")
        if type(value).__hash__ is None:
            kind = with_article(type(value))
            raise InvalidBatch(f"replace(): {key!r} is {kind}, which is not hashable; pass bytes")
    return values


def _others(keys: Sequence[str], named: Sequence[tuple[object, ...]]) -> list[Condition]:
    """Return the conditions on a child that has none of these keys."""
    if not named:
        return []
    if len(keys) == 1:
        return [{keys[0]: not_in([value for (value,) in named])}]
    names = ", ".join(map(quoted_name, keys)).replace("%", "%%")
    given = ", ".join(f"%(v{n})s" for n in range(len(keys)))
    return [
        raw_sql(
            f"ROW({names}) IS DISTINCT FROM ROW({given})",
            {f"v{n}": value for n, value in enumerate(values)},
        )
        for values in named
    ]


def _upsert(
    table: str,
    child: Statement[None, Any],
    target: Sequence[str],
    kept: Sequence[str],
    predicate: Mapping[str, object] | None,
) -> Statement[int]:
    columns = cast("Insert", child._shape.source).columns
    written = [column for column in columns if column not in (*target, *kept)]
    if not written:
        skipped = child.on_conflict_do_nothing(*target, index_where=predicate)
        return cast("Statement[int]", skipped.count())
    stored = record(quoted_name(table.rpartition(".")[2]), written)
    differs = raw_sql(f"{stored} IS DISTINCT FROM {record('excluded', written)}")
    upsert = child.on_conflict_do_update(*target, index_where=predicate, set=written, where=differs)
    return cast("Statement[int]", upsert.count())


def _replaced(results: tuple[int, list[int]]) -> Replaced:
    removed, written = results
    return Replaced(sum(written), removed)
