# SPDX-License-Identifier: MIT
"""What is named after a table keeps its name on the server, however long that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq.engine.compile.quoting import LONGEST, derived, identifier

NAME = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0."), min_size=1, max_size=63
).filter(lambda name: len(name.encode()) <= LONGEST)
SUFFIXES = ("pkey", "phase_known", "unfinished_key", "exceeded", "negative", "ceiling", "positive")
ALIKE = ["x" * 54, "x" * 55, "x" * 62, "x" * 63, "x" * 62 + "y", "\u00e9" * 31, "\U0001f600" * 15]


@given(NAME, st.sampled_from(SUFFIXES))
def test_name_fits_and_begins_as_the_table_does(name, suffix):
    made = derived(f"schema.{name}", suffix)
    assert len(made.encode()) <= LONGEST
    assert made.endswith(f"_{suffix}")
    if len(f"{name}_{suffix}".encode()) <= LONGEST:
        assert made == f"{name}_{suffix}"
    else:
        assert name.startswith(made[: -len(suffix) - 10])


@given(st.sets(NAME, max_size=6) | st.sets(st.sampled_from(ALIKE)))
def test_no_two_have_one_name(names):
    made = [derived(name, suffix) for name in names for suffix in SUFFIXES]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("name", [*ALIKE, 'a"b' * 20, "a b%c" * 12], ids=ascii)
def test_the_server_leaves_it_as_it_is(conn, name):
    for suffix in SUFFIXES:
        made = derived(name, suffix)
        conn.execute("DROP TABLE IF EXISTS t")
        conn.execute(f"CREATE TABLE t (a int, CONSTRAINT {identifier(made)} CHECK (a > 0))")
        kept = "SELECT conname::text FROM pg_constraint WHERE conrelid = 't'::regclass"
        assert conn.execute(kept).fetchall() == [(made,)]
