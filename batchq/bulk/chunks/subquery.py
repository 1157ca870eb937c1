# SPDX-License-Identifier: MIT
"""Write a statement as a part of another statement's text: a chunk is made of several."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.quoting import identifier
from batchq.engine.compile.quoting import quoted as quoted_table
from batchq.engine.compile.render import render
from batchq.language.statement import Statement
from batchq.language.syntax import Source

_MARK = "\0"
"""Marks a parameter until it has a name; neither names nor SQL text contain a NUL."""
_PARAMETER = re.compile(rf"{_MARK}(\d+)")


def embed(statement: Statement[Any], name: str) -> tuple[str, dict[str, object]]:
    """Write a statement for use inside a text with ``%(name)s`` parameters.

    :param name: the prefix of its parameters' names; a number follows it.
    :return: the text, and the values of its parameters.

    >>> from batchq import delete
    >>> embed(delete("vpc", where={"id": 7}), "id")
    ('DELETE FROM "vpc" WHERE "id" = %(id1)s', {'id1': 7})
    """
    text, order = _embedded(statement._shape.source, name)
    return text, {f"{name}{n}": statement._values[value] for n, value in enumerate(order, 1)}


@lru_cache(maxsize=1024)
def _embedded(source: Source, name: str) -> tuple[str, tuple[int, ...]]:
    numbering = Numbering()
    text = render(numbering, source, (), None).replace("%", "%%")
    return _PARAMETER.sub(rf"%({name}\1)s", text), tuple(numbering.order)


def column(name: str) -> str:
    """Quote a column for a text with parameters, which doubles percent signs."""
    return identifier(name).replace("%", "%%")


def columns(names: tuple[str, ...], *, suffix: str = "") -> str:
    """Quote several columns, separated by commas.

    :param suffix: SQL to write after each: ``" DESC"``, ``"::text"``.
    """
    return ", ".join(column(name) + suffix for name in names)


def quoted(table: str) -> str:
    """Quote a table for a text with parameters."""
    return quoted_table(table).replace("%", "%%")
