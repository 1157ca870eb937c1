# SPDX-License-Identifier: MIT
"""Find the error by which the server itself ended a session.

It runs nothing that was sent after what that error answers. So of several transactions in one
flight those after it were never begun, though they got no answer either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from psycopg.pq import ExecStatus

from batchq.engine.wire.read_error import read_error

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from batchq.engine.dialects import Dialect
    from batchq.language.violation import Violation


def session_end(
    answers: Sequence[PGresult | None], dialect: Dialect, encoding: str
) -> Violation | None:
    """Return the error that ended the session, if it is among the answers and the server's own.

    A pooler's does not count: the server may have continued.
    """
    for answer in answers:
        if answer is not None and answer.status == ExecStatus.FATAL_ERROR:
            error = read_error(answer, dialect, encoding)
            if error.ends_session and not error.is_relayed:
                return error.violation
    return None
