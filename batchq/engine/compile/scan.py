# SPDX-License-Identifier: MIT
"""Scan a statement's SQL, once per shape: reject commands a batch cannot hold, find its parts.

A guard is written around the main command, so the scan has to find where that begins and ends.
"""

from __future__ import annotations

from itertools import pairwise

from sqlglot import Token, TokenType

from batchq.engine.compile.forbidden import check_command, check_settings
from batchq.engine.compile.numbering import MARK
from batchq.engine.compile.spans import RETURNING_VERBS, VERBS_WITH_ROWS, CommandSpans, Fragment
from batchq.engine.compile.tokens import L_PAREN, R_PAREN, opens_cte_body, outermost, tokens_of
from batchq.language.errors import InvalidBatch
from batchq.language.lexing import HIDDEN, NUMBERED

_PRIVATE = range(0xE000, 0xF900)

_PLAIN_STRINGS = frozenset({TokenType.STRING, TokenType.NATIONAL_STRING})
_READING = frozenset({TokenType.SELECT, TokenType.TABLE})


def scan(sql: str) -> CommandSpans:
    """Scan one command.

    :param sql: its text, with :data:`MARK` for the ``$`` of each parameter.
    :raises InvalidBatch: for text that cannot be scanned, is not exactly one command, or is a
        command that a batch cannot hold, such as COPY or DDL.
    """
    mark = _mark_for(sql)
    marked = sql.replace(MARK, mark)
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


def scan_fragment(sql: str) -> Fragment:
    """Scan a fragment outside the command.

    :raises InvalidBatch: for text that cannot be scanned, or that a batch cannot hold.
    """
    mark = _mark_for(sql)
    marked = sql.replace(MARK, mark)
    tokens = tokens_of(marked)
    check_settings(tokens)
    _check_parameters(tokens, marked, mark)
    return Fragment(_reads(tokens, ""), _has_backslash(tokens))


def _mark_for(sql: str) -> str:
    """Return a character that stands for :data:`MARK`; a tokenizer may end at a NUL.

    The character is of Unicode's private use area, which the tokenizer reads as a letter, and is
    not in the text. To the tokenizer ``$1,$`` would begin a dollar-quoted string.
    """
    return next(mark for mark in map(chr, _PRIVATE) if mark not in sql)


def _has_backslash(tokens: list[Token]) -> bool:
    return any(token.token_type in _PLAIN_STRINGS and "\\" in token.text for token in tokens)


def _check_parameters(tokens: list[Token], marked: str, mark: str) -> None:
    if any(t.token_type is TokenType.PARAMETER and t.text == "$" for t in tokens):
        raise InvalidBatch(NUMBERED)
    parameters = sum(t.token_type is TokenType.VAR and t.text.startswith(mark) for t in tokens)
    if parameters < marked.count(mark):
        raise InvalidBatch(HIDDEN)


def _reads(tokens: list[Token], verb: str) -> bool:
    """Return whether there is a SELECT or TABLE besides the main command's."""
    queries = sum(token.token_type in _READING for token in tokens)
    return queries > (verb in ("SELECT", "TABLE"))


def _joins(outermost: list[Token], verb: str, own: set[str]) -> bool:
    """Return whether a write reads another table; its own common table expressions do not count."""
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
    """Return the words before each ``AS``, which include the names of common table expressions."""
    return {before.text for before, token in pairwise(ctes) if token.token_type is TokenType.ALIAS}


def _opens_write(before: Token, token: Token) -> bool:
    named = token.token_type is TokenType.IDENTIFIER
    return before.token_type is L_PAREN and not named and token.text.upper() in RETURNING_VERBS


def _main(tokens: list[Token]) -> int:
    """Return the index of the main command after ``WITH a AS (…), b AS MATERIALIZED (…)``.

    It begins after the parenthesis that closes a body, unless a comma, SEARCH or CYCLE follows. A
    body is the parenthesis after ``AS``.
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
