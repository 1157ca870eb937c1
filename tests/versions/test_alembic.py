# SPDX-License-Identifier: MIT
"""A column is dropped as the page says: its files and its transcript are run by alembic."""

from __future__ import annotations

import re
import shlex
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL

from batchq import InvalidBatch, run
from batchq.bulk import Jobs
from batchq.cli.main import batchq
from batchq.versions import Fleet, NotYet, Unproven

PAGE = Path(__file__).parents[2] / "docs" / "versions.md"
SECTION = PAGE.read_text().partition("## Dropping a column")[2].partition("\n## ")[0]
FILES = re.findall(r"```python\n# (\S+)\n(.*?)```", SECTION, re.DOTALL)
(TRANSCRIPT,) = re.findall(r"```console\n(.*?)```", SECTION, re.DOTALL)
LINE = re.compile(r"^(?:(\$|#) (.*)\n)((?:(?![$#] ).*\n)*)", re.MULTILINE)

PROOF = "ALTER TABLE subnet ADD CONSTRAINT subnet_row_version_7 CHECK (row_version >= 7)"
DROP_PROOF = "ALTER TABLE subnet DROP CONSTRAINT subnet_row_version_7"
IN_AUTOCOMMIT = """
from alembic import op
from app.fleet import FLEET
from app.migrating import nested

revision, down_revision = "0011", "0010"

def upgrade():
    with op.get_context().autocommit_block():
        nested(FLEET.contract(unused_since=8))
        op.drop_column("subnet", "block")
"""


@pytest.fixture
def project(conn, database, tmp_path, monkeypatch):
    """Write the page's files into the current directory, and return alembic's configuration."""
    for name, text in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database)
    conn.execute(Jobs().ddl().encode())
    url = URL.create("postgresql+psycopg", query=conninfo_to_dict(database))
    config = Config()
    config.set_main_option("script_location", "migrations")
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", url.render_as_string().replace("%", "%%"))
    yield config
    for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
        del sys.modules[name]


@pytest.fixture
def ready(project, conn):
    """All is true that the last migration asks for."""
    command.upgrade(project, "0009")
    settled = "UPDATE version_window SET oldest = 8, settled_at = now() - interval '2 h'"
    conn.execute(settled)
    return project


def revision(conn):
    return conn.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def columns(conn):
    found = conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'subnet'::regclass AND attnum > 0 "
        "AND NOT attisdropped ORDER BY attnum"
    )
    return [name for (name,) in found]


def shown(project, line):
    """Return what a command line prints; of a migration that raises, the line of the error."""
    program, *words = shlex.split(line)
    if program == "batchq":
        return CliRunner().invoke(batchq, words).output
    try:
        command.upgrade(project, words[1])
    except Exception as error:  # noqa: BLE001  whatever it is, the page shows it
        kind = type(error)
        return f"{kind.__module__}.{kind.__qualname__}: {error}".partition("\n")[0] + "\n"
    return ""


def join(conn, version):
    fleet = Fleet(name="network", version=version)
    for member in ("web-1", "web-2"):
        run(conn, fleet.join(member, lease=timedelta(minutes=1)))


def test_transcript_of_the_page_is_true(project, conn):
    command.upgrade(project, "0006")
    join(conn, 6)
    conn.execute("INSERT INTO subnet SELECT n, '10.0.0.0/8', 6 FROM generate_series(1, 3) n")
    events = {
        "web-1 and web-2 are replaced by processes of version 7": lambda: join(conn, 7),
        "they are replaced by processes of version 8": lambda: join(conn, 8),
        "an hour later": lambda: conn.execute(
            "UPDATE version_window SET settled_at = settled_at - interval '1 h'"
        ),
    }
    for mark, line, output in LINE.findall(TRANSCRIPT):
        if mark == "#":
            events.pop(line)()
            continue
        expected = ".*".join(map(re.escape, output.split("…")))
        assert re.fullmatch(expected, printed := shown(project, line)), (line, printed)

    assert events == {}
    assert (revision(conn), columns(conn)) == ("0010", ["id", "row_version", "block"])
    assert conn.execute("SELECT DISTINCT block::text FROM subnet").fetchall() == [("10.0.0.0/8",)]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("UPDATE version_window SET oldest = 7", NotYet),
        ("UPDATE version_window SET settled_at = now() - interval '59 min'", NotYet),
        (DROP_PROOF, Unproven),
        (f"{DROP_PROOF}; {PROOF} NOT VALID", Unproven),
    ],
    ids=["not retired", "retired too recently", "no proof", "not validated"],
)
def test_refused_contract_fails_the_migration_as_a_whole(ready, conn, change, error):
    conn.pgconn.exec_(change.encode())

    with pytest.raises(error):
        command.upgrade(ready, "0010")

    assert revision(conn) == "0009"
    assert columns(conn) == ["id", "address", "row_version", "block"]


def test_column_is_dropped_if_the_contract_passes(ready, conn):
    command.upgrade(ready, "0010")

    assert (revision(conn), columns(conn)) == ("0010", ["id", "row_version", "block"])


def test_new_database_is_migrated_at_once(project, conn):
    command.upgrade(project, "head")

    assert (revision(conn), columns(conn)) == ("0010", ["id", "row_version", "block"])


def test_contract_in_an_autocommit_block_is_rejected(ready, conn):
    Path("migrations/versions/0011_autocommit.py").write_text(IN_AUTOCOMMIT)

    with pytest.raises(InvalidBatch, match="connection is IDLE; open a transaction"):
        command.upgrade(ready, "head")

    assert (revision(conn), columns(conn)) == ("0010", ["id", "row_version", "block"])
