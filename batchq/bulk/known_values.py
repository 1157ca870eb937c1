# SPDX-License-Identifier: MIT
"""Reject values that are not known where a task is declared or a job is started.

A worker sends the statements of a task, and binds nothing: a parameter would never have a value,
and the output of another statement belongs to another batch. Each chunk would be rejected, long
after the call that caused it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter


def check_known(call: str, values: Iterable[object], *, outputs: bool = False) -> None:
    """Check that values are known.

    :param call: the call that they were passed to, for the text of the error: ``"Backfill('v2')"``.
    :param outputs: whether the outputs of other statements are accepted, because the call makes a
        batch that can be composed with them.
    :raises InvalidBatch: for a parameter or an output, also inside a list.
    """
    for value in values:
        if isinstance(value, list | tuple):
            check_known(call, cast("Iterable[object]", value), outputs=outputs)
        elif isinstance(value, Parameter) or (isinstance(value, Output) and not outputs):
            raise InvalidBatch(
                f"{call}: {value!r} has no value here, and nothing binds it later; pass the value "
                f"itself"
            )
