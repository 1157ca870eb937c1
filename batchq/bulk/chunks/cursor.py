# SPDX-License-Identifier: MIT
"""The cursor as text: the order key of a row, written the same under any session's settings.

The text of a date follows DateStyle, that of an interval IntervalStyle, and a float may be rounded
by ``extra_float_digits``. Another session would read it as another value and start there; the same
session would start before the row and scan it for ever. So the text is written under fixed
settings. They apply while this one row is written and to nothing else: not to the caller's other
statements, nor to a trigger.

Each step takes the result of the one before, and the server calls no function before it has the
arguments. So the settings are saved, then changed, then used, then restored, in that order. Each
step works on one row that is there already, so nothing else of the statement runs in between.
"""

from __future__ import annotations

from batchq.engine.compile.quoting import listed

_SETTINGS = {"DateStyle": "ISO", "IntervalStyle": "iso_8601", "extra_float_digits": "3"}
"""The settings that texts follow, each with a value whose texts are read back as the same value
under any other: PostgreSQL documentation, "Client Connection Defaults", and
tests/bulk/test_order_keys.py. ISO includes a time's offset from UTC, and the two forms of bytea
can be distinguished."""

_CURSOR = """\
batchq_saved AS MATERIALIZED (
    SELECT *, ARRAY[{saved}] AS batchq_saved FROM batchq_last
), batchq_set AS MATERIALIZED (
    SELECT *, {set} AS batchq_set FROM batchq_saved
), batchq_texts AS MATERIALIZED (
    SELECT batchq_saved, CASE WHEN batchq_set <> '' THEN ARRAY[{texts}] END AS texts FROM batchq_set
), batchq_cursor AS MATERIALIZED (
    SELECT texts, {restored} AS restored FROM batchq_texts
)"""


def cursor_texts(key: tuple[str, ...]) -> str:
    """Write the CTEs between ``batchq_last`` and ``batchq_cursor``, which holds the texts."""
    # left(…, 0) is an empty text, and the server cannot compute it before its argument.
    settings = list(enumerate(_SETTINGS.items(), 1))
    changed = (
        f"set_config('{name}', left(batchq_saved[{n}], 0) || '{value}', true)"
        for n, (name, value) in settings
    )
    restored = (
        f"set_config('{name}', left(texts[1], 0) || batchq_saved[{n}], true)"
        for n, (name, _) in settings
    )
    return _CURSOR.format(
        saved=", ".join(f"current_setting('{name}')" for name in _SETTINGS),
        set=" || ".join(changed),
        texts=listed(key, suffix="::text"),
        restored=" || ".join(restored),
    )
