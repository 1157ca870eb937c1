# SPDX-License-Identifier: MIT
"""``require()`` and ``forbid()`` as steps: whether there is a row, and which one is in the way."""

from __future__ import annotations

import pytest

from batchq import (
    GuardFailed,
    InvariantViolation,
    Outcome,
    UnmappedViolation,
    format_error,
    gather,
    insert,
    run,
    select,
    sequence,
    sql,
)
from batchq.result import Ok, attempt
from tests.support.existence import absent, present
from tests.support.row_values import Unmet

TABLES = """
CREATE TABLE silo (id int PRIMARY KEY, time_deleted timestamptz);
CREATE TABLE vpc (id int PRIMARY KEY, silo_id int, name text); CREATE TABLE log (n int);
INSERT INTO silo VALUES (1, NULL), (2, now()); INSERT INTO vpc VALUES (7, 1, 'web'), (8, 1, 'db');
CREATE SEQUENCE looked;
"""


class Missing(Exception):
    pass


class InUse(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


def living(id_):
    return select("silo", ["id"], where={"id": id_, "time_deleted": None})


def vpcs(silo):
    return select("vpc", ["id", "name"], where={"silo_id": silo})


# Each with rows for silo 1 and none for silo 2.
QUERIES = {
    "select": vpcs,
    "select without columns": lambda silo: select("vpc", where={"silo_id": silo}),
    "select of an expression": lambda silo: select(
        "vpc", [sql("upper(name) AS loud")], where={"silo_id": silo}
    ),
    "select by fragment": lambda silo: select("vpc", ["id"], where=sql("silo_id = %(s)s", s=silo)),
    "sql": lambda silo: sql("SELECT id, name FROM vpc WHERE silo_id = %(s)s", s=silo),
    "join": lambda silo: sql(
        "SELECT s.id, v.id FROM silo s JOIN vpc v ON v.silo_id = s.id WHERE s.id = %(s)s", s=silo
    ),
    "group": lambda silo: sql(
        "SELECT silo_id, count(*) FROM vpc WHERE silo_id = %(s)s GROUP BY 1 HAVING count(*) > 1",
        s=silo,
    ),
    "union": lambda silo: sql(
        "SELECT id FROM vpc WHERE silo_id = %(s)s UNION ALL SELECT 9 WHERE false", s=silo
    ),
    "limit": lambda silo: sql("SELECT 1 FROM vpc WHERE silo_id = %(s)s LIMIT 5 OFFSET 1;", s=silo),
    "values": lambda silo: sql(
        "SELECT * FROM (VALUES (1)) AS v (silo) WHERE silo = %(s)s -- last", s=silo
    ),
    "cte": lambda silo: sql(
        "WITH v AS (SELECT * FROM vpc WHERE silo_id = %(s)s) SELECT * FROM v", s=silo
    ),
    "nothing selected": lambda silo: sql("SELECT FROM vpc WHERE silo_id = %(s)s", s=silo),
    "for share": lambda silo: sql("SELECT id FROM vpc WHERE silo_id = %(s)s FOR SHARE", s=silo),
    "parentheses": lambda silo: sql("(SELECT id FROM vpc WHERE silo_id = %(s)s)", s=silo),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_require_and_forbid_fire_exactly_when_they_should(scanned, query):
    for n in (1, 2, 1):
        required = attempt(scanned, query(n).expect(at_least=1, missing=Missing))
        forbidden = attempt(scanned, query(n).expect(0, unexpected=InUse))
        there, absent = (required, forbidden) if n == 1 else (forbidden, required)
        assert isinstance(there, Ok)
        assert there.value is None
        assert type(absent.error) is (InUse if n == 1 else Missing)
        assert type(absent.report) is GuardFailed
        assert absent.report.outcome is Outcome.ROLLED_BACK


def test_each_of_many_in_a_batch_has_its_own_error_and_its_own_step(planned, observer):
    def batch(fails):
        steps = [insert("log", {"n": 0})]
        for n in range(6):
            silo = 2 if n % 2 == 0 else 1  # what makes a require fail, and then a forbid
            query = vpcs(silo if n == fails else 3 - silo)
            steps.append(
                (present if n % 2 == 0 else absent)(query, raises=LookupError(n)).label(f"no {n}")
            )
        return gather(sequence(steps), insert("log", {"n": 1}))

    for fails in range(6):
        answer = attempt(planned, batch(fails))
        assert (type(answer.error), answer.error.args) == (LookupError, (fails,))
        assert (answer.report.index, answer.report.path) == (fails + 1, f"no {fails}")
    assert observer.execute("SELECT count(*) FROM log").fetchone() == (0,)
    run(planned, batch(None))
    assert observer.execute("SELECT count(*) FROM log").fetchone() == (2,)


def test_existence_guards_see_earlier_steps_of_the_batch(planned):
    here = select("vpc", ["id"], where={"silo_id": 5})
    new = insert("vpc", {"id": 9, "silo_id": 5, "name": "new"})
    run(
        planned,
        gather(here.expect(0, unexpected=InUse), new, here.expect(at_least=1, missing=Missing)),
    )
    again = gather(
        sql("DELETE FROM vpc"),
        here.expect(0, unexpected=InUse),
        here.expect(at_least=1, missing=Missing),
    )
    assert type(attempt(planned, again).error) is Missing


@pytest.mark.parametrize("guard", [absent])
def test_one_row_is_enough(planned, observer, guard):
    """A sequence says how many rows were looked at; it does not go back with the transaction."""
    counting = sql("SELECT nextval('looked') AS n FROM generate_series(1, 1000) AS g (i)")
    attempt(planned, guard(counting, raises=Unmet))
    assert observer.execute("SELECT last_value FROM looked").fetchone() == (1,)


def test_the_row_that_is_found_is_the_first_of_the_querys_own_order(planned):
    for order, name in (("name", "db"), ("name DESC", "web"), ("id DESC", "db")):
        query = sql(f"SELECT id, name FROM vpc ORDER BY {order}")  # type: ignore[arg-type]
        answer = attempt(
            planned, query.expect(0, unexpected=format_error(InUse, "contains a vpc: {name}"))
        )
        assert str(answer.error) == f"contains a vpc: {name}"
        assert answer.report.violation.row == {"name": name}


def test_unexpected_row_has_the_columns_of_a_select_or_those_requested(planned):
    named = attempt(
        planned, select("vpc", ["name", "id"], where={"id": 7}).expect(0, unexpected=Unmet)
    )
    assert named.error.found == {"name": "web", "id": 7}
    text = sql('SELECT *, upper(name) AS "Loud Name" FROM vpc WHERE id = 7')
    requested = text.expect(0, unexpected=Unmet, columns=["Loud Name", "silo_id"])
    assert attempt(planned, requested).error.found == {"Loud Name": "WEB", "silo_id": 1}
    assert attempt(planned, text.expect(0, unexpected=Unmet)).error.found == {}
    loud = select("vpc", [sql("upper(name) AS loud")], where={"id": 7})
    found = attempt(planned, loud.expect(0, unexpected=Unmet, columns=["loud"])).error.found
    assert found == {"loud": "WEB"}
    both = text.expect(
        0, unexpected=format_error(InUse, "{name!r} of {silo_id:03}: {{id}}"), columns=["id"]
    )
    answer = attempt(planned, both)
    assert str(answer.error) == "'web' of 001: {id}"
    assert answer.report.violation.row == {"id": 7, "name": "web", "silo_id": 1}


def test_a_row_of_nothing_but_null_is_a_row(planned):
    nothing = sql("SELECT NULL::text AS name")
    run(planned, nothing.expect(at_least=1, missing=Missing))
    answer = attempt(planned, nothing.expect(0, unexpected=Unmet, columns=["name"]))
    assert answer.error.found == {"name": None}


def test_a_column_that_a_query_does_not_return_is_an_error_in_that_step(planned):
    wrong = sql("SELECT id FROM vpc").expect(0, unexpected=format_error(InUse, "{nome}"))
    answer = attempt(planned, gather(insert("log", {"n": 1}), wrong))
    assert type(answer.error) is UnmappedViolation
    assert answer.report.index == 1
    assert 'column "nome" does not exist' in str(answer.error)


def test_existence_guards_become_invariants_with_their_batch(planned):
    creating = gather(living(2).expect(at_least=1, missing=Missing), insert("log", {"n": 1}))
    answer = attempt(planned, creating.as_invariant("creating the default VPC"))
    assert type(answer.error) is InvariantViolation
    assert "creating the default VPC" in str(answer.error)


def test_lock_requires_its_row(scanned):
    for strength in ("update", "no key update", "share", "key share"):
        for where in ({"id": 1, "time_deleted": None}, sql("id = 1 AND time_deleted IS NULL")):
            run(
                scanned,
                select("silo", where=where)
                .for_update(strength=strength)
                .expect(1, missing=Missing),
            )
        answer = attempt(
            scanned,
            select("silo", where={"id": 2, "time_deleted": None})
            .for_update()
            .expect(1, missing=Missing),
        )
        assert type(answer.error) is Missing
        assert answer.report.violation.rows == 0
    many = attempt(
        scanned, select("vpc", where={"silo_id": 1}).for_update().expect(1, missing=Missing)
    )
    assert type(many.error) is GuardFailed
    assert many.report.violation.rows == 2


WRITES = [
    "DELETE FROM vpc",
    "DELETE FROM vpc RETURNING id",
    "INSERT INTO log VALUES (1) RETURNING n",
    "WITH deleted AS (DELETE FROM vpc RETURNING id) SELECT id FROM deleted",
    "WITH deleted AS MATERIALIZED (DELETE FROM vpc RETURNING id) SELECT 1",
]


@pytest.mark.parametrize("text", WRITES)
def test_expect_none_of_a_text_that_writes_aborts_when_it_changes_rows(conn, observer, text):
    with pytest.raises(Missing):
        run(conn, absent(sql(text), raises=Missing))
    assert observer.execute("SELECT count(*) FROM vpc").fetchone() == (2,)
