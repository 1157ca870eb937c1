# SPDX-License-Identifier: MIT
"""Note in the transaction that a row was stored under another key than it was given.

A setting of the transaction carries it to a later statement, which has to fail then: so it is never
reset.
"""

from __future__ import annotations

_OTHER = "'batchq.other_key'"

NOTED = f"pg_catalog.set_config({_OTHER}, 'other', true) IS NULL"
"""SQL that notes it; false."""
IS_NOTED = (
    f"coalesce(pg_catalog.current_setting({_OTHER}, true), '') OPERATOR(pg_catalog.=) 'other'"
)
"""SQL for whether it was noted."""
