# SPDX-License-Identifier: MIT
"""Property tests here judge values, never speed: a slow machine must not fail them."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("language", deadline=None)
settings.load_profile("language")
