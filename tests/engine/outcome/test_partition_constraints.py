# SPDX-License-Identifier: MIT
"""The name that a mapping declares stands for the constraint in every partition, whatever that is
called there: asked for on failure only, and once."""

from __future__ import annotations

import psycopg
import pytest

from batchq import (
    BatchError,
    InvariantViolation,
    Outcome,
    UnmappedViolation,
    check,
    delete,
    exclusion,
    foreign_key,
    gather,
    insert,
    not_null,
    sql,
    sqlstate,
    unique,
)
from batchq.result import Failed, attempt
from batchq.testing import proxy
from tests.support.clients import AsyncClient, SyncClient
from tests.support.fake_server import Scenario, fake_server

TABLES = """
CREATE TABLE booking (
    id int, day int, size int NOT NULL CONSTRAINT booking_size CHECK (size > 0),
    CONSTRAINT booking_key PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);
CREATE UNIQUE INDEX booking_places ON booking (size, day);
CREATE TABLE booking_a PARTITION OF booking FOR VALUES FROM (0) TO (10);
CREATE TABLE booking_b PARTITION OF booking FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (day);
CREATE TABLE booking_b1 PARTITION OF booking_b FOR VALUES FROM (10) TO (15);
CREATE TABLE "Attached" (
    size int NOT NULL CONSTRAINT booking_size CHECK (size > 0), day int, id int,
    CONSTRAINT "other, ""name" PRIMARY KEY (id, day)
);
ALTER TABLE booking ATTACH PARTITION "Attached" FOR VALUES FROM (20) TO (30);

CREATE TABLE note (
    booking int, day int, k int,
    CONSTRAINT note_booking FOREIGN KEY (booking, day) REFERENCES booking,
    CONSTRAINT note_late UNIQUE (k, booking) DEFERRABLE INITIALLY DEFERRED
) PARTITION BY RANGE (k);
CREATE TABLE note_a PARTITION OF note FOR VALUES FROM (0) TO (10);
CREATE TABLE note_own (
    booking int, day int, k int,
    CONSTRAINT note_own_key FOREIGN KEY (booking, day) REFERENCES booking
);
ALTER TABLE note ATTACH PARTITION note_own FOR VALUES FROM (10) TO (20);
CREATE TABLE note_clash (
    booking int, day int, k int, CONSTRAINT note_booking CHECK (k > 0)
);
ALTER TABLE note ATTACH PARTITION note_clash FOR VALUES FROM (20) TO (30);

INSERT INTO booking VALUES (1, 1, 1), (1, 11, 1), (1, 21, 1);
INSERT INTO note VALUES (1, 1, 1), (1, 11, 2), (1, 21, 3);
"""

pytestmark = [
    pytest.mark.postgres_only("partitions are not tables there"),
    pytest.mark.link(TABLES),
]


class Taken(Exception):
    pass


def booking(id_=1, day=1, size=5, table="booking"):
    return insert(table, {"id": id_, "day": day, "size": size})


def note(k, booking=9, day=9):
    return insert("note", {"booking": booking, "day": day, "k": k})


DUPLICATES = {
    "in a partition": (booking(day=1), "booking_a_pkey"),
    "in a partition of a partition": (booking(day=11), "booking_b1_pkey"),
    "in one that was attached": (booking(day=21), 'other, "name'),
    "sent to the partition itself": (booking(day=1, table="booking_a"), "booking_a_pkey"),
}
KEY = unique("booking_key")
OTHERS = {
    "a unique index": (booking(2, size=1), unique("booking_places"), "booking_a_size_day_idx"),
    "check": (booking(2, size=0), check("booking_size"), "booking_size"),
    "not null": (booking(2, size=None), not_null("size"), None),
    "a key of a partition": (note(1), foreign_key("note_booking"), "note_booking"),
    "a key that was attached": (note(11), foreign_key("note_booking"), "note_own_key"),
    "a key whose name was taken": (note(21), foreign_key("note_booking"), None),
    "a key to a partition": (
        delete("booking", {"day": 1}),
        foreign_key("note_booking"),
        None,
    ),
    "a key to a partition of a partition": (
        delete("booking", {"day": 11}),
        foreign_key("note_booking"),
        None,
    ),
    "a deferred one": (
        gather(note(1, 1, 1)),
        unique("note_late"),
        "note_a_k_booking_key",
    ),
}
CASES = {
    **{name: (batch, KEY, seen) for name, (batch, seen) in DUPLICATES.items()},
    **OTHERS,
}


@pytest.mark.parametrize(
    ("case", "nested"),
    [
        *((case, False) for case in CASES),
        *((case, True) for case in CASES if case != "a deferred one"),  # not checked at RELEASE
    ],
)
def test_the_declared_name_stands_for_every_part_of_it(client, case, nested):
    batch, matcher, seen = CASES[case]
    if nested:
        client.execute("BEGIN")
    for _ in range(2):
        failed = client.attempt(batch.on(matcher, Taken), nested=nested)
        assert isinstance(failed, Failed)
        assert type(failed.error) is Taken
        assert failed.error.__cause__ is failed.report
        assert failed.outcome is Outcome.ROLLED_BACK
        if seen is not None:
            assert failed.report.violation.constraint == seen
        if nested:  # the caller's transaction continues
            assert client.attempt(sql("SELECT 7").scalar(int), nested=True).value == 7


@pytest.mark.parametrize("case", [case for case in CASES if case != "not null"])
def test_internal_stands_for_every_part_of_a_constraint_as_well(client, case):
    batch, matcher, _ = CASES[case]
    statement = batch.parts[0] if case == "a deferred one" else batch
    failed = client.attempt(statement.invariant(matcher.name))
    assert type(failed.error) is InvariantViolation


def test_an_exclusion_constraint_is_traced_too(client, conn):
    if conn.info.server_version < 170000:
        pytest.skip("partitioned tables have them from PostgreSQL 17 on")
    conn.execute(
        "CREATE TABLE x (k int, CONSTRAINT x_own EXCLUDE USING btree (k WITH =))"
        " PARTITION BY RANGE (k);"
        "CREATE TABLE x1 PARTITION OF x FOR VALUES FROM (0) TO (10); INSERT INTO x VALUES (1)"
    )
    failed = client.attempt(insert("x", {"k": 1}).on(exclusion("x_own"), Taken))
    assert type(failed.error) is Taken
    assert failed.report.violation.constraint == "x1_k_excl"


def test_partition_is_looked_up_in_its_own_schema(client, conn):
    conn.execute("CREATE SCHEMA IF NOT EXISTS lineage_other")
    try:
        conn.execute(
            "CREATE TABLE far (id int CONSTRAINT far_key PRIMARY KEY) PARTITION BY RANGE (id);"
            "CREATE TABLE lineage_other.booking_a PARTITION OF far FOR VALUES FROM (0) TO (10);"
            "INSERT INTO far VALUES (1)"
        )
        far = insert("far", {"id": 1}).on(unique("far_key"), Taken)
        assert type(client.attempt(far).error) is Taken
        assert type(client.attempt(booking().on(KEY, Taken)).error) is Taken
        assert type(client.attempt(far).error) is Taken
    finally:
        conn.execute("DROP SCHEMA lineage_other CASCADE")


# -- what decides ----------------------------------------------------------------------------------


def syncs(link, client, batch, **options):
    """How many Syncs a failure takes: two of the batch, and one if the server is asked."""
    with link.record() as recording:
        failed = client.attempt(batch, **options)
    return recording.client.count("S"), failed


def test_the_server_is_asked_once_and_then_no_more(link, client):
    batch = booking().on(KEY, Taken)
    assert syncs(link, client, batch)[0] == 3
    for _ in range(2):
        count, failed = syncs(link, client, batch)
        assert count == 2
        assert type(failed.error) is Taken
    assert syncs(link, client, booking(day=11).on(KEY, Taken))[0] == 3
    assert syncs(link, client, booking(day=12).on(KEY, Taken).on(sqlstate("23505"), Taken))[0] == 2


@pytest.mark.parametrize(
    "batch",
    [
        booking().on(unique("booking_a_pkey"), Taken),
        booking().on(KEY, KeyError).on(unique("booking_a_pkey"), Taken),
        booking().on(unique("booking_a_pkey"), Taken).on(KEY, KeyError),
        booking().on(KEY, KeyError).on(sqlstate("23505"), Taken),
        booking(2, size=0).on(KEY, KeyError).on(check("booking_size"), Taken),
        booking(2, size=0).on(check("booking_id"), KeyError).on(check("booking_size"), Taken),
        gather(booking(3).on(KEY, KeyError), booking().on(unique("booking_a_pkey"), Taken)),
    ],
)
def test_nothing_is_asked_where_it_could_change_nothing(link, client, batch):
    count, failed = syncs(link, client, batch)
    assert count == 2
    assert type(failed.error) is Taken


@pytest.mark.parametrize(
    "batch",
    [
        booking(),
        booking().on(check("booking_size"), Taken),
        booking().on(foreign_key("booking_key"), Taken),
        gather(booking(3, size=9).on(KEY, Taken), booking()),
        booking(2, size=0).on(check("size"), Taken),
        sql("SELECT 1/0").on(KEY, Taken),
        sql("DO $$ BEGIN RAISE unique_violation USING CONSTRAINT = 'k'; END $$").on(KEY, Taken),
    ],
)
def test_nothing_is_asked_about_what_no_mapping_is_for(link, client, batch):
    count, failed = syncs(link, client, batch)
    assert count == 2
    assert isinstance(failed.error, UnmappedViolation)


def test_a_stronger_mapping_by_name_is_found_before_a_code(client):
    batch = booking().on(sqlstate("23505"), KeyError).on(KEY, Taken)
    assert type(client.attempt(batch).error) is Taken
    assert type(client.attempt(gather(batch).on(sqlstate("23505"), OSError)).error) is OSError


def test_table_that_is_not_a_partition_is_looked_up_once(link, client):
    plain = sql("INSERT INTO plain VALUES (1)").on(unique("another"), Taken)
    client.execute("CREATE TABLE plain (id int CONSTRAINT plain_key PRIMARY KEY)")
    client.execute("INSERT INTO plain VALUES (1)")
    assert [syncs(link, client, plain)[0] for _ in range(3)] == [3, 2, 2]
    failed = client.attempt(plain)
    assert type(failed.error) is UnmappedViolation
    assert failed.report.violation.part_of == ()
    assert '.on(unique("plain_key"), ' in str(failed.error)


def test_the_line_that_is_taught_names_the_whole_constraint(client):
    failed = client.attempt(booking(day=11).on(unique("booking_places"), Taken))
    assert type(failed.error) is UnmappedViolation
    assert '.on(unique("booking_key"), ' in str(failed.error)
    assert '.invariant("booking_key")' in str(failed.error)
    assert "is a partition" not in str(failed.error)


def test_violation_without_a_lookup_mentions_partitions(client):
    text = str(client.attempt(booking()).error)
    assert '.on(unique("booking_a_pkey"), ' in text
    assert "if booking_a is a partition" in text.lower()
    client.execute("CREATE TABLE plain (id int PRIMARY KEY)")
    client.run(insert("plain", {"id": 1}))
    assert "partition" not in str(client.attempt(insert("plain", {"id": 1})).error)


def test_report_has_the_sent_constraint_and_its_parent(client):
    report = client.attempt(booking(day=11).on(KEY, Taken)).report
    assert report.violation.constraint == "booking_b1_pkey"
    assert report.violation.part_of == ("booking_b_pkey", "booking_key")
    assert 'unique "booking_b1_pkey" (part of "booking_key") on table "booking_b1"' in str(report)
    assert type(report) is BatchError


def test_the_name_of_any_level_will_do(client):
    assert type(client.attempt(booking(day=11).on(unique("booking_b_pkey"), Taken)).error) is Taken


def test_cockroachdb_is_not_asked(monkeypatch):
    """Its partitions are not tables, and its errors name the one index that there is."""

    def asked(*_):
        raise AssertionError

    monkeypatch.setattr("batchq.engine.outcome.partition_constraints.exchange", asked)
    reported = {"S": "ERROR", "V": "ERROR", "C": "23505", "M": "duplicate", "F": "f", "R": "r"}
    named = {"n": "booking_a_pkey", "t": "booking_a", "s": "public"}
    with fake_server(cockroach=True) as server, server.connect() as conn:
        server.scenario = Scenario(place=1, fields=reported | named)
        failed = attempt(conn, booking().on(KEY, Taken))
    assert type(failed.error) is UnmappedViolation


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "SQL_ASCII"])
def test_names_are_asked_for_in_the_clients_encoding(database, conn, encoding):
    conn.execute(
        'CREATE TABLE "bé" (id int, CONSTRAINT "bé_clé" PRIMARY KEY (id)) PARTITION BY RANGE (id);'
        'CREATE TABLE "pé" PARTITION OF "bé" FOR VALUES FROM (0) TO (9);'
        'INSERT INTO "bé" VALUES (1)'
    )
    with SyncClient(database, client_encoding=encoding) as client:
        failed = client.attempt(insert("bé", {"id": 1}).on(unique("bé_clé"), Taken))
        assert type(failed.error) is Taken
        assert failed.report.violation.part_of == ("bé_clé",)


def test_search_path_that_hides_the_catalog_changes_no_answer(client, conn):
    conn.execute(
        "CREATE FUNCTION same(name, name) RETURNS bool LANGUAGE sql AS 'SELECT true';"
        "CREATE OPERATOR = (LEFTARG = name, RIGHTARG = name, FUNCTION = same);"
        "CREATE TABLE pg_inherits (inhrelid oid, inhparent oid)"
    )
    client.execute("SELECT set_config('search_path', current_schema() || ',pg_catalog', false)")
    failed = client.attempt(booking(day=11).on(KEY, Taken))
    assert failed.report.violation.part_of == ("booking_b_pkey", "booking_key")


# -- what is remembered makes no wrong word --------------------------------------------------------


def test_a_partition_that_came_to_another_table_is_asked_for_again(client, conn):
    conn.execute(
        "CREATE TABLE other (id int, day int, size int, CONSTRAINT other_key PRIMARY KEY (id, day))"
        " PARTITION BY RANGE (day)"
    )
    batch = gather(booking().on(KEY, Taken))
    both = sql(
        "WITH a AS (INSERT INTO other VALUES (1, 1, 1)) INSERT INTO booking VALUES (1, 1, 1)"
    ).on(KEY, Taken)
    assert type(client.attempt(batch).error) is Taken
    assert type(client.attempt(both.on(unique("other_key"), KeyError)).error) is Taken
    conn.execute(
        "DROP TABLE note, booking_a;"
        "CREATE TABLE booking_a PARTITION OF other FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE booking_c PARTITION OF booking FOR VALUES FROM (0) TO (10);"
        "INSERT INTO other VALUES (1, 1, 1)"
    )
    moved = insert("other", {"id": 1, "day": 1}).on(unique("other_key"), KeyError)
    assert type(client.attempt(moved).error) is KeyError
    assert type(client.attempt(both.on(unique("other_key"), KeyError)).error) is KeyError


def test_a_partition_that_was_detached_is_part_of_nothing(client, conn):
    assert type(client.attempt(booking().on(KEY, Taken)).error) is Taken
    conn.execute("DROP TABLE note; ALTER TABLE booking DETACH PARTITION booking_a")
    alone = booking(table="booking_a").on(KEY, Taken)
    assert type(client.attempt(alone).error) is UnmappedViolation


def test_recreated_partition_has_the_same_parent(client, conn):
    batch = booking(7, 25).on(KEY, Taken)
    conn.execute("INSERT INTO booking VALUES (7, 25, 7)")
    assert type(client.attempt(batch).error) is Taken
    conn.execute(
        'DROP TABLE note, "Attached";'
        "CREATE TABLE booking_d PARTITION OF booking FOR VALUES FROM (20) TO (30);"
        "INSERT INTO booking VALUES (7, 25, 7)"
    )
    failed = client.attempt(batch)
    assert type(failed.error) is Taken
    assert failed.report.violation.constraint == "booking_d_pkey"


# -- a look that fails -----------------------------------------------------------------------------


def same_as_without(failed):
    """Check the report of a failure of which no partition is known."""
    assert type(failed.error) is UnmappedViolation
    assert failed.outcome is Outcome.ROLLED_BACK
    assert (failed.report.index, failed.report.violation.part_of) == (0, ())
    assert failed.report.violation.constraint == "booking_a_pkey"
    assert type(failed.report.__cause__) is psycopg.errors.UniqueViolation


@pytest.mark.parametrize("nested", [False, True], ids=["alone", "nested"])
def test_a_link_that_breaks_while_the_server_is_asked_changes_nothing(database, conn, nested):
    """Cut after each of the answers that come after the batch's own."""
    conn.execute(TABLES)
    batch = booking().on(KEY, Taken)
    with proxy(database) as link:
        with SyncClient(link.conninfo()) as client:
            whole = answers_to(link, client, batch, nested)
        with SyncClient(link.conninfo()) as client:
            alone = answers_to(link, client, booking(), nested)
        assert len(whole) > len(alone)
        assert whole.startswith(alone)
        answered = whole.index("C", whole.index("D", len(alone)))
        for after in range(len(alone), len(whole)):
            for kind in (SyncClient, AsyncClient):
                with kind(link.conninfo()) as client:
                    if nested:
                        client.execute("BEGIN")
                    link.cut_answers(after=after)
                    failed = client.attempt(batch, nested=nested)
                    assert failed.outcome is Outcome.ROLLED_BACK
                    if after <= answered:
                        same_as_without(failed)
                    else:
                        assert type(failed.error) is Taken
                    assert client.conn.closed


def answers_to(link, client, batch, nested):
    if nested:
        client.execute("BEGIN")
    with link.record() as recording:
        client.attempt(batch, nested=nested)
    return recording.server


@pytest.mark.parametrize("nested", [False, True], ids=["alone", "nested"])
@pytest.mark.parametrize("kind", [SyncClient, AsyncClient], ids=["sync", "async"])
def test_refused_lookup_changes_nothing(database, conn, kind, nested):
    conn.execute(TABLES)
    role = conn.execute("SELECT 'blind_' || pg_backend_pid()").fetchone()[0]
    conn.execute(
        f"CREATE ROLE {role} LOGIN; REVOKE SELECT ON pg_catalog.pg_inherits FROM PUBLIC;"
        f"DO $$ BEGIN EXECUTE 'GRANT USAGE ON SCHEMA ' || current_schema() || ' TO {role}'; END $$;"
        f"GRANT INSERT, SELECT ON ALL TABLES IN SCHEMA pg_catalog, public TO {role};"
        f"REVOKE SELECT ON pg_catalog.pg_inherits FROM {role};"
        f"GRANT INSERT ON booking TO {role}"
    )
    try:
        with kind(database, user=role) as client:
            if nested:
                client.execute("BEGIN")
            for _ in range(2):
                same_as_without(client.attempt(booking().on(KEY, Taken), nested=nested))
                assert client.run(sql("SELECT 7").scalar(int), nested=nested) == 7
    finally:
        conn.execute(
            f"GRANT SELECT ON pg_catalog.pg_inherits TO PUBLIC; DROP OWNED BY {role};"
            f"DROP ROLE {role}"
        )
