# SPDX-License-Identifier: MIT
"""A mapping by a name that is too long for the server would match nothing: it is refused before
anything is sent, with the name that the server makes of it."""

from __future__ import annotations

from ast import literal_eval

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq import (
    InvalidBatch,
    Outcome,
    arun,
    check,
    exclusion,
    foreign_key,
    gather,
    insert,
    not_null,
    run,
    unique,
)
from batchq.engine.plan import plan
from batchq.engine.truncated_names import check_name_lengths
from batchq.language.spelling import spelled
from batchq.testing import proxy
from tests.support.fake_server import fake_server

pytestmark = pytest.mark.postgres_only("names are not cut there")

LONG = "item_" + "x" * 66
FITS = "y" * 63
MATCHERS = [unique, check, foreign_key, exclusion, not_null]


class Taken(Exception):
    pass


def item():
    return insert("item", {"id": 1})


def rejection(plan_, encoding=b"UTF8"):
    with pytest.raises(InvalidBatch) as caught:
        check_name_lengths(plan_, encoding)
    return str(caught.value)


DECLARED = {
    **{make.__name__: item().on(make(LONG), Taken) for make in MATCHERS},
    "internal": item().invariant("short", LONG),
    "around": gather(item()).on(unique(LONG), Taken),
    "around it all": gather(item(), item().on(unique("k"), Taken))
    .label("x")
    .on(check(LONG), Taken),
    "inside": gather(item(), gather(item().on(unique(LONG), Taken)).as_invariant("x")),
}


@pytest.mark.parametrize("batch", DECLARED.values(), ids=DECLARED)
def test_name_that_the_server_would_truncate_is_rejected_before_sending(database, conn, batch):
    conn.execute("CREATE TABLE item (id int)")
    with proxy(database) as link, psycopg.connect(link.conninfo(), autocommit=True) as there:
        for _ in range(2):
            with link.record() as recording, pytest.raises(InvalidBatch) as caught:
                run(there, batch)
            assert recording.messages == ()
    error = caught.value
    assert error.outcome is Outcome.NOT_SENT
    assert f'write "{LONG[:63]}"' in str(error)
    assert error.step is not None


async def test_arun_refuses_it_as_well(aconn):
    with pytest.raises(InvalidBatch, match="matches nothing"):
        await arun(aconn, DECLARED["unique"])


@pytest.mark.parametrize(
    "name", [LONG, FITS, "ключ_" * 20, "é" * 31, "é" * 32, "x" + "é" * 31, "🔑" * 16]
)
def test_name_is_truncated_by_the_server_as_predicted_or_accepted(conn, name):
    """The server's own word: what a constraint that was made by that name is called."""
    with conn.cursor() as cursor:
        cursor.execute(f'CREATE TABLE item (id int CONSTRAINT "{name}" UNIQUE)')
        called = cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'item'::regclass AND contype = 'u'"
        ).fetchone()[0]
    run(conn, item())
    batch = item().on(unique(name), Taken)
    if called == name:
        with pytest.raises(Taken):
            run(conn, batch)
    else:
        with pytest.raises(InvalidBatch) as caught:
            run(conn, batch)
        assert f"write {spelled(called)}" in str(caught.value)
    with pytest.raises(Taken):
        run(conn, item().on(unique(called), Taken))


def test_cockroachdb_cuts_none():
    with fake_server(cockroach=True) as server, server.connect() as conn:
        run(conn, DECLARED["around it all"])
        assert server.committed


@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=80))
def test_predicted_name_is_the_longest_prefix_that_fits(name):
    planned = plan(item().on(unique(name), Taken))
    if len(name.encode()) <= 63:
        return check_name_lengths(planned, b"UTF8")
    cut = literal_eval(rejection(planned).rpartition("write ")[2])
    assert name.startswith(cut)
    assert 60 <= len(cut.encode()) <= 63
    assert len(name[: len(cut) + 1].encode()) > 63
    return None


@pytest.mark.parametrize(
    ("encoding", "letter", "bytes_each"),
    [
        (b"UTF8", "é", 2),
        (b"LATIN1", "é", 1),
        (b"LATIN9", "€", 1),
        (b"WIN1251", "ж", 1),
        (b"WIN1252", "€", 1),
        (b"KOI8R", "ж", 1),
        (b"KOI8U", "ж", 1),
        (b"ISO_8859_5", "ж", 1),
        (b"EUC_JP", "鍵", 2),
        (b"EUC_KR", "키", 2),
        (b"EUC_CN", "钥", 2),
        (b"SQL_ASCII", "é", 2),
        (None, "é", 2),
    ],
)
def test_length_of_a_name_is_counted_in_the_database_encoding(encoding, letter, bytes_each):
    most = 63 // bytes_each
    check_name_lengths(plan(item().on(unique(letter * most), Taken)), encoding)
    text = rejection(plan(item().on(unique(letter * (most + 1)), Taken)), encoding)
    assert f'write "{letter * most}"' in text


def test_unknown_encoding_predicts_only_what_is_certain():
    check_name_lengths(plan(item().on(unique("鑰" * 63), Taken)), b"EUC_TW")
    assert "called" not in rejection(plan(item().on(unique("鑰" * 64), Taken)), b"EUC_TW")
    # What the encoding does not have may be spelled otherwise there.
    check_name_lengths(plan(item().on(unique("ж" * 64), Taken)), b"LATIN1")


def test_alias_of_a_guard_is_not_a_name():
    assert plan(item().ensure({"c" * 80: 1}, raises=Taken)).long_names() == []


def test_a_nul_is_in_no_name():
    with pytest.raises(InvalidBatch, match="NUL"):
        unique("a\0b")
