# SPDX-License-Identifier: MIT
"""Replace errors of psycopg and Python about one value, whose messages may quote it.

Such an error becomes the ``__cause__`` of a reported error, and a traceback shows the messages of
causes. Some errors also hold the value (``UnicodeEncodeError.object``, ``JSONDecodeError.doc``). So
a stand-in replaces them. An error that the caller's own dumper, loader or function raises is kept:
its message is the caller's choice.
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
"""The beginnings of psycopg's messages that name at most types (psycopg 3.3 sources,
``types/``)."""


def is_safe(error: Exception) -> bool:
    """Return whether an error has a message of psycopg's that quotes no value."""
    return isinstance(error, psycopg.Error) and str(error).startswith(_WITHOUT_VALUES)


def is_drivers(adapter: object) -> bool:
    """Return whether a loader or dumper is psycopg's, and not the caller's.

    The adapters that psycopg makes for a caller's type (``register_enum``) count as psycopg's. The
    ``__module__`` of such a class is ``abc``, which created it.
    """
    modules = (cls.__module__ for cls in type(adapter).__mro__)
    return next(name for name in modules if name != "abc").startswith("psycopg")


def stand_in(error: Exception, doing: str) -> Exception:
    """Return a stand-in for an error: of its class, or of the nearest base that takes a text.

    It does not refer to the error, which may hold the value.

    :param doing: what was being done, without any value.
    """
    text = f"{doing}: {type(error).__name__}; its message is not shown, it may quote the value"
    for cls in type(error).__mro__:
        if cls.__module__ == "builtins" or cls.__module__.startswith("psycopg"):
            with suppress(TypeError):  # UnicodeDecodeError takes the bytes it could not decode
                return cast("Exception", cls(text))
    return Exception(text)
