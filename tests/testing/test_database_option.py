# SPDX-License-Identifier: MIT
"""`pytest --database=...`: run on that server, or print one line that says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from batchq.testing import server
from tests.support.fake_services import scripted_cockroach

ROOT = Path(__file__).parents[2]

TESTS = """
import psycopg
import pytest

LEFT = []

# Not committed and not closed: in the way of a DROP.
@pytest.mark.parametrize("left", ["CREATE TABLE made (a int)", "SELECT * FROM t"])
def test_works_in_a_schema_of_its_own(database, conn, left):
    conn.execute("CREATE TABLE t (a int)")
    LEFT.append(psycopg.connect(database))
    LEFT[-1].execute(left)

def test_starts_with_no_tables(conn):
    assert conn.execute("SELECT to_regclass('t'), current_schema() ~ '^test_'").fetchone() == (
        None,
        True,
    )

def test_keeps_the_options_of_the_url(conn):
    assert conn.execute("SHOW work_mem").fetchone() == ("5MB",)

@pytest.mark.postgres_only("it is slow there")
def test_runs_on_postgresql(): ...
"""
COCKROACH_TESTS = """
import pytest

@pytest.mark.postgres_only("it has no locks to look at")
def test_is_skipped(): ...

def test_runs(conn, shared_database):
    assert shared_database.kind == "CockroachDB"
    conn.execute("what the test does")
"""
MANY_TESTS = """
import pytest

@pytest.mark.parametrize("n", range(50))
def test_one_of_many(n, conn): ...
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest on some tests, with the suite's fixtures; its exit code and its output."""

    def run(tests, *options, **variables):
        (tmp_path / "test_it.py").write_text(tests)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock",
            "HOME": str(tmp_path),  # testcontainers reads a file there
            "DATABASE_URL": "",
            "BATCHQ_COCKROACH_URL": "",
            **variables,
        }
        plugins = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-p", "no:randomly"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, "-rs", *options, "test_it.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("name", ["postgres", "cockroach"])
def test_without_docker_a_run_is_one_line_and_neither_a_success_nor_a_failure(name, run):
    code, output = run(MANY_TESTS, f"--database={name}")
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    (line,) = output.splitlines()
    assert line.startswith(
        f"--database={name}, skipped: a container takes a Docker engine, and none"
    )


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "DATABASE_URL is not set"),
        ("mysql://host/database", "DATABASE_URL is no connection string of libpq"),
        ("postgresql://127.0.0.1:1/postgres", 'connection to server at "127.0.0.1", port 1 failed'),
    ],
)
def test_a_url_that_is_no_use_is_a_mistake_in_one_line(run, url, says):
    code, output = run(MANY_TESTS, "--database=url", DATABASE_URL=url)
    assert code == pytest.ExitCode.USAGE_ERROR
    (line,) = output.split("\n\n")[0].splitlines()
    assert line.startswith("ERROR: --database=url: ")
    assert says in line


def test_an_unknown_engine_teaches_the_known_ones(run):
    code, output = run(MANY_TESTS, "--database=mysql")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "choose from" in output
    assert "cockroach" in output


def test_a_server_that_does_not_start_ends_the_run_and_is_told_once(run):
    code, output = run(MANY_TESTS, "--postgres=9")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert output.count("no PostgreSQL 9 is installed") == 1
    assert "Traceback" not in output


def test_on_somebody_elses_server_others_stay_and_nothing_is_left(run):
    with (
        server() as theirs,
        psycopg.connect(theirs.conninfo(), autocommit=True) as bystander,
    ):
        bystander.execute("CREATE TABLE public.theirs (a int)")
        bystander.execute("BEGIN; LOCK public.theirs")
        url = f"postgresql://postgres@127.0.0.1:{theirs.port}/postgres?options=-cwork_mem%3D5MB"
        code, output = run(TESTS, "--database=url", DATABASE_URL=url)
        assert (code, "5 passed" in output) == (pytest.ExitCode.OK, True), output
        assert "database: url (PostgreSQL)" in output
        left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'test%'"
        assert bystander.execute(left).fetchone() == (0,)


def test_on_cockroachdb_a_test_has_its_schema_and_what_cannot_run_there_says_why(run):
    with scripted_cockroach() as cockroach:
        code, output = run(
            COCKROACH_TESTS, "--database=cockroach", BATCHQ_COCKROACH_URL=cockroach.url
        )
        assert (code, "1 passed, 1 skipped" in output) == (pytest.ExitCode.OK, True), output
        assert "database: cockroach (CockroachDB)" in output
        assert "PostgreSQL only: it has no locks to look at" in output
        schema = cockroach.sent[0].split('"')[1]
        assert [" ".join(text.split()) for text in cockroach.sent] == [
            f'CREATE SCHEMA "{schema}"',
            "what the test does",
            (
                "CANCEL SESSIONS IF EXISTS ( SELECT session_id FROM [SHOW SESSIONS] "
                f"WHERE application_name = '{schema}' )"
            ),
            f'DROP SCHEMA "{schema}" CASCADE',
        ]
        assert {
            "user": "root",
            "database": "defaultdb",
            "options": f"-csearch_path={schema},public",
            "application_name": schema,
        }.items() <= cockroach.sessions[-1].items()
