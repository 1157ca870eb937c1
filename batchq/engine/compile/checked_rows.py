# SPDX-License-Identifier: MIT
"""Write the checks of the rows that a statement finds into its conditions."""

from __future__ import annotations


def checked(selected: str, arms: list[str]) -> str:
    """Return conditions, with the checks of the rows that they select.

    Only CASE guarantees an order of evaluation in SQL: a row that the conditions do not select must
    not fail for a requirement on the rows that they do.
    """
    if not arms:
        return selected
    selected = selected or "true"
    return (
        f"({selected}) AND CASE WHEN ({selected}) IS NOT TRUE THEN false {' '.join(arms)} "
        "ELSE true END"
    )
