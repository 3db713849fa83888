"""Compiled ahead: Lambda's disk is read-only, so that it would compile at each cold start."""

from __future__ import annotations

import subprocess
from pathlib import Path


def compile_ahead(python: Path, folder: Path, runs_in: str) -> None:
    """Put a ``.pyc`` beside each module of a folder that will be ``runs_in``.

    They count whatever the source's time is (PEP 552, unchecked), for unzipping sets that; and
    they name the path under which they run, so that a traceback does. Two runs give the same
    bytes: one process, one order, one seed of hashes.
    """
    subprocess.run(
        [
            python, "-I", "-X", "frozen_modules=on", "-m", "compileall", "-q", "-f", "-j", "1",
            *("--invalidation-mode", "unchecked-hash"), *("-s", folder), *("-p", runs_in), folder,
        ],
        check=True,
        env={"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
