# SPDX-License-Identifier: MIT
"""Write names of values and classes, for messages."""

from __future__ import annotations


def spelled(name: str) -> str:
    r"""Return a Python literal for a str, in double quotes and on one line.

    >>> print(spelled("name_key"), spelled('q"uote'), spelled("it's"), spelled("a\\b\n"))
    "name_key" "q\"uote" "it's" "a\\b\n"
    """
    literal = repr(name)
    return literal if literal[0] == '"' else '"' + literal[1:-1].replace('"', '\\"') + '"'


def with_article(kind: type[object]) -> str:
    """Return the name of a class after "a" or "an".

    >>> with_article(int), with_article(str)
    ('an int', 'a str')
    """
    name = kind.__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"
