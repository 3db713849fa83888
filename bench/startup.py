"""From ``make run`` to READY on a home that is set up already."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from bench.platform import Platform
from bench.results import Figures

ROUNDS: Final = 3


def run(figures: Figures) -> None:
    """Start once to set up, then time the starts that follow."""
    with (
        tempfile.TemporaryDirectory(prefix="traksense-bench-") as directory,
        Platform(Path(directory) / "home") as platform,
    ):
        figures.add("first_start_s", platform.start_s, "s")
        for _ in range(ROUNDS):
            platform.stop()
            platform.start()
            figures.add("start_s", platform.start_s, "s")
