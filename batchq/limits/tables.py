# SPDX-License-Identifier: MIT
"""Define the two tables of limits, counters and ledger: their DDL, and checks of their values.

The CHECK is not on ``lim``: if a limit is set below the current use, a release would violate it,
since the rest may still exceed the limit. It is on ``ceiling``, which is always the greater of
``lim`` and ``used``, and so decreases with each release. Unlimited is the maximum of bigint and not
NULL, because ``greatest(NULL, 5)`` is 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args
from uuid import UUID

from attrs import evolve

from batchq.engine.client_encoding import codec
from batchq.engine.compile.quoting import derived, identifier, quoted
from batchq.engine.dialects import COCKROACHDB, dialect_of
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.spelling import with_article
from batchq.language.validation import is_text

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection

C = TypeVar("C")

DialectName = Literal["postgresql", "cockroachdb"]

UNLIMITED = (1 << 63) - 1
"""Maximum of bigint."""

Scope = UUID | Parameter
"""A scope; a parameter in a declaration stands for one."""
Scopes = Scope | Iterable[Scope]
"""One scope, or several (a project, its silo, the fleet), each with a limit of its own."""

_COUNTERS = """\
CREATE TABLE IF NOT EXISTS {table} (
    scope_id uuid NOT NULL,
    resource text NOT NULL,
    used bigint NOT NULL DEFAULT 0,
    lim bigint NOT NULL DEFAULT {unlimited},
    ceiling bigint NOT NULL DEFAULT {unlimited},
    CONSTRAINT {pkey} PRIMARY KEY (scope_id, resource),
    CONSTRAINT {exceeded} CHECK (used <= ceiling),
    CONSTRAINT {negative} CHECK (used >= 0),
    CONSTRAINT {ceiling} CHECK (ceiling >= lim)
)"""

# The scope is first in the key: a recount reads one scope, everything else reads one key.
_LEDGER = """\
CREATE TABLE IF NOT EXISTS {ledger} (
    scope_id uuid NOT NULL,
    resource text NOT NULL,
    resource_id uuid NOT NULL,
    n bigint NOT NULL,
    CONSTRAINT {pkey} PRIMARY KEY (scope_id, resource, resource_id),
    CONSTRAINT {positive} CHECK (n > 0)
)"""

_HALF_FULL = " WITH (fillfactor = 50)"
"""Leave space in each page for a new row version, so that an update changes no index (HOT)."""


def ddl(table: str, ledger: str, dialect: DialectName) -> tuple[str, ...]:
    """Return the DDL of both tables.

    :raises InvalidBatch: for the name of another dialect.
    """
    if dialect not in get_args(DialectName):
        raise InvalidBatch(f"ddl({dialect!r:.40}): pass one of {', '.join(get_args(DialectName))}")
    counters = _COUNTERS.format(
        table=quoted(table),
        unlimited=UNLIMITED,
        **{
            suffix: identifier(derived(table, suffix))
            for suffix in ("pkey", "exceeded", "negative", "ceiling")
        },
    )
    charges = _LEDGER.format(
        ledger=quoted(ledger),
        pkey=identifier(derived(ledger, "pkey")),
        positive=identifier(derived(ledger, "positive")),
    )
    return counters + (_HALF_FULL if dialect == "postgresql" else ""), charges


def checked_connection(call: str, conn: C, kind: type[object]) -> C:
    """Reject what is not a connection of psycopg.

    :raises TypeError: for another object, such as a pool.
    """
    if not isinstance(conn, kind):
        given = with_article(type(conn), unlike=(kind,))
        raise TypeError(
            f"{call} takes a psycopg {kind.__name__}, not {given}; of a pool, pass one of its "
            f"connections"
        )
    return conn


def encoded_ddl(
    table: str, ledger: str, conn: Connection[Any] | AsyncConnection[Any]
) -> tuple[bytes, ...]:
    """Return the DDL of both tables for this server, in the client encoding."""
    on_cockroachdb = dialect_of(conn.pgconn) is COCKROACHDB
    commands = ddl(table, ledger, "cockroachdb" if on_cockroachdb else "postgresql")
    encoding = codec(conn.info.encoding)
    return tuple(command.encode(encoding) for command in commands)


def checked_scopes(scope: object) -> tuple[Scope, ...]:
    """Return the scopes without duplicates; a parameter of a declaration stands for one.

    :raises InvalidBatch: if there is none, or one is not a UUID: as text, one scope could be
        spelled in several ways, and so be locked in different orders.
    """
    scopes: tuple[object, ...] = (scope,)
    if isinstance(scope, Iterable) and not isinstance(scope, Parameter):
        scopes = tuple(cast("Iterable[object]", scope))
    if not scopes:
        message = "scope= is empty; pass at least one UUID"
        raise InvalidBatch(message)
    unique: dict[Scope, None] = {}
    for scope_id in scopes:
        if isinstance(scope_id, Parameter):
            _check_parameter("scope=", scope_id)
        elif not isinstance(scope_id, UUID):
            given = with_article(type(scope_id), unlike=(UUID,))
            raise InvalidBatch(f"scope= must be a UUID or a list of UUIDs, not {given}")
        unique[scope_id] = None
    return tuple(unique)


def checked_resource(resource: str) -> str:
    """Reject a resource that is not a name.

    :raises InvalidBatch: if it is not a str, is empty, or has a NUL.
    """
    if not is_text(resource) or "\0" in resource:
        message = f'resource must be a non-empty str like "vpcs", got {resource!r:.40}'
        raise InvalidBatch(message)
    return resource


def _check_parameter(name: str, parameter: Parameter) -> None:
    accepted = parameter.accepted
    if accepted is None or accepted.nullable or accepted.items or accepted.kind is not UUID:
        raise InvalidBatch(f"{name} must be a UUID, and the parameter {parameter.name!r} is not")


def checked_id(id: object) -> UUID | Output | Parameter:
    """Reject an id that is neither a UUID, nor the output of a statement, nor a parameter.

    :return: the id; an output without a type gets the type uuid.
    :raises InvalidBatch: for anything else.
    """
    if isinstance(id, UUID):
        return id
    if isinstance(id, Parameter):
        _check_parameter("id=", id)
        return id
    if isinstance(id, Output):
        return id if id.type is not None else evolve(id, type="uuid")
    given = with_article(type(id), unlike=(UUID,))
    raise InvalidBatch(f"id= must be a UUID or the output of a statement, not {given}")


def checked_amount(call: str, amount: int, *, minimum: int) -> int:
    """Reject an amount that is not an integer in the range.

    :param call: name of the method, for the message.
    :raises InvalidBatch: for anything but an int from ``minimum`` to the maximum of bigint.
    """
    if type(amount) is not int or not minimum <= amount <= UNLIMITED:
        message = f"{call}(): pass an int from {minimum} to {UNLIMITED}, not {amount!r:.40}"
        raise InvalidBatch(message)
    return amount
