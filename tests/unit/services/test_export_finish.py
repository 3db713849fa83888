"""Chunks become one file: its name, its end, its checks, and what is left when it does not."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import pytest

from traksense.domain import zip_stream
from traksense.domain.errors import DatabaseAway
from traksense.domain.exports import Asked, Format, Run
from traksense.services.export_finish import (
    ExportFinish,
    FileMismatch,
    FinishedFile,
    FinishWork,
    Staged,
    file_name,
)
from traksense.services.export_work import DoneChunk, ExportEnded, entry_name

RUN = Run(UUID(int=1), UUID(int=2), 3)
START = datetime(2026, 3, 1, 3, tzinfo=UTC)
END = datetime(2026, 3, 8, 3, tzinfo=UTC)


class FakeFiles:
    """A bucket in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.crc_off_by = 0

    def join(
        self,
        key: str,
        pieces: Sequence[Staged | bytes],
        media_type: str,
        keep_on: Callable[[], None],
    ) -> None:
        assert media_type
        keep_on()
        self.objects[key] = b"".join(
            self.objects[each.key] if isinstance(each, Staged) else each for each in pieces
        )

    def size_and_crc32(self, key: str) -> tuple[int, int | None]:
        data = self.objects[key]
        return len(data), zlib.crc32(data) ^ self.crc_off_by

    def sha256(self, key: str, keep_on: Callable[[], None]) -> bytes:
        keep_on()
        return hashlib.sha256(self.objects[key]).digest()

    def exists(self, key: str) -> bool:
        return key in self.objects

    def remove(self, key: str) -> None:
        self.objects.pop(key, None)

    def remove_all(self, prefix: str, keep: str | None = None) -> int:
        gone = [key for key in self.objects if key.startswith(prefix) and key != keep]
        for key in gone:
            del self.objects[key]
        return len(gone)


class FakeStore:
    """An export that is processing."""

    def __init__(self, work: FinishWork) -> None:
        self.given = work
        self.runs = True
        self.completed: FinishedFile | None = None
        self.loses_the_answer = False

    def check(self, run: Run) -> None:
        assert run == RUN
        if not self.runs:
            raise ExportEnded("cancelled")

    def work(self, run: Run) -> FinishWork:
        assert run == RUN
        if self.completed is not None:
            return replace(self.given, is_finished=self.completed.key)
        return self.given

    def complete(self, run: Run, file: FinishedFile) -> None:
        self.check(run)
        self.completed = file
        if self.loses_the_answer:
            self.loses_the_answer = False
            raise DatabaseAway("the connection broke in the commit")


def asked(format_: Format = "csv", locale: Literal["pt-BR", "en"] = "pt-BR") -> Asked:
    return Asked(None, None, START, END, "raw", format_, False, locale, "America/Sao_Paulo")


def exported(
    files: FakeFiles, parts: list[bytes], format_: Format = "csv", device: str | None = None
) -> FinishWork:
    """Staging objects of these data, framed where the export is an archive."""
    chunks = []
    for number, data in enumerate(parts):
        key = f"{RUN.staging_prefix}3-{number:04d}-x"
        head = b""
        if format_ == "parquet" and len(parts) > 1:
            head = zip_stream.header(entry_name(number), END, len(data), zlib.crc32(data))
        files.objects[key] = head + data
        chunks.append(
            DoneChunk(number, 10 + number, len(head + data), hashlib.sha256(data).digest(),
                      zlib.crc32(data), key)
        )  # fmt: skip
    return FinishWork(asked(format_), "acme", device, tuple(chunks))


def only(files: FakeFiles) -> tuple[str, bytes]:
    (found,) = files.objects.items()
    return found


def test_chunks_are_one_file_and_staging_objects_are_gone() -> None:
    files = FakeFiles()
    store = FakeStore(exported(files, [b"ts,value\r\n1,2\r\n", b"", b"3,4\r\n"]))
    files.objects[f"{RUN.prefix}staging/of-a-killed-worker"] = b"x"
    files.objects["another/export"] = b"y"
    file = ExportFinish(store, files).finish(RUN)
    assert file == store.completed
    assert file is not None
    del files.objects["another/export"]
    key, whole = only(files)
    assert whole == b"ts,value\r\n1,2\r\n3,4\r\n"
    assert (key, len(whole), 33) == (file.key, file.size, file.row_count)
    assert file.sha256 == hashlib.sha256(whole).digest()
    assert file.crc32 == zlib.crc32(whole)
    assert key.startswith(RUN.prefix)
    assert key.endswith(f"/{file.name}")


def test_parquet_of_more_than_one_chunk_is_an_archive_that_any_program_opens() -> None:
    files = FakeFiles()
    store = FakeStore(exported(files, [b"PAR1 one", b"PAR1 the other"], "parquet"))
    file = ExportFinish(store, files).finish(RUN)
    assert file is not None
    assert file.name.endswith(".zip")
    _, whole = only(files)
    assert file.sha256 == hashlib.sha256(whole).digest()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["part-0001.parquet", "part-0002.parquet", "manifest.json"]
        assert archive.read("part-0002.parquet") == b"PAR1 the other"
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["rows"] == 21
    assert manifest["from"] == "2026-03-01T03:00:00Z"
    assert [each["sha256"] for each in manifest["files"]] == [
        hashlib.sha256(data).hexdigest() for data in (b"PAR1 one", b"PAR1 the other")
    ]


def test_parquet_of_one_chunk_is_that_file() -> None:
    files = FakeFiles()
    store = FakeStore(exported(files, [b"PAR1"], "parquet"))
    file = ExportFinish(store, files).finish(RUN)
    assert file is not None
    assert file.name.endswith(".parquet")
    assert only(files)[1] == b"PAR1"


def test_a_files_name_says_whose_what_and_which_days() -> None:
    files = FakeFiles()
    work = exported(files, [b"x"])
    assert file_name(work) == "traksense-acme-todos-20260301-20260307-raw.csv"
    work = replace(work, device="chiller-1", asked=replace(asked("csv.gz"), agg="5m"))
    assert file_name(work) == "traksense-acme-chiller-1-20260301-20260307-5m.csv.gz"
    work = replace(work, device=None, asked=asked(locale="en"))
    assert "-all-" in file_name(work)


@pytest.mark.parametrize("off", ["crc", "size"])
def test_a_file_that_is_not_what_the_chunks_said_is_not_handed_out(off: str) -> None:
    files = FakeFiles()
    work = exported(files, [b"ab", b"cd"])
    if off == "crc":
        files.crc_off_by = 1
    else:
        chunk = replace(work.chunks[1], byte_count=3)
        work = replace(work, chunks=(work.chunks[0], chunk))
    store = FakeStore(work)
    with pytest.raises(FileMismatch):
        ExportFinish(store, files).finish(RUN)
    assert store.completed is None
    assert all("/staging/" in key for key in files.objects)


def test_who_was_cancelled_at_the_last_moment_leaves_no_file() -> None:
    files = FakeFiles()
    work = exported(files, [b"ab"])

    class CancelledWhenDone(FakeStore):
        def complete(self, run: Run, file: FinishedFile) -> None:
            self.runs = False
            super().complete(run, file)

    with pytest.raises(ExportEnded):
        ExportFinish(CancelledWhenDone(work), files).finish(RUN)
    assert all("/staging/" in key for key in files.objects)


def test_an_answer_that_was_lost_costs_neither_the_file_nor_a_second_one() -> None:
    files = FakeFiles()
    store = FakeStore(exported(files, [b"ab", b"cd"]))
    store.loses_the_answer = True
    with pytest.raises(DatabaseAway):
        ExportFinish(store, files).finish(RUN)
    assert ExportFinish(store, files).finish(RUN) is None
    assert store.completed is not None
    assert only(files) == (store.completed.key, b"abcd")
