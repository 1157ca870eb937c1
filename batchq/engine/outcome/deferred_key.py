# SPDX-License-Identifier: MIT
"""Which of several steps has put the key there that COMMIT complains of.

All that the server says is DETAIL: ``Key (vpc_id, name)=(7, web) is not present in table "vpc".``
The words are in the server's language, the brackets are not. A step is to blame when its values are
that key and those of all the others are another one, for certain. Nothing here is a guess: what can
be read in two ways is not read at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from batchq.engine.compile.quoting import unqualified
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
)
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.step import PlacedStep

YES, NO, MAYBE = TextMatch.YES, TextMatch.NO, TextMatch.MAYBE


@frozen
class _Key:
    """What DETAIL names."""

    columns: tuple[str, ...]
    values: tuple[str, ...]
    missing: bool | None = None
    """Of a foreign key: whether the row is missing that it refers to, or it is referred to still;
    None where the language hides which."""


def find_step_by_key(violation: Violation, steps: Sequence[PlacedStep]) -> tuple[int | None, str]:
    """Find the one among several steps that has put the key there, or taken it away.

    :return: its place among them; None where that is not certain, and why.
    """
    key, unclear = _told(violation, steps)
    if key is None:
        return None, unclear
    found = [_put(step, key, violation, steps) for step in steps]
    if found.count(YES) == 1 and MAYBE not in found:
        return found.index(YES), ""
    if found.count(YES) > 1:
        unclear = "several of them are about the key that DETAIL names"
    elif YES in found:
        unclear = "what others of them are about, only the server knows"
    else:
        unclear = "none of them is certain to be about the key that DETAIL names"
    return None, unclear


def match_each_step(violation: Violation, steps: Sequence[PlacedStep]) -> list[TextMatch]:
    """Say of each step whether it has put the key there that DETAIL names, or taken it away.

    A "no" is one also where a step is not looked at beside another one that did: what becomes of a
    parent may leave a key of a child without it, and no column of the parent's is told then.
    """
    key, _ = _told(violation, steps)
    return [_put_alone(step, key, violation, steps) for step in steps]


def _put_alone(
    step: PlacedStep, key: _Key | None, violation: Violation, steps: Sequence[PlacedStep]
) -> TextMatch:
    source = step.statement._shape.source
    if key is None:
        return NO if isinstance(source, Select) else MAYBE
    is_parents = violation.kind is ViolationKind.FOREIGN_KEY and key.missing is not False
    if is_parents and isinstance(source, Delete):
        return MAYBE
    found = _put(step, key, violation, steps)
    if found is NO and is_parents and isinstance(source, Update):
        return NO if unqualified(source.table) == violation.table else MAYBE
    return found


def _told(violation: Violation, steps: Sequence[PlacedStep]) -> tuple[_Key | None, str]:
    """Read the key that the server names; or say why there is none to go by."""
    detail = violation.detail or ""
    if violation.kind is ViolationKind.EXCLUSION:
        return None, "two keys are in conflict, each of which may be of another step"
    if violation.kind not in (ViolationKind.FOREIGN_KEY, ViolationKind.UNIQUE):
        return None, "such an error is about no key"
    if _SPLIT not in detail:
        return None, "the server names no key in DETAIL, as where this role may not read all of it"
    key = None if any(map(_is_misleading, steps)) else _key_in(detail, violation)
    return key, "the key in DETAIL can be read in more than one way"


# -- reading DETAIL --------------------------------------------------------------------------------

_SPLIT = ")=("
_NAMES = '(),"'
_EXISTS = ") already exists."
_MISSING = ') is not present in table "'


def _key_in(detail: str, violation: Violation) -> _Key | None:
    """Read a key, if there is one reading only."""
    left, _, right = detail.partition(_SPLIT)
    if _SPLIT in right or left.count("(") != 1:
        return None
    names = [_unquoted(name) for name in left.partition("(")[2].split(", ")]
    ended = _ended(right, violation)
    if ended is None:
        return None
    text, missing = ended
    values = [text] if len(names) == 1 else text.split(", ")
    return None if len(values) != len(names) else _Key(tuple(names), tuple(values), missing)


def _ended(right: str, violation: Violation) -> tuple[str, bool | None] | None:
    """Find where the values end: by the words behind them, in English, or by the one bracket."""
    if violation.kind is ViolationKind.UNIQUE and right.endswith(_EXISTS):
        return right.removesuffix(_EXISTS), None
    referenced = f') is still referenced from table "{violation.table}".'
    if (
        violation.kind is ViolationKind.FOREIGN_KEY
        and right.count(_MISSING) + right.count(referenced) == 1
    ):
        if right.endswith(referenced):
            return right.removesuffix(referenced), False
        if right.endswith('".'):
            return right.partition(_MISSING)[0], True
    return (right.partition(")")[0], None) if right.count(")") == 1 else None


def _unquoted(name: str) -> str:
    """A unique key's columns are quoted where they have to be, a foreign key's never are."""
    quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1].replace('""', '"') if quoted else name


def _is_misleading(step: PlacedStep) -> bool:
    """Whether a column's own name could be taken for several, or for a part of the sentence."""
    source = step.statement._shape.source
    columns = source.columns if isinstance(source, Insert | Update) else ()
    return any(letter in column for column in columns for letter in _NAMES)


# -- what a step is about --------------------------------------------------------------------------


def _put(
    step: PlacedStep, key: _Key, violation: Violation, steps: Sequence[PlacedStep]
) -> TextMatch:
    """Say whether a step has put the key there or, where it is referred to still, taken it away."""
    source, values = step.statement._shape.source, step.statement._values
    found = MAYBE  # what stands in the user's own SQL
    match source:
        case Select():
            found = NO
        case Delete():
            is_about_others = violation.kind is ViolationKind.UNIQUE or key.missing
            pinned = dict(_pinned(source.where, values))
            found = NO if is_about_others else _all(key, pinned, stored=True)
        case Insert():
            found = _inserted(source, values, key)
            if found is YES and not _is_about(source.table, violation, steps):
                found = MAYBE
        case Update():
            found = _updated(source, values, key, violation, steps)
        case RawSql():
            pass
    return found


def _inserted(source: Insert, values: tuple[object, ...], key: _Key) -> TextMatch:
    if key.missing is False:
        return NO
    found = _all(key, dict(_given(source.columns, source.cells, values)))
    # It may have passed over a row that was there.
    return MAYBE if found is YES and source.conflict is not None else found


def _updated(
    source: Update,
    values: tuple[object, ...],
    key: _Key,
    violation: Violation,
    steps: Sequence[PlacedStep],
) -> TextMatch:
    new = dict(_given(source.columns, source.cells, values))
    taken = sum(len(cell.names) if isinstance(cell, RawSql) else 1 for cell in source.cells)
    old = dict(_pinned(source.where, values[taken:]))
    sides: list[TextMatch] = []
    if key.missing is not False:
        # What is not set stays as it is found.
        put = _all(key, new)
        unset = [name for name in key.columns if name not in new]
        if unset and all(name in old for name in unset) and len(unset) < len(key.columns):
            kept = _all(_only(key, unset), old, stored=True)
            put = _both(_all(_only(key, [n for n in key.columns if n in new]), new), kept)
        if put is YES and not _is_about(source.table, violation, steps):
            put = MAYBE
        sides.append(put)
    if violation.kind is ViolationKind.FOREIGN_KEY and not key.missing:
        sides.append(_all(key, old, stored=True))
    if YES in sides:
        return YES
    return NO if set(sides) == {NO} else MAYBE


def _is_about(table: str, violation: Violation, steps: Sequence[PlacedStep]) -> bool:
    """Whether a write to this table may be one to the table that the server names.

    That is another one where it is a partition: then the steps at least have to be of one table.
    """
    if unqualified(table) == violation.table or violation.part_of:
        return True
    return all(step.statement._shape.source.table == table for step in steps)


def _only(key: _Key, columns: Sequence[str]) -> _Key:
    pairs = [pair for pair in zip(key.columns, key.values, strict=True) if pair[0] in columns]
    return _Key(tuple(name for name, _ in pairs), tuple(value for _, value in pairs), key.missing)


def _all(key: _Key, known: dict[str, object], *, stored: bool = False) -> TextMatch:
    """Compare the columns of a key with what is known of a row's."""
    compare = match_stored if stored else match_parameter
    found = MAYBE if not key.columns else YES
    for column, text in zip(key.columns, key.values, strict=True):
        one = compare(known[column], text) if column in known else MAYBE
        found = _both(found, one)
    return found


def _both(one: TextMatch, other: TextMatch) -> TextMatch:
    if NO in (one, other):
        return NO
    return YES if one is other is YES else MAYBE


def _given(
    columns: tuple[str, ...], cells: tuple[Expr, ...], values: tuple[object, ...]
) -> Iterator[tuple[str, object]]:
    """The columns that are given a value which is known here."""
    place = 0
    for column, cell in zip(columns, cells, strict=True):
        if cell is None:
            yield column, values[place]
        place += len(cell.names) if isinstance(cell, RawSql) else 1


def _pinned(where: Conditions, values: tuple[object, ...]) -> Iterator[tuple[str, object]]:
    """The columns that conditions compare with a value which is known here."""
    if isinstance(where, RawSql):
        return
    place = 0
    for column, test in where:
        if isinstance(test, RawSql):
            place += len(test.names)
        elif test == IS_NULL:
            yield column, None
        else:
            if test == EQUALS:
                yield column, values[place]
            place += 1
