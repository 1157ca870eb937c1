# SPDX-License-Identifier: MIT
"""Reject a row's class, and what :func:`row` returns, in the place of columns.

To type checkers the latter is a row, so they accept it.
"""

from __future__ import annotations

from batchq.language.errors import InvalidBatch
from batchq.language.parameters import Fields, Parameter, fields_of


def not_columns(call: str, given: object) -> InvalidBatch | None:
    """Return the error for a whole row in the place of columns; None for another object.

    :param call: the call that it was passed to, for the text of the error: ``"insert()"``.
    """
    if isinstance(given, Fields):
        fields = given.parameters
    elif isinstance(given, type):
        try:
            fields = fields_of(call, given)
        except InvalidBatch:
            return None
    else:
        return None
    first = next(iter(fields.values()))
    cls = _class_name(first)
    if call == "insert()":
        return InvalidBatch(f'{call}: pass the class, insert("t", {cls}), not row({cls})')
    shown = f"row({cls})" if isinstance(given, Fields) else cls
    columns = f'{{"{first.name}": row({cls}).{first.name}}}'
    return InvalidBatch(f"{call}: pass a mapping of columns, {columns}, not {shown}")


def _class_name(field: Parameter) -> str:
    return "" if field.row is None else field.row.__name__
