# SPDX-License-Identifier: MIT
"""Where quotes, comments and brackets begin and end in SQL, to know that a text is whole.

batchq writes SQL around what it is given. Text that closes a bracket that it did not open, or that
opens a quote or a comment and leaves it open, would change what stands around it. So a text is read
here as PostgreSQL's lexer reads it (PostgreSQL documentation, "Lexical Structure"), once. Where
two readings are possible, because of a setting or a version, that is a finding too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from attrs import frozen

PLACE = "\0"
"""Stands for a parameter while its text is read; no SQL has a NUL in it."""

_START = r"[A-Za-z_\x80-\U0010ffff]"
_INSIDE = r"0-9A-Za-z_$\x80-\U0010ffff"
_TOKEN = re.compile(
    rf"""
      (?P<space>   \s+ )
    | (?P<line>    --[^\n\r]* )
    | (?P<block>   /\* )
    | (?P<dollar>  \$(?:{_START}[0-9A-Za-z_\x80-\U0010ffff]*)?\$ )
    | (?P<param>   \$\d+ )
    | (?P<escape>  [eE]' )
    | (?P<string>  (?:[bBnNxX]|[uU]&)?' )
    | (?P<name>    (?:[uU]&)?"(?:[^"]|"")*" )
    | (?P<word>    {_START}[{_INSIDE}]* )
    | (?P<number>  0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+
                 | \d[\d_]*(?:\.\d[\d_]*|\.(?!\.))?(?:[eE][+-]?\d[\d_]*)? )
    | (?P<place>   {PLACE} )
    | (?P<open>    [(\[] )
    | (?P<close>   [)\]] )
    | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPED = re.compile(r"(?:[^'\\]|\\.|'')*+'", re.DOTALL)
_STANDARD = re.compile(r"(?:[^']|'')*+'")
_EITHER = re.compile(r"(?:[^'\\]|\\[^']|'')*+'")
"""A string that ends in one place, whether a backslash escapes a quote or not."""
_BLOCK = re.compile(r"/\*|\*/")
_BESIDE = re.compile(rf"[{_INSIDE}]{PLACE}|{PLACE}[{_INSIDE}{PLACE}]")
_JUNK = re.compile(_START)
_BLANK = frozenset({"space", "line", "block"})
_PARTNER = {")": "(", "]": "["}

HIDDEN = (
    "a placeholder stands inside a quoted string or a comment, where the server sees no parameter: "
    "take it out of the quotes"
)
NUMBERED = "a $1 of your own: parameters are named, %(name)s in the text and name=…"
NO_PARAMETER = frozenset({HIDDEN, NUMBERED})
_BESIDE_NAME = "a placeholder runs into the word or number beside it: put a space between them"
_RUNS_ON = "a number runs into the word behind it: put a space between them"
_OPEN = "a quote or comment in it does not end"
_SEMICOLON = "a semicolon stands in brackets"
_BRACKETS = "its brackets do not match"
_BACKSLASH = (
    "where a quoted string in it ends depends on standard_conforming_strings, for the backslash "
    r"before a quote: write E'\\' for '\', or make it a parameter"
)
_RETURN = "a comment in it ends at a carriage return, which not every server sees: end it with \\n"


class Token(NamedTuple):
    """A token that stands in no brackets."""

    kind: str
    text: str
    """Of a word in capitals; a quoted name is no word."""


@frozen
class Reading:
    """What a text is made of."""

    outermost: tuple[Token, ...] = ()
    """Its tokens without comments; brackets and all that they hold are one, the opening one."""
    broken: str | None = None
    """Why it is no text to send."""
    unsure: str | None = None
    """Why it may be read in two ways."""


def read(text: str) -> Reading:
    """Read SQL, with :data:`PLACE` where its parameters stand."""
    outermost: list[Token] = []
    brackets: list[str] = []
    unsure: str | None = None
    at = 0
    while at < len(text):
        start, found = at, cast("re.Match[str]", _TOKEN.match(text, at))  # any character is one
        kind, at = str(found.lastgroup), found.end()
        if kind in _ENDS:
            at, doubt = _ENDS[kind](text, found)
            unsure = unsure or doubt
        broken = _broken(kind, text, start, at, brackets)
        if broken is not None:
            return Reading(broken=broken)
        if not brackets and kind not in _BLANK and kind != "close":
            outermost.append(Token(kind, found[0].upper() if kind == "word" else found[0]))
        if kind == "open":
            brackets.append(found[0])
    if brackets:
        return Reading(broken=_BRACKETS)
    if _BESIDE.search(text):
        return Reading(broken=_BESIDE_NAME)
    return Reading(tuple(outermost), unsure=unsure)


def _broken(kind: str, text: str, start: int, end: int, brackets: list[str]) -> str | None:
    """Say what is wrong with a token; one that closes a bracket takes the one that it closes."""
    broken = None
    if end < start or (kind == "other" and text[start] in "'\""):
        broken = _OPEN
    elif kind == "close":
        matches = brackets and brackets.pop() == _PARTNER[text[start]]
        broken = None if matches else _BRACKETS
    elif kind == "other" and text[start] == ";" and brackets:
        broken = _SEMICOLON
    elif kind == "param":
        broken = NUMBERED
    elif kind == "number" and _JUNK.match(text, end):
        broken = _RUNS_ON
    elif kind != "place" and PLACE in text[start:end]:
        broken = HIDDEN
    return broken


_NEVER = -1
"""Where a quote or comment ends that does not."""
_End = tuple[int, str | None]
"""Where it ends, and why it may end elsewhere."""


def _line(text: str, found: re.Match[str]) -> _End:
    behind = text[found.end() : found.end() + 2]
    return found.end(), _RETURN if behind.startswith("\r") and behind != "\r\n" else None


def _block(text: str, found: re.Match[str]) -> _End:
    """Comments nest."""
    depth = 1
    for mark in _BLOCK.finditer(text, found.end()):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end(), None
    return _NEVER, None


def _dollar(text: str, found: re.Match[str]) -> _End:
    end = text.find(found[0], found.end())
    return (_NEVER if end < 0 else end + len(found[0])), None


def _escape(text: str, found: re.Match[str]) -> _End:
    end = _ESCAPED.match(text, found.end())
    return (_NEVER if end is None else end.end()), None


def _string(text: str, found: re.Match[str]) -> _End:
    end, either = _STANDARD.match(text, found.end()), _EITHER.match(text, found.end())
    if end is None:
        return _NEVER, None
    certain = either is not None and either.end() == end.end()
    return end.end(), None if certain else _BACKSLASH


_ENDS: Mapping[str, Callable[[str, re.Match[str]], _End]] = {
    "line": _line,
    "block": _block,
    "dollar": _dollar,
    "escape": _escape,
    "string": _string,
}
