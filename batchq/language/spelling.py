# SPDX-License-Identifier: MIT
"""Write names of values and classes, for messages."""

from __future__ import annotations

import re

_VOWEL = re.compile(r"[aeio]|un(?!i)", re.IGNORECASE)
"""The beginnings of names that are spoken with a vowel: not those of UUID and Union."""


def spelled(name: str) -> str:
    r"""Return a Python literal for a str, in double quotes and on one line.

    >>> print(spelled("name_key"), spelled('q"uote'), spelled("it's"), spelled("a\\b\n"))
    "name_key" "q\"uote" "it's" "a\\b\n"
    """
    literal = repr(name)
    return literal if literal[0] == '"' else '"' + literal[1:-1].replace('"', '\\"') + '"'


def with_article(kind: type[object], *, unlike: tuple[type[object], ...] = ()) -> str:
    """Return the name of a class after "a" or "an".

    :param unlike: classes that the text names as well. A class of the same name as one of them is
        named with its module: of NumPy's ``bool``, "takes a bool, not a bool" would say nothing.

    >>> with_article(int), with_article(str)
    ('an int', 'a str')
    """
    name = name_of(kind, unlike=unlike)
    return f"{'an' if _VOWEL.match(name) else 'a'} {name}"


def name_of(kind: type[object], *, unlike: tuple[type[object], ...]) -> str:
    """Return the name of a class, with its module if another class has the same name.

    :param unlike: as in :func:`with_article`.
    """
    alike = [other for other in unlike if other is not kind and other.__name__ == kind.__name__]
    if not alike:
        return kind.__name__
    name = _qualified(kind)
    # A module that is loaded again defines its classes again.
    return f"{name} of another definition" if name in map(_qualified, alike) else name


def _qualified(kind: type[object]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
