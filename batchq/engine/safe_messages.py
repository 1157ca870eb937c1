# SPDX-License-Identifier: MIT
"""List the errors whose message never quotes a value, so that it may be shown.

An error is listed by its SQLSTATE and by the server's source file that raised it. The SQLSTATE is
not enough, because one code has messages of both kinds (``integer out of range``; ``value
"99999999999" is out of range for type integer``). A RAISE, an extension or a foreign data wrapper
may also use any code with any message. A safe message holds names, types and sizes of the schema
only. DETAIL is never shown.
"""

from __future__ import annotations

_FILES = {
    "0A000": {"plancache.c"},
    "21000": {"nodeSubplan.c", "nodeModifyTable.c"},
    "22001": {"varchar.c", "varbit.c"},  # value too long for type character varying(3)
    "22003": {"int.c", "int8.c", "numeric.c"},  # the functions that read text are in other files
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
"""Each was provoked on PostgreSQL 18, 16 and 15 by a value that could have been in its message."""

_FLOAT = frozenset({"float_overflow_error", "float_underflow_error", "dtoi4", "dtoi2", "dtoi8"})


def is_safe(sqlstate: str, file: str | None, function: str | None) -> bool:
    """Return whether the message of an error quotes no value.

    :param file: the server's source file, field F.
    :param function: the server's function, field R.
    """
    if sqlstate == "22003" and file == "float.c":
        return function in _FLOAT
    return file in _FILES.get(sqlstate, ())
