"""The step of an export that makes one file of all chunks."""

from __future__ import annotations

import json
import logging
import secrets
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from traksense.domain import crc32, zip_stream
from traksense.domain.errors import RetryableError
from traksense.domain.exports import MEDIA_TYPES, Asked, Run
from traksense.services.export_work import DoneChunk, ExportEnded, entry_name
from traksense.services.instants import rfc3339

LARGEST_HASHED: Final = 2 << 30
"""Bytes of a joined file that are read once more for its SHA-256, which takes some 20 s."""
MANIFEST: Final = "manifest.json"
_EVERY: Final = {"pt-BR": "todos", "en": "all"}
"""Stands in the file's name for every device."""

_log = logging.getLogger(__name__)


class FileMismatch(RetryableError):
    """What was joined is not what the chunks said; another try joins it anew."""


@dataclass(frozen=True, slots=True)
class FinishWork:
    """What is to be joined."""

    asked: Asked
    tenant: str
    """Its slug."""
    device: str | None
    """Its name; None: every device."""
    chunks: tuple[DoneChunk, ...]
    is_finished: str | None = None
    """The key of the file, where an earlier try of this attempt has finished it."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A staging object to be joined."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """The file."""

    key: str
    name: str
    size: int
    row_count: int
    sha256: bytes | None
    crc32: int | None


class FinishStore(Protocol):
    """What joining asks of the database. Every method raises DatabaseAway."""

    def check(self, run: Run) -> None:
        """Raises ExportEnded where the export does not run with this attempt."""

    def work(self, run: Run) -> FinishWork:
        """What is to be joined. Raises ExportEnded, and RetryableError where a chunk is not done:
        finish is only called after all are.
        """

    def complete(self, run: Run, file: FinishedFile) -> None:
        """The export is done. Raises ExportEnded where it no longer ran."""


class ExportFiles(Protocol):
    """The files of exports. Every method raises RetryableError."""

    def join(
        self,
        key: str,
        pieces: Sequence[Staged | bytes],
        media_type: str,
        keep_on: Callable[[], None],
    ) -> None:
        """Make one object of several and of bytes, in their order. ``keep_on`` is called between
        its calls, and what it raises ends it without a trace.
        """

    def size_and_crc32(self, key: str) -> tuple[int, int | None]:
        """Of an object; the CRC-32 of all its bytes where the service has it."""

    def sha256(self, key: str, keep_on: Callable[[], None]) -> bytes:
        """SHA-256 of an object, read once."""

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""

    def remove(self, key: str) -> None:
        """Remove an object; that there is none is as good."""

    def remove_all(self, prefix: str, keep: str | None = None) -> int:
        """Remove every object and every unfinished upload under a prefix, but one; how many."""


class ExportFinish:
    """Joins the chunks of exports."""

    def __init__(self, store: FinishStore, files: ExportFiles) -> None:
        self._store = store
        self._files = files

    def finish(self, run: Run) -> FinishedFile | None:
        """Make the file and say that the export is done; None: an earlier try did.

        Raises ExportEnded, and then nothing is left of this try, and RetryableError.
        """
        work = self._store.work(run)
        if work.is_finished is not None:
            self._files.remove_all(run.prefix, keep=work.is_finished)
            return None
        name = file_name(work)
        # A folder of its own: another try that comes late removes its own file and not this one.
        key = f"{run.prefix}{run.attempt}-{secrets.token_hex(8)}/{name}"
        pieces = pieces_of(work)

        def keep_on() -> None:
            self._store.check(run)

        try:
            self._files.join(key, pieces, _media_type(name), keep_on)
            file = self._verified(work, key, name, pieces, keep_on)
        except BaseException:
            self._files.remove(key)
            raise
        try:
            # Where the answer is lost, the next try finds out, and the file has to be there.
            self._store.complete(run, file)
        except ExportEnded:
            self._files.remove(key)
            raise
        removed = self._files.remove_all(run.prefix, keep=key)
        _log.info("export finished", extra={
            **run.named, "rows": file.row_count, "bytes": file.size,
            "removed": removed})  # fmt: skip
        return file

    def _verified(
        self,
        work: FinishWork,
        key: str,
        name: str,
        pieces: Sequence[Staged | bytes],
        keep_on: Callable[[], None],
    ) -> FinishedFile:
        file = FinishedFile(
            key=key,
            name=name,
            size=sum(each.size if isinstance(each, Staged) else len(each) for each in pieces),
            row_count=sum(chunk.row_count for chunk in work.chunks),
            sha256=None,
            crc32=None,
        )
        if not _is_zip(work):
            file = replace(
                file,
                crc32=crc32.combined((chunk.crc32, chunk.byte_count) for chunk in work.chunks),
            )
        size, found = self._files.size_and_crc32(key)
        if size != file.size:
            raise FileMismatch(f"{key} has {size} bytes and not {file.size}")
        if found is not None and file.crc32 is not None and found != file.crc32:
            raise FileMismatch(f"{key} has the CRC-32 {found:08x} and not {file.crc32:08x}")
        if len(work.chunks) == 1:
            return replace(file, sha256=work.chunks[0].sha256)
        if size <= LARGEST_HASHED:
            return replace(file, sha256=self._files.sha256(key, keep_on))
        return file


def pieces_of(work: FinishWork) -> list[Staged | bytes]:
    """What the file consists of, in order."""
    staged = [Staged(chunk.staging_key, chunk.byte_count) for chunk in work.chunks]
    return [*staged, _end_of_zip(work)] if _is_zip(work) else list(staged)


def file_name(work: FinishWork) -> str:
    """The file's name, in letters that every system takes: whose, what, and its days.

    Days are the tenant's, and the last one is the day of the range's last moment.
    """
    zone = ZoneInfo(work.asked.time_zone)
    first = work.asked.start.astimezone(zone)
    last = (work.asked.end - timedelta(microseconds=1)).astimezone(zone)
    what = work.device or _EVERY[work.asked.locale]
    return (
        f"traksense-{work.tenant}-{what}-{_day(first)}-{_day(last)}-{work.asked.agg}"
        f"{'.zip' if _is_zip(work) else f'.{work.asked.format}'}"
    )


def _day(moment: datetime) -> str:
    return f"{moment:%Y%m%d}"


def _is_zip(work: FinishWork) -> bool:
    return work.asked.is_archive(len(work.chunks))


def _media_type(name: str) -> str:
    return next(media for suffix, media in MEDIA_TYPES.items() if name.endswith(suffix))


def _end_of_zip(work: FinishWork) -> bytes:
    """The manifest and the directory, behind the entries that the workers wrote."""
    entries: list[zip_stream.Entry] = []
    modified = work.asked.end
    offset = 0
    for chunk in work.chunks:
        name = entry_name(chunk.number)
        size = chunk.byte_count - zip_stream.header_length(name)
        entries.append(zip_stream.Entry(name, modified, size, chunk.crc32, offset))
        offset = entries[-1].end
    manifest = _manifest(work, entries)
    crc = zlib.crc32(manifest)
    entries.append(zip_stream.Entry(MANIFEST, modified, len(manifest), crc, offset))
    return (
        zip_stream.header(MANIFEST, modified, len(manifest), crc)
        + manifest
        + zip_stream.central_directory(entries)
    )


def _manifest(work: FinishWork, entries: Sequence[zip_stream.Entry]) -> bytes:
    asked = work.asked
    document = {
        "tenant": work.tenant,
        "device": work.device,
        "from": rfc3339(asked.start),
        "to": rfc3339(asked.end),
        "agg": asked.agg,
        "rows": sum(chunk.row_count for chunk in work.chunks),
        "files": [
            {
                "name": entry.name,
                "rows": chunk.row_count,
                "bytes": entry.size,
                "sha256": chunk.sha256.hex(),
            }
            for chunk, entry in zip(work.chunks, entries, strict=True)
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"
