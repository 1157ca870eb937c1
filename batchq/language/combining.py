# SPDX-License-Identifier: MIT
"""Say how the result of a composite is made of those of its parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Combining = tuple[Callable[..., Any] | None, bool, int]
"""A function of results, whether it takes each as an argument, and the first part whose result it
takes. Without a function, it is the result of that part."""

IN_ORDER: Combining = (tuple, False, 0)
LISTED: Combining = (list, False, 0)
SECOND: Combining = (None, False, 1)
