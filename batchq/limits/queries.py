# SPDX-License-Identifier: MIT
"""The SQL of limits.

Each verb writes the ledger and the counter in one statement, so that neither is ever written
without the other. What it reads is no older than the counter's lock, which a step before it took,
or above READ COMMITTED that step was a conflict; and as ledger rows are only ever written by who
holds the counter, nobody waits for one of those.

No table is written twice in a statement, for CockroachDB refuses that (its documentation, "Known
limitations", subqueries and mutations).
"""

from __future__ import annotations

from functools import lru_cache

from attrs import frozen

from batchq.engine.compile.quoting import quoted

_CHARGE = """\
WITH charged AS (
    INSERT INTO {ledger} (scope_id, resource, resource_id, n)
    VALUES (%(scope)s, %(resource)s::text, %(id)s, %(n)s)
    ON CONFLICT (scope_id, resource, resource_id) DO NOTHING
    RETURNING n
)
UPDATE {table} AS counter SET used = counter.used + charged.n
FROM charged
WHERE counter.scope_id = %(scope)s AND counter.resource = %(resource)s::text"""

_RELEASE = """\
WITH released AS (
    DELETE FROM {ledger}
    WHERE scope_id = %(scope)s AND resource = %(resource)s::text AND resource_id = %(id)s
    RETURNING n
)
UPDATE {table} AS counter
SET used = counter.used - released.n, ceiling = greatest(counter.lim, counter.used - released.n)
FROM released
WHERE counter.scope_id = %(scope)s AND counter.resource = %(resource)s::text"""

# The ledger joins itself because RETURNING knows the old values from PostgreSQL 18 on only.
_RESIZE = """\
WITH resized AS (
    UPDATE {ledger} AS charged SET n = %(n)s
    FROM {ledger} AS before
    WHERE charged.scope_id = %(scope)s AND charged.resource = %(resource)s::text
      AND charged.resource_id = %(id)s AND before.scope_id = charged.scope_id
      AND before.resource = charged.resource AND before.resource_id = charged.resource_id
    RETURNING before.n AS was
)
UPDATE {table} AS counter SET used = counter.used + (%(n)s - resized.was),
    ceiling = CASE WHEN %(n)s < resized.was
        THEN greatest(counter.lim, counter.used + (%(n)s - resized.was)) ELSE counter.ceiling END
FROM resized
WHERE counter.scope_id = %(scope)s AND counter.resource = %(resource)s::text"""

_SET_LIMIT = """\
INSERT INTO {table} AS counter (scope_id, resource, used, lim, ceiling)
VALUES (%(scope)s, %(resource)s::text, 0, %(lim)s, %(lim)s)
ON CONFLICT (scope_id, resource) DO UPDATE
SET lim = excluded.lim, ceiling = greatest(excluded.lim, counter.used)"""

# By its bytes, which is Python's order of strings too. By the database's collation the rows of a
# scope could be locked in another order than single charges lock them. A database without an
# encoding has texts that are no UTF-8.
_LOCK_SCOPE = """\
SELECT 1 FROM {table} WHERE scope_id = %(scope)s
ORDER BY convert_to(
    resource, CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END
) FOR NO KEY UPDATE"""

_RECOUNT = """\
WITH counted AS (
    SELECT stored.resource, stored.used AS was, CAST(coalesce(sum(charged.n), 0) AS bigint) AS now
    FROM {table} AS stored LEFT JOIN {ledger} AS charged
      ON charged.scope_id = stored.scope_id AND charged.resource = stored.resource
    WHERE stored.scope_id = %(scope)s
    GROUP BY stored.resource, stored.used
)
UPDATE {table} AS counter SET used = counted.now, ceiling = greatest(counter.lim, counted.now)
FROM counted
WHERE counter.scope_id = %(scope)s AND counter.resource = counted.resource
  AND counted.was <> counted.now
RETURNING counter.scope_id AS scope, counter.resource, counted.was, counted.now"""

_LOOK = """\
SELECT counter.used, counter.lim, counter.ceiling, charged.n AS held
FROM unnest(%(scopes)s::uuid[], %(resources)s::text[], %(ids)s::uuid[])
    WITH ORDINALITY AS asked (scope_id, resource, resource_id, place)
LEFT JOIN {table} AS counter
  ON counter.scope_id = asked.scope_id AND counter.resource = asked.resource
LEFT JOIN {ledger} AS charged
  ON charged.scope_id = asked.scope_id AND charged.resource = asked.resource
  AND charged.resource_id = asked.resource_id
ORDER BY asked.place"""


@frozen
class Queries:
    """The SQL for one pair of tables."""

    charge: str
    release: str
    resize: str
    set_limit: str
    lock_scope: str
    recount: str
    look: str


@lru_cache(maxsize=64)
def queries(table: str, ledger: str) -> Queries:
    """Write the SQL for a pair of tables, once."""
    # A percent sign in a name is one in a text with placeholders.
    names = {"table": quoted(table), "ledger": quoted(ledger)}
    escaped = {kind: name.replace("%", "%%") for kind, name in names.items()}
    templates = _CHARGE, _RELEASE, _RESIZE, _SET_LIMIT, _LOCK_SCOPE, _RECOUNT, _LOOK
    return Queries(*(template.format(**escaped) for template in templates))
