# SPDX-License-Identifier: MIT
"""Break long SQL into lines, for people who read it.

Only the space between tokens changes, and the line breaks of the user stay. The layout is that of
common formatters: what does not fit on a line is broken at its brackets and CASEs, then at its
clauses, then at its commas.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define

from batchq.language.lexing import tokens

WIDTH = 100
_INDENT = "  "
_SHORT = 20
"""A group of at most this length is not broken."""
_CLOSES = {"(": ")", "[": "]", "CASE": "END"}
_CLAUSES = frozenset(
    "AND ELSE EXCEPT FOR FROM GROUP HAVING INTERSECT LIMIT OFFSET OR ORDER RETURNING SELECT SET "
    "UNION VALUES WHEN WHERE".split()
)
"""Words before which a group that does not fit on one line is broken."""


@define
class _Group:
    """What is between two brackets, or between CASE and END."""

    opening: str
    items: list[str | _Group]
    closing: str = ""

    @property
    def is_short(self) -> bool:
        """True if it would take more space broken than on one line."""
        return len(_flat(self.items)) <= _SHORT

    def __str__(self) -> str:
        return f"{self.opening}{_flat(self.items)}{self.closing}"


def sql_lines(sql: str) -> list[str]:
    """Return SQL in lines of at most :data:`WIDTH` characters, if it can be broken."""
    if len(sql) <= WIDTH:
        return sql.splitlines()
    return [line.rstrip() for line in "".join(_broken(_parsed(sql), "")).splitlines()]


def _parsed(sql: str) -> list[str | _Group]:
    """Return the tokens of a text, in groups."""
    open_groups = [_Group("", [])]
    for kind, token in tokens(sql):
        word = token.upper() if kind == "word" else token
        if word == _CLOSES.get(open_groups[-1].opening.upper()):
            open_groups.pop().closing = token
        elif kind == "open" or word == "CASE":
            group = _Group(token, [])
            open_groups[-1].items.append(group)
            open_groups.append(group)
        else:
            open_groups[-1].items.append(token)
    return open_groups[0].items


def _flat(items: list[str | _Group]) -> str:
    return "".join(map(str, items))


def _fits(text: str, used: int) -> bool:
    return used + len(text) <= WIDTH and "\n" not in text


def _broken(items: list[str | _Group], indent: str) -> Iterator[str]:
    """Yield the text of items, each of whose parts begins on a line of its own."""
    used = len(indent)
    for number, part in enumerate(_parts(items)):
        text = _flat(part).strip(" ")
        if number and (_begins_clause(part) or not _fits(text, used + 1)):
            yield f"\n{indent}"
            used = len(indent)
        elif number:
            yield " "
            used += 1
        if _fits(text, used):
            yield text
            used += len(text)
            continue
        for piece in _spread(part, indent):
            yield piece
            used = used + len(piece) if "\n" not in piece else len(piece) - piece.rindex("\n") - 1


def _spread(part: list[str | _Group], indent: str) -> Iterator[str]:
    """Yield a part that does not fit on one line, with its longer groups broken."""
    deeper = indent + _INDENT
    text = ""
    for item in part:
        if isinstance(item, str) or item.is_short or _fits(str(item), len(deeper) + len(text)):
            text = f"{text}{item}".lstrip(" ")
            continue
        yield f"{text}{item.opening}\n{deeper}"
        yield from _broken(item.items, deeper)
        yield f"\n{indent}"
        text = item.closing
    yield text.rstrip(" ")


def _parts(items: list[str | _Group]) -> Iterator[list[str | _Group]]:
    """Yield the items in parts: each clause, and each item of a list."""
    part: list[str | _Group] = []
    before = ""
    for item in items:
        word = item.upper() if isinstance(item, str) else ""
        begins = word in _CLAUSES and not (word == "FROM" and before == "DISTINCT")
        if _has_text(part) and (begins or part[-1] == ","):
            yield part
            part = []
        part.append(item)
        before = before if word.isspace() else word
    if _has_text(part):
        yield part


def _has_text(part: list[str | _Group]) -> bool:
    return not _flat(part).isspace() and part != []


def _begins_clause(part: list[str | _Group]) -> bool:
    word = next((item for item in part if not (isinstance(item, str) and item.isspace())), "")
    return isinstance(word, str) and word.upper() in _CLAUSES
