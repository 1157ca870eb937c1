# SPDX-License-Identifier: MIT
"""Reading a statement's SQL, once per shape, to refuse what a batch cannot hold and to know where
its parts lie.

It reads tokens, not a syntax tree: a token says all that is needed here, and a grammar would refuse
valid SQL that it does not know yet.
"""

from __future__ import annotations

from itertools import pairwise

from attrs import frozen
from sqlglot import Token, TokenType
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import TokenError

from batchq.language.errors import InvalidBatch

_TRANSACTION = frozenset(
    "BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE PREPARE EXECUTE DEALLOCATE".split()
)
_DDL = frozenset(
    "CREATE ALTER DROP TRUNCATE COMMENT GRANT REVOKE REINDEX CLUSTER VACUUM REFRESH REASSIGN "
    "SECURITY IMPORT".split()
)
_VERBS = frozenset("SELECT INSERT UPDATE DELETE MERGE VALUES TABLE UPSERT".split())


@frozen
class Anatomy:
    """Where the parts of one command lie in its text."""

    verb: str
    """Its main verb in capitals; behind the common table expressions, if there are any."""
    has_ctes: bool
    main: int
    """Where the main verb starts."""
    end: int
    """Where the command ends: before a final semicolon and comments."""
    returning: bool
    """Whether the main command has a RETURNING of its own."""


def read(sql: str, parameters: int) -> Anatomy:
    """Read one command.

    :param parameters: how many parameters the text is expected to have.
    :raises InvalidBatch: for text that cannot be read, is not exactly one command, or is a command
        that a batch cannot hold: transaction control, COPY, DDL.
    """
    try:
        tokens = Postgres().tokenize(sql)
    except TokenError as error:
        message = "this SQL cannot be read: a quote or comment in it does not end"
        raise InvalidBatch(message) from error
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        message = "a statement needs a command; this one is empty"
        raise InvalidBatch(message)
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        message = "a statement is one command: split it at the semicolon and gather() the parts"
        raise InvalidBatch(message)
    main = _main(tokens)
    verb = next(
        (t.text.upper() for t in tokens[main:] if t.token_type is not TokenType.L_PAREN), ""
    )
    _refuse(verb, tokens[main:])
    _count(tokens, parameters)
    return Anatomy(
        verb=verb,
        has_ctes=main > 0,
        main=tokens[main].start,
        end=tokens[-1].end + 1,
        returning=any(t.token_type is TokenType.RETURNING for t in _outermost(tokens[main:])),
    )


def _main(tokens: list[Token]) -> int:
    """Find the main command behind ``WITH a AS (…), b AS (…)``."""
    if tokens[0].token_type is not TokenType.WITH:
        return 0
    depth = 0
    for i, token in enumerate(tokens):
        if token.token_type is TokenType.L_PAREN:
            if depth == 0 and tokens[i - 1].token_type is TokenType.R_PAREN:
                return i  # WITH a AS (…) (SELECT …)
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
        elif depth == 0 and token.text.upper() in _VERBS and token.token_type is not TokenType.VAR:
            return i
    return 0


def _outermost(tokens: list[Token]) -> list[Token]:
    """Leave out what stands in parentheses."""
    depth = 0
    kept: list[Token] = []
    for token in tokens:
        if token.token_type is TokenType.R_PAREN:
            depth -= 1
        if depth == 0:
            kept.append(token)
        if token.token_type is TokenType.L_PAREN:
            depth += 1
    return kept


def _refuse(verb: str, tokens: list[Token]) -> None:
    if verb == "SET" and any(
        token.text.upper() in ("TRANSACTION", "CHARACTERISTICS") for token in tokens
    ):
        verb = "BEGIN"
    if verb in _TRANSACTION:
        message = (
            "a statement cannot begin, end or set up a transaction: a batch is one transaction; "
            "run(isolation=, read_only=, nested=) set it up"
        )
    elif verb == "COPY":
        message = "COPY cannot be part of a pipelined batch: use psycopg's cursor.copy()"
    elif verb in _DDL:
        message = (
            f"{verb} is no part of a batch: CockroachDB would commit the transaction before it"
        )
    elif verb == "SELECT" and any(t.token_type is TokenType.INTO for t in _outermost(tokens)):
        message = "SELECT INTO creates a table, which is no part of a batch: use INSERT … SELECT"
    else:
        return
    raise InvalidBatch(message)


def _count(tokens: list[Token], parameters: int) -> None:
    """See that every placeholder is one to the server too."""
    numbers = {
        follower.text
        for token, follower in pairwise(tokens)
        if token.token_type is TokenType.PARAMETER and follower.token_type is TokenType.NUMBER
    }
    if len(numbers) < parameters:
        message = (
            "a placeholder stands inside a quoted string or a comment, where the server sees no "
            "parameter: take it out of the quotes"
        )
        raise InvalidBatch(message)
