# SPDX-License-Identifier: MIT
"""Every pair of steps, one of which declares the constraint: who is blamed has broken it."""

from __future__ import annotations

from itertools import permutations

import pytest

from batchq import Outcome, delete, gather, insert, sql, unique, update
from batchq.result import attempt

pytestmark = pytest.mark.postgres_only("constraints are never deferred there")

TABLES = """
CREATE TABLE a (id int PRIMARY KEY, name text,
    CONSTRAINT a_name UNIQUE (name) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE b (name text);
INSERT INTO a VALUES (1, 'taken'), (2, 'other'), (3, 'third');
"""
GUILTY = {
    "an insert": insert("a", {"id": 10, "name": "taken"}),
    "an update": update("a", {"name": "taken"}, {"id": 2}),
    "SQL": sql("INSERT INTO a VALUES (11, 'taken')"),
    "an expression": insert("a", {"id": 12, "name": sql("'taken'")}),
}
INNOCENT = {
    "an insert": insert("a", {"id": 20, "name": "free"}),
    "an update": update("a", {"name": "free2"}, {"id": 3}),
    "SQL": sql("INSERT INTO a VALUES (21, 'free3')"),
    "an expression": insert("a", {"id": 22, "name": sql("'free4'")}),
    "a delete": delete("a", {"id": 3}),
    "another table": insert("b", {"name": "taken"}),
    "no row": update("a", {"name": "free5"}, {"id": 99}),
}
OPAQUE = {"SQL", "an expression"}


class Declared(Exception):
    pass


@pytest.mark.parametrize("declared_by_guilty", [True, False], ids=["guilty", "innocent"])
def test_named_step_has_violated_it_and_suspects_include_the_culprit(conn, declared_by_guilty):
    conn.execute(TABLES)
    seen = 0
    for how, guilty in GUILTY.items():
        for what, innocent in INNOCENT.items():
            mapped = guilty if declared_by_guilty else innocent
            other = innocent if declared_by_guilty else guilty
            for batch in permutations([mapped.on(unique("a_name"), Declared("x")), other]):
                failed = attempt(conn, gather(*batch)).error
                report = failed.__cause__ if type(failed) is Declared else failed
                assert report.outcome is Outcome.ROLLED_BACK
                stands = type(failed) is Declared
                if declared_by_guilty:
                    assert stands, (how, what)
                elif stands:  # nothing contradicts what cannot be inspected
                    assert {how, what} <= OPAQUE, (how, what)
                elif report.step is not None:
                    assert report.statement is guilty, (how, what)
                else:
                    assert guilty in [step.statement for step in report.candidates], (how, what)
                seen += 1
    assert seen == 2 * len(GUILTY) * len(INNOCENT)
