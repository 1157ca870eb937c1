# SPDX-License-Identifier: MIT
"""The preflight shows exactly what is sent, and sends only reads itself."""

from __future__ import annotations

import re
from datetime import timedelta

import psycopg
import pytest
from attrs import evolve
from psycopg.adapt import PyFormat, Transformer

from batchq import run, select
from batchq.bulk import ChildDelete, ChunkSize, Deleted, DeleteTree, Jobs, StopReason, resume, start
from batchq.bulk.preflight.preflight import preflight
from batchq.engine.compile.sentinel import TOKEN
from batchq.engine.plan import plan as laid_flat
from batchq.engine.program import program_of
from batchq.engine.wire.encode import encode
from batchq.engine.wire.transformers import Transformers
from batchq.testing import proxy
from tests.support.bulk_fixtures import REWRITE, ROWS, RULES, TABLES, TAGS, TREE, VPC
from tests.support.job_rows import begun

TITLES = [
    "fence: lock vpc",
    "fence: update vpc",
    "fence: insert bulk_job",
    "fence: settings put back",
    "stage 1 of 5, router: first chunk",
    "stage 1 of 5, router: later chunks",
    "stage 2 of 5, route: first chunk",
    "stage 2 of 5, route: later chunks",
    "stage 3 of 5, router: first chunk",
    "stage 3 of 5, router: later chunks",
    "stage 4 of 5, rule: first chunk",
    "stage 4 of 5, rule: later chunks",
    "stage 5 of 5, tag: first chunk",
    "stage 5 of 5, tag: later chunks",
    "end: settings",
    "end: lock vpc",
    "end: route",
    "end: router",
    "end: rule",
    "end: tag",
    "end: settings put back",
    "end: delete vpc",
    "end: update bulk_job",
]
SMALL = ChunkSize(initial=40, minimum=40, maximum=40)
LEASE = timedelta(seconds=30)
MISSING = LookupError("no such vpc")


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES + ROWS, prepare=False)
    conn.execute(Jobs().ddl(), prepare=False)


def texts(recording):
    """Return the SQL that clients have sent in Parse and Query messages."""
    places = {"P": 1, "Q": 0}
    return [
        message.body.split(b"\0")[places[message.kind]].decode()
        for message in recording.messages
        if message.sender == "client" and message.kind in places
    ]


def is_within(wanted, sent):
    """Whether they are all there, in this order, whatever lies between."""
    rest = iter(sent)
    return all(text in rest for text in wanted)


def through(link, **kwargs):
    return psycopg.connect(link.conninfo(), autocommit=True, prepare_threshold=None, **kwargs)


KNOWN = begun(stage=5, epoch=1)
LISTED = ChildDelete(relation=evolve(RULES.relation, where={"row_version": [1, 2]}))
GUARDED = evolve(
    TREE, guards=[lambda key: select("router", ["id"], where={"vpc_id": key}).expect(50)]
)
FEW = DeleteTree(name="vpc", parent=VPC, children=[LISTED], inline_limit=50_000)


def test_preflight_lists_the_statements_that_are_sent(conn, database):
    seen = preflight(conn, TREE, 1)
    assert [one.title for one in seen.statements] == TITLES
    with proxy(database) as link, through(link) as client, link.record() as recording:
        run(client, TREE.fence(1, missing=MISSING))
        report = resume(client, [TREE], owner="test", chunk_size=SMALL)
    assert (report.stop_reason, report.jobs_done) == (StopReason.EXHAUSTED, 1)
    assert is_within([one.sql for one in seen.statements], texts(recording))


def test_preflight_lists_a_small_tree_as_one_batch(conn, database):
    conn.execute("DELETE FROM router WHERE vpc_id = 2; DELETE FROM rule WHERE vpc_id = 2")
    conn.execute("DELETE FROM tag WHERE vpc_id = 2 AND id > 100")
    tree = DeleteTree(name="vpc", parent=VPC, children=[RULES, TAGS])
    seen = preflight(conn, tree, 2, count_limit=10)
    assert (seen.inline, [count.rows for count in seen.row_counts]) == (True, [0, 20])
    with proxy(database) as link, through(link) as client, link.record() as recording:
        assert start(client, tree, 2, missing=MISSING) == Deleted(rows=20)
    assert is_within([one.sql for one in seen.statements], texts(recording))
    assert all(one.explain for one in seen.statements)


def test_preflight_explains_exactly_what_is_sent_read_only(database):
    with proxy(database) as link, through(link) as client, link.record() as recording:
        seen = preflight(client, TREE, 1)
    sent = texts(recording)
    shown = [f"EXPLAIN {one.sql}" for one in seen.statements if one.explain]
    assert len(shown) == len(TITLES)
    assert shown == [text for text in sent if text in shown]
    begun = [text for text in sent if text.startswith(("BEGIN", "SET TRANSACTION", "START"))]
    assert begun == ["BEGIN READ ONLY"] * 3 + ["BEGIN", "SET TRANSACTION READ ONLY"]


@pytest.mark.parametrize(
    ("when", "tree", "batch"),
    [
        ("fence: ", TREE, TREE.fence(1, missing=MISSING, job=KNOWN.id)),
        ("fence: ", GUARDED, GUARDED.fence(1, missing=MISSING, job=KNOWN.id)),
        ("end: ", TREE, TREE.finish(KNOWN)),
        ("stage 4 of 5, rule: first", TREE, TREE.chunk(evolve(KNOWN, stage=3), 200, LEASE)),
        ("delete now: ", FEW, FEW.delete_now(1, missing=MISSING)),
    ],
)
def test_preflight_values_are_those_that_the_engine_sends(conn, when, tree, batch):
    shown = [one for one in preflight(conn, tree, 1).statements if one.title.startswith(when)]
    flat = laid_flat(batch)
    program = program_of(flat.shapes, ())
    steps = encode(flat, program, Transformers().take(conn)).steps({}, conn.adapters.types)
    for one, sent in zip(shown, steps, strict=True):
        transformer = Transformer(conn)
        dumped = transformer.dump_sequence(one.values, [PyFormat.AUTO] * len(one.values))
        params = [b"batchq:...:" if one == TOKEN.encode() else one for one in sent.params]
        assert (one.sql, dumped, transformer.types) == (sent.compiled.sql, params, sent.types)


def test_preflight_shows_no_guard_token(conn):
    seen = preflight(conn, TREE, 1)
    assert TOKEN not in str(seen)
    assert TOKEN not in repr([one.values for one in seen.statements])


def test_preflight_lists_a_backfill_to_its_end(conn, database):
    seen = preflight(conn, REWRITE)
    assert (seen.ok, seen.key, seen.inline) == (True, None, False)
    assert [(one.table, one.rows) for one in seen.row_counts] == [("rule", 20000)]
    assert [one.title for one in seen.statements] == [
        "start: insert bulk_job",
        "stage 1 of 1, rule: first chunk",
        "stage 1 of 1, rule: later chunks",
        *(
            f"{end}: {what}"
            for end in ("end of a scan with rows", "end")
            for what in ("settings", "select rule", "settings put back", "update bulk_job")
        ),
    ]
    for one in seen.statements[1:3]:
        assert any("Index Scan using rule_pkey on rule" in line for line in one.explain)
    with proxy(database) as link, through(link) as client, link.record() as recording:
        run(client, REWRITE.start())
        resume(client, [REWRITE], owner="test")
    assert is_within([one.sql for one in seen.statements], texts(recording))


def test_preflight_lists_a_later_chunk_without_rows(conn):
    conn.execute("DELETE FROM tag")
    (later,) = [one for one in preflight(conn, TREE, 1).statements if "tag: later" in one.title]
    assert (later.explain, later.unexplained) == (
        (),
        "there is no row after which a chunk could start",
    )
    assert re.search(r"\(\"id\"\) > \(\$\d+\)", later.sql)
