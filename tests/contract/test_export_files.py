"""Files joined in the emulator's S3 through real HTTP calls: every byte, in order, and no trace."""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.emulator import Emulator
from traksense.aws.export_files import LEAST_PART, S3ExportFiles
from traksense.aws.s3 import Bucket
from traksense.contracts.buckets import EXPORTS
from traksense.services.export_finish import Staged
from traksense.services.export_work import ExportEnded

PREFIX = "7b0c7a52-0a52-4a6e-9d0e-111111111111/export/"
KEY = f"{PREFIX}1-abc/file.csv"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    made = Emulator.start(tmp_path_factory.mktemp("home"))
    yield made
    made.stop()


@pytest.fixture
def files(emulator: Emulator) -> Iterator[S3ExportFiles]:
    made = S3ExportFiles(Bucket(EXPORTS.name, "us-east-1", lambda _region: emulator.client("s3")))
    yield made
    made.remove_all("")


def keep_on() -> None:
    pass


def put(emulator: Emulator, sizes: list[int]) -> tuple[list[Staged | bytes], bytes]:
    """Staging objects of these sizes; a negative one stands for bytes."""
    source = random.Random(7)
    pieces: list[Staged | bytes] = []
    whole = b""
    for number, size in enumerate(sizes):
        data = source.randbytes(abs(size))
        whole += data
        if size < 0:
            pieces.append(data)
            continue
        key = f"{PREFIX}staging/1-{number:04d}"
        emulator.client("s3").put_object(Bucket=EXPORTS.name, Key=key, Body=data)
        pieces.append(Staged(key, size))
    return pieces, whole


def body(emulator: Emulator, key: str) -> bytes:
    found: bytes = emulator.client("s3").get_object(Bucket=EXPORTS.name, Key=key)["Body"].read()
    return found


@pytest.mark.parametrize(
    "sizes",
    [
        [0],
        [10],
        [10, 20, 30],
        [LEAST_PART],
        [LEAST_PART + 1, 5, LEAST_PART - 1, LEAST_PART, 3],
        [3, LEAST_PART + 2, 1, 2 * LEAST_PART + 7],
        [3, LEAST_PART - 3, 1, -100],
        [2 * LEAST_PART, -40],
        [100, LEAST_PART, -5],
    ],
    ids=str,
)
def test_what_is_joined_is_all_pieces_in_their_order(
    emulator: Emulator, files: S3ExportFiles, sizes: list[int]
) -> None:
    pieces, whole = put(emulator, sizes)
    files.join(KEY, pieces, "text/csv; charset=utf-8", keep_on)
    assert body(emulator, KEY) == whole
    size, crc = files.size_and_crc32(KEY)
    assert size == len(whole)
    assert crc is None or crc == zlib.crc32(whole)
    assert files.sha256(KEY, keep_on) == hashlib.sha256(whole).digest()
    head = emulator.client("s3").head_object(Bucket=EXPORTS.name, Key=KEY)
    assert head["ContentType"] == "text/csv; charset=utf-8"


def test_who_is_stopped_while_joining_leaves_nothing(
    emulator: Emulator, files: S3ExportFiles
) -> None:
    pieces, _ = put(emulator, [LEAST_PART + 1, LEAST_PART + 1, 3])
    calls = []

    def stop_at_the_third() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise ExportEnded("cancelled")

    with pytest.raises(ExportEnded):
        files.join(KEY, pieces, "text/csv", stop_at_the_third)
    assert not files.exists(KEY)
    assert uploads(emulator) == []


def uploads(emulator: Emulator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        emulator.client("s3").list_multipart_uploads(Bucket=EXPORTS.name).get("Uploads", [])
    )
    return found


def test_everything_of_an_export_goes_but_its_file_and_nothing_of_another(
    emulator: Emulator, files: S3ExportFiles
) -> None:
    s3 = emulator.client("s3")
    other = PREFIX.replace("export/", "export-2/")
    keys = [f"{PREFIX}staging/{n}" for n in range(3)]
    for key in [*keys, KEY, f"{other}file"]:
        s3.put_object(Bucket=EXPORTS.name, Key=key, Body=b"x")
    s3.create_multipart_upload(Bucket=EXPORTS.name, Key=f"{PREFIX}staging/open")
    s3.create_multipart_upload(Bucket=EXPORTS.name, Key=f"{other}open")
    assert files.remove_all(PREFIX, keep=KEY) == 4
    assert files.exists(KEY)
    assert files.exists(f"{other}file")
    assert [each["Key"] for each in uploads(emulator)] == [f"{other}open"]
    assert files.remove_all(PREFIX) == 1
    assert files.remove_all(PREFIX) == 0
    assert not files.exists(KEY)
    files.remove(KEY)


def test_the_bucket_has_the_second_net_of_the_contract(emulator: Emulator) -> None:
    rules = emulator.client("s3").get_bucket_lifecycle_configuration(Bucket=EXPORTS.name)["Rules"]
    (rule,) = rules
    assert rule["Status"] == "Enabled"
    assert rule["Expiration"]["Days"] == EXPORTS.expires_after_days
    assert (
        rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
        == EXPORTS.uploads_end_after_days
    )
