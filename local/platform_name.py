"""The platform's own name on its broker."""

from __future__ import annotations

from typing import Final

PLATFORM_NAME: Final = "traksense-platform"
"""CN of the platform's own certificate. No thing name: those hold an underscore."""
