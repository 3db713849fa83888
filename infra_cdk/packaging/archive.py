"""ZIP files whose bytes depend on nothing but what is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path

_TIME = (1980, 1, 1, 0, 0, 0)
_FILE = 0o100644
_PROGRAM = 0o100755


def write(folder: Path, to: Path) -> None:
    """Pack a folder's files in the order of their names, without times and owners."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _TIME)
            entry.create_system = 3  # Unix, wherever it is made
            is_program = bool(path.stat().st_mode & 0o100)
            entry.external_attr = (_PROGRAM if is_program else _FILE) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes(), compresslevel=6)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
