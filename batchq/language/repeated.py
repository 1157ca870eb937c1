# SPDX-License-Identifier: MIT
"""Reject conditions that are evaluated twice, and may find other rows the second time.

Some statements need their conditions in two places: a row is found and checked before it is
changed. Both find the same rows if the conditions have one meaning in one snapshot. A subquery that
ends at the first rows, or passes over locked ones, has not, and neither has a random number. The
statement would judge one row and change another, without an error.

A shape is checked when it is made, whichever call made it: what comes later may be the conditions,
as in ``.partial()``, or what evaluates them twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from batchq.language.errors import InvalidBatch
from batchq.language.guards import FOUND, Requirement, When
from batchq.language.lexing import PLACE, tokens
from batchq.language.old import Old, Returned
from batchq.language.results import Result, Rows
from batchq.language.source_parts import operands_of
from batchq.language.syntax import Conditions, Delete, Insert, RawSql, Select, Source, Update
from batchq.language.volatile_functions import VOLATILE

_CLAUSES = frozenset("LIMIT OFFSET FETCH TABLESAMPLE".split())
_LOCKS = frozenset("UPDATE SHARE NO KEY".split())
_BLANK = frozenset({"space", "line", "block"})


def check_repeated(
    source: Source,
    requirements: Iterable[Requirement],
    result: Result,
    returned: Sequence[Returned],
) -> None:
    """Reject conditions that a statement evaluates twice, if they may then find other rows.

    :param returned: the columns of ``.returning(...)``.
    :raises InvalidBatch: with the way to find the rows once.
    """
    if isinstance(source, RawSql | Insert):
        return
    if isinstance(source, Update):
        _check_before(source, result, returned)
    if isinstance(source, Update | Delete) and source.join is not None:
        refuse_varying(source, "from_=" if isinstance(source, Update) else "using=")
    for requirement in requirements:
        if requirement.when in FOUND:
            refuse_varying(source, f"{requirement.call}()")
        if requirement.when is When.LEAVE:
            _refuse_varying("unless(): it", requirement.test)


def _check_before(source: Update, result: Result, returned: Sequence[Returned]) -> None:
    """Reject them of an update that returns the row before it, which is found first."""
    if result.rows is Rows.CHANGED:
        refuse_varying(source, "change()")
    for column in returned:
        if isinstance(column, Old):
            refuse_varying(source, str(column))


def refuse_varying(source: Update | Delete | Select, call: str) -> None:
    """Reject the conditions of a statement if they may find other rows a second time.

    :param call: what evaluates them twice, for the text of the error.
    :raises InvalidBatch: with the way to find the rows once.
    """
    _refuse_varying(f"{source.verb}(where=): with {call} it", source.where)


def _refuse_varying(subject: str, where: Conditions) -> None:
    for word in _varying(operands_of(where)):
        raise InvalidBatch(
            f"{subject} is evaluated twice, and {word} may find another row then; lock the row by "
            f"select(…).for_update(skip_locked=True) in an earlier step, and compare with its "
            f"output()"
        )


def varies(select: Select) -> bool:
    """Return whether a select may find other rows when it is evaluated a second time."""
    parts = (*(select.columns or ()), *operands_of(select.where))
    return select.limited or any(_varying(parts))


def _varying(parts: Iterable[object]) -> Iterator[str]:
    """Yield the words by which fragments, and those in them, may have another value each time."""
    for part in parts:
        if isinstance(part, RawSql):
            word = _varying_word(part)
            if word is not None:
                yield word
            yield from _varying(part.nested)


@lru_cache(maxsize=4096)
def _varying_word(fragment: RawSql) -> str | None:
    words = [
        text.upper() if kind == "word" else text if kind in {"name", "other", "open"} else ""
        for kind, text in tokens(PLACE.join(fragment.pieces))
        if kind not in _BLANK
    ]
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        if word in _CLAUSES and before != ".":
            return word
        if before == "FOR" and word in _LOCKS:
            return f"FOR {word}"
        if after == "(" and (called := _volatile(word)):
            return f"{called}()"
        if word[:3].upper() == 'U&"' and after in {"(", "UESCAPE"}:
            return word  # escapes spell a name; it may be any
    return None


def _volatile(word: str) -> str | None:
    """Return the name of the function that is called, if it may return another value each time.

    The schema before it decides nothing: a function of the same name is likely to do the same.
    """
    name = word[1:-1] if word.startswith('"') else word.lower()
    return name if name in VOLATILE else None
