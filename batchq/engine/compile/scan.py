# SPDX-License-Identifier: MIT
"""Reading a statement's SQL, once per shape, to refuse what a batch cannot hold and to know where
its parts lie.
"""

from __future__ import annotations

from itertools import pairwise

from attrs import frozen
from sqlglot import Token, TokenType

from batchq.engine.compile.forbidden import check_command, check_settings
from batchq.engine.compile.tokens import L_PAREN, R_PAREN, opens_cte_body, outermost, tokens_of
from batchq.language.errors import InvalidBatch

_PRIVATE = range(0xE000, 0xF900)

RETURNING_VERBS = frozenset("INSERT UPDATE DELETE MERGE UPSERT".split())
VERBS_WITH_ROWS = RETURNING_VERBS | frozenset("SELECT VALUES TABLE".split())

_PLAIN_STRINGS = frozenset({TokenType.STRING, TokenType.NATIONAL_STRING})
_READING = frozenset({TokenType.SELECT, TokenType.TABLE})


@frozen
class CommandSpans:
    """Where the parts of one command lie in its text."""

    verb: str
    """Its main verb in capitals; behind the common table expressions, if there are any."""
    ctes: int
    """Where the common table expressions end; 0 when there are none."""
    main: int
    """Where the main command starts."""
    end: int
    """Where the command ends: before a final semicolon and comments."""
    returning: bool
    """Whether the main command has a RETURNING of its own."""
    writes: bool
    """Whether it writes, its common table expressions included."""
    reads: bool
    """Whether it reads other rows than those that the main command is about."""
    has_backslash: bool
    """Whether a plain string of it holds a backslash; see :class:`Fragment`."""


@frozen
class Fragment:
    """What there is to know about a part of a command."""

    reads: bool
    """Whether it reads rows of its own."""
    has_backslash: bool
    """Whether a plain string of it, ``'a\\b'``, holds a backslash. It is read here as SQL has it; a
    server whose ``standard_conforming_strings`` is off reads something else."""


def mark_for(*texts: str) -> str:
    """Find a character to stand for the ``$`` of a parameter while a text is read.

    To the tokenizer ``$1,$`` begins a dollar-quoted string. One of Unicode's private use, which is
    a letter to it, and one that is in none of these texts.
    """
    return next(mark for mark in map(chr, _PRIVATE) if not any(mark in text for text in texts))


def scan(marked: str, mark: str) -> CommandSpans:
    """Read one command.

    :param marked: its text, with a mark for the ``$`` of each parameter.
    :raises InvalidBatch: for text that cannot be read, is not exactly one command, or is a command
        that a batch cannot hold: transaction control, COPY, DDL, what runs in no transaction.
    """
    tokens = tokens_of(marked)
    main = _main(tokens)
    verb = next((t.text.upper() for t in tokens[main:] if t.token_type is not L_PAREN), "")
    outer = outermost(tokens[main:])
    check_command(verb, tokens, main)
    _check_parameters(tokens, marked, mark)
    return CommandSpans(
        verb=verb,
        ctes=tokens[main - 1].end + 1 if main else 0,
        main=tokens[main].start,
        end=tokens[-1].end + 1,
        returning=any(token.token_type is TokenType.RETURNING for token in outer),
        writes=verb in RETURNING_VERBS or any(_opens_write(*pair) for pair in pairwise(tokens)),
        reads=_reads(tokens, verb) or _joins(outer, verb, _names(tokens[:main])),
        has_backslash=_has_backslash(tokens),
    )


def scan_fragment(marked: str, mark: str) -> Fragment:
    """Read a fragment that stands outside the command.

    :raises InvalidBatch: for text that cannot be read, or that no command could hold.
    """
    tokens = tokens_of(marked)
    check_settings(tokens)
    _check_parameters(tokens, marked, mark)
    return Fragment(_reads(tokens, ""), _has_backslash(tokens))


def _has_backslash(tokens: list[Token]) -> bool:
    return any(token.token_type in _PLAIN_STRINGS and "\\" in token.text for token in tokens)


def _check_parameters(tokens: list[Token], marked: str, mark: str) -> None:
    if any(t.token_type is TokenType.PARAMETER and t.text == "$" for t in tokens):
        message = "a $1 of your own: parameters are named, %(name)s in the text and name=…"
        raise InvalidBatch(message)
    seen = sum(t.token_type is TokenType.VAR and t.text.startswith(mark) for t in tokens)
    if seen < marked.count(mark):
        message = (
            "a placeholder stands inside a quoted string or a comment, where the server sees no "
            "parameter: take it out of the quotes"
        )
        raise InvalidBatch(message)


def _reads(tokens: list[Token], verb: str) -> bool:
    """Whether there is a SELECT or TABLE besides the main command's own."""
    seen = sum(token.token_type in _READING for token in tokens)
    return seen > (verb in ("SELECT", "TABLE"))


def _joins(outermost: list[Token], verb: str, own: set[str]) -> bool:
    """Whether a write takes other rows beside its own, but for those of its own expressions."""
    if verb == "MERGE":
        return True
    joining = {"UPDATE": TokenType.FROM, "DELETE": TokenType.USING}.get(verb)
    return any(
        token.token_type is joining
        and before.token_type is not TokenType.DISTINCT
        and after.text not in own
        for before, token, after in zip(outermost, outermost[1:], outermost[2:], strict=False)
    )


def _names(ctes: list[Token]) -> set[str]:
    """What stands before each ``AS``, which the names of common table expressions are among."""
    return {before.text for before, token in pairwise(ctes) if token.token_type is TokenType.ALIAS}


def _opens_write(before: Token, token: Token) -> bool:
    named = token.token_type is TokenType.IDENTIFIER
    return before.token_type is L_PAREN and not named and token.text.upper() in RETURNING_VERBS


def _main(tokens: list[Token]) -> int:
    """Find the main command behind ``WITH a AS (…), b AS MATERIALIZED (…)``.

    It begins behind the parenthesis that closes a body and is followed by no comma, SEARCH or
    CYCLE; a body is what ``AS`` opens.
    """
    if tokens[0].token_type is not TokenType.WITH:
        return 0
    depth, in_body, searching = 0, False, False
    for i, token in enumerate(tokens):
        if token.token_type is L_PAREN:
            depth += 1
            if depth == 1 and opens_cte_body(tokens[i - 1]):
                in_body, searching = True, False
        elif token.token_type is R_PAREN:
            depth -= 1
            if depth == 0 and in_body:
                in_body = False
                follower = tokens[i + 1] if i + 1 < len(tokens) else token
                searching = follower.text.upper() in ("SEARCH", "CYCLE")
                if not searching and follower.token_type is not TokenType.COMMA:
                    return min(i + 1, len(tokens) - 1)
        elif searching and depth == 0 and token.text.upper() in VERBS_WITH_ROWS:
            return i
    return 0
