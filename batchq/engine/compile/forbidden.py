# SPDX-License-Identifier: MIT
"""Commands that a batch cannot hold, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import Token, TokenType

from batchq.engine.compile.tokens import L_PAREN, R_PAREN, opens_cte_body, outermost
from batchq.language.errors import InvalidBatch

_TRANSACTION = frozenset("BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE".split())
_PREPARED = frozenset("PREPARE EXECUTE DEALLOCATE".split())
_DDL = frozenset(
    "CREATE ALTER DROP TRUNCATE COMMENT GRANT REVOKE REINDEX CLUSTER REFRESH REASSIGN "
    "SECURITY IMPORT".split()
)
_ALONE = frozenset(
    "BACKUP RESTORE EXPORT INSPECT CHANGEFEED EXPERIMENTAL SCRUB PAUSE RESUME CANCEL "
    "WAIT REPACK VACUUM".split()
)
"""What a server runs by itself: jobs and whole clusters on CockroachDB (its documentation, "SQL
Statements"), VACUUM on PostgreSQL, WAIT FOR and REPACK on its version 19. In a transaction it is
refused, or it is done at once and no rollback undoes it."""
_SETTING = frozenset({"SET", "RESET"})
_READING_SETTINGS = frozenset({"client_encoding", "standard_conforming_strings"})
_READING = _READING_SETTINGS | {"names"}
_SET_ELSEWHERE = (
    "a batch is encoded and read before it is sent, under the settings of its connection: set "
    "client_encoding and standard_conforming_strings there, not in a statement"
)
_SOURCES = frozenset({TokenType.FROM, TokenType.JOIN})


def check_command(verb: str, tokens: list[Token], main: int) -> None:
    """Refuse a command that cannot be part of a batch.

    :param verb: of its main command, in capitals.
    :param main: where the main command begins among its tokens.
    :raises InvalidBatch: for transaction control, COPY, DDL, and what runs in no transaction; also
        where such a command stands inside another one.
    """
    for inner in _statements_inside(tokens, main):
        _refuse(inner.text.upper(), [inner])
    _refuse(verb, tokens[main:])
    check_settings(tokens)


def check_settings(tokens: list[Token]) -> None:
    """Refuse a call that changes, or may change, what the bytes of the batch mean.

    :raises InvalidBatch: for ``set_config`` of such a setting, or of one that is not written out.
    """
    for before, token, name, after in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if before.text.lower() != "set_config" or token.token_type is not L_PAREN:
            continue
        plain = name.token_type is TokenType.STRING and after.token_type is TokenType.COMMA
        if not plain:
            message = (
                "which setting set_config() changes has to be written out: set_config('name', …)"
            )
            raise InvalidBatch(message)
        if name.text.lower() in _READING_SETTINGS:
            raise InvalidBatch(_SET_ELSEWHERE)


def _refuse(verb: str, tokens: list[Token]) -> None:
    sets_up = verb in ("SET", "PREPARE") and any(
        token.text.upper().startswith("TRANSACTION") for token in tokens
    )
    if verb in _TRANSACTION or sets_up:
        message = (
            "a statement cannot begin, end or set up a transaction: a batch is one transaction; "
            "run(isolation=, read_only=, nested=) set it up"
        )
    elif _sets_reading(verb, tokens):
        message = _SET_ELSEWHERE
    elif verb in _PREPARED:
        message = f"{verb} is not needed: batchq prepares repeated statements by itself"
    elif verb == "COPY":
        message = "COPY cannot be part of a pipelined batch: use psycopg's cursor.copy()"
    elif verb in _DDL:
        message = (
            f"{verb} is no part of a batch, on either server: CockroachDB would commit the "
            f"transaction before it. Run it by itself"
        )
    elif verb in _ALONE or _of_a_whole_server(verb, tokens):
        what = verb if verb in _ALONE else " ".join(token.text.upper() for token in tokens[:3])
        message = f"{what} is no part of a batch: it runs in no transaction, and nothing undoes it"
    elif verb == "SELECT" and _selects_into(tokens):
        message = "SELECT INTO creates a table, which is no part of a batch: use INSERT … SELECT"
    else:
        return
    raise InvalidBatch(message)


def _of_a_whole_server(verb: str, tokens: list[Token]) -> bool:
    """Whether it is about more than this session: ``SET CLUSTER SETTING``, ``DISCARD ALL``."""
    words = [token.text.upper() for token in tokens[1:3]]
    return (verb in _SETTING and words == ["CLUSTER", "SETTING"]) or (
        verb == "DISCARD" and words == ["ALL"]
    )


def _statements_inside(tokens: list[Token], main: int) -> Iterator[Token]:
    """Find how other statements begin: the bodies of a WITH, and ``FROM [ … ]`` on CockroachDB,
    both of which take any statement there."""
    depth = 0
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if token.token_type is L_PAREN:
            depth += 1
            if depth == 1 and token.start < tokens[main].start and opens_cte_body(before):
                yield after
        elif token.token_type is R_PAREN:
            depth -= 1
        elif token.token_type is TokenType.L_BRACKET and before.token_type in _SOURCES:
            yield after


def _sets_reading(verb: str, tokens: list[Token]) -> bool:
    """Whether it changes what the bytes of the statements behind it mean.

    ``RESET ALL`` is among it, which ends the batch's own settings too: its ``timeout=``, and what
    an output has put there. What a function does, nobody sees here.
    """
    words = [token.text.lower() for token in tokens]
    match verb:
        case "SET" | "RESET":
            return not _READING.isdisjoint(words[1:3]) or (verb, words[1:]) == ("RESET", ["all"])
        case "UPDATE":  # a rule makes it a set_config() of each row
            return "pg_settings" in words[1:5]
        case "DO":
            return any(name in word for word in words for name in _READING_SETTINGS)
        case _:
            return False


def _selects_into(tokens: list[Token]) -> bool:
    while tokens and tokens[0].token_type is L_PAREN:
        tokens = tokens[1:]
    return any(token.token_type is TokenType.INTO for token in outermost(tokens))
