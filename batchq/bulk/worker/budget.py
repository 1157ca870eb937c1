# SPDX-License-Identifier: MIT
"""How much one worker may do."""

from __future__ import annotations

import math

from attrs import frozen


@frozen(kw_only=True)
class Budget:
    """How much one worker may do; the next worker does the rest.

    :raises ValueError: if one of them is negative.
    """

    chunks: float = math.inf
    rows: float = math.inf
    """No chunk is started after so many rows; the last chunk may exceed it."""
    seconds: float = 25.0

    def __attrs_post_init__(self) -> None:
        for name in ("chunks", "rows", "seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"Budget({name}={getattr(self, name)!r}): must be at least 0; use math.inf for "
                    f"no limit"
                )
