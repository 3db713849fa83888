"""Staging objects of exports, in the emulator's S3 and in memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.emulator import Emulator
from tests.support.exports import MemoryFiles
from traksense.aws.export_staging import PART_BYTES, S3StagingFiles
from traksense.aws.s3 import Bucket, S3Away
from traksense.contracts.buckets import EXPORTS
from traksense.services.export_chunk import StagingFiles

MIB = 1 << 20


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    running = Emulator.start(tmp_path_factory.mktemp("home"))
    yield running
    running.stop()


class Backend:
    """Files, and what is really there."""

    def __init__(self, files: StagingFiles, s3: Any) -> None:
        self.files = files
        self._s3 = s3

    def read(self, key: str) -> bytes | None:
        if isinstance(self.files, MemoryFiles):
            return self.files.objects.get(key)
        listed = self._s3.list_objects_v2(Bucket=EXPORTS.name, Prefix=key)
        if not listed["KeyCount"]:
            return None
        body: bytes = self._s3.get_object(Bucket=EXPORTS.name, Key=key)["Body"].read()
        return body

    def uploads(self) -> int:
        if isinstance(self.files, MemoryFiles):
            return len(self.files.open)
        return len(self._s3.list_multipart_uploads(Bucket=EXPORTS.name).get("Uploads", []))


@pytest.fixture(params=["s3", "memory"])
def backend(request: pytest.FixtureRequest, emulator: Emulator) -> Backend:
    s3 = emulator.client("s3")
    bucket = Bucket(EXPORTS.name, "us-east-1", lambda _region: s3)
    return Backend(S3StagingFiles(bucket) if request.param == "s3" else MemoryFiles(), s3)


def key() -> str:
    return f"{uuid.uuid4()}/{uuid.uuid4()}/staging/1-0000-{uuid.uuid4().hex}"


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [10],
        [PART_BYTES],
        [PART_BYTES - 1, 1, 1],
        [3 * MIB] * 7,
        [20 * MIB, 1],
    ],
)
@pytest.mark.parametrize("head", [b"", b"PK\x03\x04 the head"])
def test_what_was_written_is_the_object_with_its_head_in_front(
    backend: Backend, sizes: list[int], head: bytes
) -> None:
    at = key()
    staged = backend.files.create(at, awaits_head=bool(head))
    written = [bytes([65 + n]) * size for n, size in enumerate(sizes)]
    for data in written:
        staged.write(data)
    assert backend.read(at) is None, "nothing is to be seen before it is closed"
    staged.close(head)
    assert backend.read(at) == head + b"".join(written)
    assert backend.uploads() == 0
    backend.files.remove(at)
    assert backend.read(at) is None


@pytest.mark.parametrize("awaits_head", [True, False])
@pytest.mark.parametrize("size", [10, 20 * MIB])
def test_what_is_abandoned_leaves_neither_an_object_nor_an_upload(
    backend: Backend, size: int, awaits_head: bool
) -> None:
    at = key()
    staged = backend.files.create(at, awaits_head=awaits_head)
    for _ in range(3):
        staged.write(b"x" * size)
    staged.abandon()
    assert backend.read(at) is None
    assert backend.uploads() == 0


def test_a_head_that_comes_too_late_is_refused(backend: Backend) -> None:
    staged = backend.files.create(key(), awaits_head=False)
    staged.write(b"x")
    with pytest.raises(ValueError, match="beginning"):
        staged.close(b"head")
    staged.abandon()


def test_removing_what_is_not_there_is_no_error(backend: Backend) -> None:
    backend.files.remove(key())


def test_a_part_that_s3_refuses_is_told_at_the_latest_when_the_object_is_closed(
    emulator: Emulator,
) -> None:
    s3 = emulator.client("s3")
    staged = S3StagingFiles(Bucket("no-such-bucket", "us-east-1", lambda _region: s3)).create(
        key(), awaits_head=False
    )
    with pytest.raises(S3Away):
        staged.write(b"x" * PART_BYTES)
    staged.abandon()
