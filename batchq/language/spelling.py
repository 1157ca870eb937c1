# SPDX-License-Identifier: MIT
"""How a name is written in Python, in the texts that teach a line of code."""

from __future__ import annotations


def spelled(name: str) -> str:
    r"""Write a text as Python reads it, in double quotes and on one line.

    >>> print(spelled("name_key"), spelled('q"uote'), spelled("it's"), spelled("a\\b\n"))
    "name_key" "q\"uote" "it's" "a\\b\n"
    """
    written = repr(name)
    return written if written[0] == '"' else '"' + written[1:-1].replace('"', '\\"') + '"'
