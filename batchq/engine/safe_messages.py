# SPDX-License-Identifier: MIT
"""Errors whose message is the same whatever the values are, so that it may be shown.

By SQLSTATE and by the file of the server's that raised it: one code has messages of both kinds
(``integer out of range``; ``value "99999999999" is out of range for type integer``), and anybody
may borrow a code with words of their own: a RAISE, an extension, another server behind a wrapper.
What such a message does hold are names, types and sizes of the schema. DETAIL is never shown.
"""

from __future__ import annotations

_FILES = {
    "0A000": {"plancache.c"},
    "21000": {"nodeSubplan.c", "nodeModifyTable.c"},
    "22001": {"varchar.c", "varbit.c"},  # value too long for type character varying(3)
    "22003": {"int.c", "int8.c", "numeric.c"},  # those that read a text have others
    "22011": {"varlena.c"},
    "22012": {"int.c", "int8.c", "numeric.c", "float.c", "cash.c"},
    "2200H": {"sequence.c"},
    "2201E": {"numeric.c", "float.c"},
    "2201F": {"numeric.c", "float.c"},
    "22026": {"varbit.c"},
    "22P02": {"jsonfuncs.c"},  # the token is in DETAIL
    "23514": {"execPartition.c", "execMain.c"},
    "428C9": {"rewriteHandler.c"},
    "42P10": {"plancat.c", "parse_clause.c"},
    "44000": {"execMain.c"},
    "54000": {"indextuple.c", "nbtutils.c"},
    "55P03": {"heapam.c", "heapam_handler.c", "namespace.c", "postgres.c"},
}
"""Each seen, on 18, 16 and 15, with a value that would have been in it."""

_FLOAT = frozenset({"float_overflow_error", "float_underflow_error", "dtoi4", "dtoi2", "dtoi8"})


def is_safe(sqlstate: str, file: str | None, function: str | None) -> bool:
    """Whether the message of an error holds no value.

    :param file: of the server's source, as it names it in field F.
    :param function: in field R.
    """
    if sqlstate == "22003" and file == "float.c":
        return function in _FLOAT
    return file in _FILES.get(sqlstate, ())
