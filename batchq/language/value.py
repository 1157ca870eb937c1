# SPDX-License-Identifier: MIT
"""Define immutable value classes that are cheap to construct.

A batch is made of dozens of such objects and must not change after construction. Type checkers
enforce that; at run time assignment is not prevented. Frozen attrs classes would, but their
construction takes three times as long: attrs sets each field by a call that bypasses the check.
"""

from __future__ import annotations

from typing import TypeVar, dataclass_transform

from attrs import define, field

C = TypeVar("C")


@dataclass_transform(eq_default=False, frozen_default=True, field_specifiers=(field,))
def value(cls: type[C]) -> type[C]:
    """Define an attrs class with read-only fields, equality by identity, and no ``repr`` of fields.

    >>> @value
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> Point(1).x
    1
    """
    return define(cls, eq=False, repr=False)
