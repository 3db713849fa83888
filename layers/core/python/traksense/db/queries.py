"""Named queries: ``sql/queries/<area>.sql`` read into a mapping, name to statement.

A file is a run of ``-- name: <name>`` lines, each followed by a comment that says what the
query is for and by the statement itself. One whose name has ``{level}`` in it stands for one of
each level of rollups, which ``{level}`` is in the statement, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, LiteralString

_NAME: Final = re.compile(r"^-- name: ([\w{}]+)$", re.MULTILINE)
_LEVEL: Final = "{level}"
ROLLUPS: Final = ("1m", "5m", "1h")


@cache
def sql_directory() -> Path:
    """Where ``sql/`` lies: beside the package in a layer, at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package.parents[1] / "sql", *(up / "sql" for up in package.parents)):
        if (candidate / "migrations").is_dir():
            return candidate
    raise FileNotFoundError(f"no sql/ directory beside or above {package}")


def _each_level(names: Sequence[str], bodies: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, body in zip(names, bodies, strict=True):
        for level in ROLLUPS if _LEVEL in name else ("",):
            yield name.replace(_LEVEL, level), body.replace(_LEVEL, level) if level else body


@cache
def load(area: str) -> Mapping[str, LiteralString]:
    """The queries of one area by name. Raises ValueError for a nameless or undescribed one."""
    path = sql_directory() / "queries" / f"{area}.sql"
    parts = _NAME.split(path.read_text("utf-8"))
    queries: dict[str, LiteralString] = {}
    for name, body in _each_level(parts[1::2], parts[2::2]):
        if name in queries:
            raise ValueError(f"{path}: {name} is there twice")
        if not body.lstrip().startswith("--"):
            raise ValueError(f"{path}: {name} has no comment that says what it is for")
        # The files are part of the program, as literal as a string in it.
        queries[name] = body.strip()
    return MappingProxyType(queries)
