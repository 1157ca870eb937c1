# SPDX-License-Identifier: MIT
"""Going on: one bounded run over the jobs, and what it does about each failure."""
