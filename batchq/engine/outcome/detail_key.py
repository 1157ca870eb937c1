# SPDX-License-Identifier: MIT
"""Read the key in the DETAIL of a violation.

Nothing is guessed: a DETAIL that can be read in two ways is not read at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from batchq.language.syntax import Insert, Update
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.step import PlacedStep


@frozen
class Key:
    """The key in DETAIL."""

    columns: tuple[str, ...]
    values: tuple[str, ...]
    missing: bool | None = None
    """For a foreign key: True if the referenced row is missing, False if the row is still
    referenced; None if the server's language hides which."""


def read_key(violation: Violation, steps: Sequence[PlacedStep]) -> tuple[Key | None, str]:
    """Return the key in DETAIL; or None, and the reason why it cannot be used."""
    detail = violation.detail or ""
    if violation.kind is ViolationKind.EXCLUSION:
        return None, "two keys are in conflict, and each may be another step's"
    if violation.kind not in (ViolationKind.FOREIGN_KEY, ViolationKind.UNIQUE):
        return None, "such an error is not about a key"
    if _SPLIT not in detail:
        return None, "DETAIL has no key; this role may lack the privilege to read it"
    key = None if any(map(_is_misleading, steps)) else _key_in(detail, violation)
    return key, "the key in DETAIL can be read in more than one way"


_SPLIT = ")=("
_NAMES = '(),"'
_EXISTS = ") already exists."
_MISSING = ') is not present in table "'


def _key_in(detail: str, violation: Violation) -> Key | None:
    """Return the key in DETAIL; None if it can be read in more than one way."""
    left, _, right = detail.partition(_SPLIT)
    if _SPLIT in right or left.count("(") != 1:
        return None
    names = [_unquoted(name) for name in left.partition("(")[2].split(", ")]
    values_text = _values_in(right, violation)
    if values_text is None:
        return None
    text, missing = values_text
    values = [text] if len(names) == 1 else text.split(", ")
    return None if len(values) != len(names) else Key(tuple(names), tuple(values), missing)


def _values_in(right: str, violation: Violation) -> tuple[str, bool | None] | None:
    """Return the values, as text, and ``missing`` of :class:`Key`.

    They end before the English words after them or, in other languages, at the only parenthesis.
    """
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
    """Return a column's name without quotes.

    The server quotes the columns of a unique key if they need it, and never those of a foreign key.
    """
    quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1].replace('""', '"') if quoted else name


def _is_misleading(step: PlacedStep) -> bool:
    """Return True if a column's name could be read as several names, or as part of the sentence."""
    source = step.statement._shape.source
    columns = source.columns if isinstance(source, Insert | Update) else ()
    if isinstance(source, Insert) and source.conflict is not None:
        columns += source.conflict.columns
    return any(letter in column for column in columns for letter in _NAMES)
