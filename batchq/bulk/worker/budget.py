# SPDX-License-Identifier: MIT
"""How much one worker may do."""

from __future__ import annotations

import math

from attrs import field, frozen

from batchq.language.argument_types import NUMBER, of


@frozen(kw_only=True)
class Budget:
    """How much one worker may do; the next worker does the rest.

    :raises ValueError: if one of them is negative.
    :raises TypeError: if one of them is not a number.
    """

    chunks: float = field(default=math.inf, validator=of("Budget", NUMBER, "3", TypeError))
    rows: float = field(default=math.inf, validator=of("Budget", NUMBER, "10_000", TypeError))
    """No chunk is started after so many rows; the last chunk may exceed it."""
    seconds: float = field(default=25.0, validator=of("Budget", NUMBER, "25.0", TypeError))

    def __attrs_post_init__(self) -> None:
        for name in ("chunks", "rows", "seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"Budget({name}={getattr(self, name)!r}): must be at least 0; use math.inf for "
                    f"no limit"
                )
