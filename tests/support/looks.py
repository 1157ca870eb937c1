# SPDX-License-Identifier: MIT
"""The two guards on a query that only looks: that there is a row, and that there is none."""

from __future__ import annotations


def present(query, raises=None):
    """Guard that the query finds a row."""
    return query.expect(at_least=1, missing=raises)


def absent(query, raises=None):
    """Guard that the query finds none."""
    return query.expect(0, unexpected=raises)
