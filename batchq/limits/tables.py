# SPDX-License-Identifier: MIT
"""The two tables of limits: counters and the ledger. Their names, their DDL, and what may go in.

The CHECK is not on ``lim``: when a limit is lowered below what is used, a release would break it,
for what remains is still too much. It is on ``ceiling``, which is always the greater of ``lim`` and
``used``, and so comes down with what is given back. Unlimited is the greatest bigint and not NULL,
because ``greatest(NULL, 5)`` is 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast
from uuid import UUID

from attrs import evolve

from batchq.engine.compile.quoting import derived, identifier, quoted
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.validation import is_text

DialectName = Literal["postgresql", "cockroachdb"]

UNLIMITED = (1 << 63) - 1
"""The greatest bigint."""

Scopes = UUID | Iterable[UUID]
"""Whose limit: one scope, or each of several levels (a project, its silo, the fleet)."""

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

# The scope comes first in the key: everything else asks for a whole key, a recount for a scope.
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
"""Room in each page for the next version of a row: an update then touches no index (HOT)."""


def ddl(table: str, ledger: str, dialect: DialectName) -> tuple[str, ...]:
    """Write the DDL of both tables."""
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


def checked_scopes(scope: object) -> tuple[UUID, ...]:
    """Each scope once.

    :raises InvalidBatch: for none at all, which would count nothing, and for what is no UUID: by
        another spelling a scope would have another place in the order of locks.
    """
    scopes = tuple(cast("Iterable[object]", scope)) if isinstance(scope, Iterable) else (scope,)
    if not scopes:
        message = "scope=[] is nobody's limit: name at least one scope"
        raise InvalidBatch(message)
    found: dict[UUID, None] = {}
    for one in scopes:
        if not isinstance(one, UUID):
            message = f"scope= is a UUID, or a list of them, not {type(one).__name__}"
            raise InvalidBatch(message)
        found[one] = None
    return tuple(found)


def checked_resource(resource: str) -> str:
    """Refuse what is no name.

    :raises InvalidBatch: when it is empty, or no text.
    """
    if not is_text(resource) or "\0" in resource:
        message = f'a resource has a name, "vpcs" say: not {resource!r:.40}'
        raise InvalidBatch(message)
    return resource


def checked_id(id: object) -> UUID | Output:
    """Refuse what identifies no resource.

    :return: the same; an output is a uuid where it does not say its type.
    :raises InvalidBatch: for anything but a UUID or another statement's output.
    """
    if isinstance(id, UUID):
        return id
    if isinstance(id, Output):
        return id if id.type is not None else evolve(id, type="uuid")
    message = f"id= is a UUID, or the output of a statement, not {type(id).__name__}"
    raise InvalidBatch(message)


def checked_amount(amount: int, what: str, *, least: int) -> int:
    """Refuse what is no amount.

    :raises InvalidBatch: for anything but an integer from ``least`` to the greatest bigint.
    """
    if type(amount) is not int or not least <= amount <= UNLIMITED:
        message = f"{what} is an integer from {least} to {UNLIMITED}, not {amount!r:.40}"
        raise InvalidBatch(message)
    return amount
