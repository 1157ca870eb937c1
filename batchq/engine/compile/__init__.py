# SPDX-License-Identifier: MIT
"""Compile the shape of a statement to the SQL text that is sent, once per shape."""
