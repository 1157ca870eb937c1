# SPDX-License-Identifier: MIT
"""Row level security may hide children from the role that deletes: then no parent is deleted.

The server rejects the check (42501), in words that depend on its language; ``last_error`` does not.
A missing privilege has the same SQLSTATE, and is another failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import psycopg
import pytest
from psycopg import sql as psql

from batchq import UnmappedViolation, gather, run, sql
from batchq.bulk import Backfill, Budget, Deleted, DeleteRows, StopReason, preflight, resume, start
from batchq.bulk.preflight.findings import FindingCode
from batchq.result import Failed, attempt

HIDES_RULE = """
ALTER TABLE rule ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON rule USING (id <> 500);
"""
KINDS = {
    "hides a child": HIDES_RULE,
    "hides no child that there is": HIDES_RULE.replace("500", "-1"),
    "lets a child be seen and not deleted": """
        ALTER TABLE rule ENABLE ROW LEVEL SECURITY;
        CREATE POLICY seen ON rule FOR SELECT USING (true);
        CREATE POLICY deletes ON rule FOR DELETE USING (id <> 500);
    """,
    "lets a child be deleted and not seen": """
        ALTER TABLE rule ENABLE ROW LEVEL SECURITY;
        CREATE POLICY seen ON rule FOR SELECT USING (id <> 500);
        CREATE POLICY deletes ON rule FOR DELETE USING (true);
    """,
    "hides the parent that is hidden": """
        ALTER TABLE vpc ENABLE ROW LEVEL SECURITY;
        CREATE POLICY living ON vpc USING (time_deleted IS NULL);
    """,
    "lets the parent be seen and not locked": """
        ALTER TABLE vpc ENABLE ROW LEVEL SECURITY;
        CREATE POLICY seen ON vpc FOR SELECT USING (true);
        CREATE POLICY locked ON vpc FOR UPDATE USING (time_deleted IS NULL);
    """,
}
NO_ROWS = {name: text for name, text in KINDS.items() if "parent" not in name}


@pytest.fixture
def worker(estate: Any, connect: Callable[..., Any]) -> Iterator[psycopg.Connection[Any]]:
    """Of a role that has every privilege and is not the owner."""
    role = psql.Identifier(estate.one("SELECT 'worker_' || current_schema"))
    schema = psql.Identifier(estate.one("SELECT current_schema"))
    for text in (
        "CREATE ROLE {}",
        "GRANT USAGE ON SCHEMA {schema} TO {}",
        "GRANT ALL ON vpc, rule, bulk_job TO {}",
    ):
        estate.conn.execute(psql.SQL(text).format(role, schema=schema))
    conn = connect()
    conn.execute(psql.SQL("SET ROLE {}").format(role))
    yield conn
    conn.close()
    estate.conn.execute(psql.SQL("DROP OWNED BY {}").format(role))
    estate.conn.execute(psql.SQL("DROP ROLE {}").format(role))


@pytest.mark.parametrize("kind", KINDS)
def test_job_of_a_role_under_policies_is_stuck_until_another_role_resumes(
    estate: Any, worker: Any, kind: str
) -> None:
    estate.conn.execute(KINDS[kind])
    job = estate.fence()
    report = estate.resume(worker)
    assert (report.stop_reason, report.jobs_stuck, report.jobs_done) == (StopReason.EXHAUSTED, 1, 0)
    phase, detail = estate.job("phase, last_error")
    assert phase == "stuck"
    assert "row level security" in detail
    assert ("vpc:" if "parent" in kind else "rule:") in detail
    assert "BYPASSRLS" in detail
    assert estate.one("SELECT count(*) FROM vpc WHERE id = 1") == 1
    estate.assert_exact()
    run(estate.conn, estate.tree.jobs.retry(job))
    estate.resume()
    estate.assert_deleted()


@pytest.mark.parametrize("kind", NO_ROWS)
def test_delete_now_of_a_role_under_policies_is_rejected(
    estate: Any, worker: Any, kind: str
) -> None:
    estate.conn.execute(KINDS[kind])
    with pytest.raises(UnmappedViolation, match="row-level security"):
        start(worker, estate.tree, 2, missing=estate.missing())
    assert estate.one("SELECT count(*) FROM rule WHERE vpc_id = 2") == 10
    assert start(estate.conn, estate.tree, 2, missing=estate.missing()) == Deleted(10)


def test_owner_is_under_policies_only_if_forced(estate: Any, worker: Any) -> None:
    estate.conn.execute("INSERT INTO vpc VALUES (3)")
    estate.conn.execute(HIDES_RULE)
    owner = worker.execute("SELECT current_user").fetchone()[0]
    schema = estate.one("SELECT current_schema")
    estate.conn.execute(f"GRANT CREATE ON SCHEMA {schema} TO {owner}")
    estate.conn.execute(f"ALTER TABLE rule OWNER TO {owner}")
    assert start(worker, estate.tree, 3, missing=estate.missing()) == Deleted(0)
    estate.conn.execute("ALTER TABLE rule FORCE ROW LEVEL SECURITY")
    estate.fence()
    assert estate.resume(worker).jobs_stuck == 1
    assert "FORCE" in estate.job("last_error")
    estate.conn.execute("ALTER TABLE rule NO FORCE ROW LEVEL SECURITY")
    run(estate.conn, estate.tree.jobs.retry(estate.job("id")))
    estate.resume(worker)
    estate.assert_deleted()


def test_missing_privilege_is_another_failure(estate: Any, worker: Any) -> None:
    """It leaves the job to a role that has it."""
    estate.conn.execute(KINDS["hides no child that there is"])
    estate.conn.execute(f"REVOKE DELETE ON rule FROM {worker.execute('SELECT user').fetchone()[0]}")
    estate.fence()
    report = estate.resume(worker)
    assert (report.stop_reason, report.jobs_stuck, report.jobs_released) == (
        StopReason.FAILED,
        0,
        1,
    )
    assert "permission denied" in estate.job("last_error")


def test_policy_created_before_the_final_check_is_found(estate: Any, worker: Any) -> None:
    estate.fence()
    estate.resume(worker, budget=Budget(chunks=4))
    estate.conn.execute("INSERT INTO rule VALUES (500, 1)")
    estate.conn.execute(HIDES_RULE)
    assert estate.resume(worker).jobs_stuck == 1
    assert estate.left() == 1


def guarded(estate: Any, what: str) -> Any:
    """Return a batch with a guard on the rules of VPC 3, which is deleted alone."""
    estate.conn.execute("INSERT INTO vpc VALUES (3)")
    forbid = estate.rules.forbid(3, unexpected=ValueError("it has rules"))
    tree = attrs.evolve(estate.tree, children=[], guards=[lambda _: forbid])
    if what == "delete":
        return estate.tree.parent.delete(3, missing=estate.missing(), guards=[forbid])
    batch = tree.delete_now if what == "at once" else tree.fence
    return batch(3, missing=estate.missing())


GUARDED = pytest.mark.parametrize("what", ["at once", "fence", "delete"])


@GUARDED
@pytest.mark.parametrize("setting", ["on", "off"])
def test_row_security_setting_is_restored_after_the_check(
    estate: Any, connect: Callable[..., Any], setting: str, what: str
) -> None:
    conn = connect()
    conn.execute(f"SET row_security = {setting}")
    shown = sql("SELECT current_setting('row_security')").scalar(str)
    assert run(conn, gather(guarded(estate, what), shown))[1] == setting
    assert run(conn, shown) == setting


@GUARDED
def test_guard_of_a_role_under_policies_is_rejected(estate: Any, worker: Any, what: str) -> None:
    """Children that are not deleted with the parent but must not be there."""
    estate.conn.execute(HIDES_RULE)
    batch = guarded(estate, what)
    estate.conn.execute("UPDATE rule SET vpc_id = 3 WHERE id = 500")
    answer = attempt(worker, batch)
    assert isinstance(answer, Failed)
    assert "row-level security" in str(answer.error)
    with pytest.raises(ValueError, match="it has rules"):
        run(estate.conn, batch)
    assert estate.one("SELECT count(*) FROM vpc WHERE id = 3 AND time_deleted IS NULL") == 1


SUBNETS = """
CREATE TABLE subnet (id int PRIMARY KEY, vpc_id int NOT NULL, v int, time_deleted timestamptz);
"""


@pytest.mark.parametrize("table", ["rule", "vpc", "subnet", "bulk_job"])
def test_preflight_reports_row_security_of_every_table_of_a_tree(
    estate: Any, worker: Any, table: str
) -> None:
    estate.conn.execute(SUBNETS)
    subnets = estate.tree.parent.children("subnet", by="vpc_id", deleted_at="time_deleted")
    guards = [lambda vpc: subnets.forbid(vpc, unexpected=ValueError())]
    tree = attrs.evolve(estate.tree, guards=guards, inline_limit=100)
    assert [one.code for one in preflight(worker, tree, 1).errors] == []
    estate.conn.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    for vpc in (1, 2):  # in chunks, at once
        found = {(one.code, one.table): one.remedy for one in preflight(worker, tree, vpc).errors}
        assert "BYPASSRLS" in found[FindingCode.ROW_SECURITY, table]
    assert preflight(estate.conn, tree, 1).ok


STAMP = Backfill(name="v2", table="rule", set={"name": "x"}, where={"name": None})
UNNAMED = DeleteRows(name="unnamed", table="rule", where={"name": None})


@pytest.mark.parametrize("table", ["rule", "bulk_job"])
def test_preflight_reports_row_security_of_a_backfill(estate: Any, worker: Any, table: str) -> None:
    assert preflight(worker, STAMP).ok
    estate.conn.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    found = [(one.code, one.table) for one in preflight(worker, STAMP).errors]
    assert (FindingCode.ROW_SECURITY, table) in found


REWRITTEN = {
    "hides one": HIDES_RULE,
    "hides none that there is": KINDS["hides no child that there is"],
    "lets it be seen and not updated": """
        ALTER TABLE rule ENABLE ROW LEVEL SECURITY;
        CREATE POLICY seen ON rule FOR SELECT USING (true);
        CREATE POLICY changed ON rule FOR UPDATE USING (id <> 500);
    """,
    "lets it be updated and not seen": """
        ALTER TABLE rule ENABLE ROW LEVEL SECURITY;
        CREATE POLICY seen ON rule FOR SELECT USING (id <> 500);
        CREATE POLICY changed ON rule FOR UPDATE USING (true);
    """,
}


@pytest.mark.parametrize("task", [STAMP, UNNAMED], ids=["backfill", "delete"])
@pytest.mark.parametrize("kind", REWRITTEN)
def test_task_of_a_role_under_policies_does_not_end(
    estate: Any, worker: Any, kind: str, task: Backfill | DeleteRows
) -> None:
    estate.conn.execute(REWRITTEN[kind])
    job = run(worker, task.start())
    report = resume(worker, [task], owner="test")
    assert (report.stop_reason, report.jobs_done, report.jobs_stuck) == (StopReason.EXHAUSTED, 0, 1)
    detail = estate.one("SELECT last_error FROM bulk_job")
    assert "rule: row level security" in detail
    assert "BYPASSRLS" in detail
    run(estate.conn, task.jobs.retry(job))
    assert resume(estate.conn, [task], owner="test").jobs_done == 1
    assert estate.one("SELECT count(*) FROM rule WHERE name IS NULL") == 0


@pytest.mark.parametrize("forced", [True, False])
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("who", ["nobody", "owner", "member", "bypassing", "superuser"])
def test_preflight_agrees_with_the_server_for_every_role(
    estate: Any, worker: Any, who: str, enabled: bool, forced: bool
) -> None:
    """``row_security_active()`` is not asked, for CockroachDB has none."""
    role = worker.execute("SELECT current_user").fetchone()[0]
    other = f"{role}_owner"
    for text in {
        "nobody": [],
        "owner": [f"ALTER TABLE rule OWNER TO {role}"],
        "member": [
            f"CREATE ROLE {other}",
            f"GRANT {other} TO {role}",
            f"GRANT ALL ON SCHEMA {estate.one('SELECT current_schema')} TO {other}",
            f"ALTER TABLE rule OWNER TO {other}",
        ],
        "bypassing": [f"ALTER ROLE {role} BYPASSRLS"],
        "superuser": [f"ALTER ROLE {role} SUPERUSER"],
    }[who]:
        estate.conn.execute(text)
    if enabled:
        estate.conn.execute("ALTER TABLE rule ENABLE ROW LEVEL SECURITY")
    if forced:
        estate.conn.execute("ALTER TABLE rule FORCE ROW LEVEL SECURITY")
    asked = worker.execute("SELECT row_security_active('rule')").fetchone()[0]
    found = [one.table for one in preflight(worker, estate.tree, 1).errors]
    estate.conn.execute("ALTER TABLE rule OWNER TO CURRENT_USER")
    if who == "member":
        estate.conn.execute(f"DROP OWNED BY {other}")
        estate.conn.execute(f"DROP ROLE {other}")
    assert found == (["rule"] if asked else [])
