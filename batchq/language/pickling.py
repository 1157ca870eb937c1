# SPDX-License-Identifier: MIT
"""Let an error be pickled whatever values it reports: else its outcome would be lost."""

from __future__ import annotations

import pickle
from typing import Any


def picklable(value: Any) -> object:
    """Return a value, or words in the place of one that cannot be pickled."""
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001  any class may refuse it, in its own way
        return f"<a {type(value).__name__}, which cannot be pickled>"
    return value
