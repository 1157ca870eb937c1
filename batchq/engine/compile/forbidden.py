# SPDX-License-Identifier: MIT
"""Reject commands that a batch cannot hold, with what to do instead.

A batch is one transaction in one pipeline, encoded before it is sent. A command that ends the
transaction, leaves it, or changes how bytes are read would break that without an error.
"""

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
"""Commands that run outside a transaction: those on jobs and clusters on CockroachDB (its
documentation, "SQL Statements"), VACUUM on PostgreSQL, WAIT FOR and REPACK on version 19. Within a
transaction the server rejects them, or runs them at once and does not roll them back."""
_SETTING = frozenset({"SET", "RESET"})
_ENCODING_SETTINGS = frozenset({"client_encoding", "standard_conforming_strings"})
_READING = _ENCODING_SETTINGS | {"names"}
_SET_ELSEWHERE = (
    "a statement cannot set client_encoding or standard_conforming_strings, because a batch is "
    "encoded under the settings of its connection; set them on the connection"
)
_SOURCES = frozenset({TokenType.FROM, TokenType.JOIN})


def check_command(verb: str, tokens: list[Token], main: int) -> None:
    """Reject a command that cannot be part of a batch.

    :param verb: the verb of the main command, in capitals.
    :param main: the index of the main command's first token.
    :raises InvalidBatch: for transaction control, COPY, DDL, and commands that run outside a
        transaction; also if such a command is inside another one.
    """
    for inner in _inner_statements(tokens, main):
        _check_verb(inner.text.upper(), [inner])
    _check_verb(verb, tokens[main:])
    check_settings(tokens)


def check_settings(tokens: list[Token]) -> None:
    """Reject a call that changes, or may change, how the server reads the bytes of the batch.

    :raises InvalidBatch: for ``set_config`` of such a setting, or of one that is not a literal.
    """
    for before, token, name, after in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if before.text.lower() != "set_config" or token.token_type is not L_PAREN:
            continue
        literal = name.token_type is TokenType.STRING and after.token_type is TokenType.COMMA
        if not literal:
            message = (
                "set_config(): the setting's name is not a literal; write set_config('name', …)"
            )
            raise InvalidBatch(message)
        if name.text.lower() in _ENCODING_SETTINGS:
            raise InvalidBatch(_SET_ELSEWHERE)


def _check_verb(verb: str, tokens: list[Token]) -> None:
    sets_up = verb in ("SET", "PREPARE") and any(
        token.text.upper().startswith("TRANSACTION") for token in tokens
    )
    if verb in _TRANSACTION or sets_up:
        message = (
            "a statement cannot begin, end or set up a transaction, because a batch is one; "
            "use run(isolation=, read_only=, nested=)"
        )
    elif _sets_encoding(verb, tokens):
        message = _SET_ELSEWHERE
    elif verb in _PREPARED:
        message = f"{verb} cannot be part of a batch; batchq prepares repeated statements itself"
    elif verb == "COPY":
        message = "COPY cannot be part of a pipelined batch; use psycopg's cursor.copy()"
    elif verb in _DDL:
        message = (
            f"{verb} cannot be part of a batch, because CockroachDB would commit the transaction "
            "before it; run it by itself"
        )
    elif verb in _ALONE or _is_server_wide(verb, tokens):
        command = verb if verb in _ALONE else " ".join(t.text.upper() for t in tokens[:3])
        message = (
            f"{command} cannot be part of a batch, because it runs outside a transaction; "
            "run it by itself"
        )
    elif verb == "SELECT" and _selects_into(tokens):
        message = "SELECT INTO creates a table, and cannot be part of a batch; use INSERT … SELECT"
    else:
        return
    raise InvalidBatch(message)


def _is_server_wide(verb: str, tokens: list[Token]) -> bool:
    """Return True for ``SET CLUSTER SETTING`` and ``DISCARD ALL``."""
    words = [token.text.upper() for token in tokens[1:3]]
    return (verb in _SETTING and words == ["CLUSTER", "SETTING"]) or (
        verb == "DISCARD" and words == ["ALL"]
    )


def _inner_statements(tokens: list[Token], main: int) -> Iterator[Token]:
    """Yield the first token of each statement inside a WITH or a ``FROM [ … ]`` of CockroachDB."""
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


def _sets_encoding(verb: str, tokens: list[Token]) -> bool:
    """Return whether a command changes how the server reads the bytes of later statements.

    ``RESET ALL`` does. It also resets the batch's own settings: its ``timeout=``, and the outputs.
    The effect of a function call is not known here.
    """
    words = [token.text.lower() for token in tokens]
    match verb:
        case "SET" | "RESET":
            return not _READING.isdisjoint(words[1:3]) or (verb, words[1:]) == ("RESET", ["all"])
        case "UPDATE":  # a rule of pg_settings calls set_config() for each row
            return "pg_settings" in words[1:5]
        case "DO":
            return any(name in word for word in words for name in _ENCODING_SETTINGS)
        case _:
            return False


def _selects_into(tokens: list[Token]) -> bool:
    while tokens and tokens[0].token_type is L_PAREN:
        tokens = tokens[1:]
    return any(token.token_type is TokenType.INTO for token in outermost(tokens))
