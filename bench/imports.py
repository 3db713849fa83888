"""How long each function takes to import: the part of a cold start that is ours.

A fresh interpreter imports the handler's module; the interpreter's own start is taken off.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Final

from bench.results import Figures
from traksense.contracts.functions import FUNCTIONS

ROUNDS: Final = 7


def run(figures: Figures) -> None:
    """Measure every function of the manifest, in turn, several times."""
    for function in FUNCTIONS:
        _seconds(f"import {function.handler.partition(':')[0]}")  # compile the .pyc files
    for _ in range(ROUNDS):
        nothing = _seconds("pass")
        for function in FUNCTIONS:
            module = function.handler.partition(":")[0]
            took = _seconds(f"import {module}") - nothing
            figures.add(f"import_ms_{function.name}", took * 1000, "ms")


def _seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started
