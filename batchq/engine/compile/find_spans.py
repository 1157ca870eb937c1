# SPDX-License-Identifier: MIT
"""Find the parts of a command: by a scan if it has SQL of the user's, else by what batchq wrote.

Only this file imports the scan, and only for the first such SQL: sqlglot, which tokenizes it, takes
half as long to import as the driver, and a program without SQL of its own never needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.spans import (
    RETURNING_VERBS,
    VERBS_WITH_ROWS,
    CommandSpans,
    Fragment,
)
from batchq.language.syntax import Delete, Insert, RawSql, Select, Source, Update


def find_spans(
    numbering: Numbering, source: Source, sql: str, returned: tuple[str, ...] | None
) -> CommandSpans:
    """Return the spans of a rendered command.

    :param numbering: what has rendered it.
    :param sql: its text, with :data:`MARK` for the ``$`` of each parameter.
    :param returned: the columns of its RETURNING, if it is a write that batchq has written.
    :raises InvalidBatch: as ``scan()``.
    """
    # A literal with a backslash, of a column's name, is left to the scan, and so is a WITH.
    if numbering.has_text or isinstance(source, RawSql) or "\\" in sql or sql.startswith("WITH "):
        scan, _ = _scans()
        return scan(sql)
    verb = "SELECT" if isinstance(source, Select) else source.verb.upper()
    writes = verb in RETURNING_VERBS
    return CommandSpans(
        verb=verb,
        ctes=0,
        main=0,
        end=len(sql),
        returning=writes and bool(returned),
        writes=writes,
        reads=_reads(source),
        has_backslash=False,
    )


def _reads(source: Source) -> bool:
    """Return whether a statement that batchq writes reads other rows than those it changes."""
    if isinstance(source, Insert):
        return source.query is not None
    return isinstance(source, Update | Delete) and source.join is not None


def find_fragments(numbering: Numbering, tests: list[str]) -> list[Fragment]:
    """Return the properties of the conditions outside a command.

    :raises InvalidBatch: as ``scan_fragment()``.
    """
    if not numbering.has_text:
        return []
    _, scan_fragment = _scans()
    return list(map(scan_fragment, tests))


def can_change_names(verb: str, sql: str) -> bool:
    """Return whether a command of the user's may change what later names refer to."""
    others = _OWN_SETTING.sub("", sql.lower())
    return verb not in VERBS_WITH_ROWS or "set_config" in others


_OWN_SETTING = re.compile(r"set_config\('(?:row_security|batchq\.\w+)'")
"""The settings that batchq itself sets around a part of a batch. They do not affect names."""


@cache
def _scans() -> tuple[Callable[[str], CommandSpans], Callable[[str], Fragment]]:
    """Return the scan of a command, and that of a condition."""
    from batchq.engine.compile.scan import scan, scan_fragment  # noqa: PLC0415

    return scan, scan_fragment
