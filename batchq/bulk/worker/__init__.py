# SPDX-License-Identifier: MIT
"""The worker: one bounded run over the jobs, and what it does after each failure."""
