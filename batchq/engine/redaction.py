# SPDX-License-Identifier: MIT
"""Errors of the driver and of Python about one value, whose words may quote it.

They become the ``__cause__`` of a report, and tracebacks show the words of causes; some hold the
value besides (``UnicodeEncodeError.object``, ``JSONDecodeError.doc``). So a stand-in takes their
place. What a dumper, a loader or a function of the caller's own raises stays: their own words.
"""

from __future__ import annotations

from contextlib import suppress
from typing import cast

import psycopg

_WITHOUT_VALUES = (
    "cannot adapt type ",
    "PostgreSQL text fields cannot contain NUL (0x00) bytes",
    "cannot dump lists of mixed types",
    "cannot dump a recursive list",
    "lists cannot contain empty lists",
    "nested lists have inconsistent ",
    "hstore keys can only be strings",
)
"""How texts of psycopg's begin that name types at most (psycopg 3.3 sources, ``types/``)."""


def is_safe(error: Exception) -> bool:
    """Whether the words of an error are psycopg's own, and hold no value."""
    return isinstance(error, psycopg.Error) and str(error).startswith(_WITHOUT_VALUES)


def is_drivers(adapter: object) -> bool:
    """Whether a loader or dumper is psycopg's own, and not the caller's.

    Those that psycopg makes for a type of the caller's (``register_enum``) are its own as well;
    such a class is said to be of the module ``abc``, which has made it.
    """
    modules = (cls.__module__ for cls in type(adapter).__mro__)
    return next(name for name in modules if name != "abc").startswith("psycopg")


def stand_in(error: Exception, doing: str) -> Exception:
    """Make what stands for an error: of its class, or of the nearest above that takes a text.

    It has no tie to the error, which may hold the value.

    :param doing: what was being done, without any value.
    """
    text = f"{doing}: {type(error).__name__}, whose words are not shown: they may quote the value"
    for cls in type(error).__mro__:
        if cls.__module__ == "builtins" or cls.__module__.startswith("psycopg"):
            with suppress(TypeError):  # UnicodeDecodeError takes what could not be decoded
                return cast("Exception", cls(text))
    return Exception(text)
