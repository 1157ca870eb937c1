# SPDX-License-Identifier: MIT
"""Write the SQL of outputs: from a value to a text that no setting changes, and to a value again.

The text is what the type's output function writes and its input function reads. Both functions
depend on settings, which may differ between the producing and the using statement: a ``SET LOCAL``
may run between them. So each statement calls its function under settings of batchq's, and restores
the session's, within one expression.

CASE fixes the order, because its conditions are evaluated one after the other. So does a subquery
with OFFSET, which the planner does not merge into the query around it. ``set_config`` is volatile,
so no planner evaluates it in advance. It never returns NULL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from batchq.engine.compile.quoting import identifier, literal, quoted

_WRITING = {
    "DateStyle": "ISO",  # it has the zone as a number; an abbreviation may mean several zones
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",  # from 1 on, as many digits as are needed
    "lc_monetary": "C",
    "search_path": "",  # names of tables, functions and types are written with their schema
}
_READING = {
    "array_nulls": "on",  # if off, NULL in an array is read as a text of four letters
    "lc_monetary": "C",
    "xmloption": "content",
}

_NEEDS_NO_SETTING = frozenset(
    "smallint int2 integer int int4 bigint int8 numeric decimal real float4 float8 boolean bool "
    "text varchar char character bpchar name uuid oid date time timetz timestamp timestamptz "
    "interval bytea json jsonb inet cidr macaddr".split()
) | {
    "double precision",
    "character varying",
    "time with time zone",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
}
_LENGTH = re.compile(r"\([^)]*\)")

_TEXT = "pg_catalog.text"


def carry_outputs(columns: Sequence[str], names: Sequence[str]) -> str:
    """Write SQL that puts columns of a row into settings of the transaction; NULL if it failed.

    :param columns: the names of the columns.
    :param names: SQL for the names of the settings.
    """
    before = {f"batchq.before_{setting}": current(literal(setting)) for setting in _WRITING}
    texts = {name: _text(column) for name, column in zip(names, columns, strict=True)}
    back = {literal(setting): current(literal(f"batchq.before_{setting}")) for setting in _WRITING}
    phases: Sequence[Mapping[str, str]] = (
        {literal(name): value for name, value in before.items()},
        {literal(setting): literal(value) for setting, value in _WRITING.items()},
        texts,
        back,
    )
    arms = " ".join(f"WHEN {' OR '.join(_unset(phase))} THEN NULL" for phase in phases)
    return f"CASE {arms} ELSE 'carried' END"


def _unset(phase: Mapping[str, str]) -> Iterable[str]:
    return (f"{_set(name, value)} IS NULL" for name, value in phase.items())


def _set(name: str, value: str) -> str:
    return f"pg_catalog.set_config({name}, {value}, true)"


def _text(column: str) -> str:
    """Write SQL for a value's text as a JSON string; only NULL becomes the JSON null."""
    name = identifier(column)
    # The output function of xml omits the declaration, which the cast to text has.
    xml = f"{_kind(name)} OPERATOR(pg_catalog.=) 'pg_catalog.xml'::pg_catalog.regtype"
    text = f"CASE WHEN {xml} THEN {name}::{_TEXT} ELSE pg_catalog.format('%s', {name}) END"
    text = f"pg_catalog.to_jsonb({text})::{_TEXT}"
    # A row of NULLs is a value.
    return f"CASE WHEN {name} IS NOT DISTINCT FROM NULL THEN 'null' ELSE {text} END"


def _kind(value: str) -> str:
    """Write SQL for a value's type. coalesce() with NULL replaces a domain by its base type."""
    return f"pg_catalog.pg_typeof(coalesce({value}, NULL))"


def current(setting: str) -> str:
    """Write SQL that reads a setting; ``setting`` is SQL for its name."""
    return f"pg_catalog.current_setting({setting})"


def _carried(setting: str) -> str:
    """Write SQL that reads the JSON string, or null, from a setting."""
    return f"{current(f'{setting}::{_TEXT}')}::pg_catalog.jsonb"


def _plain(setting: str) -> str:
    """Write SQL that reads the text, or NULL, from a setting."""
    return f"({_carried(setting)} OPERATOR(pg_catalog.#>>) '{{}}')"


def needs_no_setting(kind: str) -> bool:
    """Return whether a type's input function reads an output under any settings of the session."""
    return " ".join(_LENGTH.sub("", kind).lower().split()) in _NEEDS_NO_SETTING


def typed(setting: str, kind: str) -> str:
    """Write SQL for another statement's output as a value of a declared type."""
    value = f"{_plain(setting)}::{kind}"
    return f"({value})" if needs_no_setting(kind) else f"({_reading(value)}::{kind})"


def of_column(setting: str, table: str, column: str) -> str:
    """Write SQL for another statement's output as a value of the type that a column has.

    Only a row of the table's own type has that type. ``jsonb_populate_record`` reads a JSON string
    by the type's input function. It does not for a JSON type, where the string is the value: such a
    value is read from the text of a row.
    """
    row, name = f"NULL::{quoted(table)}", identifier(column)
    document = f"pg_catalog.jsonb_build_object({literal(column)}::{_TEXT}, {_carried(setting)})"
    record = f"pg_catalog.jsonb_populate_record({row}, {document})"
    kind = _kind(f"({row}).{name}")
    is_json = " OR ".join(
        f"{kind} OPERATOR(pg_catalog.=) 'pg_catalog.{json}'::pg_catalog.regtype"
        for json in ("json", "jsonb")
    )
    read = f"{_row(setting, table, column)}::{quoted(table)}"
    return _reading(f"(CASE WHEN {is_json} THEN {read} ELSE {record} END).{name}")


def _row(setting: str, table: str, column: str) -> str:
    """Write SQL for the text of a row of a table's type with a value in one column: ``(,"…",)``."""
    text = _plain(setting)
    for special in ("\\", '"'):
        text = f"pg_catalog.replace({text}, {literal(special)}, {literal(special * 2)})"
    value = f"coalesce('\"' OPERATOR(pg_catalog.||) {text} OPERATOR(pg_catalog.||) '\"', '')"
    field = f"CASE WHEN key OPERATOR(pg_catalog.=) {literal(column)} THEN {value} ELSE '' END"
    empty = f"pg_catalog.jsonb_populate_record(NULL::{quoted(table)}, '{{}}')"
    return (
        f"(SELECT '(' OPERATOR(pg_catalog.||) pg_catalog.string_agg({field}, ',' ORDER BY place)"
        f" OPERATOR(pg_catalog.||) ')' FROM pg_catalog.json_object_keys(pg_catalog.row_to_json("
        f"{empty})) WITH ORDINALITY AS _batchq_keys (key, place))"
    )


def _reading(value: str) -> str:
    """Write SQL that evaluates a value once, in a subquery, under the settings for reading."""
    names = [f"_batchq_{setting}" for setting in _READING]
    before = ", ".join(
        f"{current(literal(setting))} AS {name}"
        for setting, name in zip(_READING, names, strict=True)
    )
    wanted = {literal(setting): literal(text) for setting, text in _READING.items()}
    back = dict(zip(map(literal, _READING), names, strict=True))
    read = f"CASE WHEN {' OR '.join(_unset(wanted))} THEN NULL ELSE {value} END AS _batchq_value"
    inner = f"SELECT {', '.join(names)}, {read} FROM (SELECT {before} OFFSET 0) AS _batchq_before"
    return (
        f"(SELECT CASE WHEN {' OR '.join(_unset(back))} THEN NULL ELSE _batchq_value END"
        f" FROM ({inner} OFFSET 0) AS _batchq_read)"
    )
