# SPDX-License-Identifier: MIT
"""Progress: the events and reports that observers receive, and three observers."""
