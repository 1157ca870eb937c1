# SPDX-License-Identifier: MIT
"""A statement as a part of another one's text: a chunk is one statement made of several."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from batchq.engine.compile.quoting import identifier
from batchq.engine.compile.quoting import quoted as quoted_table
from batchq.engine.compile.render import Numbering, render
from batchq.language.statement import Statement
from batchq.language.syntax import Source

_MARK = "\0"
"""Where a parameter stands until it has a name; no name and no SQL has one in it."""
_PLACE = re.compile(rf"{_MARK}(\d+)")


def embed(statement: Statement[Any], name: str) -> tuple[str, dict[str, object]]:
    """Write a bare statement for the inside of a text with parameters.

    :param name: what its parameters are called, each with a number behind it.
    :return: the text, and its parameters.

    >>> from batchq import delete
    >>> embed(delete("vpc", where={"id": 7}), "gone")
    ('DELETE FROM "vpc" WHERE "id" = %(gone1)s', {'gone1': 7})
    """
    text, order = _embedded(statement._shape.source, name)
    return text, {f"{name}{n}": statement._values[value] for n, value in enumerate(order, 1)}


@lru_cache(maxsize=1024)
def _embedded(source: Source, name: str) -> tuple[str, tuple[int, ...]]:
    numbering = Numbering(_MARK)
    text = render(numbering, source, (), None).replace("%", "%%")
    return _PLACE.sub(rf"%({name}\1)s", text), tuple(numbering.order)


def column(name: str) -> str:
    """Quote a column's name for a text with parameters, where a percent sign is doubled."""
    return identifier(name).replace("%", "%%")


def columns(names: tuple[str, ...], *, behind: str = "") -> str:
    """Quote several, with commas between.

    :param behind: what stands behind each: ``" DESC"``, ``"::text"``.
    """
    return ", ".join(column(name) + behind for name in names)


def quoted(table: str) -> str:
    """Quote a table's name for a text with parameters."""
    return quoted_table(table).replace("%", "%%")
