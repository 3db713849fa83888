"""The packages, and who gets which."""

from __future__ import annotations

from typing import Final

CODE: Final = "functions"
"""`/var/task` of every function."""
EVERYWHERE: Final = ("deps", "core")
"""Layers that every function has."""
NAMES: Final = (CODE, *EVERYWHERE, "keys", "parquet")
