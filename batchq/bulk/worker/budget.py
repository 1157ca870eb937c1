# SPDX-License-Identifier: MIT
"""How much one activation may do."""

from __future__ import annotations

import math

from attrs import frozen


@frozen(kw_only=True)
class Budget:
    """What one activation may do; what is left over is deferred to the next.

    :raises ValueError: if one is negative.
    """

    chunks: float = math.inf
    rows: float = math.inf
    """No chunk is begun beyond it: the last one may end above."""
    seconds: float = 25.0

    def __attrs_post_init__(self) -> None:
        for name in ("chunks", "rows", "seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"Budget({name}={getattr(self, name)!r}): at least 0, and math.inf for no bound"
                )
