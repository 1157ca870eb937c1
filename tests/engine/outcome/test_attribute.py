# SPDX-License-Identifier: MIT
"""From slots to verdict, with made-up slots: every way in which an answer can end."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest
from attrs import field, frozen
from psycopg.pq import DiagnosticField, ExecStatus

from batchq.engine import commit_proofs
from batchq.engine.dialects import COCKROACHDB, POSTGRESQL, Dialect
from batchq.engine.outcome.attribute import Verdict, attribute
from batchq.engine.wire.flight import CLOSE, CLOSING, OPENING, SETTING, SYNC
from batchq.engine.wire.frame import NESTED, PLAIN, Frame, transaction_frame
from batchq.language.outcome import Outcome
from batchq.language.violation import ViolationKind

ROLLED_BACK, COMMITTED, UNKNOWN = Outcome.ROLLED_BACK, Outcome.COMMITTED, Outcome.UNKNOWN

POSTGRESQL_SLOTS = (OPENING, 0, 1, 2, SYNC, CLOSING, SYNC)
COCKROACHDB_SLOTS = (OPENING, 0, 1, 2, CLOSING, SYNC)
NESTED_SLOTS = COCKROACHDB_SLOTS
# A step that is prepared in the same flight has two slots, and so has the frame.
PREPARING_SLOTS = (OPENING, OPENING, SETTING, 0, 0, 1, 1, SYNC, CLOSING, CLOSING, CLOSE, SYNC)


@frozen
class Slot:
    """What `attribute` reads of a PGresult."""

    status: int = ExecStatus.COMMAND_OK
    command_status: bytes | None = b""
    fields: dict[DiagnosticField, bytes] = field(factory=dict)

    def error_field(self, fieldcode: DiagnosticField, /) -> bytes | None:
        return self.fields.get(fieldcode)


# Where it was raised: this distinguishes an error of the server's own from a pooler's.
OWN = {"source_file": "elog.c", "source_function": "errfinish"}


def error(sqlstate: str, severity: str = "ERROR", **fields: str) -> Slot:
    reported = {"sqlstate": sqlstate, "severity_nonlocalized": severity, **OWN, **fields}
    return Slot(
        ExecStatus.FATAL_ERROR,
        None,
        {DiagnosticField[name.upper()]: value.encode() for name, value in reported.items()},
    )


SYNCED = Slot(ExecStatus.PIPELINE_SYNC, None)
SKIPPED = Slot(ExecStatus.PIPELINE_ABORTED, None)


def well(owners: Sequence[int], tag: bytes = b"COMMIT") -> list[Slot | None]:
    """Return the answers of a server when all succeeds. A Parse has no tag."""
    closing = max(i for i, owner in enumerate(owners) if owner == CLOSING)
    made: list[Slot | None] = [SYNCED if owner == SYNC else Slot() for owner in owners]
    made[closing] = Slot(command_status=tag)
    return made


def failing(owners: Sequence[int], at: int, what: Slot) -> list[Slot | None]:
    """Return the answers of a server that meets an error in a slot: it skips to the next Sync."""
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
def test_success_is_committed_and_no_step_is_named(layout):
    assert layout.judge(layout.well()) == Verdict(layout.frame.outcome_on_success)


@in_every_layout
def test_error_is_attributed_to_the_owner_of_its_slot(layout):
    for at, owner in layout.up_to_closing:
        verdict = layout.judge(failing(layout.owners, at, error("23505", constraint_name="key")))
        assert (verdict.outcome, verdict.owner, verdict.slot) == (ROLLED_BACK, owner, at)
        assert verdict.step_index == (owner if owner >= 0 else None)
        assert verdict.violation.kind is ViolationKind.UNIQUE
        assert verdict.violation.constraint == "key"


@in_every_layout
def test_link_lost_before_the_last_answer_leaves_the_outcome_unknown(layout):
    # The transaction around a savepoint is the caller's, and its COMMIT was never sent.
    lost = ROLLED_BACK if layout.frame.nested else UNKNOWN
    for answered in range(len(layout.owners)):
        expected = layout.frame.outcome_on_success if answered > layout.closing else lost
        assert layout.judge(layout.well()[:answered]) == Verdict(expected), answered


@in_every_layout
def test_link_lost_after_an_error_does_not_hide_the_error(layout):
    for at, owner in layout.up_to_closing:
        verdict = layout.judge(failing(layout.owners, at, error("23505"))[: at + 1])
        assert (verdict.outcome, verdict.owner) == (ROLLED_BACK, owner)


@in_every_layout
@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_session_end_before_commit_rolls_back_and_names_no_step(layout, severity):
    for at in range(layout.owners.index(CLOSING)):  # a Sync's slot among them
        verdict = layout.judge([*layout.well()[:at], error("57P01", severity)])
        assert (verdict.outcome, verdict.step_index) == (ROLLED_BACK, None), at
        assert verdict.session_ended


@in_every_layout
def test_session_end_after_the_last_tag_changes_nothing(layout):
    for at in range(layout.closing + 1, len(layout.owners)):
        verdict = layout.judge([*layout.well()[:at], error("57P01", "FATAL")])
        assert verdict == Verdict(layout.frame.outcome_on_success)


def test_commit_that_answers_rollback_is_not_taken_for_a_commit():
    verdict = judge(POSTGRESQL_SLOTS, well(POSTGRESQL_SLOTS, b"ROLLBACK"))
    assert (verdict.outcome, verdict.owner, verdict.violation) == (ROLLED_BACK, None, None)


def test_failed_begin_is_rolled_back_though_commit_answers_commit():
    answers = failing(POSTGRESQL_SLOTS, 0, error("26000"))
    answers[POSTGRESQL_SLOTS.index(CLOSING)] = Slot(command_status=b"COMMIT")
    verdict = judge(POSTGRESQL_SLOTS, answers)
    assert (verdict.outcome, verdict.owner, verdict.step_index) == (ROLLED_BACK, OPENING, None)


@pytest.mark.parametrize("at", range(1, 4))
def test_failed_step_is_rolled_back_though_commit_answers_commit(at):
    answers = failing(POSTGRESQL_SLOTS, at, error("23505"))
    answers[POSTGRESQL_SLOTS.index(CLOSING)] = Slot(command_status=b"COMMIT")
    assert judge(POSTGRESQL_SLOTS, answers).outcome is ROLLED_BACK


@pytest.mark.parametrize("at", range(4))
def test_a_skipped_slot_without_an_error_before_it_proves_nothing(at):
    answers = well(POSTGRESQL_SLOTS)
    answers[at] = SKIPPED
    assert judge(POSTGRESQL_SLOTS, answers) == Verdict(UNKNOWN)


def test_error_in_closing_a_prepared_statement_does_not_fail_the_batch():
    answers = well(PREPARING_SLOTS)
    answers[PREPARING_SLOTS.index(CLOSE)] = error("26000")
    assert judge(PREPARING_SLOTS, answers) == Verdict(COMMITTED)


def at_commit(dialect: Dialect, what: Slot, *, synced: bool = True) -> Verdict:
    owners = POSTGRESQL_SLOTS if dialect.barrier else COCKROACHDB_SLOTS
    answers = failing(owners, owners.index(CLOSING), what)
    if not synced:
        answers[-1] = None
    return judge(owners, answers, dialect=dialect)


@pytest.mark.parametrize("dialect", [POSTGRESQL, COCKROACHDB], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("synced", [True, False], ids=["synced", "cut"])
@pytest.mark.parametrize("sqlstate", ["23503", "23505", "40001", "40P01", "25006", "25P02"])
def test_an_error_at_commit_that_can_only_mean_so_is_rolled_back(dialect, sqlstate, synced):
    verdict = at_commit(dialect, error(sqlstate), synced=synced)
    assert (verdict.outcome, verdict.owner, verdict.step_index) == (ROLLED_BACK, CLOSING, None)
    assert verdict.violation.sqlstate == sqlstate


@pytest.mark.parametrize(
    "sqlstate", ["57014", "P0001", "22012", "42501", "0A000", "26000", "3D000"]
)
def test_statement_failure_at_commit_is_definite_on_postgresql_alone(sqlstate):
    assert at_commit(POSTGRESQL, error(sqlstate)).outcome is ROLLED_BACK
    assert at_commit(COCKROACHDB, error(sqlstate)).outcome is UNKNOWN


@pytest.mark.parametrize("sqlstate", ["53100", "58030", "XX000", "F0000", "U0001"])
def test_some_errors_at_commit_prove_a_rollback_only_with_a_sync_after(sqlstate):
    assert at_commit(POSTGRESQL, error(sqlstate)).outcome is ROLLED_BACK
    assert at_commit(POSTGRESQL, error(sqlstate), synced=False).outcome is UNKNOWN
    assert at_commit(COCKROACHDB, error(sqlstate)).outcome is UNKNOWN


@pytest.mark.parametrize("dialect", [POSTGRESQL, COCKROACHDB], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    ("sqlstate", "severity"),
    [
        ("40003", "ERROR"),
        ("08006", "ERROR"),
        ("57P01", "ERROR"),
        ("57P01", "FATAL"),
        ("XX000", "PANIC"),
        ("23505", "FATAL"),
        ("25000", "ERROR"),
        ("25P01", "ERROR"),
        ("40000", "ERROR"),
        ("01000", "ERROR"),
        ("", "ERROR"),
    ],
)
def test_every_other_error_at_commit_leaves_the_outcome_open(dialect, sqlstate, severity):
    verdict = at_commit(dialect, error(sqlstate, severity))
    assert (verdict.outcome, verdict.owner, verdict.step_index) == (UNKNOWN, CLOSING, None)


@pytest.mark.parametrize("sqlstate", ["57014", "57P01", "08006", "XXA00", "XXUUU", "58C00"])
def test_cockroachdb_may_have_committed_before_it_reports_an_error(sqlstate):
    assert at_commit(COCKROACHDB, error(sqlstate)).outcome is UNKNOWN


@pytest.mark.parametrize("sqlstate", ["25P03", "25P04"])
def test_a_timeout_of_the_transaction_ends_session_and_transaction(sqlstate):
    verdict = at_commit(POSTGRESQL, error(sqlstate, "FATAL"), synced=False)
    assert (verdict.outcome, verdict.session_ended) == (ROLLED_BACK, True)
    assert at_commit(COCKROACHDB, error(sqlstate, "FATAL"), synced=False).outcome is UNKNOWN


@in_every_layout
def test_drained_node_names_no_step_though_it_sends_an_error(layout):
    for at, owner in layout.up_to_closing:
        verdict = layout.judge(failing(layout.owners, at, error("57P01")))
        ended = layout.dialect is COCKROACHDB
        assert verdict.session_ended is ended
        assert verdict.step_index == (None if ended or owner < 0 else owner)


def bare(sqlstate: str, severity: str, *letters: str) -> Slot:
    """Return an error with these fields about where it was raised, and no others."""
    whole = error(sqlstate, severity)
    optional = {"SEVERITY_NONLOCALIZED", "SOURCE_FILE", "SOURCE_FUNCTION"} - set(letters)
    fields = {f: value for f, value in whole.fields.items() if f.name not in optional}
    return Slot(whole.status, None, {DiagnosticField.SEVERITY: severity.encode(), **fields})


V, F, R = "SEVERITY_NONLOCALIZED", "SOURCE_FILE", "SOURCE_FUNCTION"


@pytest.mark.parametrize("severity", ["ERROR", "FATAL"])
@pytest.mark.parametrize("letters", [(), (V,), (F, R)], ids=["none", "V", "F and R"])
def test_pooler_error_is_a_lost_link_in_each_slot(severity, letters):
    for at, _ in Layout(POSTGRESQL_SLOTS).up_to_closing:
        answers = failing(POSTGRESQL_SLOTS, at, bare("23505", severity, *letters))
        verdict = judge(POSTGRESQL_SLOTS, answers)
        assert (verdict.outcome, verdict.step_index, verdict.link_lost) == (UNKNOWN, None, True)


@pytest.mark.parametrize("letters", [(V, F, R), (V, F), (V, R)], ids=["all", "no R", "no F"])
def test_error_of_server_or_extension_is_not_a_lost_link(letters):
    answers = failing(POSTGRESQL_SLOTS, 2, bare("23505", "ERROR", *letters))
    verdict = judge(POSTGRESQL_SLOTS, answers)
    assert (verdict.outcome, verdict.step_index, verdict.link_lost) == (ROLLED_BACK, 1, False)


def test_cockroachdb_sends_the_severity_in_v_alone():
    answers = failing(COCKROACHDB_SLOTS, 2, bare("23505", "ERROR", V))
    assert judge(COCKROACHDB_SLOTS, answers, dialect=COCKROACHDB).outcome is ROLLED_BACK
    answers = failing(COCKROACHDB_SLOTS, 2, bare("23505", "ERROR"))
    assert judge(COCKROACHDB_SLOTS, answers, dialect=COCKROACHDB).outcome is UNKNOWN


@in_every_layout
def test_a_fatal_of_class_08_is_a_lost_link_in_whatever_slot(layout):
    lost = ROLLED_BACK if layout.frame.nested else UNKNOWN
    for at, _ in layout.up_to_closing:
        verdict = layout.judge([*layout.well()[:at], error("08P01", "FATAL")])
        assert (verdict.outcome, verdict.step_index) == (lost, None)


def test_an_error_of_class_08_in_a_step_is_the_steps():
    """What a foreign data wrapper raises when it cannot reach its server."""
    answers = failing(POSTGRESQL_SLOTS, 2, error("08001"))
    verdict = judge(POSTGRESQL_SLOTS, answers)
    assert (verdict.outcome, verdict.step_index) == (ROLLED_BACK, 1)


def test_error_followed_by_completed_commands_proves_nothing():
    answers = failing(POSTGRESQL_SLOTS, 1, error("23505"))
    answers[2] = Slot()
    assert judge(POSTGRESQL_SLOTS, answers).outcome is UNKNOWN


@pytest.mark.parametrize("status", [ExecStatus.COPY_IN, ExecStatus.BAD_RESPONSE, 99])
def test_an_answer_of_another_kind_proves_nothing(status):
    for at in range(POSTGRESQL_SLOTS.index(CLOSING)):
        answers = well(POSTGRESQL_SLOTS)
        answers[at] = Slot(status)
        assert judge(POSTGRESQL_SLOTS, answers) == Verdict(UNKNOWN)


def test_a_closing_tag_that_is_neither_proves_nothing():
    verdict = judge(POSTGRESQL_SLOTS, well(POSTGRESQL_SLOTS, b"SELECT 1"))
    assert (verdict.outcome, verdict.refused) == (UNKNOWN, True)


def test_read_only_batch_applies_nothing_whatever_its_end():
    reading = transaction_frame(read_only=True)
    assert reading.unseen is ROLLED_BACK
    assert transaction_frame(read_only=False).unseen is UNKNOWN
    for answered in range(POSTGRESQL_SLOTS.index(CLOSING)):
        answers = [*well(POSTGRESQL_SLOTS)[:answered]]
        answers += [None] * (len(POSTGRESQL_SLOTS) - answered)
        assert judge(POSTGRESQL_SLOTS, answers, reading).outcome is ROLLED_BACK
    answers = failing(POSTGRESQL_SLOTS, POSTGRESQL_SLOTS.index(CLOSING), error("57P01", "FATAL"))
    assert judge(POSTGRESQL_SLOTS, answers, reading).outcome is ROLLED_BACK


def test_every_class_that_postgresql_uses_is_known():
    """A code of another class is taken for a user's own."""
    codes = (getattr(one, "sqlstate", None) for one in vars(psycopg.errors).values())
    used = {code[:2] for code in codes if isinstance(code, str)}
    assert used <= commit_proofs.POSTGRESQL.known


@pytest.mark.parametrize("sqlstate", ["58C00", "58C01"])
def test_a_node_out_of_reach_before_commit_ends_the_transaction(sqlstate):
    answers = failing(COCKROACHDB_SLOTS, 2, error(sqlstate))
    verdict = judge(COCKROACHDB_SLOTS, answers, dialect=COCKROACHDB)
    assert (verdict.outcome, verdict.step_index) == (ROLLED_BACK, 1)


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


def test_cockroachdb_names_a_not_null_column_in_the_message_alone():
    message = 'null value in column "name" violates not-null constraint'
    answers = failing(COCKROACHDB_SLOTS, 3, error("23502", message_primary=message))
    seen = judge(COCKROACHDB_SLOTS, answers, dialect=COCKROACHDB).violation
    assert (seen.kind, seen.column, seen.table) == (ViolationKind.NOT_NULL, "name", None)


@pytest.mark.parametrize(
    ("quoted", "column"),
    [
        (r'"we\"ird"', 'we"ird'),
        (r'"back\\slash"', "back\\slash"),
        (r'"\""', '"'),
        (r'"a\\\"b"', 'a\\"b'),
        (r'"new\nline\ttab\a"', "new\nline\ttab\a"),
        (r'"\x7f\u200b\U000e0001"', "\x7f\u200b\U000e0001"),
        ('"größe"', "größe"),
        (r'"x\" violates not-null constraint"', 'x" violates not-null constraint'),
    ],
)
def test_cockroachdb_quotes_a_column_as_go_does(quoted, column):
    message = f"null value in column {quoted} violates not-null constraint"
    answers = failing(COCKROACHDB_SLOTS, 3, error("23502", message_primary=message))
    seen = judge(COCKROACHDB_SLOTS, answers, dialect=COCKROACHDB).violation
    assert seen.column == column


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
