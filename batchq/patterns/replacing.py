# SPDX-License-Identifier: MIT
"""Replace a whole set of children by its difference: only what differs is written.

The parent is touched first, so two replacements of one set run one after the other. The children
are counted last: Python cannot see which values are equal for the server, what a column makes of
them, and what a trigger does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from attrs import evolve, frozen

from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.changes import delete, update
from batchq.language.compose import gather, sequence
from batchq.language.conditions import not_in
from batchq.language.conflict_arguments import read_target, read_update
from batchq.language.errors import InvalidBatch
from batchq.language.inputs import Condition
from batchq.language.local_settings import ALL_ROWS, with_settings
from batchq.language.other_keys import IS_NOTED
from batchq.language.quoted_names import quoted_name, record
from batchq.language.results import NO_RESULT
from batchq.language.selects import select
from batchq.language.special import Special
from batchq.language.spelling import with_article
from batchq.language.statement import Statement
from batchq.language.syntax import Insert
from batchq.language.validation import is_text
from batchq.patterns.insert_keys import checked_key, checked_names, plain_value
from batchq.patterns.insert_values import value_of
from batchq.patterns.parent import NOW


@frozen
class Replaced:
    """The result of :meth:`Children.replace`: how many rows were written."""

    written: int
    """The children that were inserted or updated; one that is equal already is not written."""
    removed: int
    """The children that were deleted, because none of the inserts has their key."""


class NotReplaced(Exception):
    """The children that :meth:`Children.replace` leaves are not those of its inserts.

    Map it by ``.on(unmet("children"), …)``, whatever the reason is.
    """

    def __init__(self, table: str, inserts: int) -> None:
        super().__init__(table, inserts)
        self.table = table
        self.inserts = inserts
        """How many children there should be."""

    def __str__(self) -> str:
        """List the causes, which only the server knows."""
        return (
            f"{self.table}: the children are not those of the inserts ({self.inserts}): a column's "
            f"type or a trigger changes a value of by=, two of these values are equal for the "
            f"server, the index has a row with one that is not one of these children, or a trigger "
            f"suppresses a row or keeps one"
        )


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
    keys = checked_key("replace(by=)", (by,) if isinstance(by, str) else by, '["name"]')
    if not all(map(is_text, keys)):
        raise InvalidBatch("replace(by=): name the columns of a unique index, not expressions")
    kept = checked_names("replace(keep=)", keep, '["id"]')
    fixed = of_parent, *keys, *([] if deleted_at is None else [deleted_at])
    if wrong := [name for name in keys if name in (of_parent, deleted_at)]:
        raise InvalidBatch(f"replace(by=): leave {wrong[0]!r} out; each of these children has it")
    for child in inserts:
        _check_child(table, child, deleted_at)
    named = [_key_of(child, keys) for child in inserts]
    _check_kept(kept, fixed, inserts)
    places: dict[tuple[object, ...], int] = {}
    for place, key in enumerate(named):
        if places.setdefault(key, place) != place:
            names = " and ".join(keys)
            raise InvalidBatch(f"replace(): insert {place} has the {names} of an earlier one")
    none_of = _none_of(keys, named)
    others: list[Condition] = [dict(live), *none_of]
    if deleted_at is None:
        removal = delete(table, others)
    else:
        removal = update(table, {deleted_at: NOW}, others)
    target = of_parent, *keys
    kinds = {name: value for name, value in live.items() if name != of_parent}
    upserts = [_upsert(table, child, target, kept, kinds) for child in inserts]
    counted = _counted(table, live, none_of, len(inserts))
    return gather(removal.count().label("removed"), sequence(upserts), counted).map(_replaced)


def _is_constant(value: object) -> bool:
    """Return whether the predicate of a partial index may compare a column with a value."""
    return value is None or isinstance(value, bool | str) or type(value) is int


def _counted(
    table: str, live: Mapping[str, object], none_of: Sequence[Condition], number: int
) -> Batch[object]:
    """Return guards that the children are as many as the inserts, each with the key of one.

    Both are on ``children``, so that ``unmet("children")`` matches whatever the reason is. They are
    two statements, because one that compared the keys in an SQL text would not be prepared.
    """
    error = NotReplaced(table, number)

    def guard(count: str, where: list[Condition], allowed: int) -> Batch[None]:
        children = select(table, [raw_sql(f"{count} AS children")], where=where)
        return children.ensure({"children": allowed}, raises=error).expect(1)

    whole = guard(_CHILDREN, [dict(live)], number)
    others = [guard(_COUNT, [dict(live), *none_of], 0)] if none_of else []
    return with_settings(ALL_ROWS, sequence([*others, whole]).label("whole set"))


_COUNT = "pg_catalog.count(*)"
_CHILDREN = f"CASE WHEN {IS_NOTED} THEN NULL ELSE {_COUNT} END"
"""The number of children; NULL if one was stored under another key than it was given."""


def _check_kept(
    kept: Sequence[str], fixed: Sequence[str | None], inserts: Sequence[Statement[None, Any]]
) -> None:
    if wrong := [name for name in kept if name in fixed]:
        raise InvalidBatch(
            f"replace(keep=): an existing child is found by {wrong[0]!r}, and has it; leave it out"
        )
    known = {name for child in inserts for name in cast("Insert", child._shape.source).columns}
    if inserts and (unset := [name for name in kept if name not in known]):
        raise InvalidBatch(f"replace(keep=): no insert sets {unset[0]!r}; leave it out")


def _check_child(table: str, child: Statement[Any, Any], deleted_at: str | None) -> None:
    if not isinstance(cast("object", child), Statement):
        raise InvalidBatch(f"replace(): pass a list of inserts, not {with_article(type(child))}")
    source = child._shape.source
    if not isinstance(source, Insert) or source.table != table:
        raise InvalidBatch(f"replace(): {child.title} is not an insert into {table!r}")
    if source.query is not None:
        raise InvalidBatch("replace(): pass one insert for each child, not one of a select()")
    shape = child._shape
    if shape.result is not NO_RESULT or shape.returned is not None:
        raise _without_row("a result shape")
    if shape.guard is not None or shape.requirements:
        raise _without_row("a guard")
    if source.conflict is not None:
        raise InvalidBatch("replace(): an insert has on_conflict…(), which replace() adds; drop it")
    if deleted_at in source.columns and value_of(source, child._values, deleted_at) is not None:
        raise InvalidBatch(
            f"replace(): an insert sets {deleted_at!r}, and a deleted child is not one of the set; "
            f"drop it"
        )


def _key_of(child: Statement[Any, Any], keys: Sequence[str]) -> tuple[object, ...]:
    values = tuple([plain_value("replace()", child, key) for key in keys])
    for key, value in zip(keys, values, strict=True):
        if value is None or isinstance(value, Special):
            kind = "None" if value is None else with_article(type(value))
            raise InvalidBatch(f"replace(): {key!r} is {kind}; set it to a value")
        if type(value).__hash__ is None:
            kind = with_article(type(value))
            raise InvalidBatch(f"replace(): {key!r} is {kind}, which is not hashable; pass bytes")
    return values


def _without_row(what: str) -> InvalidBatch:
    return InvalidBatch(
        f"replace(): an insert has {what}, and a child that is equal returns no row; drop it"
    )


def _none_of(keys: Sequence[str], named: Sequence[tuple[object, ...]]) -> list[Condition]:
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
    kinds: Mapping[str, object],
) -> Statement[int]:
    """Return the upsert of one child.

    :param kinds: what distinguishes these children from other rows: the index may be of them only,
        and a row that is none of them is not taken away from the others.
    """
    columns = cast("Insert", child._shape.source).columns
    written = [column for column in columns if column not in (*target, *kept)]
    predicate = {name: value for name, value in kinds.items() if _is_constant(value)} or None
    if not written:
        skipped = child.on_conflict_do_nothing(*target, index_where=predicate)
        return cast("Statement[int]", skipped.count())
    stored = record(quoted_name(table.rpartition(".")[2]), written)
    differs = raw_sql(f"{stored} IS DISTINCT FROM {record('excluded', written)}")
    index, partial = read_target("replace()", tuple(target), predicate)
    where: list[Condition] = [differs, *([dict(kinds)] if kinds else [])]
    conflict, values = read_update("replace()", index, partial, written, where)
    upsert = child._on_conflict("replace()", evolve(conflict, given=tuple(target[1:])), values)
    return cast("Statement[int]", upsert.count())


def _replaced(results: tuple[int, list[int], object]) -> Replaced:
    removed, written, _ = results
    return Replaced(sum(written), removed)
