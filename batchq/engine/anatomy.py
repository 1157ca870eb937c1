# SPDX-License-Identifier: MIT
"""Reading a statement's SQL, once per shape, to refuse what a batch cannot hold and to know where
its parts lie.

It reads tokens, not a syntax tree: a token says all that is needed here, and a grammar would refuse
valid SQL that it does not know yet.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from attrs import frozen
from sqlglot import Token, TokenType
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import TokenError

from batchq.language.errors import InvalidBatch

_PRIVATE = range(0xE000, 0xF900)

RETURNING_VERBS = frozenset("INSERT UPDATE DELETE MERGE UPSERT".split())
VERBS_WITH_ROWS = RETURNING_VERBS | frozenset("SELECT VALUES TABLE".split())

_TRANSACTION = frozenset("BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE".split())
_PREPARED = frozenset("PREPARE EXECUTE DEALLOCATE".split())
_DDL = frozenset(
    "CREATE ALTER DROP TRUNCATE COMMENT GRANT REVOKE REINDEX CLUSTER VACUUM REFRESH REASSIGN "
    "SECURITY IMPORT".split()
)
_READING_SETTINGS = frozenset({"client_encoding", "standard_conforming_strings"})
_PLAIN_STRINGS = frozenset({TokenType.STRING, TokenType.NATIONAL_STRING})
_L_PAREN, _R_PAREN = TokenType.L_PAREN, TokenType.R_PAREN
# What stands before a word that is a name there, whatever else it may mean.
_BEFORE_NAMES = frozenset({TokenType.ALIAS, TokenType.DOT})


_READING = frozenset({TokenType.SELECT, TokenType.TABLE})


class _Tokenizer(Postgres.Tokenizer):
    """PostgreSQL's tokens, without sqlglot's habit of taking the rest of a command that it does not
    parse, such as CALL or EXPLAIN, for one string."""

    COMMANDS: ClassVar[set[TokenType]] = set()


@frozen
class Anatomy:
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
    escapes: bool
    """Whether a plain string of it holds a backslash; see :class:`Fragment`."""


@frozen
class Fragment:
    """What there is to know about a part of a command."""

    reads: bool
    """Whether it reads rows of its own."""
    escapes: bool
    """Whether a plain string of it, ``'a\\b'``, holds a backslash. It is read here as SQL has it; a
    server whose ``standard_conforming_strings`` is off reads something else."""


def mark_for(*texts: str) -> str:
    """Find a character to stand for the ``$`` of a parameter while a text is read.

    To the tokenizer ``$1,$`` begins a dollar-quoted string. One of Unicode's private use, which is
    a letter to it, and one that is in none of these texts.
    """
    return next(mark for mark in map(chr, _PRIVATE) if not any(mark in text for text in texts))


def read(marked: str, mark: str) -> Anatomy:
    """Read one command.

    :param marked: its text, with a mark for the ``$`` of each parameter.
    :raises InvalidBatch: for text that cannot be read, is not exactly one command, or is a command
        that a batch cannot hold: transaction control, COPY, DDL.
    """
    tokens = _tokens(marked)
    main = _main(tokens)
    verb = next((t.text.upper() for t in tokens[main:] if t.token_type is not _L_PAREN), "")
    outermost = _outermost(tokens[main:])
    _refuse(verb, tokens[main:])
    _check_parameters(tokens, marked, mark)
    return Anatomy(
        verb=verb,
        ctes=tokens[main - 1].end + 1 if main else 0,
        main=tokens[main].start,
        end=tokens[-1].end + 1,
        returning=any(token.token_type is TokenType.RETURNING for token in outermost),
        writes=verb in RETURNING_VERBS or any(_opens_write(*pair) for pair in pairwise(tokens)),
        reads=_reads(tokens, verb) or _joins(outermost, verb, _names(tokens[:main])),
        escapes=_escapes(tokens),
    )


def read_fragment(marked: str, mark: str) -> Fragment:
    """Read a fragment that stands outside the command.

    :raises InvalidBatch: for text that cannot be read, or that no command could hold.
    """
    tokens = _tokens(marked)
    _check_parameters(tokens, marked, mark)
    return Fragment(_reads(tokens, ""), _escapes(tokens))


def _escapes(tokens: list[Token]) -> bool:
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
    return before.token_type is _L_PAREN and not named and token.text.upper() in RETURNING_VERBS


def _tokens(marked: str) -> list[Token]:
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


def _main(tokens: list[Token]) -> int:
    """Find the main command behind ``WITH a AS (…), b AS MATERIALIZED (…)``.

    It begins behind the parenthesis that closes a body and is followed by no comma, SEARCH or
    CYCLE; a body is what ``AS`` opens.
    """
    if tokens[0].token_type is not TokenType.WITH:
        return 0
    depth, in_body, searching = 0, False, False
    for i, token in enumerate(tokens):
        if token.token_type is _L_PAREN:
            depth += 1
            if depth == 1 and _opens_body(tokens[i - 1]):
                in_body, searching = True, False
        elif token.token_type is _R_PAREN:
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


def _opens_body(before: Token) -> bool:
    return before.token_type is TokenType.ALIAS or before.text.upper() == "MATERIALIZED"


def _outermost(tokens: list[Token]) -> list[Token]:
    """Leave out what stands in parentheses, and words that are names."""
    depth, before = 0, None
    kept: list[Token] = []
    for token in tokens:
        if token.token_type is _R_PAREN:
            depth -= 1
        if depth == 0 and before not in _BEFORE_NAMES:
            kept.append(token)
        if token.token_type is _L_PAREN:
            depth += 1
        before = token.token_type
    return kept


def _refuse(verb: str, tokens: list[Token]) -> None:
    """Refuse a command that cannot be part of a batch, and say what to do instead."""
    sets_up = verb in ("SET", "PREPARE") and any(
        token.text.upper().startswith("TRANSACTION") for token in tokens
    )
    if verb in _TRANSACTION or sets_up:
        message = (
            "a statement cannot begin, end or set up a transaction: a batch is one transaction; "
            "run(isolation=, read_only=, nested=) set it up"
        )
    elif _sets_reading(verb, tokens):
        message = (
            "a batch is encoded and read before it is sent, under the settings of its connection: "
            "set client_encoding and standard_conforming_strings there, not in a statement"
        )
    elif verb in _PREPARED:
        message = f"{verb} is not needed: batchq prepares repeated statements by itself"
    elif verb == "COPY":
        message = "COPY cannot be part of a pipelined batch: use psycopg's cursor.copy()"
    elif verb in _DDL:
        message = f"{verb} is no part of a batch: CockroachDB commits the transaction before it"
    elif verb == "SELECT" and _selects_into(tokens):
        message = "SELECT INTO creates a table, which is no part of a batch: use INSERT … SELECT"
    else:
        return
    raise InvalidBatch(message)


def _sets_reading(verb: str, tokens: list[Token]) -> bool:
    """Whether it changes what the bytes of the statements behind it mean."""
    words = [token.text.lower() for token in tokens]
    if verb in ("SET", "RESET"):
        return not _READING_SETTINGS.isdisjoint(words[1:3]) or "names" in words[1:3]
    return any(
        before == ["set_config", "("] and setting in _READING_SETTINGS
        for before, setting in zip(map(list, pairwise(words)), words[2:], strict=False)
    )


def _selects_into(tokens: list[Token]) -> bool:
    while tokens and tokens[0].token_type is _L_PAREN:
        tokens = tokens[1:]
    return any(token.token_type is TokenType.INTO for token in _outermost(tokens))
