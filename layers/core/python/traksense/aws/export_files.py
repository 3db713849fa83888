"""The files of exports in S3: joined by copying within S3, checked, removed.

Source: Amazon S3, "Multipart upload limits" and UploadPartCopy.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from traksense.aws.s3 import Bucket, S3Away
from traksense.services.export_finish import Staged

LEAST_PART: Final = 5 << 20
"""Of every part but the last."""
LARGEST_COPY: Final = 5 << 30
"""Of a part that is copied."""
_READ_BYTES: Final = 4 << 20
_AT_ONCE: Final = 1_000
"""Keys of one call that lists or deletes."""


class S3ExportFiles:
    """Implements ``traksense.services.export_finish.ExportFiles``."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def join(
        self,
        key: str,
        pieces: Sequence[Staged | bytes],
        media_type: str,
        keep_on: Callable[[], None],
    ) -> None:
        """Make one object of several and of bytes, in their order."""
        with self._bucket.calls() as s3:
            # The service then keeps one CRC-32 of all bytes, whatever the parts were.
            upload_id = s3.create_multipart_upload(
                **self._at(key),
                ContentType=media_type,
                ChecksumAlgorithm="CRC32",
                ChecksumType="FULL_OBJECT",
            )["UploadId"]
        upload = _Upload(self._bucket, key, upload_id)
        try:
            for piece in pieces:
                keep_on()
                if isinstance(piece, Staged):
                    upload.add_object(piece)
                else:
                    upload.add_bytes(piece)
            keep_on()
            upload.complete()
        except BaseException:
            upload.abort()
            raise

    def size_and_crc32(self, key: str) -> tuple[int, int | None]:
        """Of an object; the CRC-32 of all its bytes where S3 has it."""
        with self._bucket.calls() as s3:
            head = s3.head_object(**self._at(key), ChecksumMode="ENABLED")
        crc = head.get("ChecksumCRC32")
        if crc is None or head.get("ChecksumType") != "FULL_OBJECT":
            return int(head["ContentLength"]), None
        return int(head["ContentLength"]), int.from_bytes(base64.b64decode(crc), "big")

    def sha256(self, key: str, keep_on: Callable[[], None]) -> bytes:
        """SHA-256 of an object, read once."""
        digest = hashlib.sha256()
        with self._bucket.calls() as s3:
            body = s3.get_object(**self._at(key))["Body"]
            for number, data in enumerate(body.iter_chunks(_READ_BYTES)):
                digest.update(data)
                if number % 16 == 0:
                    keep_on()
        return digest.digest()

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        return self._bucket.has(key)

    def remove(self, key: str) -> None:
        """Remove an object; that there is none is as good."""
        self._bucket.remove(key)

    def remove_all(self, prefix: str, keep: str | None = None) -> int:
        """Remove every object and every unfinished upload under a prefix, but one; how many."""
        removed = 0
        with self._bucket.calls() as s3:
            for upload in self._uploads(s3, prefix):
                s3.abort_multipart_upload(**self._at(upload["Key"]), UploadId=upload["UploadId"])
                removed += 1
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=prefix
            )
            keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
            keys = [key for key in keys if key != keep]
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                self._bucket.remove_some([{"Key": key} for key in some])
        return removed + len(keys)

    def _uploads(self, s3: Any, prefix: str) -> Iterator[dict[str, Any]]:
        pages = s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket.name, Prefix=prefix
        )
        found = [each for page in pages for each in page.get("Uploads", [])]
        # The emulator does not look at the prefix.
        yield from (each for each in found if each["Key"].startswith(prefix))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket.name, "Key": key}


class _Upload:
    """One multipart upload. What is too small for a part waits until it is enough."""

    def __init__(self, bucket: Bucket, key: str, upload_id: str) -> None:
        self._bucket = bucket
        self._where = {"Bucket": bucket.name, "Key": key, "UploadId": upload_id}
        self._parts: list[dict[str, Any]] = []
        self._waiting = bytearray()

    def add_bytes(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) >= LEAST_PART:
            self._ship()

    def add_object(self, staged: Staged) -> None:
        start = 0
        if self._waiting:
            start = min(LEAST_PART - len(self._waiting), staged.size)
            self.add_bytes(self._read(staged.key, 0, start))
        left = staged.size - start
        if left >= LEAST_PART:
            pieces = -(-left // LARGEST_COPY)
            for n in range(pieces):
                first, end = start + left * n // pieces, start + left * (n + 1) // pieces
                self._copy(staged.key, first, end)
        elif left:
            self.add_bytes(self._read(staged.key, start, staged.size))

    def complete(self) -> None:
        if self._waiting or not self._parts:
            self._ship()
        with self._bucket.calls() as s3:
            s3.complete_multipart_upload(
                **self._where, ChecksumType="FULL_OBJECT", MultipartUpload={"Parts": self._parts}
            )

    def abort(self) -> None:
        from botocore.exceptions import ClientError

        with self._bucket.calls() as s3:
            try:
                s3.abort_multipart_upload(**self._where)
            except ClientError as error:
                # It was completed, or somebody who removes everything was here.
                if error.response["Error"]["Code"] != "NoSuchUpload":
                    raise

    def _ship(self) -> None:
        number = len(self._parts) + 1
        with self._bucket.calls() as s3:
            answer = s3.upload_part(
                **self._where,
                PartNumber=number,
                Body=bytes(self._waiting),
                ChecksumAlgorithm="CRC32",
            )
        self._waiting.clear()
        self._parts.append(_part(number, answer))

    def _copy(self, key: str, start: int, end: int) -> None:
        number = len(self._parts) + 1
        with self._bucket.calls() as s3:
            answer = s3.upload_part_copy(
                **self._where,
                PartNumber=number,
                CopySource={"Bucket": self._bucket.name, "Key": key},
                CopySourceRange=f"bytes={start}-{end - 1}",
            )["CopyPartResult"]
        self._parts.append(_part(number, answer))

    def _read(self, key: str, start: int, end: int) -> bytes:
        if start == end:
            return b""
        with self._bucket.calls() as s3:
            data: bytes = s3.get_object(
                Bucket=self._bucket.name, Key=key, Range=f"bytes={start}-{end - 1}"
            )["Body"].read()
        if len(data) != end - start:
            raise S3Away(f"{key} gave {len(data)} bytes and not {end - start}")
        return data


def _part(number: int, answer: dict[str, Any]) -> dict[str, Any]:
    part = {"PartNumber": number, "ETag": answer["ETag"]}
    if "ChecksumCRC32" in answer:
        part["ChecksumCRC32"] = answer["ChecksumCRC32"]
    return part
