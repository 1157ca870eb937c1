# SPDX-License-Identifier: MIT
"""``batchq bulk``: effects, output and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from batchq.cli.main import batchq
from tests.cli.conftest import LOWER, OLD, TREE

DONE, FAILED, USAGE, AGAIN = 0, 1, 2, 75


def left(conn: Any) -> Any:
    return conn.execute("SELECT (SELECT count(*) FROM vpc), (SELECT count(*) FROM rule)").fetchone()


def test_start_deletes_a_small_tree_at_once(cli, estate):
    result = cli("start", TREE, 2)
    assert (result.exit_code, "5 rows" in result.output) == (DONE, True)
    assert left(estate) == (1, 1_000)


def test_start_fences_a_large_tree_and_resume_deletes_it(cli, estate):
    started = cli("start", TREE, 1)
    assert started.exit_code == AGAIN
    assert left(estate) == (2, 1_005)
    (job,) = estate.execute("SELECT id::text FROM bulk_job").fetchone()
    assert job in started.output
    resumed = cli("resume", TREE)
    assert (resumed.exit_code, "rule: 1,000" in resumed.output) == (DONE, True)
    assert left(estate) == (1, 5)


def test_resume_exits_with_75_while_jobs_are_unfinished(cli, estate):
    cli("start", TREE, 1)
    first = cli("resume", TREE, "--max-chunks", 1, "--max-chunk-rows", 100)
    assert (first.exit_code, left(estate)) == (AGAIN, (2, 905))
    assert cli("resume", TREE).exit_code == DONE


def test_start_fails_if_the_parent_does_not_exist(cli, estate):
    result = cli("start", TREE, 7)
    assert (result.exit_code, "no parent 7" in result.output) == (FAILED, True)


def test_rewrite_is_started_once_and_resumed(cli, estate):
    assert cli("start", LOWER).exit_code == AGAIN
    assert cli("start", LOWER).exit_code == FAILED
    assert cli("resume", TREE, LOWER).exit_code == DONE
    assert estate.execute("SELECT count(*) FROM rule WHERE name = 'Rule'").fetchone() == (0,)


def test_rows_are_deleted_by_a_condition(cli, estate):
    planned = cli("preflight", OLD)
    assert (planned.exit_code, 'DELETE FROM "rule"' in planned.output) == (DONE, True)
    assert cli("start", OLD, 7).exit_code == USAGE
    assert cli("start", OLD).exit_code == AGAIN
    (job,) = estate.execute("SELECT id::text FROM bulk_job").fetchone()
    adopted = cli("adopt", OLD, job)
    assert (adopted.exit_code, "old is a DeleteRows" in adopted.output) == (USAGE, True)
    assert "1 claimable" in cli("status", OLD).output
    assert cli("resume", OLD, "--max-rows", 200).exit_code == AGAIN
    assert cli("resume", OLD).exit_code == DONE
    assert left(estate) == (2, 5)


@pytest.mark.parametrize("words", [("preflight",), ("start", "--dry-run")], ids=" ".join)
def test_dry_run_shows_the_statements_and_writes_nothing(cli, estate, words):
    result = cli(*words, TREE, 1)
    assert result.exit_code == DONE, result.output
    assert 'DELETE FROM "rule"' in result.output
    assert left(estate) == (2, 1_005)
    assert estate.execute("SELECT count(*) FROM bulk_job").fetchone() == (0,)


def test_preflight_fails_and_suggests_the_missing_index(cli, estate):
    estate.execute("ALTER TABLE rule DROP CONSTRAINT rule_vpc_id_id_key")
    result = cli("preflight", TREE, 1)
    assert result.exit_code == FAILED
    assert "CREATE" in result.output
    assert "INDEX" in result.output


def test_resume_dry_run_shows_the_jobs_and_claims_none(cli, estate):
    cli("start", TREE, 1)
    result = cli("resume", TREE, "--dry-run")
    assert (result.exit_code, "1 claimable" in result.output) == (DONE, True)
    assert estate.execute("SELECT epoch FROM bulk_job").fetchone() == (0,)


def test_status_prints_text_or_json(cli, estate):
    cli("start", TREE, 1)
    assert "1 claimable" in cli("status", TREE).output
    (entry,) = json.loads(cli("status", TREE, "--json").stdout)
    assert (entry["name"], entry["claimable"], entry["jobs"][0]["root"]) == ("vpc", 1, "1")


def test_status_fails_if_a_job_is_stuck_or_too_old(cli, estate):
    cli("start", TREE, 1)
    assert cli("status", TREE, "--older-than", 3600).exit_code == DONE
    estate.execute("UPDATE bulk_job SET created_at = now() - interval '2 hours'")
    assert cli("status", TREE, "--older-than", 3600).exit_code == FAILED
    estate.execute("UPDATE bulk_job SET phase = 'stuck', last_error = 'late rows'")
    result = cli("status", TREE)
    assert (result.exit_code, "late rows" in result.output) == (FAILED, True)


def test_resume_retry_processes_a_stuck_job(cli, estate):
    cli("start", TREE, 1)
    estate.execute("UPDATE bulk_job SET phase = 'stuck'")
    (job,) = estate.execute("SELECT id::text FROM bulk_job").fetchone()
    for _ in range(2):
        result = cli("resume", TREE)
        assert (result.exit_code, "earlier run: 1" in result.output) == (FAILED, True)
    assert left(estate) == (2, 1_005)
    assert cli("resume", TREE, "--retry", job).exit_code == DONE
    assert left(estate) == (1, 5)


def test_resume_retry_of_an_unknown_job_is_wrong_usage(cli, estate):
    """A job of another target is unknown as well."""
    cli("start", LOWER)
    (job,) = estate.execute("SELECT id::text FROM bulk_job").fetchone()
    for unknown in (job, "00000000-0000-0000-0000-000000000007"):
        result = cli("resume", TREE, "--retry", unknown)
        assert (result.exit_code, f"--retry {unknown}: vpc has no" in result.output) == (2, True)
    assert cli("resume", LOWER, TREE, "--retry", job).exit_code == DONE


def test_texts_name_commands_and_no_calls(cli, estate):
    cli("start", TREE, 1)
    cli("start", LOWER)
    estate.execute("UPDATE vpc SET time_deleted = NULL WHERE id = 1")
    for words in (("start", LOWER), ("start", TREE, 1)):
        result = cli(*words)
        assert result.exit_code == FAILED
        assert "is not finished; `batchq bulk resume TARGET` continues it" in result.output
        assert "(" not in result.output
    text = "fix it; jobs.retry(UUID('7')) restarts it"
    estate.execute("UPDATE bulk_job SET last_error = %s", [text])
    assert "fix it; `batchq bulk resume TARGET --retry 7` restarts it" in cli("status", TREE).output
    assert " released, " in cli("resume", TREE, "--max-chunks", 0).output


def test_key_of_another_type_is_wrong_usage(cli, estate):
    result = cli("start", TREE, "abc")
    assert result.exit_code == USAGE
    assert "KEY 'abc': invalid input syntax for type integer: \"abc\"" in result.output


def test_preflight_fails_if_no_parent_has_the_key(cli, estate):
    result = cli("preflight", TREE, 7)
    assert (result.exit_code, "NO_PARENT vpc 7" in result.output) == (FAILED, True)


def test_resume_fails_if_a_job_becomes_stuck(cli, estate):
    estate.execute("CREATE TABLE log (rule_id int REFERENCES rule)")
    estate.execute("INSERT INTO log VALUES (500)")
    cli("start", TREE, 1)
    result = cli("resume", TREE)
    assert (result.exit_code, "1 stuck" in result.output) == (FAILED, True)
    assert "log_rule_id_fkey" in cli("status", TREE).output


def test_abandon_ends_a_job_once_and_for_good(cli, estate):
    cli("start", TREE, 1)
    (job,) = estate.execute("SELECT id::text FROM bulk_job").fetchone()
    assert cli("abandon", TREE, job).exit_code == DONE
    assert cli("resume", TREE).exit_code == DONE
    assert left(estate) == (2, 1_005)
    assert "1 abandoned" in cli("status", TREE).output
    again = cli("abandon", TREE, job)
    assert (again.exit_code, job in again.output) == (FAILED, True)


def test_adopt_continues_a_job_whose_table_was_replaced(cli, estate):
    cli("start", TREE, 1)
    (job,) = estate.execute("SELECT id::text FROM bulk_job").fetchone()
    assert cli("adopt", TREE, job).exit_code == FAILED
    estate.execute("ALTER TABLE rule RENAME TO old")
    estate.execute("CREATE TABLE rule (LIKE old INCLUDING ALL)")
    estate.execute("INSERT INTO rule SELECT * FROM old")
    assert cli("resume", TREE).exit_code == FAILED
    assert "other tables" in cli("status", TREE).output
    assert left(estate) == (2, 1_005)
    assert cli("adopt", TREE, job).exit_code == DONE
    assert cli("resume", TREE).exit_code == DONE
    assert left(estate) == (1, 5)


def test_resume_prints_its_report_as_json(cli, estate):
    cli("start", TREE, 1)
    report = json.loads(cli("resume", TREE, "--json").stdout)
    assert (report["rows"], report["stop_reason"], report["rows_by_table"]) == (
        1_000,
        "exhausted",
        {"rule": 1_000},
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("preflight", "cli_trees", "1"), "module:attribute"),
        (("preflight", "no_such_module:TREE", "1"), "no_such_module"),
        (("preflight", "cli_trees:NOTHING", "1"), "NOTHING"),
        (("preflight", "cli_trees:VPC", "1"), "Parent"),
        (("preflight", TREE), "KEY"),
        (("start", LOWER, "1"), "KEY"),
        (("resume",), "Missing"),
        (("resume", TREE, "--max-chunks", "-1"), "--max-chunks"),
        (("resume", TREE, "--timeout", "60"), "lease"),
        (("resume", TREE, TREE), "two tasks are named"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_wrong_usage_exits_with_2_and_names_the_mistake(cli, estate, words, says):
    result = cli(*words)
    assert (result.exit_code, says in result.output) == (USAGE, True), result.output


def test_missing_job_table_is_reported_without_a_traceback(cli, conn):
    result = cli("resume", TREE)
    assert result.exit_code == FAILED
    assert "bulk_job" in result.output
    assert "Traceback" not in result.output
    for words in (("status", TREE), ("resume", TREE), ("start", LOWER)):
        result = cli(*words)
        assert result.exit_code == FAILED
        assert "`batchq bulk preflight` prints the DDL to create it" in result.output


def test_unreachable_server_is_reported_without_a_traceback(cli, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "host=127.0.0.1 port=1 connect_timeout=5")
    result = cli("status", TREE)
    assert (result.exit_code, "the server refuses connections" in result.output) == (FAILED, True)


def test_missing_extra_is_reported_with_the_install_command(tmp_path):
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(name='click')")
    ran = subprocess.run(
        [sys.executable, "-m", "batchq"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (
        1,
        'batchq: click is not installed; run pip install "batchq[cli]"\n',
    )


DSNS = [
    "postgrs://u:SECRET77@127.0.0.1:1/x",
    "postgresql://u:SECR ET77@127.0.0.1:1/x",
    "postgresql://u:SECRET77%@127.0.0.1:1/x",
    "postgresql://u:SECRET77%zz@127.0.0.1:1/x",
    "postgresql://u:5ECRET@SECRET77@127.0.0.1:1/x",
    "postgresql://u:a/SECRET77@127.0.0.1:1/x",
    "postgresql://u:SECRET77/a@127.0.0.1:1/x",
    "postgresql://u:a?SECRET77@127.0.0.1:1/x",
    "postgresql://u:a#SECRET77@127.0.0.1:1/x",
    "postgresql://u:[SECRET77@127.0.0.1:1/x",
    "postgresql://u:SECRET77@[127.0.0.1:1/x",
    "postgresql://u:SECRET77@127.0.0.1:1/x?sslmode=SECRET77",
    "postgresql://u:SECRET77@127.0.0.1:1/x?SECRET77",
    "postgresql://u:SECRET77@127.0.0.1:port/x",
    "host=127.0.0.1 port=1 user=u password=SECRET77 dbname=x",
    "host=127.0.0.1 port=1 user=u password=a SECRET77 dbname=x",
    "host=127.0.0.1 port=1 user=u password=a SECRET77=x dbname=x",
    "host=127.0.0.1 port=1 user=u password='SECRET77 dbname=x",
    "host=127.0.0.1 port=1 user=u passwrd=SECRET77",
]


REACHES = {
    "host": {"host": "SECRET77.invalid", "hostaddr": ""},
    "socket": {"host": "/SECRET77", "hostaddr": ""},
    "database": {"dbname": "SECRET77"},
    "password as a database": {"dbname": "u:5ECRET@SECRET77"},
    "role": {"user": "SECRET77"},
    "option": {"options": "-cSECRET77=x"},
    "value of an option": {"options": "-cwork_mem=SECRET77"},
    "option of libpq": {"connect_timeout": "SECRET77"},
    "certificate": {"sslmode": "verify-full", "sslrootcert": "/SECRET77"},
}


@pytest.mark.parametrize("changed", REACHES.values(), ids=REACHES)
def test_no_part_of_a_connection_string_is_printed_when_it_does_not_connect(
    app, database, monkeypatch, changed
):
    for words in (["status", TREE], ["start", TREE, "1"], ["preflight", TREE, "1"]):
        dsn = make_conninfo(database, **changed)
        result = CliRunner().invoke(batchq, ["bulk", *words, "--dsn", dsn])
        assert (result.exit_code, result.output[:15]) == (FAILED, "Error: cannot c")
        for part in ("SECR", "ET77", "127.0.0.1"):
            assert part not in result.output


@pytest.mark.parametrize("dsn", DSNS)
@pytest.mark.parametrize("how", ["--dsn", "DATABASE_URL"])
def test_malformed_connection_string_is_never_printed(app, dsn, how):
    given = {"env": {"DATABASE_URL": dsn}} if how == "DATABASE_URL" else {}
    words = ["bulk", "status", TREE, *(["--dsn", dsn] if how == "--dsn" else [])]
    result = CliRunner().invoke(batchq, words, **given)
    assert result.exit_code == FAILED
    for part in ("SECR", "ET77"):
        assert part not in result.output
    assert result.output.startswith("Error: ")
