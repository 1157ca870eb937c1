# SPDX-License-Identifier: MIT
"""Reject values that no statement of a task could be sent with, where the task is declared.

A worker sends the statements of a task, and binds nothing: a parameter would never have a value,
and the output of another statement belongs to another batch. A list whose items are of several
types has no type on the server. Each chunk would be rejected, long after the call that caused it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from psycopg import DataError
from psycopg.adapt import PyFormat, Transformer

from batchq.engine.redaction import is_safe, stand_in
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter


def check_known(call: str, values: Iterable[object], *, outputs: bool = False) -> None:
    """Check that values are known, and that lists can be sent.

    :param call: the call that they were passed to, for the text of the error: ``"Backfill('v2')"``.
    :param outputs: whether the outputs of other statements are accepted, because the call makes a
        batch that can be composed with them.
    :raises InvalidBatch: for a parameter or an output, also inside a list; and for a list whose
        items are of several types.
    """
    for value in values:
        if isinstance(value, list | tuple):
            check_known(call, cast("Iterable[object]", value), outputs=outputs)
            _check_list(call, list(cast("Iterable[object]", value)))
        elif isinstance(value, Parameter) or (isinstance(value, Output) and not outputs):
            raise InvalidBatch(
                f"{call}: {value!r} has no value here, and nothing binds it later; pass the value "
                f"itself"
            )


def _check_list(call: str, values: list[object]) -> None:
    failure: DataError | None = None
    try:
        Transformer().dump_sequence([values], [PyFormat.AUTO])
    except DataError as error:
        failure = error
    except Exception:  # noqa: BLE001  the connection may have adapters of its own
        return
    if failure is not None:  # outside of the except block: it would be the context
        what = f"{call}: a list cannot be sent"
        if is_safe(failure):
            raise InvalidBatch(f"{what}: {failure}") from failure
        raise InvalidBatch(what) from stand_in(failure, "a list")
