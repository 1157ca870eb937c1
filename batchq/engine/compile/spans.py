# SPDX-License-Identifier: MIT
"""Define the spans of a command: where its parts are in its text, and what it does."""

from __future__ import annotations

from attrs import frozen

RETURNING_VERBS = frozenset("INSERT UPDATE DELETE MERGE UPSERT".split())
VERBS_WITH_ROWS = RETURNING_VERBS | frozenset("SELECT VALUES TABLE".split())


@frozen
class CommandSpans:
    """The positions of one command's parts in its text, and its properties."""

    verb: str
    """The verb of the main command in capitals, after any common table expressions."""
    ctes: int
    """The end of the common table expressions; 0 without any."""
    main: int
    """The start of the main command."""
    end: int
    """The end of the command, before a final semicolon and comments."""
    returning: bool
    """Whether the main command has a RETURNING."""
    writes: bool
    """Whether the main command or a common table expression writes."""
    reads: bool
    """Whether the command reads other rows than those of the main command."""
    has_backslash: bool
    """Whether a plain string has a backslash; see :class:`Fragment`."""


@frozen
class Fragment:
    """The properties of a part of a command."""

    reads: bool
    """Whether it reads rows by a query of its own."""
    has_backslash: bool
    """Whether a plain string, ``'a\\b'``, has a backslash. It is scanned by standard SQL; a server
    with ``standard_conforming_strings`` off reads another string."""
