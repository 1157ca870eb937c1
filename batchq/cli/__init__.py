# SPDX-License-Identifier: MIT
"""Floor 5, the command line: ``batchq bulk plan|start|resume|status``, for people and for cron."""
