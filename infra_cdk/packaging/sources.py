"""The platform's own code: the core layer, and the functions."""

from __future__ import annotations

import shutil
from pathlib import Path

from .targets import ROOT, Target

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def make_core(target: Target) -> Path:
    """``/opt`` of the core layer: the package, and the SQL that it reads, beside it."""
    folder = _empty(target, "core")
    shutil.copytree(ROOT / "layers" / "core" / "python", folder / "python", ignore=_LEFT_OUT)
    shutil.copytree(ROOT / "sql", folder / "sql", ignore=_LEFT_OUT)
    return folder


def make_functions(target: Target) -> Path:
    """``/var/task`` of every function: they differ by their handler alone."""
    folder = _empty(target, "functions")
    shutil.copytree(ROOT / "functions", folder / "functions", ignore=_LEFT_OUT)
    return folder


def _empty(target: Target, name: str) -> Path:
    folder = target.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
