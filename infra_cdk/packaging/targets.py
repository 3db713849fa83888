"""Whom a package is for: Lambda, or this machine, on which tests run what Lambda would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
UV: Final = Path(sys.executable).with_name("uv")

LAMBDA_PYTHON: Final = "3.13"
LAMBDA_ARCHITECTURE: Final = "arm64"


@dataclass(frozen=True, slots=True)
class Target:
    """A platform that packages are made for."""

    folder: Path
    """Where they are made."""
    install_options: tuple[str, ...]
    """Of ``uv pip install``: which wheels to take."""
    python: Path | None
    """What compiles; None: there is none of the version, and nothing is compiled ahead."""


def for_lambda() -> Target:
    """python3.13 on arm64, in ``build/``.

    Amazon Linux 2023 has glibc 2.34, so that wheels of manylinux_2_28 run there (PEP 600).
    """
    options = (
        *("--python-platform", "aarch64-manylinux_2_28"),
        *("--python-version", LAMBDA_PYTHON),
    )
    return Target(ROOT / "build", options, _find_python(LAMBDA_PYTHON))


def for_this_machine(folder: Path = ROOT / "build-host") -> Target:
    """This interpreter on this machine, in ``build-host/``."""
    python = Path(sys.executable)
    return Target(folder, ("--python", str(python)), python)


def _find_python(version: str) -> Path | None:
    found = subprocess.run(
        [UV, "python", "find", "--no-project", "--no-python-downloads", "--system", version],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode == 0:
        return Path(found.stdout.strip())
    # uv does not look into pyenv's own folder, and pyenv's shims run the chosen version only.
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return next(iter(sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))), None)
