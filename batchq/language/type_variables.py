# SPDX-License-Identifier: MIT
"""Define the type variables of batches and statements.

The second one has a default, so that ``Batch[int]`` is a batch that can run. ``typing`` has such
type variables since Python 3.13.
"""

from __future__ import annotations

import sys

if sys.version_info >= (3, 13):
    from typing import TypeVar
else:
    from typing_extensions import TypeVar

T_co = TypeVar("T_co", covariant=True)
"""The result."""
R_contra = TypeVar("R_contra", contravariant=True, default=object)
"""The class of the row that ``.bind()`` still takes; ``object`` if it takes none.

Contravariant: what takes nothing may stand where a row would be given, and not the reverse. So
``run()``, which takes a ``Batch[T]``, rejects a batch that still takes a row.
"""


class Named:
    """In the place of a row's class: a declaration that takes its values by name."""
