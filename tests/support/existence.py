# SPDX-License-Identifier: MIT
"""Guards that a query finds a row, or none."""

from __future__ import annotations


def present(query, raises=None):
    """Return the query, guarded: it must find a row."""
    return query.expect(at_least=1, missing=raises)


def absent(query, raises=None):
    """Return the query, guarded: it must find no row."""
    return query.expect(0, unexpected=raises)
