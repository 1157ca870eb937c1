# SPDX-License-Identifier: MIT
"""The names of parametrized cases.

The processes of a parallel run collect the tests separately and must agree on their names, which a
memory address, as in the repr of a function, is different in each of.
"""

from __future__ import annotations

import re

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def title(value: object) -> str:
    """Return the repr of a value, without memory addresses."""
    return _ADDRESS.sub("", repr(value))
