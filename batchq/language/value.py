# SPDX-License-Identifier: MIT
"""The classes of which a batch is made, dozens for each that is run.

Nothing may be changed about a batch once it is made. Type checkers keep to that; at run time nobody
is kept from it, which would make each of these three times as expensive to make: attrs writes to a
frozen object past its own guard, by one call a field.
"""

from __future__ import annotations

from typing import TypeVar, dataclass_transform

from attrs import define, field

C = TypeVar("C")


@dataclass_transform(eq_default=False, frozen_default=True, field_specifiers=(field,))
def value(cls: type[C]) -> type[C]:
    """Make a class whose objects are read only, equal to nothing but themselves, and show nothing
    of what they hold.

    >>> @value
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> Point(1).x
    1
    """
    return define(cls, eq=False, repr=False)
