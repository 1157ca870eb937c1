# SPDX-License-Identifier: MIT
"""The command line: ``batchq bulk …`` and ``batchq versions …``."""
