# SPDX-License-Identifier: MIT
"""Where a parameter stands in a statement's SQL, and what that says of a value without a type.

The server infers a type for it when it reads the text, and keeps it with what is prepared. Which
one it would infer another time is decided by what stands around it.
"""

from __future__ import annotations

import re
from enum import Enum

from batchq.engine.compile.quoting import identifier, quoted
from batchq.language.syntax import RawSql


class Place(Enum):
    """What decides the type of a parameter for which none is declared, each time that the server
    reads the text: the types of columns do in three of these, and columns may change theirs."""

    ASSIGNED = "assigned"
    """The column that the value becomes, alone: whatever type that gets later, a value has to be
    made one of that type."""
    COMPARED = "compared"
    """A column that it is compared with. Of what type it is helps to choose the operator."""
    LISTED = "listed"
    """The same for a list, one of whose values the column is compared with."""
    CAST = "cast"
    """The cast that the text puts it in; no column has a say."""
    FREE = "free"
    """What the text around it says, in SQL of the user's own: anything."""
    BUILT_IN = "built in"
    """The cast to a built-in type that batchq itself puts it in."""


CHECKED = frozenset({Place.COMPARED, Place.LISTED})
"""Where the type of a column has to be checked, if the value has none."""


def names_without_cast(text: RawSql) -> set[int]:
    """The names that stand somewhere without a cast, ``%(name)s::type`` or ``CAST(%(name)s AS
    type)``."""
    around = zip(text.order, text.pieces, text.pieces[1:], strict=False)
    return {
        name
        for name, before, after in around
        if not (_COLONS.match(after) or (_CAST.search(before) and _AS.match(after)))
    }


_COLONS = re.compile(r"\s*::")
_CAST = re.compile(r"\bCAST\s*\(\s*$", re.IGNORECASE)
_AS = re.compile(r"\s+AS\b", re.IGNORECASE)

_TEXTS, _LISTS = "{25,1043}", "{1009,1015}"  # text, varchar


def type_check(table: str, column: str, parameter: str, place: Place) -> str:
    """Fail with 22P02 when a value that the server took for text meets a column of another type.

    Many a type can be compared with text, but by other rules than with its own values: citext by
    case, char(n) by the blanks at its end. It stands behind the comparison that decides what the
    server takes the value for, though that one is never made, and before the one that is; the
    planner drops the former, and asks this once for each run of the statement.

    :param parameter: SQL for the value.
    """
    taken = f"pg_catalog.pg_typeof({parameter})"
    # Beside an untyped NULL a domain is the type that it is of.
    found = f"pg_catalog.pg_typeof(coalesce((NULL::{quoted(table)}).{identifier(column)}, NULL))"
    is_text = _is_one_of(taken, _TEXTS if place is Place.COMPARED else _LISTS)
    return (
        f"CASE WHEN {is_text} AND NOT {_is_one_of(found, _TEXTS)} "
        f"THEN {taken}::pg_catalog.text::pg_catalog.bool ELSE true END"
    )


def _is_one_of(kind: str, kinds: str) -> str:
    return f"{kind}::pg_catalog.oid OPERATOR(pg_catalog.=) ANY ('{kinds}'::pg_catalog.oid[])"
