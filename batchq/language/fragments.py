# SPDX-License-Identifier: MIT
"""Use a statement as a fragment of another one, and name a statement by the words of its SQL."""

from __future__ import annotations

from itertools import takewhile

from batchq.language.errors import InvalidBatch
from batchq.language.lexing import PLACE
from batchq.language.placeholders import outline
from batchq.language.shape import Shape
from batchq.language.spelling import spelled
from batchq.language.syntax import RawSql, Source

_LONGEST_TITLE = 40
_STRINGS = frozenset("'$")
"""The characters that begin a string in SQL."""


def fragment_of(shape: Shape, source: RawSql, call: str, *, column: bool) -> RawSql:
    """Return the SQL of a statement that is one expression.

    :param call: the call that it was passed to, for the text of the error: ``"insert()"``.
    :param column: True for a column of a select, which may have an alias.
    :raises InvalidBatch: if it is more than one expression.
    """
    if not shape.is_bare:
        raise InvalidBatch(
            f"{call}: a sql() fragment cannot have a result, mappings or guards; add them to "
            "the statement that contains it"
        )
    problem = (source.no_column if column else source.no_value) or source.unsure
    if problem is not None:
        raise InvalidBatch(f"{call}: a sql() fragment must be one expression: {problem}")
    return source


def refuse_label(call: str, labels: tuple[str, ...], instead: str) -> None:
    """Reject the label of a statement that becomes a part of another one: no step would show it.

    :param call: the call that it was passed to, for the text of the error.
    :param instead: where to write the label, or what may have been meant by it.
    :raises InvalidBatch: if there is a label.
    """
    if labels:
        label = f".label({spelled(labels[0])})"
        raise InvalidBatch(f"{call}: {label} names a step, and this is a part of one; {instead}")


def title_of(source: Source) -> str:
    """Return a few words for messages: ``insert project``, or the first words of a ``sql()`` text.

    A string ends them, because it may contain data.
    """
    if not isinstance(source, RawSql):
        return f"{source.verb} {source.table}"
    first = outline(source.pieces, source.order).replace(PLACE, "…").split()[:3]
    words = " ".join(takewhile(_STRINGS.isdisjoint, first)) or source.verb
    return words if len(words) <= _LONGEST_TITLE else words[: _LONGEST_TITLE - 1] + "…"
