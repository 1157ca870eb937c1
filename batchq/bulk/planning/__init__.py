# SPDX-License-Identifier: MIT
"""The dry run: what would be sent, how much there is, and what would go wrong."""
