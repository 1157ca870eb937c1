# SPDX-License-Identifier: MIT
"""What users write: statements and batches, as immutable values.

The lowest package: it imports neither the driver nor the rest of batchq, and does no I/O.
"""
