# SPDX-License-Identifier: MIT
"""Export the types that users need for annotations and callbacks only."""

from __future__ import annotations

from batchq.language.comparisons import Comparison
from batchq.language.mapping import Raises
from batchq.language.matchers import Matcher
from batchq.language.old import Old
from batchq.language.outputs import Output
from batchq.language.placement import Scheduled
from batchq.language.results import Changed, Inserted, Updated
from batchq.language.type_variables import Named
from batchq.language.violation import ViolationKind
from batchq.patterns.insert_or_advance import Advanced
from batchq.patterns.insert_or_get import InsertOrGet
from batchq.running.retry import RetryDetails

__all__ = [
    "Advanced",
    "Changed",
    "Comparison",
    "InsertOrGet",
    "Inserted",
    "Matcher",
    "Named",
    "Old",
    "Output",
    "Raises",
    "RetryDetails",
    "Scheduled",
    "Updated",
    "ViolationKind",
]
