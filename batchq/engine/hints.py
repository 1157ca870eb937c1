# SPDX-License-Identifier: MIT
"""Suggest the cause of a server's error, from its code and the types that it names.

A hint that is not about the error at hand misleads the reader. So each hint is given only if the
types in the message fit, which no server translates, and the step's parameters fit as well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchq.engine.compile.quoting import identifier, unqualified
from batchq.language.listed_columns import chosen, chosen_by
from batchq.language.results import Rows
from batchq.language.spelling import spelled
from batchq.language.syntax import CREATED, Insert, Select
from batchq.language.violation import Violation

if TYPE_CHECKING:
    from batchq.engine.step import PlacedStep

JSONB = "wrap it in psycopg.types.json.Jsonb(...)"

_FUNCTION_OF_INT = (
    "\nbatchq sends an int as bigint: write %(n)s::int in sql() if a function wants int"
)
_NO_COLUMN = (
    "\nthe server names no column, as for a domain with NOT NULL: not_null() matches columns only"
)
_NO_INDEX = (
    "\nno unique index is on exactly these columns: name all of its columns and expressions, and "
    "if it is partial, its predicate in index_where=, or in where= of insert_or_get() and "
    "children(); insert_or_advance() takes no partial index. Exclusion constraints and keys "
    "WITHOUT OVERLAPS are known to on_conflict_do_nothing() without a target"
)
_NOT_REPORTED = (
    "\nbefore PostgreSQL 18 a partitioned table or a view does not report whether a row is new: "
    "drop inserted() and created(), or use insert_or_get(); in the place of insert_or_advance() "
    "write .on_conflict_do_update(…, where=…).count()"
)
_NO_TYPE = "\nthe server cannot infer a parameter's type from its place: cast it, %(x)s::text"


def hint(violation: Violation, step: PlacedStep | None, *, reports_old: bool = True) -> str:
    """Return a hint at the cause of an error; empty if none is known.

    :param step: the step that failed, if one did.
    :param reports_old: whether the server reports by OLD, and not by xmax, if a row is new.
    """
    text = ""
    match violation.sqlstate:
        case "23505" | "23P01" if not violation.part_of:  # of an index
            text = _partition(violation, step)
        case "23502" if violation.column is None:
            text = _NO_COLUMN
        case "42P18":
            text = _NO_TYPE
        case "0A000" | "42703" if not reports_old and _lacks_xmax(violation, step):
            text = _NOT_REPORTED
        case "42703" | "42702":
            text = _column(violation, step)
        case "42P10" if _on_conflict(step):
            text = _NO_INDEX
        case "42883":
            operator = _OPERATOR.search(violation.message)
            text = _function(violation, step) if operator is None else _operator(operator, step)
        case "42704" if "[]" in violation.message:  # could not find array type for text[]
            text = _array(step)
        case "42804" | "22P02":
            text = _document(violation, step)
        case _:
            pass
    return text


def _on_conflict(step: PlacedStep | None) -> bool:
    source = None if step is None else step.placed.statement._shape.source
    return isinstance(source, Insert) and source.conflict is not None


def _has_keep(step: PlacedStep | None) -> bool:
    """Return whether the step is an upsert of replace(), which alone notes the keys it is given."""
    source = None if step is None else step.placed.statement._shape.source
    return (
        isinstance(source, Insert) and source.conflict is not None and bool(source.conflict.given)
    )


def _asks_created(step: PlacedStep | None) -> bool:
    """Return whether the step asks if a row was inserted."""
    if step is None:
        return False
    shape = step.statement._shape
    conditions = (name for condition in shape.conditions for name in condition.columns)
    used = (*step.placed.outputs, *(shape.returned or ()), *conditions)
    return shape.result.rows is Rows.INSERTED or CREATED in used


_XMAX = re.compile(r"(?<![\w$])xmax(?![\w$])")


def _lacks_xmax(violation: Violation, step: PlacedStep | None) -> bool:
    """Return whether the table has no ``xmax``, by which the step asks if a row was inserted."""
    if not _asks_created(step):
        return False
    if violation.sqlstate == "42703":
        return _XMAX.search(violation.message) is not None
    # The message names no column. It is refused as the statement runs, so there is no position.
    return violation.position is None


def _column(violation: Violation, step: PlacedStep | None) -> str:
    """Return how to name a column that is missing or ambiguous."""
    is_missing = violation.sqlstate == "42703"
    return _direction(violation, step) if is_missing else _ambiguous(violation, step)


_DIRECTED = re.compile(r"-(?P<minus>.+)|(?P<name>.*\S)\s+(?P<call>asc|desc)\s*", re.IGNORECASE)
"""``-id`` of Django, and ``id desc`` of SQL."""


def _direction(violation: Violation, step: PlacedStep | None) -> str:
    """Return how to write a direction, if the missing column is a name with one.

    A column may have such a name, so it is not refused before.
    """
    source = None if step is None else step.placed.statement._shape.source
    for key in source.order if isinstance(source, Select) else ():
        match = _DIRECTED.fullmatch(key.column) if isinstance(key.column, str) else None
        if match is not None and match[0] in violation.message:
            call = (match["call"] or "desc").lower()
            name = match["minus"] or match["name"]
            whole, written = spelled(match[0]), f"{call}({spelled(name)})"
            return f"\n{whole} is the name of a column as a whole: write {written}"
    return ""


def _ambiguous(violation: Violation, step: PlacedStep | None) -> str:
    """Return how to name the two rows of an upsert, if a fragment names neither."""
    source = None if step is None else step.placed.statement._shape.source
    # Without a position the error is in a function or a trigger.
    if not isinstance(source, Insert) or source.conflict is None or violation.position is None:
        return ""
    if not source.conflict.updates:
        return ""
    table = identifier(unqualified(source.table))
    return (
        f"\nin set= and where= of on_conflict_do_update() write excluded.x for the row that would "
        f"have been inserted, and {table}.x for the existing one"
    )


def _partition(violation: Violation, step: PlacedStep | None) -> str:
    """Return what to name, if the index is of another table than the statement's."""
    table = None if step is None else step.placed.statement._shape.source.table
    if table is None or violation.table in (None, unqualified(table)):
        return ""
    return (
        f"\nIf {violation.table} is a partition, name the constraint of the whole table instead: "
        f"it covers all of them"
    )


_OPERATOR = re.compile(r": (?P<left>[^:]+?) (?P<operator>[-+*/<>=~!@#%^&|`?]+) (?P<right>[^:]+)$")
"""``operator does not exist: uuid = text``; the words before the colon are translated."""
_TEXTS = frozenset({"text", "character varying", "character", "name", "unknown"})
_JSON = frozenset({"json", "jsonb"})


def _operator(match: re.Match[str], step: PlacedStep | None) -> str:
    """Return what to write instead of comparing two types that have no such operator."""
    left, operator, right = match["left"], match["operator"], match["right"]
    text = ""
    if left.endswith("[]") and not right.endswith("[]"):
        text = _array(step)
    elif left == "jsonb" and right not in _JSON:
        text = f"\na jsonb column is compared with a document: {JSONB}"
    elif left == right and _on_conflict(step):
        other = "jsonb" if left == "json" else "another type"
        text = (
            f"\nthe existing row is compared by {operator}, which {left} lacks: make the column "
            f"{other}, or {'name it in keep=' if _has_keep(step) else 'leave it out'}"
        )
    elif left == "json" or right in ("unknown", left):
        other = "jsonb" if left == "json" else "text"
        text = (
            f"\n{left} has no {operator}: compare it as another type, by a condition such as "
            f'sql("column::{other} {operator} %(value)s::{other}", value=...)'
        )
    elif left in _TEXTS and right == "bigint":
        text = f"\nan int is compared with a {left}: pass a str"
    elif right in _TEXTS and left not in _TEXTS:
        text = (
            f"\na text is compared with a {left}: pass a value of that type, or write "
            f"%(x)s::{left} in sql()"
        )
    return text


def _function(violation: Violation, step: PlacedStep | None) -> str:
    """Return the hint that an int is sent as bigint, if a function was called with one."""
    values = () if step is None else step.parameters
    return _FUNCTION_OF_INT if "bigint" in violation.message and int in map(type, values) else ""


def _array(step: PlacedStep | None) -> str:
    """Return how to compare an array column, if a list was compared with a column."""
    if step is None:
        return ""
    shape = step.statement._shape
    conditions = (requirement.test for requirement in shape.requirements)
    columns = (*chosen(shape.source), *(name for test in conditions for name in chosen_by(test)))
    if not columns:
        return ""
    condition = f"{_in_sql(columns[0])} = %(value)s::text[]"
    return (
        f'\na list means "one of these": compare an array column as a whole, by a condition like '
        f"sql({spelled(condition)}, value=[...]), with the column's own type"
    )


_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def _in_sql(column: str) -> str:
    """Return a column as ``sql()`` with parameters takes it: quoted unless that is not needed."""
    return column if _PLAIN.fullmatch(column) else identifier(column).replace("%", "%%")


_IN_QUOTES = re.compile(r"""["»«„“”][^"»«„“”]*["»«„“”]""")
_IS_JSON = re.compile(r"\bjsonb?\b")
_ENDS_IN_JSON = re.compile(r"\bjsonb?\W*$")
_MADE_DOCUMENTS = frozenset({"Json", "Jsonb"})


def _document(violation: Violation, step: PlacedStep | None) -> str:
    """Return how to send a document, if a json column got a value of another type."""
    values = () if step is None else step.parameters
    kinds = {type(value).__name__ for value in values}
    if not kinds or not _MADE_DOCUMENTS.isdisjoint(kinds):
        return ""
    about_json = _IS_JSON.search(_IN_QUOTES.sub("", violation.message))
    # The message names the column's type first, and the value's type last.
    is_column = violation.sqlstate == "42804" and not _ENDS_IN_JSON.search(violation.message)
    is_read = violation.sqlstate == "22P02" and not violation.may_quote_values
    if not about_json or not (is_column or is_read):
        return ""
    return f"\na json or jsonb column takes a document, whatever the value is: {JSONB}"
