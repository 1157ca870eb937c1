# SPDX-License-Identifier: MIT
"""The names of PostgreSQL's volatile functions, and what the server of the run has."""

from __future__ import annotations

import pytest

from batchq.language.volatile_functions import VOLATILE

pytestmark = pytest.mark.postgres_only("the names are those of PostgreSQL's catalog")

# Without those that a condition cannot call, because no value of it is of their types.
CALLABLE = """
    SELECT DISTINCT proname FROM pg_proc AS p
    WHERE provolatile = 'v' AND pronamespace = 'pg_catalog'::regnamespace AND NOT EXISTS (
        SELECT FROM pg_type AS t
        WHERE t.oid = ANY (p.prorettype || p.proargtypes::oid[]) AND t.typtype = 'p'
        AND (t.typname IN ('internal', 'trigger', 'event_trigger') OR t.typname LIKE '%handler')
    )"""
# What calls a function without its name.
HIDDEN = """
    SELECT p.oid::regprocedure::text FROM pg_proc AS p
    WHERE provolatile = 'v' AND pronamespace = 'pg_catalog'::regnamespace AND (
        EXISTS (SELECT FROM pg_operator WHERE oprcode = p.oid)
        OR EXISTS (SELECT FROM pg_cast WHERE castfunc = p.oid)
        OR EXISTS (SELECT FROM pg_type WHERE p.oid IN (typinput, typoutput))
    )"""
OLDER = {"pg_read_file_old", "pg_rotate_logfile_old"}
"""Those that PostgreSQL 18 does not have any more."""


def test_each_volatile_function_that_a_condition_can_call_is_named(conn):
    found = {name for (name,) in conn.execute(CALLABLE)}
    assert found - VOLATILE == set()
    if conn.info.server_version >= 180000:
        assert VOLATILE - found == OLDER


def test_no_operator_cast_or_type_calls_a_volatile_function(conn):
    assert conn.execute(HIDDEN).fetchall() == []
