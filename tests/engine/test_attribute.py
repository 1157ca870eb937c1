# SPDX-License-Identifier: MIT
"""From slots to verdict, with made-up slots: every way in which an answer can end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import field, frozen
from psycopg.pq import DiagnosticField, ExecStatus

from batchq.engine.attribute import Verdict, attribute
from batchq.engine.dialects import COCKROACHDB, POSTGRESQL, Dialect
from batchq.engine.flight import CLOSING, FORGET, OPENING, SETTING, SYNC
from batchq.engine.frame import NESTED, PLAIN, Frame
from batchq.language.outcome import Outcome
from batchq.language.violation import Kind

ROLLED_BACK, COMMITTED, UNKNOWN = Outcome.ROLLED_BACK, Outcome.COMMITTED, Outcome.UNKNOWN

POSTGRESQL_SLOTS = (OPENING, 0, 1, 2, SYNC, CLOSING, SYNC)
COCKROACHDB_SLOTS = (OPENING, 0, 1, 2, CLOSING, SYNC)
NESTED_SLOTS = COCKROACHDB_SLOTS
# A step that is prepared in the same flight has two slots, and so has the frame.
PREPARING_SLOTS = (OPENING, OPENING, SETTING, 0, 0, 1, 1, SYNC, CLOSING, CLOSING, FORGET, SYNC)


@frozen
class Slot:
    """What `attribute` reads of a PGresult."""

    status: int = ExecStatus.COMMAND_OK
    command_status: bytes | None = b""
    fields: dict[DiagnosticField, bytes] = field(factory=dict)

    def error_field(self, fieldcode: DiagnosticField, /) -> bytes | None:
        return self.fields.get(fieldcode)


def error(sqlstate: str, severity: str = "ERROR", **fields: str) -> Slot:
    said = {"sqlstate": sqlstate, "severity_nonlocalized": severity, **fields}
    return Slot(
        ExecStatus.FATAL_ERROR,
        None,
        {DiagnosticField[name.upper()]: value.encode() for name, value in said.items()},
    )


SYNCED = Slot(ExecStatus.PIPELINE_SYNC, None)
SKIPPED = Slot(ExecStatus.PIPELINE_ABORTED, None)


def well(owners: Sequence[int], tag: bytes = b"COMMIT") -> list[Slot | None]:
    """The answers of a server for which all goes well. A Parse has no tag."""
    closing = max(i for i, owner in enumerate(owners) if owner == CLOSING)
    made: list[Slot | None] = [SYNCED if owner == SYNC else Slot() for owner in owners]
    made[closing] = Slot(command_status=tag)
    return made


def failing(owners: Sequence[int], at: int, what: Slot) -> list[Slot | None]:
    """The answers of a server that meets an error in a slot: it skips to the next Sync."""
    made = well(owners, b"ROLLBACK")
    made[at] = what
    for i in range(at + 1, len(owners)):
        if owners[i] == SYNC:
            break
        made[i] = SKIPPED
    return made


def judge(
    owners: Sequence[int],
    answers: Sequence[Slot | None],
    frame: Frame = PLAIN,
    dialect: Dialect = POSTGRESQL,
) -> Verdict:
    return attribute(owners, answers, frame=frame, dialect=dialect)


@frozen
class Layout:
    """How a flight is laid out, and what its closing tag means."""

    owners: tuple[int, ...]
    frame: Frame = PLAIN
    dialect: Dialect = POSTGRESQL

    @property
    def closing(self) -> int:
        """Where the closing command is; its Parse, if any, comes before."""
        return max(i for i, owner in enumerate(self.owners) if owner == CLOSING)

    @property
    def up_to_closing(self) -> list[tuple[int, int]]:
        """The slots, and their owners, in which an error is the batch's failure."""
        return [(i, o) for i, o in enumerate(self.owners[: self.closing + 1]) if o != SYNC]

    def well(self) -> list[Slot | None]:
        return well(self.owners, self.frame.tag)

    def judge(self, answers: Sequence[Slot | None]) -> Verdict:
        """Judge answers; those that are missing never came."""
        answers = [*answers, *[None] * (len(self.owners) - len(answers))]
        return judge(self.owners, answers, self.frame, self.dialect)


in_every_layout = pytest.mark.parametrize(
    "layout",
    [
        pytest.param(Layout(POSTGRESQL_SLOTS), id="postgresql"),
        pytest.param(Layout(PREPARING_SLOTS), id="preparing"),
        pytest.param(Layout(COCKROACHDB_SLOTS, dialect=COCKROACHDB), id="cockroachdb"),
        pytest.param(Layout(NESTED_SLOTS, NESTED), id="nested"),
    ],
)


@in_every_layout
def test_all_well_is_kept_and_nobody_is_blamed(layout):
    assert layout.judge(layout.well()) == Verdict(layout.frame.kept)


@in_every_layout
def test_an_error_is_blamed_on_the_owner_of_its_slot(layout):
    for at, owner in layout.up_to_closing:
        verdict = layout.judge(failing(layout.owners, at, error("23505", constraint_name="key")))
        assert (verdict.outcome, verdict.owner, verdict.slot) == (ROLLED_BACK, owner, at)
        assert verdict.blamed == (owner if owner >= 0 else None)
        assert verdict.violation.kind is Kind.UNIQUE
        assert verdict.violation.constraint == "key"


@in_every_layout
def test_a_link_gone_before_the_closing_answer_leaves_the_outcome_open(layout):
    # The transaction around a savepoint is the caller's, and its COMMIT was never sent.
    lost = ROLLED_BACK if layout.frame.nested else UNKNOWN
    for answered in range(len(layout.owners)):
        expected = layout.frame.kept if answered > layout.closing else lost
        assert layout.judge(layout.well()[:answered]) == Verdict(expected), answered


@in_every_layout
def test_a_link_gone_behind_an_error_does_not_hide_the_error(layout):
    for at, owner in layout.up_to_closing:
        verdict = layout.judge(failing(layout.owners, at, error("23505"))[: at + 1])
        assert (verdict.outcome, verdict.owner) == (ROLLED_BACK, owner)


@in_every_layout
@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_the_end_of_the_session_before_commit_ends_the_transaction_and_blames_no_step(
    layout, severity
):
    for at in range(layout.owners.index(CLOSING)):  # a Sync's slot among them
        verdict = layout.judge([*layout.well()[:at], error("57P01", severity)])
        assert (verdict.outcome, verdict.blamed) == (ROLLED_BACK, None), at
        assert verdict.session_ended


@in_every_layout
def test_the_end_of_the_session_behind_the_closing_tag_changes_nothing(layout):
    for at in range(layout.closing + 1, len(layout.owners)):
        verdict = layout.judge([*layout.well()[:at], error("57P01", "FATAL")])
        assert verdict == Verdict(layout.frame.kept)


def test_a_commit_that_answers_rollback_is_no_commit():
    verdict = judge(POSTGRESQL_SLOTS, well(POSTGRESQL_SLOTS, b"ROLLBACK"))
    assert (verdict.outcome, verdict.owner, verdict.violation) == (ROLLED_BACK, None, None)


def test_a_begin_that_failed_is_no_commit_though_commit_answers_so():
    answers = failing(POSTGRESQL_SLOTS, 0, error("26000"))
    answers[POSTGRESQL_SLOTS.index(CLOSING)] = Slot(command_status=b"COMMIT")
    verdict = judge(POSTGRESQL_SLOTS, answers)
    assert (verdict.outcome, verdict.owner, verdict.blamed) == (ROLLED_BACK, OPENING, None)


@pytest.mark.parametrize("at", range(1, 4))
def test_a_step_that_failed_is_no_commit_though_commit_answers_so(at):
    answers = failing(POSTGRESQL_SLOTS, at, error("23505"))
    answers[POSTGRESQL_SLOTS.index(CLOSING)] = Slot(command_status=b"COMMIT")
    assert judge(POSTGRESQL_SLOTS, answers).outcome is ROLLED_BACK


@pytest.mark.parametrize("at", range(4))
def test_a_skipped_slot_without_an_error_before_it_proves_nothing(at):
    answers = well(POSTGRESQL_SLOTS)
    answers[at] = SKIPPED
    assert judge(POSTGRESQL_SLOTS, answers) == Verdict(UNKNOWN)


def test_an_error_while_closing_a_prepared_statement_is_no_failure_of_the_batch():
    answers = well(PREPARING_SLOTS)
    answers[PREPARING_SLOTS.index(FORGET)] = error("26000")
    assert judge(PREPARING_SLOTS, answers) == Verdict(COMMITTED)


@pytest.mark.parametrize(
    ("dialect", "sqlstate", "severity", "outcome"),
    [
        (POSTGRESQL, "23503", "ERROR", ROLLED_BACK),
        (POSTGRESQL, "40001", "ERROR", ROLLED_BACK),
        (POSTGRESQL, "40003", "ERROR", UNKNOWN),
        (POSTGRESQL, "57P01", "FATAL", UNKNOWN),
        (POSTGRESQL, "XX000", "PANIC", UNKNOWN),
        (POSTGRESQL, "58C00", "ERROR", ROLLED_BACK),
        (COCKROACHDB, "23503", "ERROR", ROLLED_BACK),
        (COCKROACHDB, "40001", "ERROR", ROLLED_BACK),
        (COCKROACHDB, "40003", "ERROR", UNKNOWN),
        (COCKROACHDB, "58C00", "ERROR", UNKNOWN),
        (COCKROACHDB, "58C01", "ERROR", UNKNOWN),
    ],
)
def test_an_error_at_commit_means_rolled_back_unless_the_server_itself_is_in_doubt(
    dialect, sqlstate, severity, outcome
):
    owners = POSTGRESQL_SLOTS if dialect.barrier else COCKROACHDB_SLOTS
    at = owners.index(CLOSING)
    verdict = judge(owners, failing(owners, at, error(sqlstate, severity)), dialect=dialect)
    assert (verdict.outcome, verdict.owner, verdict.blamed) == (outcome, CLOSING, None)
    assert verdict.violation.sqlstate == sqlstate


@pytest.mark.parametrize("sqlstate", ["58C00", "58C01"])
def test_a_node_out_of_reach_before_commit_ends_the_transaction(sqlstate):
    answers = failing(COCKROACHDB_SLOTS, 2, error(sqlstate))
    verdict = judge(COCKROACHDB_SLOTS, answers, dialect=COCKROACHDB)
    assert (verdict.outcome, verdict.blamed) == (ROLLED_BACK, 1)


@pytest.mark.parametrize("dialect", [POSTGRESQL, COCKROACHDB], ids=lambda d: d.name)
def test_statement_completion_unknown_is_believed_wherever_it_stands(dialect):
    owners = POSTGRESQL_SLOTS if dialect.barrier else COCKROACHDB_SLOTS
    verdict = judge(owners, failing(owners, 2, error("40003")), dialect=dialect)
    assert verdict.outcome is UNKNOWN


@pytest.mark.parametrize(("sqlstate", "severity"), [("57P01", "FATAL"), ("40P01", "ERROR")])
def test_a_failed_release_leaves_nothing_open(sqlstate, severity):
    at = NESTED_SLOTS.index(CLOSING)
    answers = failing(NESTED_SLOTS, at, error(sqlstate, severity))
    assert judge(NESTED_SLOTS, answers, NESTED).outcome is ROLLED_BACK


def test_cockroachdb_names_the_column_of_a_not_null_violation_in_its_message_alone():
    message = 'null value in column "name" violates not-null constraint'
    answers = failing(COCKROACHDB_SLOTS, 3, error("23502", message_primary=message))
    seen = judge(COCKROACHDB_SLOTS, answers, dialect=COCKROACHDB).violation
    assert (seen.kind, seen.column, seen.table) == (Kind.NOT_NULL, "name", None)


def test_a_message_of_postgresql_is_not_read_for_names():
    message = 'null value in column "name" of relation "t" violates not-null constraint'
    answers = failing(POSTGRESQL_SLOTS, 1, error("23502", message_primary=message))
    assert judge(POSTGRESQL_SLOTS, answers).violation.column is None
    answers = failing(
        POSTGRESQL_SLOTS, 1, error("23502", message_primary=message, column_name="real")
    )
    assert judge(POSTGRESQL_SLOTS, answers).violation.column == "real"


def test_a_message_in_another_encoding_is_read_as_it_was_written():
    latin = Slot(
        ExecStatus.FATAL_ERROR,
        None,
        {
            DiagnosticField.SQLSTATE: b"22012",
            DiagnosticField.MESSAGE_PRIMARY: "Teilung durch Null für »x«".encode("latin-1"),
        },
    )
    answers = failing(POSTGRESQL_SLOTS, 1, latin)
    verdict = attribute(
        POSTGRESQL_SLOTS, answers, frame=PLAIN, dialect=POSTGRESQL, encoding="latin-1"
    )
    assert verdict.violation.message == "Teilung durch Null für »x«"
