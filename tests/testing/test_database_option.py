# SPDX-License-Identifier: MIT
"""`pytest --database=...`: run on that server, or print one line that says why not."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path

import psycopg
import pytest

from tests.support.fake_services import fake_cockroach

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]

TESTS = """
import psycopg
import pytest

LEFT = []

# Not committed and not closed: its locks would block a DROP.
@pytest.mark.parametrize("statement", ["CREATE TABLE made (a int)", "SELECT * FROM t"])
def test_works_in_a_schema_of_its_own(database, conn, statement):
    conn.execute("CREATE TABLE t (a int)")
    LEFT.append(psycopg.connect(database))
    LEFT[-1].execute(statement)

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


VARIABLES = {"DATABASE_URL": "", "BATCHQ_COCKROACH_URL": ""}


def environment(directory):
    """Return variables with which neither a Docker engine nor a database is found."""
    return {
        **VARIABLES,
        "PYTHONPATH": str(ROOT),
        "DOCKER_HOST": f"unix://{directory}/missing.sock",
        "HOME": str(directory),  # testcontainers reads a file there
    }


def arguments(*options):
    plugins = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-p", "no:randomly"]
    return [*plugins, "-rs", *options, "test_it.py"]


@pytest.fixture
def run(tmp_path):
    """Run pytest on some tests, with the suite's fixtures; return its exit code and its output."""

    def run(tests, *options, **variables):
        (tmp_path / "test_it.py").write_text(tests)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments(*options)],
            cwd=tmp_path,
            env={**os.environ, **environment(tmp_path), **variables},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def refuse(pytester, monkeypatch):
    """Run pytest in this process, with options that end it before any test; as `run`."""

    def refuse(*options, **variables):
        pytester.makepyfile(test_it=MANY_TESTS)
        for name, value in {**environment(pytester.path), **variables}.items():
            monkeypatch.setenv(name, value)
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            done = pytester.runpytest_inprocess(*arguments(*options))
            gc.collect()  # sockets that a failed Docker client leaves open
        return done.ret, "\n".join(done.outlines + done.errlines)

    return refuse


@pytest.mark.parametrize("name", ["postgres", "cockroach"])
def test_missing_docker_ends_the_run_with_one_line_and_no_success(name, refuse):
    code, output = refuse(f"--database={name}")
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    (line,) = output.splitlines()
    assert line.startswith(f"--database={name}, skipped: a container needs a Docker engine")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "DATABASE_URL is not set"),
        ("mysql://host/database", "DATABASE_URL is not a connection string of libpq"),
        ("postgresql://127.0.0.1:1/postgres", 'connection to server at "127.0.0.1", port 1 failed'),
    ],
)
def test_unusable_url_is_a_usage_error_of_one_line(refuse, url, message):
    code, output = refuse("--database=url", DATABASE_URL=url)
    assert code == pytest.ExitCode.USAGE_ERROR
    (line,) = output.strip().splitlines()
    assert line.startswith("ERROR: --database=url: ")
    assert message in line


def test_unknown_database_lists_the_known_ones(refuse):
    code, output = refuse("--database=mysql")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "choose from" in output
    assert "cockroach" in output


def test_server_that_does_not_start_ends_the_run_with_one_report(run):
    code, output = run(MANY_TESTS, "--postgres=9")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert output.count("no PostgreSQL 9 is installed") == 1
    assert "Traceback" not in output


def test_run_on_an_existing_server_leaves_nothing_and_disturbs_no_session(run, restartable):
    with psycopg.connect(restartable.conninfo(), autocommit=True) as bystander:
        bystander.execute("CREATE TABLE public.other (a int)")
        bystander.execute("BEGIN; LOCK public.other")
        url = (
            f"postgresql://postgres@127.0.0.1:{restartable.port}/postgres?options=-cwork_mem%3D5MB"
        )
        code, output = run(TESTS, "--database=url", DATABASE_URL=url)
        assert (code, "5 passed" in output) == (pytest.ExitCode.OK, True), output
        assert "database: url (PostgreSQL)" in output
        left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'test%'"
        assert bystander.execute(left).fetchone() == (0,)


def test_run_on_cockroachdb_has_schemas_and_reports_skipped_tests(run):
    with fake_cockroach() as cockroach:
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
