# SPDX-License-Identifier: MIT
"""SQL as tokens: one command, and which of its words stand outside all parentheses.

Tokens, not a syntax tree: a token says all that is needed here, and a grammar would refuse valid
SQL that it does not know yet.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from sqlglot import Token, TokenType
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import TokenError

from batchq.language.errors import InvalidBatch

L_PAREN, R_PAREN = TokenType.L_PAREN, TokenType.R_PAREN
# What stands before a word that is a name there, whatever else it may mean.
_BEFORE_NAMES = frozenset({TokenType.ALIAS, TokenType.DOT})


class _Tokenizer(Postgres.Tokenizer):
    """PostgreSQL's tokens, without sqlglot's habit of taking the rest of a command that it does not
    parse, such as CALL or EXPLAIN, for one string."""

    COMMANDS: ClassVar[set[TokenType]] = set()


def tokens_of(marked: str) -> list[Token]:
    """Read the tokens of one command, without semicolons behind it.

    :raises InvalidBatch: for text that cannot be read, or is not exactly one command.
    """
    try:
        tokens = _Tokenizer(dialect=Postgres()).tokenize(marked)
    except TokenError as error:
        message = "this SQL cannot be read: a quote or comment in it does not end"
        raise InvalidBatch(message) from error
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        message = "a statement needs a command; this one is empty"
        raise InvalidBatch(message)
    if any(
        before.token_type is TokenType.BYTE_STRING
        and token.token_type is TokenType.STRING
        and "\\" in token.text
        for before, token in pairwise(tokens)
    ):
        message = "a string E'…' goes on in a second one that has a backslash: write it as one"
        raise InvalidBatch(message)
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        message = "a statement is one command: split it at the semicolon and gather() the parts"
        raise InvalidBatch(message)
    return tokens


def outermost(tokens: list[Token]) -> list[Token]:
    """Leave out what stands in parentheses, and words that are names."""
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
    """Whether a parenthesis behind this token opens the body of a common table expression."""
    return before.token_type is TokenType.ALIAS or before.text.upper() == "MATERIALIZED"
