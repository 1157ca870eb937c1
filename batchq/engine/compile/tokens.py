# SPDX-License-Identifier: MIT
"""Tokenize the SQL of one command, and select the tokens outside all parentheses.

Tokens suffice here, and a syntax tree is not used: a grammar would reject valid SQL that it does
not know yet.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from sqlglot import Token, TokenType
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import TokenError

from batchq.language.errors import InvalidBatch

L_PAREN, R_PAREN = TokenType.L_PAREN, TokenType.R_PAREN
# After one of these a word is a name, also if it is a keyword elsewhere.
_BEFORE_NAMES = frozenset({TokenType.ALIAS, TokenType.DOT})


class _Tokenizer(Postgres.Tokenizer):
    """PostgreSQL's tokenizer, which also tokenizes commands that sqlglot does not parse.

    By default sqlglot reads the rest of such a command, CALL or EXPLAIN, as one string.
    """

    COMMANDS: ClassVar[set[TokenType]] = set()


def tokens_of(marked: str) -> list[Token]:
    """Return the tokens of one command, without semicolons after it.

    :raises InvalidBatch: for text that cannot be tokenized, or is not exactly one command.
    """
    try:
        tokens = _Tokenizer(dialect=Postgres()).tokenize(marked)
    except TokenError as error:
        message = "the SQL has a quote or a comment without an end; close it"
        raise InvalidBatch(message) from error
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        message = "the statement is empty; write one command"
        raise InvalidBatch(message)
    if any(
        before.token_type is TokenType.BYTE_STRING
        and token.token_type is TokenType.STRING
        and "\\" in token.text
        for before, token in pairwise(tokens)
    ):
        message = "a string E'…' continues in a second one with a backslash; write it as one string"
        raise InvalidBatch(message)
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        message = "the statement has several commands; split it at the semicolon and gather() them"
        raise InvalidBatch(message)
    return tokens


def outermost(tokens: list[Token]) -> list[Token]:
    """Return the tokens outside all parentheses, without words that are names."""
    depth, before = 0, None
    kept: list[Token] = []
    for token in tokens:
        if token.token_type is R_PAREN:
            depth -= 1
        if depth == 0 and before not in _BEFORE_NAMES:
            kept.append(token)
        if token.token_type is L_PAREN:
            depth += 1
        before = token.token_type
    return kept


def opens_cte_body(before: Token) -> bool:
    """Return whether a parenthesis after this token opens the body of a common table expression."""
    return before.token_type is TokenType.ALIAS or before.text.upper() == "MATERIALIZED"
