# SPDX-License-Identifier: MIT
"""``batchq versions``: answers, effects and exit codes."""

from __future__ import annotations

import json
import signal
from datetime import datetime, timedelta
from functools import partial

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from batchq import run, sql
from tests.versions.helpers import MINUTE, SEVEN, SIX, WINDOW, create_tables, expand, prove

MODULE = """
from batchq.versions import Fleet

FLEET = Fleet(name="nexus", version=7, stamps={"rule": "row_version"})
OTHER = Fleet(name="other", version=7)
PROOF = FLEET.proof("rule", 7)
"""
ONLY_READ_COMMITTED = b"""
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON version_window FOR EACH ROW
WHEN (current_setting('transaction_isolation') <> 'read committed') EXECUTE FUNCTION refuse()
"""
FLEET, OTHER = "cli_fleet:FLEET", "cli_fleet:OTHER"
YES, FAILED, USAGE, NOT_YET, INTERRUPTED = 0, 1, 2, 75, 130


@pytest.fixture
def ask(write_module, command):
    """Run ``batchq versions …`` on this test's database."""
    write_module("cli_fleet", MODULE)
    return partial(command, "versions")


@pytest.fixture
def fleet(conn):
    """Create the tables, and a window in which 6 and 7 may run."""
    create_tables(conn)
    expand(conn)
    return conn


@pytest.fixture
def retired(fleet):
    """Versions below 7 are retired for two hours, and the rows are proven to be of 7."""
    run(fleet, SEVEN.retire(below=7))
    fleet.execute("UPDATE version_window SET settled_at = now() - interval '2 h'")
    prove(fleet)
    return fleet


def window(conn):
    return conn.execute(WINDOW).fetchone()


def with_option(database, setting):
    """Return the connection string with one more setting of the session."""
    options = conninfo_to_dict(database)["options"]
    return make_conninfo(database, options=f"{options} -c{setting}")


def refused(result, code, says, *, prefix="Error: "):
    """Check that one line on stderr says why, and that nothing is on stdout."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.stderr.startswith(prefix)
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def not_yet(result, says):
    refused(result, NOT_YET, says, prefix="Not yet: ")


class TestStatus:
    def test_status_shows_the_window_and_each_member(self, ask, fleet):
        run(fleet, SIX.retire(below=6))
        run(fleet, SEVEN.join("a\n1", lease=MINUTE))
        run(fleet, SIX.join("b", lease=MINUTE))
        fleet.execute("UPDATE version_window SET settled_at = now() - interval '2 h'")
        fleet.execute("UPDATE version_member SET until = now() - interval '3 h' WHERE version = 6")

        result = ask("status", FLEET)

        first, *members = result.stdout.splitlines()
        assert result.exit_code == YES
        assert first.startswith("nexus: versions 6 to 7 may run, those below are retired since 2")
        assert first.endswith(" (2:00:00 ago); this code is version 7")
        assert "  'a\\n1': version 7, running, its lease ends in 0:0" in members[0]
        assert members[1:] == ["  'b': version 6, not running, its lease ended 3:00:00 ago"]

    @pytest.mark.usefixtures("fleet")
    def test_status_of_a_new_fleet_says_so(self, ask):
        assert ask("status", FLEET).stdout.splitlines() == [
            "nexus: versions up to 7 may run, none is retired; this code is version 7",
            "  no process has joined",
        ]

    def test_status_is_json_for_scripts(self, ask, retired):
        run(retired, SEVEN.join("a", lease=MINUTE))

        shown = json.loads(ask("status", FLEET, "--json").stdout)

        (member,) = shown.pop("members")
        read_at = datetime.fromisoformat(shown.pop("read_at"))
        settled_at = datetime.fromisoformat(shown.pop("settled_at"))
        age = timedelta(seconds=shown.pop("settled_age"))
        assert shown == {"name": "nexus", "version": 7, "oldest": 7, "newest": 7}
        assert timedelta(hours=2) <= age == read_at - settled_at
        left = timedelta(seconds=member.pop("lease_left"))
        assert left == datetime.fromisoformat(member.pop("until")) - read_at
        assert member == {"member": "a", "version": 7, "is_running": True}

    @pytest.mark.usefixtures("fleet")
    def test_json_of_a_new_fleet_has_null_and_an_empty_list(self, ask):
        shown = json.loads(ask("status", FLEET, "--json").stdout)

        found = [shown[key] for key in ("oldest", "settled_at", "settled_age", "members")]
        assert found == [0, None, None, []]


def test_expand_lets_a_version_run_and_never_lowers_it(ask, fleet):
    for version in (8, 6):
        result = ask("expand", FLEET, version)
        assert result.exit_code == YES
        assert result.stdout == "nexus: versions up to 8 may run, none is retired\n"
    assert window(fleet) == (0, 8)


def test_expand_creates_the_window_of_a_new_fleet(ask, fleet):
    assert ask("expand", OTHER, 7).exit_code == YES
    assert "other: versions up to 7 may run" in ask("status", OTHER).stdout


class TestRetire:
    def test_retire_raises_the_window_and_may_be_repeated(self, ask, fleet):
        for _ in range(2):
            result = ask("retire", FLEET, 7)
            assert result.exit_code == YES
            assert "nexus: versions 7 to 7 may run" in result.stdout
        assert window(fleet) == (7, 7)

    def test_retire_is_not_yet_possible_while_a_process_runs(self, ask, fleet):
        run(fleet, SIX.join("a", lease=MINUTE))

        not_yet(ask("retire", FLEET, 7), "'a' is running version 6")

        assert window(fleet) == (0, 7)
        run(fleet, SIX.leave("a"))
        assert ask("retire", FLEET, 7).exit_code == YES

    def test_retire_fails_if_the_schema_is_not_expanded(self, ask, fleet):
        fleet.execute("UPDATE version_window SET newest = 6")

        refused(ask("retire", FLEET, 7), FAILED, "expanded for version 6, not for 7")

    def test_retire_is_read_committed_whatever_the_default_is(self, ask, fleet, database):
        """Above it, it would fail with 40001 if a process joins meanwhile."""
        fleet.pgconn.exec_(ONLY_READ_COMMITTED)
        dsn = with_option(database, "default_transaction_isolation=serializable")

        assert ask("retire", FLEET, 7, "--dsn", dsn).exit_code == YES


class TestContract:
    PROVEN = ("contract", FLEET, "--unused-since", 7, "--proof", "rule:7")

    @pytest.mark.parametrize("proof", ["rule:7", "cli_fleet:PROOF"])
    @pytest.mark.usefixtures("retired")
    def test_contract_may_run(self, ask, proof):
        result = ask("contract", FLEET, "--unused-since", 7, "--proof", proof)
        assert (result.exit_code, result.stderr) == (YES, "")
        assert result.stdout == "nexus: what no version uses since 7 may be dropped\n"

    def test_contract_waits_until_older_versions_are_retired(self, ask, retired):
        retired.execute("UPDATE version_window SET oldest = 6")
        not_yet(ask(*self.PROVEN), "version 6 may still run, and this needs 7")

    @pytest.mark.usefixtures("retired")
    def test_contract_waits_until_they_are_retired_for_some_time(self, ask):
        assert ask(*self.PROVEN, "--after", 7199).exit_code == YES
        not_yet(ask(*self.PROVEN, "--after", 7300.5), "version 7 is the oldest only since")

    def test_contract_waits_for_an_hour_by_default(self, ask, retired):
        retired.execute("UPDATE version_window SET settled_at = now() - interval '59 min'")
        not_yet(ask(*self.PROVEN), "only since")
        assert ask(*self.PROVEN, "--after", 0).exit_code == YES

    @pytest.mark.parametrize("proof", ["rule:7", "cli_fleet:PROOF"])
    def test_contract_waits_for_each_proof(self, ask, retired, proof):
        retired.execute("ALTER TABLE rule DROP CONSTRAINT rule_row_version_7")
        words = ("contract", FLEET, "--unused-since", 7)
        assert ask(*words).exit_code == YES
        not_yet(ask(*words, "--proof", proof), "rule has no validated CHECK 'rule_row_version_7'")

    @pytest.mark.usefixtures("retired")
    def test_contract_serves_a_session_that_only_reads(self, ask, database):
        dsn = with_option(database, "default_transaction_read_only=on")
        assert ask(*self.PROVEN, "--dsn", dsn).exit_code == YES


EXPAND = ("expand", FLEET, 7)
EACH = [("status", FLEET), ("retire", FLEET, 7), ("contract", FLEET, "--unused-since", 7)]
each_command = pytest.mark.parametrize("words", [*EACH, EXPAND], ids=lambda words: words[0])


@pytest.mark.parametrize("words", EACH, ids=lambda words: words[0])
def test_a_database_without_the_fleet_is_reported(ask, fleet, words):
    command, _, *rest = words
    refused(ask(command, OTHER, *rest), FAILED, "no window of the fleet 'other' is visible")


@each_command
def test_missing_tables_are_reported_with_what_creates_them(ask, conn, words):
    refused(ask(*words), FAILED, "'version_window' does not exist")
    assert "Fleet.ddl()" in ask(*words).stderr


@pytest.mark.parametrize("words", EACH[:2], ids=lambda words: words[0])
def test_missing_table_of_members_is_reported(ask, fleet, words):
    fleet.execute("DROP TABLE version_member")
    refused(ask(*words), FAILED, "'version_member' does not exist")


@each_command
def test_error_of_the_server_is_one_line(ask, fleet, words):
    fleet.execute("ALTER TABLE version_window RENAME COLUMN oldest TO older")
    refused(ask(*words), FAILED, "oldest")


@each_command
@pytest.mark.parametrize("dsn", ["host=127.0.0.1 port=1 dbname=SECRET", "postgrs://u:SECRET@h/x"])
def test_unreachable_server_is_reported_without_its_address(ask, words, dsn):
    result = ask(*words, "--dsn", dsn)
    refused(result, FAILED, "connect")
    assert "SECRET" not in result.output
    assert "127.0.0.1" not in result.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("status",), "FLEET"),
        (("status", "cli_fleet"), "app.fleet:FLEET"),
        (("status", "cli_fleet:NOTHING"), "NOTHING"),
        (("status", "cli_fleet:PROOF"), "is a Proof, not a Fleet"),
        (("retire", FLEET), "BELOW"),
        (("retire", FLEET, "0"), "BELOW"),
        (("retire", FLEET, "8"), "BELOW: it must not be above 7, the version of this fleet"),
        (("contract", FLEET), "--unused-since"),
        (("contract", FLEET, "--unused-since", "7", "--after", "-1"), "--after"),
        (("contract", FLEET, "--unused-since", "7", "--after", "1e99"), "--after"),
        (("contract", FLEET, "--unused-since", "7", "--after", "nan"), "--after"),
        (("contract", FLEET, "--unused-since", "7", "--proof", "rule"), "neither table:version"),
        (("contract", FLEET, "--unused-since", "7", "--proof", "rule:8"), "above 7"),
        (("contract", FLEET, "--unused-since", "7", "--proof", "image:7"), "which has rule"),
        (("contract", FLEET, "--unused-since", "7", "--proof", FLEET), "a Fleet, not a Proof"),
        (("expand", FLEET, "2147483648"), "VERSION"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else "",
)
def test_wrong_usage_exits_with_2_and_names_the_mistake(ask, words, says):
    result = ask(*words)
    assert (result.exit_code, says in result.output) == (USAGE, True), result.output
    assert "Traceback" not in result.output


@pytest.fixture
def outer_handler():
    """Handle SIGTERM outside of the command, for else it would end the run of the tests."""

    def ignore(number, frame):
        pass

    previous = signal.signal(signal.SIGTERM, ignore)
    yield ignore
    signal.signal(signal.SIGTERM, previous)


@each_command
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
@pytest.mark.usefixtures("fleet")
def test_signal_interrupts_the_batch(ask, monkeypatch, outer_handler, words, signum):
    def interrupted(connection, batch, **options):
        handled = run(connection, sql("SELECT 1").map(lambda _: signal.raise_signal(signum)))
        pytest.fail(f"it continues: {handled}")

    monkeypatch.setattr("batchq.cli.versions.run", interrupted)
    result = ask(*words)

    assert (result.exit_code, result.stdout) == (INTERRUPTED, "")
    assert result.stderr.startswith("Interrupted.\nbatchq: interrupted; the outcome ")
    assert signal.getsignal(signal.SIGTERM) is outer_handler
