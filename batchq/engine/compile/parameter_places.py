# SPDX-License-Identifier: MIT
"""Classify the place of a parameter in a statement's SQL, for values without a declared type.

The server infers a type for such a parameter in Parse, and keeps it for the prepared statement. The
SQL around the parameter decides which type a later Parse would infer.
"""

from __future__ import annotations

import re
from enum import Enum

from batchq.engine.compile.quoting import identifier, quoted
from batchq.language.syntax import Nested, RawSql


class Place(Enum):
    """What decides the type of a parameter without a declared type, at each Parse.

    In the first three it is the type of a column, which may change.
    """

    ASSIGNED = "assigned"
    """The column that the value is assigned to. Every value is converted to the column's type, so a
    changed type does not change its meaning."""
    COMPARED = "compared"
    """The column that the value is compared with. Its type helps to choose the operator."""
    LISTED = "listed"
    """The column that is compared with the values of a list."""
    CAST = "cast"
    """The cast around it in the text, and no column."""
    FREE = "free"
    """The text around it, in the user's own SQL: anything."""
    BUILT_IN = "built in"
    """The cast to a built-in type that batchq writes around it."""


OF_A_COLUMN = frozenset({Place.ASSIGNED, Place.COMPARED, Place.LISTED})
"""The places with a column."""
CHECKED = frozenset({Place.COMPARED, Place.LISTED})
"""The places with a column whose type has to be checked if the value has no declared type."""


def names_without_cast(text: RawSql) -> set[int]:
    """Return the indexes of the placeholders that are used without a cast.

    A cast is ``%(name)s::type`` or ``CAST(%(name)s AS type)``.
    """
    around = zip(text.order, text.pieces, text.pieces[1:], strict=False)
    return {
        name
        for name, before, after in around
        if not isinstance(name, Nested)
        and not (_COLONS.match(after) or (_CAST.search(before) and _AS.match(after)))
    }


_COLONS = re.compile(r"\s*::")
_CAST = re.compile(r"\bCAST\s*\(\s*$", re.IGNORECASE)
_AS = re.compile(r"\s+AS\b", re.IGNORECASE)

_TEXTS, _LISTS = "{25,1043}", "{1009,1015}"  # text, varchar


def type_check(table: str, column: str, parameter: str, place: Place) -> str:
    """Write SQL that fails with 22P02 if a value inferred as text meets a column of another type.

    Many types can be compared with text, but by other rules than with their own values: citext is
    then compared by case, char(n) by its trailing blanks. The check follows a comparison that is
    never evaluated, by which the server infers the value's type, and precedes the real one. The
    planner drops the former, and evaluates the check once for each run of the statement.

    :param parameter: SQL for the value.
    """
    inferred = f"pg_catalog.pg_typeof({parameter})"
    # coalesce() with NULL replaces a domain by its base type.
    actual = f"pg_catalog.pg_typeof(coalesce((NULL::{quoted(table)}).{identifier(column)}, NULL))"
    is_text = _is_one_of(inferred, _TEXTS if place is Place.COMPARED else _LISTS)
    return (
        f"CASE WHEN {is_text} AND NOT {_is_one_of(actual, _TEXTS)} "
        f"THEN {inferred}::pg_catalog.text::pg_catalog.bool ELSE true END"
    )


def _is_one_of(kind: str, kinds: str) -> str:
    return f"{kind}::pg_catalog.oid OPERATOR(pg_catalog.=) ANY ('{kinds}'::pg_catalog.oid[])"
