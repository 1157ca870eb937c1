# SPDX-License-Identifier: MIT
"""The dry run: what would be sent, how many rows there are, and what would go wrong."""
