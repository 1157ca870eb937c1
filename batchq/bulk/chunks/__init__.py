# SPDX-License-Identifier: MIT
"""The SQL of a job: its stages, the statement of a chunk, the fence and the cursor."""
