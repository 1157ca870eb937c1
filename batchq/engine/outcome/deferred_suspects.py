# SPDX-License-Identifier: MIT
"""Check whether the steps that declare a deferred constraint can have violated it.

Another step of the batch may have violated it without declaring it. So the table and the key that
the server reports at COMMIT are compared with every step. The declaration decides unless they
exclude the steps that declare it.
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
_ONE_OF = "it may be one of these"
_EXCLUDED = f"no step that declares it writes this table and key, so {_ONE_OF}"
_OTHERS = f"a step that does not declare it writes the key in DETAIL, so {_ONE_OF}"
_INDIRECT = (
    "no step that declares it writes the key in DETAIL, but a trigger, a rule or a view may have "
    f"written it, so {_ONE_OF}"
)
_UNANSWERED = (
    "no step that declares it writes the key in DETAIL, and the server did not say whether a "
    f"trigger has written it, so {_ONE_OF}"
)


@frozen
class Suspects:
    """Steps that may have violated a constraint, if the steps that declare it may not have."""

    reason: str
    steps: tuple[PlacedStep, ...]
    is_proven: bool = False
    """True if it is certainly the only step in ``steps``."""


def find_suspects(
    violation: Violation,
    declaring: Sequence[PlacedStep],
    others: Sequence[PlacedStep],
    tables: Mapping[str, TableFacts] | None,
) -> Suspects | None:
    """Compare the table and key that the server reports with all steps.

    :param declaring: the steps that declare the constraint.
    :param others: all other steps.
    :param tables: facts about the tables that they write to, by quoted name; None if they were
        not looked up, or the look-up failed.
    :return: None if the declaration decides.
    """
    if violation.kind not in _ABOUT_KEYS or not declaring:
        return None
    known: Mapping[str, TableFacts] = {} if tables is None else tables
    steps = _in_order(declaring, others)
    matches = [
        _refine(step, match, violation, known.get(_table(step)))
        for step, match in zip(steps, match_each_step(violation, steps), strict=True)
    ]
    own, foreign = _split(steps, matches, declaring)
    if YES in own or not _any_possible(foreign):
        return None
    suspects = tuple(step for step, match in zip(steps, matches, strict=True) if match is not NO)
    if MAYBE in own:
        return Suspects(_OTHERS, suspects) if YES in foreign else None
    return _without_declaring(declaring, suspects, tables, key_is_written=YES in foreign)


def _without_declaring(
    declaring: Sequence[PlacedStep],
    suspects: tuple[PlacedStep, ...],
    tables: Mapping[str, TableFacts] | None,
    *,
    key_is_written: bool,
) -> Suspects:
    """Return the suspects, if no step that declares the constraint writes the key.

    :param key_is_written: whether one of the suspects certainly does.
    """
    if tables is None:
        return Suspects(_UNANSWERED, _in_order(declaring, suspects))
    rows_change = any(facts.may_change_rows for facts in tables.values())
    if len(suspects) == 1 and key_is_written and not rows_change:
        return Suspects(_PROVEN, suspects, is_proven=True)
    if any(tables[name].may_write_more for name in map(_table, declaring) if name in tables):
        return Suspects(_INDIRECT, _in_order(declaring, suspects))
    return Suspects(_EXCLUDED, suspects)


def steps_to_look_up(
    violation: Violation, declaring: Sequence[PlacedStep], others: Sequence[PlacedStep]
) -> Sequence[PlacedStep]:
    """Return the steps whose tables decide whether the declaration counts; empty if none does."""
    if violation.kind not in _ABOUT_KEYS or not declaring:
        return ()
    steps = (*declaring, *others)
    matches = match_each_step(violation, steps)
    own, foreign = _split(steps, matches, declaring)
    if not _any_possible(foreign):
        return ()
    elsewhere = any(_is_elsewhere(step, violation) for step in declaring)
    if YES in own:  # the violated table may have the same name in another schema
        tables = {_table(step) for step, match in zip(steps, matches, strict=True) if match is YES}
        return steps if elsewhere or len(tables) > 1 else ()
    return steps if elsewhere or NO in own or YES in foreign else ()


def _split(
    steps: Sequence[PlacedStep], matches: Sequence[TextMatch], declaring: Sequence[PlacedStep]
) -> tuple[list[TextMatch], list[TextMatch]]:
    """Return the matches of the steps that declare the constraint, and those of the others."""
    indexes = {step.index for step in declaring}
    own: list[TextMatch] = []
    foreign: list[TextMatch] = []
    for step, match in zip(steps, matches, strict=True):
        (own if step.index in indexes else foreign).append(match)
    return own, foreign


def _in_order(*groups: Sequence[PlacedStep]) -> tuple[PlacedStep, ...]:
    steps = [step for group in groups for step in group]
    return tuple(sorted(steps, key=lambda step: step.index))


def _any_possible(matches: Sequence[TextMatch]) -> bool:
    return any(match is not NO for match in matches)


def _refine(
    step: PlacedStep, by_key: TextMatch, violation: Violation, table: TableFacts | None
) -> TextMatch:
    """Correct the match by key with the facts about the step's table."""
    if table is None or not table.is_other:
        return by_key
    if not _writes_only_there(step, violation):
        return MAYBE if table.may_write_more and by_key is NO else by_key
    return MAYBE if table.may_write_more else NO


def _is_elsewhere(step: PlacedStep, violation: Violation) -> bool:
    """Return True if the step's table alone may exclude it."""
    table = step.statement._shape.source.table
    if table is None or not _writes_only_there(step, violation):
        return False
    schema = table.rpartition(".")[0]
    return unqualified(table) != violation.table or schema not in ("", violation.schema)


def _writes_only_there(step: PlacedStep, violation: Violation) -> bool:
    """Return True if a step can violate constraints of its own table only.

    A foreign key is a constraint of the child, and a write to the parent may violate it too.
    """
    return violation.kind is not ViolationKind.FOREIGN_KEY or isinstance(
        step.statement._shape.source, Insert
    )


def _table(step: PlacedStep) -> str:
    table = step.statement._shape.source.table
    return "" if table is None else quoted(table)
