# SPDX-License-Identifier: MIT
"""What jobs report their progress by."""
