# SPDX-License-Identifier: MIT
"""Check that quotes, comments and brackets are closed in SQL written by users.

batchq puts SQL around that text. A bracket, quote or comment that is not closed, or a bracket that
is not opened, would change the meaning of the SQL around it. So each text is scanned once by the
rules of PostgreSQL's lexer (PostgreSQL documentation, "Lexical Structure"). Text whose meaning
depends on a setting or on the server's version is reported as ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, cast

from attrs import frozen

PLACE = "\0"
"""Marks a parameter while the text is scanned: SQL cannot contain a NUL."""

# Everything but some ASCII characters: a range up to the last character compiles a hundred times
# slower, and this file is part of every import.
_START = r"[^\x00-@\[-^`{-\x7f]"  # a letter, _, or not ASCII
_INSIDE = r"[^\x00-#%-/:-@\[-^`{-\x7f]"  # likewise, or a digit, or $
_IN_TAG = r"[^\x00-/:-@\[-^`{-\x7f]"  # likewise, without $
_TOKEN = re.compile(
    rf"""
      (?P<space>   \s+ )
    | (?P<line>    --[^\n\r]* )
    | (?P<block>   /\* )
    | (?P<dollar>  \$(?:{_START}{_IN_TAG}*)?\$ )
    | (?P<param>   \$\d+ )
    | (?P<escape>  [eE]' )
    | (?P<string>  (?:[bBnNxX]|[uU]&)?' )
    | (?P<name>    (?:[uU]&)?"(?:[^"]|"")*" )
    | (?P<word>    {_START}{_INSIDE}* )
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
"""A string that ends at the same place whether or not a backslash escapes a quote."""
_BLOCK = re.compile(r"/\*|\*/")
_BESIDE = re.compile(rf"{_INSIDE}{PLACE}|{PLACE}(?:{_INSIDE}|{PLACE})")
_JUNK = re.compile(_START)
_BLANK = frozenset({"space", "line", "block"})
_PARTNER = {")": "(", "]": "["}

HIDDEN = (
    "a placeholder is inside a quoted string or a comment, where the server sees no parameter; "
    "move it out of the quotes"
)
NUMBERED = "a numbered parameter, $1; write %(name)s and pass name=…"
NO_PARAMETER = frozenset({HIDDEN, NUMBERED})
_BESIDE_NAME = "a placeholder touches the word or number next to it; put a space between them"
_RUNS_ON = "a number touches the word after it; put a space between them"
_OPEN = "a quote or comment is not closed"
_SEMICOLON = "a semicolon is inside brackets"
_BRACKETS = "its brackets do not match"
_BACKSLASH = (
    "the end of a string depends on standard_conforming_strings, because of a backslash before a "
    r"quote; write E'\\' for '\', or use a parameter"
)
_RETURN = "a comment ends at a carriage return, which not every server recognizes; end it with \\n"


class Token(NamedTuple):
    """A token outside brackets."""

    kind: str
    text: str
    """The text of the token; a word is in upper case. A quoted name is not a word."""


@frozen
class Reading:
    """The result of scanning a text."""

    outermost: tuple[Token, ...] = ()
    """The tokens outside brackets, without comments. The opening bracket stands for its content."""
    broken: str | None = None
    """Why the text cannot be sent; None if it can."""
    unsure: str | None = None
    """Why the meaning of the text is ambiguous; None if it is not."""


def tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of each token, spaces and comments included."""
    at = 0
    while at < len(text):
        start, token = at, cast("re.Match[str]", _TOKEN.match(text, at))  # any character is a token
        kind, at = str(token.lastgroup), token.end()
        if kind in _ENDS:
            at, _ = _ENDS[kind](text, token)
            at = len(text) if at == _NEVER else at
        yield kind, text[start:at]


def read(text: str) -> Reading:
    """Scan SQL in which each parameter is replaced by :data:`PLACE`."""
    outermost: list[Token] = []
    brackets: list[str] = []
    unsure: str | None = None
    at = 0
    while at < len(text):
        start, token = at, cast("re.Match[str]", _TOKEN.match(text, at))  # any character is a token
        kind, at = str(token.lastgroup), token.end()
        if kind in _ENDS:
            at, doubt = _ENDS[kind](text, token)
            unsure = unsure or doubt
        broken = _broken(kind, text, start, at, brackets)
        if broken is not None:
            return Reading(broken=broken)
        if not brackets and kind not in _BLANK and kind != "close":
            outermost.append(Token(kind, token[0].upper() if kind == "word" else token[0]))
        if kind == "open":
            brackets.append(token[0])
    if brackets:
        return Reading(broken=_BRACKETS)
    if _BESIDE.search(text):
        return Reading(broken=_BESIDE_NAME)
    return Reading(tuple(outermost), unsure=unsure)


def _broken(kind: str, text: str, start: int, end: int, brackets: list[str]) -> str | None:
    """Return what is wrong with a token; remove the opening bracket that it closes."""
    broken = None
    if end < start or (kind == "other" and text[start] in "'\""):
        broken = _OPEN
    elif kind == "close":
        is_pair = brackets and brackets.pop() == _PARTNER[text[start]]
        broken = None if is_pair else _BRACKETS
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
"""The end of a quote or comment that is not closed."""
_End = tuple[int, str | None]
"""The end of a token, and why it is ambiguous; None if it is not."""


def _line(text: str, opening: re.Match[str]) -> _End:
    following = text[opening.end() : opening.end() + 2]
    is_return = following.startswith("\r") and following != "\r\n"
    return opening.end(), _RETURN if is_return else None


def _block(text: str, opening: re.Match[str]) -> _End:
    """Return the end of a comment; comments nest."""
    depth = 1
    for mark in _BLOCK.finditer(text, opening.end()):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end(), None
    return _NEVER, None


def _dollar(text: str, opening: re.Match[str]) -> _End:
    end = text.find(opening[0], opening.end())
    return (_NEVER if end < 0 else end + len(opening[0])), None


def _escape(text: str, opening: re.Match[str]) -> _End:
    end = _ESCAPED.match(text, opening.end())
    return (_NEVER if end is None else end.end()), None


def _string(text: str, opening: re.Match[str]) -> _End:
    end, either = _STANDARD.match(text, opening.end()), _EITHER.match(text, opening.end())
    if end is None:
        return _NEVER, None
    is_certain = either is not None and either.end() == end.end()
    return end.end(), None if is_certain else _BACKSLASH


_ENDS: Mapping[str, Callable[[str, re.Match[str]], _End]] = {
    "line": _line,
    "block": _block,
    "dollar": _dollar,
    "escape": _escape,
    "string": _string,
}
