# SPDX-License-Identifier: MIT
"""Write the SQL of limits.

Each operation writes the ledger and the counter in one statement, so that neither is ever written
without the other. What it reads is not older than the counter's lock, which the step before took;
above READ COMMITTED that step failed if it was older. Ledger rows are written only while the
counter is locked, so no statement waits for one.

No statement writes a table twice, since CockroachDB rejects that (its documentation, "Known
limitations", subqueries and mutations).
"""

from __future__ import annotations

from functools import lru_cache

from attrs import frozen

from batchq.engine.compile.quoting import quoted
from batchq.language.sql_template import SqlTemplate, sql_template

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

# The ledger is joined with itself, since RETURNING has old values from PostgreSQL 18 on only.
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

# Ordered by the bytes, as Python orders strings. In the database's collation, the rows of a scope
# could be locked in another order than single charges lock them. A database in SQL_ASCII may have
# texts that are not valid UTF-8.
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

_READ = """\
SELECT counter.used, counter.lim, counter.ceiling, charged.n AS held
FROM unnest(%(scopes)s::uuid[], %(resources)s::text[], %(ids)s::uuid[])
    WITH ORDINALITY AS wanted (scope_id, resource, resource_id, place)
LEFT JOIN {table} AS counter
  ON counter.scope_id = wanted.scope_id AND counter.resource = wanted.resource
LEFT JOIN {ledger} AS charged
  ON charged.scope_id = wanted.scope_id AND charged.resource = wanted.resource
  AND charged.resource_id = wanted.resource_id
ORDER BY wanted.place"""


@frozen
class Queries:
    """SQL for one pair of tables."""

    charge: SqlTemplate
    release: SqlTemplate
    resize: SqlTemplate
    set_limit: SqlTemplate
    lock_scope: SqlTemplate
    recount: SqlTemplate
    read: SqlTemplate


@lru_cache(maxsize=64)
def queries(table: str, ledger: str) -> Queries:
    """Return the SQL for a pair of tables; cached."""
    names = {"table": quoted(table), "ledger": quoted(ledger)}
    texts = _CHARGE, _RELEASE, _RESIZE, _SET_LIMIT, _LOCK_SCOPE, _RECOUNT, _READ
    return Queries(*(sql_template(text, **names) for text in texts))
