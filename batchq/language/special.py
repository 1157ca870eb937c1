# SPDX-License-Identifier: MIT
"""Types whose values in a row are not parameters, found by their type alone."""

from __future__ import annotations

from typing import Any, ClassVar

NO_PARAMETERS: set[type[object]] = set()
"""Types whose values in a row are not parameters. Each registers itself."""
NOT_AS_IS: set[type[object]] = {list}
"""These types, and those whose values are changed to become parameters: lists are copied."""


class Special:
    """Base class of types whose values in a row are not parameters."""

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Register the class, because a look-up by type is faster than isinstance()."""
        super().__init_subclass__(**options)
        NO_PARAMETERS.add(cls)
        NOT_AS_IS.add(cls)


class Unwritable(Special):
    """Base class of what stands for a value that was read, and that no statement takes."""

    __slots__ = ()
    _instead: ClassVar[str]
    """What to write instead of it, for the text of errors."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Register the class, as all special ones."""
        super().__init_subclass__(**options)
        UNWRITABLE[cls] = cls._instead


UNWRITABLE: dict[type[object], str] = {}
"""Its classes, each with what to write instead."""

REFUSED_IN_JSON: dict[type[object], str] = {}
"""Types whose values are parameters, but not as a part of JSON, each with what to write instead."""
