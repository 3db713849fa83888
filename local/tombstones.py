"""Tombstones as files of the home: the emulator's S3 forgets everything when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from local.home import write_atomically
from traksense.aws import s3
from traksense.services.erasure import Tombstone


class FileTombstones:
    """Implements ``traksense.services.erasure.TombstoneLedger``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def bury(self, tombstone: Tombstone) -> None:
        """Keep it, in place of an earlier one of the same tenant."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._folder / f"{tombstone.tenant_id}.json", s3.encode(tombstone))

    def buried(self) -> Iterator[Tombstone]:
        """All of them."""
        for path in sorted(self._folder.glob("*.json")):
            yield s3.decode(path.read_bytes())
