# SPDX-License-Identifier: MIT
"""What is sent: the passes over the tables below a parent, and the statement of a chunk."""
