# SPDX-License-Identifier: MIT
"""Write names as Python literals, for messages that suggest code."""

from __future__ import annotations


def spelled(name: str) -> str:
    r"""Return a Python literal for a str, in double quotes and on one line.

    >>> print(spelled("name_key"), spelled('q"uote'), spelled("it's"), spelled("a\\b\n"))
    "name_key" "q\"uote" "it's" "a\\b\n"
    """
    literal = repr(name)
    return literal if literal[0] == '"' else '"' + literal[1:-1].replace('"', '\\"') + '"'
