# SPDX-License-Identifier: MIT
"""A place in an order: the text of a row's order key, the same whatever a session's settings are.

A date's text follows DateStyle, an interval's IntervalStyle, and a float may be rounded by
``extra_float_digits``. Another session would take it for another day, and begin there; the same one
would begin before the row, with the row, for ever. So the text is made under settings of its own.
They are in force while this one row is written and for nothing else: not for what the caller sets,
nor for a trigger.

Each step takes what the one before has given, and no function is called before its arguments are
there: so the settings are kept, then changed, then used, then put back, in that order. All four are
about one row that is there already, so nothing else of the statement runs between them.
"""

from __future__ import annotations

from batchq.bulk.chunks.subquery import columns

_SETTINGS = {"DateStyle": "ISO", "IntervalStyle": "iso_8601", "extra_float_digits": "3"}
"""What texts follow, and under what each leads back to its value whatever is set where it is read:
PostgreSQL documentation, "Client Connection Defaults", and tests/bulk/test_order_keys.py.
ISO has a time's offset from UTC in it, and bytea's two forms tell themselves apart."""

_PLACE = """\
batchq_kept AS MATERIALIZED (
    SELECT *, ARRAY[{kept}] AS batchq_kept FROM batchq_last
), batchq_set AS MATERIALIZED (
    SELECT *, {set} AS batchq_set FROM batchq_kept
), batchq_told AS MATERIALIZED (
    SELECT batchq_kept, CASE WHEN batchq_set <> '' THEN ARRAY[{texts}] END AS told FROM batchq_set
), batchq_place AS MATERIALIZED (
    SELECT told, {back} AS back FROM batchq_told
)"""


def place(key: tuple[str, ...]) -> str:
    """Write the expressions behind ``batchq_last`` that make ``batchq_place``, with the texts."""
    # left(…, 0) is nothing, and is not known before what it is of.
    settings = list(enumerate(_SETTINGS.items(), 1))
    changed = (
        f"set_config('{name}', left(batchq_kept[{n}], 0) || '{value}', true)"
        for n, (name, value) in settings
    )
    restored = (
        f"set_config('{name}', left(told[1], 0) || batchq_kept[{n}], true)"
        for n, (name, _) in settings
    )
    return _PLACE.format(
        kept=", ".join(f"current_setting('{name}')" for name in _SETTINGS),
        set=" || ".join(changed),
        texts=columns(key, behind="::text"),
        back=" || ".join(restored),
    )
