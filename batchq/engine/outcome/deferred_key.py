# SPDX-License-Identifier: MIT
"""Find the step that wrote the key of a failed deferred constraint.

At COMMIT the server reports the key in DETAIL only: ``Key (vpc_id, name)=(7, web) is not present in
table "vpc".`` The words are in the server's language, the parentheses are not. A step has failed if
its values are certainly that key, and those of all other steps certainly another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from batchq.engine.compile.quoting import unqualified
from batchq.engine.outcome.detail_key import Key, read_key
from batchq.engine.outcome.text_forms import TextMatch, match_parameter, match_stored
from batchq.language.syntax import (
    EQUALS,
    IS_NULL,
    Conditions,
    Delete,
    Expr,
    Insert,
    RawSql,
    Select,
    Update,
    column_tests,
)
from batchq.language.value_places import places_in
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.step import PlacedStep

YES, NO, MAYBE = TextMatch.YES, TextMatch.NO, TextMatch.MAYBE


def find_step_by_key(violation: Violation, steps: Sequence[PlacedStep]) -> tuple[int | None, str]:
    """Find the step that wrote the key or, if it is still referenced, removed it.

    :return: its index among the steps; or None, and the reason why it is not certain.
    """
    key, reason = read_key(violation, steps)
    if key is None:
        return None, reason
    matches = [_match(step, key, violation, steps) for step in steps]
    if matches.count(YES) == 1 and MAYBE not in matches:
        return matches.index(YES), ""
    if matches.count(YES) > 1:
        reason = f"{_which(matches, steps)} write the key in DETAIL"
    elif YES in matches:
        reason = "only the server knows which keys some of them write"
    else:
        reason = "none of them is certain to write the key in DETAIL"
    return None, reason


def _which(matches: Sequence[TextMatch], steps: Sequence[PlacedStep]) -> str:
    """Return the steps with the key in words, among those that are named after them."""
    indexes = [step.index for step, match in zip(steps, matches, strict=True) if match is YES]
    if len(indexes) == len(steps):
        return "all of them"
    if len(indexes) > _MAX_INDEXES:
        return f"{len(indexes)} of them"
    *first, last = map(str, indexes)
    return f"of them steps {', '.join(first)} and {last}"


_MAX_INDEXES = 10


def match_each_step(violation: Violation, steps: Sequence[PlacedStep]) -> list[TextMatch]:
    """Return for each step whether it wrote the key in DETAIL, or removed it.

    Unlike :func:`find_step_by_key`, this does not compare the steps with each other, so a "no" must
    hold by itself. A write to a parent may leave a child without it, and then DETAIL names no
    column of the parent.
    """
    key, _ = read_key(violation, steps)
    return [_match_alone(step, key, violation, steps) for step in steps]


def _match_alone(
    step: PlacedStep, key: Key | None, violation: Violation, steps: Sequence[PlacedStep]
) -> TextMatch:
    source = step.statement._shape.source
    if key is None:
        return NO if isinstance(source, Select) else MAYBE
    is_parents = violation.kind is ViolationKind.FOREIGN_KEY and key.missing is not False
    if is_parents and isinstance(source, Delete):
        return MAYBE
    match = _match(step, key, violation, steps)
    if match is NO and is_parents and isinstance(source, Update):
        return NO if unqualified(source.table) == violation.table else MAYBE
    return match


def _match(
    step: PlacedStep, key: Key, violation: Violation, steps: Sequence[PlacedStep]
) -> TextMatch:
    """Return whether a step wrote the key or, if it is still referenced, removed it."""
    source, values = step.statement._shape.source, step.placed.values
    result = MAYBE  # SQL of the user
    match source:
        case Select():
            result = NO
        case Delete():
            cannot_fail = violation.kind is ViolationKind.UNIQUE or key.missing
            if source.join is not None:
                return NO if cannot_fail else MAYBE
            old = dict(_compared_values(source.where, values))
            result = NO if cannot_fail else _compare(key, old, stored=True)
        case Insert():
            result = _match_insert(source, values, key)
            if result is YES and not _may_be_table(source.table, violation, steps):
                result = MAYBE
        case Update():
            result = _match_update(source, values, key, violation, steps)
        case RawSql():
            pass
    return result


def _match_insert(source: Insert, values: tuple[object, ...], key: Key) -> TextMatch:
    if source.conflict is not None and source.conflict.updates:
        return MAYBE  # it may have written a row with values of both, and removed a key
    if key.missing is False:
        return NO
    if source.query is not None:
        return MAYBE
    match = _compare(key, dict(_set_values(source.columns, source.cells, values)))
    # ON CONFLICT DO NOTHING may have inserted nothing.
    return MAYBE if match is YES and source.conflict is not None else match


def _match_update(
    source: Update,
    values: tuple[object, ...],
    key: Key,
    violation: Violation,
    steps: Sequence[PlacedStep],
) -> TextMatch:
    if source.join is not None:
        return MAYBE
    new = dict(_set_values(source.columns, source.cells, values))
    count = sum(len(cell.names) if isinstance(cell, RawSql) else 1 for cell in source.cells)
    old = dict(_compared_values(source.where, values[count:]))
    matches: list[TextMatch] = []
    if key.missing is not False:
        # A column that is not set keeps its old value.
        written = _compare(key, new)
        unset = [name for name in key.columns if name not in new]
        if unset and all(name in old for name in unset) and len(unset) < len(key.columns):
            kept = _compare(_only(key, unset), old, stored=True)
            set_ = _compare(_only(key, [name for name in key.columns if name in new]), new)
            written = _both(set_, kept)
        if written is YES and not _may_be_table(source.table, violation, steps):
            written = MAYBE
        matches.append(written)
    if violation.kind is ViolationKind.FOREIGN_KEY and not key.missing:
        matches.append(_compare(key, old, stored=True))
    if YES in matches:
        return YES
    return NO if set(matches) == {NO} else MAYBE


def _may_be_table(table: str, violation: Violation, steps: Sequence[PlacedStep]) -> bool:
    """Return True if a write to this table may be a write to the table of the violation.

    The server names another table if it is a partition: then all steps must write to one table.
    """
    if unqualified(table) == violation.table or violation.part_of:
        return True
    return all(step.statement._shape.source.table == table for step in steps)


def _only(key: Key, columns: Sequence[str]) -> Key:
    pairs = [pair for pair in zip(key.columns, key.values, strict=True) if pair[0] in columns]
    return Key(tuple(name for name, _ in pairs), tuple(value for _, value in pairs), key.missing)


def _compare(key: Key, row: dict[str, object], *, stored: bool = False) -> TextMatch:
    """Compare a key with the known columns of a row.

    :param stored: whether these are values that found a stored row, not values that were written.
    """
    compare = match_stored if stored else match_parameter
    match = MAYBE if not key.columns else YES
    for column, text in zip(key.columns, key.values, strict=True):
        match = _both(match, compare(row[column], text) if column in row else MAYBE)
    return match


def _both(first: TextMatch, second: TextMatch) -> TextMatch:
    if NO in (first, second):
        return NO
    return YES if first is second is YES else MAYBE


def _set_values(
    columns: tuple[str, ...], cells: tuple[Expr, ...], values: tuple[object, ...]
) -> Iterator[tuple[str, object]]:
    """Yield the columns that are set to a known value, each with that value."""
    place = 0
    for column, cell in zip(columns, cells, strict=True):
        if cell is None:
            yield column, values[place]
        place += len(cell.names) if isinstance(cell, RawSql) else 1


def _compared_values(where: Conditions, values: tuple[object, ...]) -> Iterator[tuple[str, object]]:
    """Yield the columns that conditions compare with a known value, each with that value."""
    if not isinstance(where, RawSql):
        yield from ((column, None) for column, test in column_tests(where) if test == IS_NULL)
    for (column, test), value in zip(places_in(where), values, strict=False):
        if test == EQUALS:
            yield column, value
