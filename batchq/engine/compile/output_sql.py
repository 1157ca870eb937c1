# SPDX-License-Identifier: MIT
"""The SQL of outputs: how a value becomes a text that no setting changes, and a value again.

What travels is what the type's own output function writes and its input function reads. Both look
at settings, and those may differ between the statement that produces and the one that uses: by what
the session was told, or by a ``SET LOCAL`` between. So each of the two runs its function under
settings of batchq's, and puts back what was there, within one expression.

The order is made certain by CASE, whose conditions are tried one after the other, and by a
subquery with OFFSET, which is no part of the query around it. ``set_config`` is volatile, so no
planner computes it beforehand, and answers no NULL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from batchq.engine.compile.quoting import identifier, literal, quoted

_WRITING = {
    "DateStyle": "ISO",  # with the zone as a number: its abbreviation is another zone elsewhere
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",  # from here on as many digits as it takes
    "lc_monetary": "C",
    "search_path": "",  # names of tables, functions and types get their schema
}
_READING = {
    "array_nulls": "on",  # off, NULL in an array is a text of four letters
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
    """Write what puts columns of a row into settings of the transaction. NULL if it did not.

    :param columns: what they are called.
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
    """A value's text as a JSON string: NULL is the JSON null, and nothing else is."""
    name = identifier(column)
    # The output function of xml leaves out what its cast to text has: the declaration.
    xml = f"{_kind(name)} OPERATOR(pg_catalog.=) 'pg_catalog.xml'::pg_catalog.regtype"
    text = f"CASE WHEN {xml} THEN {name}::{_TEXT} ELSE pg_catalog.format('%s', {name}) END"
    text = f"pg_catalog.to_jsonb({text})::{_TEXT}"
    # A row of NULLs is a value.
    return f"CASE WHEN {name} IS NOT DISTINCT FROM NULL THEN 'null' ELSE {text} END"


def _kind(value: str) -> str:
    """The type of a value. Beside an untyped NULL a domain is the type that it is of."""
    return f"pg_catalog.pg_typeof(coalesce({value}, NULL))"


def current(setting: str) -> str:
    """Write what reads a setting; ``setting`` is SQL for its name."""
    return f"pg_catalog.current_setting({setting})"


def _carried(setting: str) -> str:
    """The JSON string, or null, out of the setting that carries it."""
    return f"{current(f'{setting}::{_TEXT}')}::pg_catalog.jsonb"


def _plain(setting: str) -> str:
    """The text itself, or NULL."""
    return f"({_carried(setting)} OPERATOR(pg_catalog.#>>) '{{}}')"


def needs_no_setting(kind: str) -> bool:
    """Whether a type's input function reads what was carried whatever the session's settings."""
    return " ".join(_LENGTH.sub("", kind).lower().split()) in _NEEDS_NO_SETTING


def typed(setting: str, kind: str) -> str:
    """Write another statement's output as a value of a type that has been named."""
    value = f"{_plain(setting)}::{kind}"
    return f"({value})" if needs_no_setting(kind) else f"({_reading(value)}::{kind})"


def of_column(setting: str, table: str, column: str) -> str:
    """Write another statement's output as a value of the type that a column has.

    A row of the table's own type knows what type that is; nobody else here does. Made of JSON, it
    reads a JSON string by the type's own input function, but for JSON types, where a string is a
    value: those are read out of the text of a row.
    """
    row, name = f"NULL::{quoted(table)}", identifier(column)
    given = f"pg_catalog.jsonb_build_object({literal(column)}::{_TEXT}, {_carried(setting)})"
    made = f"pg_catalog.jsonb_populate_record({row}, {given})"
    kind = _kind(f"({row}).{name}")
    document = " OR ".join(
        f"{kind} OPERATOR(pg_catalog.=) 'pg_catalog.{one}'::pg_catalog.regtype"
        for one in ("json", "jsonb")
    )
    read = f"{_row(setting, table, column)}::{quoted(table)}"
    return _reading(f"(CASE WHEN {document} THEN {read} ELSE {made} END).{name}")


def _row(setting: str, table: str, column: str) -> str:
    """The text of a row of a table's type in which one column has a value: ``(,"…",)``."""
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
    """Compute a value under the settings that reading needs; a subquery, computed once."""
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
