# SPDX-License-Identifier: MIT
"""What jobs report their progress by.

>>> from batchq.progress import Kept
>>> kept = Kept[str, int](max_events=128)
"""

from __future__ import annotations

from batchq.progress.kept import Kept

__all__ = ["Kept"]
