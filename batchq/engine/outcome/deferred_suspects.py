# SPDX-License-Identifier: MIT
"""Whether the steps that declare a constraint can have broken it at all.

Who declares a deferred constraint need not be who broke it: another step of the batch may write
there and say nothing. So the table and the key that the server names at COMMIT are held against
every step. A declaration stands unless they speak against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from batchq.engine.compile.quoting import quoted, unqualified
from batchq.engine.outcome.deferred_key import match_each_step
from batchq.engine.outcome.text_forms import TextMatch
from batchq.language.syntax import Insert
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.outcome.attribute import TableFacts
    from batchq.engine.step import PlacedStep

YES, NO, MAYBE = TextMatch.YES, TextMatch.NO, TextMatch.MAYBE

_ABOUT_KEYS = frozenset({ViolationKind.UNIQUE, ViolationKind.FOREIGN_KEY, ViolationKind.EXCLUSION})

_PROVEN = "the key in DETAIL is that of this step alone, which does not declare the constraint"
_MAY_BE = "it may be one of these"
_EXCLUDED = f"the table or key is another one than that of who declares it, so {_MAY_BE}"
_OTHERS = f"a step that does not declare it is about the key in DETAIL, so {_MAY_BE}"
_ACTS = (
    "the key in DETAIL is another one than that of who declares it, but a trigger, a rule or a "
    f"view may have made it, so {_MAY_BE}"
)
_UNANSWERED = (
    "the key in DETAIL is another one than that of who declares it, and the server did not say "
    f"whether a trigger has made it, so {_MAY_BE}"
)


@frozen
class Suspects:
    """That the steps which declare a constraint are not certain to be those that broke it."""

    why: str
    suspects: tuple[PlacedStep, ...]
    """Whom it may be."""
    is_proven: bool = False
    """Whether it is for certain the one that is left."""


def find_suspects(
    violation: Violation,
    declaring: Sequence[PlacedStep],
    others: Sequence[PlacedStep],
    tables: Mapping[str, TableFacts] | None,
) -> Suspects | None:
    """Hold what the server names against the steps that declare a constraint, and the others.

    :param tables: what the server says of the tables that they write to, by their quoted names;
        None where it was not asked, or gave no answer.
    :return: None where the declaration stands.
    """
    if violation.kind not in _ABOUT_KEYS or not declaring:
        return None
    known: Mapping[str, TableFacts] = {} if tables is None else tables
    every = _in_order(declaring, others)
    words = [
        _weighed(step, word, violation, known.get(_table(step)))
        for step, word in zip(every, match_each_step(violation, every), strict=True)
    ]
    own, foreign = _parted(every, words, declaring)
    if YES in own or not _may_be(foreign):
        return None
    suspects = tuple(step for step, word in zip(every, words, strict=True) if word is not NO)
    if MAYBE in own:
        return Suspects(_OTHERS, suspects) if YES in foreign else None
    return _acquitted(declaring, suspects, YES in foreign, tables)


def _acquitted(
    declaring: Sequence[PlacedStep],
    suspects: tuple[PlacedStep, ...],
    is_written: bool,  # noqa: FBT001  whether one of them has written the key
    tables: Mapping[str, TableFacts] | None,
) -> Suspects:
    """Say whose it is where what the server names is of none that declares it."""
    if tables is None:
        return Suspects(_UNANSWERED, _in_order(declaring, suspects))
    if len(suspects) == 1 and is_written and not any(t.may_change_rows for t in tables.values()):
        return Suspects(_PROVEN, suspects, is_proven=True)
    if any(tables[name].may_write_more for name in map(_table, declaring) if name in tables):
        return Suspects(_ACTS, _in_order(declaring, suspects))
    return Suspects(_EXCLUDED, suspects)


def steps_to_look_up(
    violation: Violation, declaring: Sequence[PlacedStep], others: Sequence[PlacedStep]
) -> Sequence[PlacedStep]:
    """The steps whose tables decide whether a declaration stands; none where nothing does."""
    if violation.kind not in _ABOUT_KEYS or not declaring:
        return ()
    every = (*declaring, *others)
    words = match_each_step(violation, every)
    own, foreign = _parted(every, words, declaring)
    if not _may_be(foreign):
        return ()
    elsewhere = any(_is_elsewhere(step, violation) for step in declaring)
    if YES in own:  # it may be its namesake's, of another schema
        written = {_table(step) for step, word in zip(every, words, strict=True) if word is YES}
        return every if elsewhere or len(written) > 1 else ()
    return every if elsewhere or NO in own or YES in foreign else ()


def _parted(
    every: Sequence[PlacedStep], words: Sequence[TextMatch], declaring: Sequence[PlacedStep]
) -> tuple[list[TextMatch], list[TextMatch]]:
    """The words about the steps that declare it, and those about the others."""
    places = set(map(_place, declaring))
    own = [word for step, word in zip(every, words, strict=True) if _place(step) in places]
    rest = [word for step, word in zip(every, words, strict=True) if _place(step) not in places]
    return own, rest


def _in_order(*steps: Sequence[PlacedStep]) -> tuple[PlacedStep, ...]:
    return tuple(sorted((step for some in steps for step in some), key=_place))


def _place(step: PlacedStep) -> int:
    return step.index


def _may_be(words: Sequence[TextMatch]) -> bool:
    return any(word is not NO for word in words)


def _weighed(
    step: PlacedStep, by_key: TextMatch, violation: Violation, table: TableFacts | None
) -> TextMatch:
    """Weigh what the key says of a step by what the server says of its table."""
    if table is None or not table.is_other:
        return by_key
    if not _writes_only_there(step, violation):
        return MAYBE if table.may_write_more and by_key is NO else by_key
    return MAYBE if table.may_write_more else NO


def _is_elsewhere(step: PlacedStep, violation: Violation) -> bool:
    """Whether a step may be found innocent by its table alone."""
    table = step.statement._shape.source.table
    if table is None or not _writes_only_there(step, violation):
        return False
    schema = table.rpartition(".")[0]
    return unqualified(table) != violation.table or schema not in ("", violation.schema)


def _writes_only_there(step: PlacedStep, violation: Violation) -> bool:
    """Whether a step breaks the constraints of its own table only. A foreign key, which is always
    the child's, is broken by what becomes of a parent too."""
    return violation.kind is not ViolationKind.FOREIGN_KEY or isinstance(
        step.statement._shape.source, Insert
    )


def _table(step: PlacedStep) -> str:
    table = step.statement._shape.source.table
    return "" if table is None else quoted(table)
