"""Staging objects of exports in S3: uploaded in parts while they are written."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from traksense.aws.s3 import Bucket, S3Away

PART_BYTES: Final = 8 << 20
"""Of a part but the last: S3 wants 5 MiB at the least, and takes 10,000 parts."""

_log = logging.getLogger(__name__)


class S3StagingFiles:
    """Implements ``traksense.services.export_chunk.StagingFiles``."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def create(self, key: str, *, awaits_head: bool) -> S3StagedObject:
        """Begin an object; nothing is in S3 before a part is full."""
        return S3StagedObject(self._bucket, key, awaits_head=awaits_head)

    def remove(self, key: str) -> None:
        """Remove an object; that there is none is as good."""
        self._bucket.remove(key)


class S3StagedObject:
    """Implements ``traksense.services.export_chunk.StagedObject``.

    One part is uploaded, in a thread, while the next one fills: 24 MiB at the most. An object that
    awaits its head keeps its first part back until it is closed.
    """

    def __init__(self, bucket: Bucket, key: str, *, awaits_head: bool) -> None:
        self._bucket = bucket
        self._key = key
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._awaits_head = awaits_head
        self._first: bytes | None = None
        self._upload_id: str | None = None
        self._etags: dict[int, str] = {}
        self._next_part = 1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._uploading: Future[None] | None = None

    def write(self, data: bytes) -> None:
        """Write on. Raises S3Away, also for a part that was handed over before."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= PART_BYTES:
            self._ship()

    def close(self, head: bytes = b"") -> None:
        """Make it an object. Raises S3Away."""
        if head and not self._awaits_head:
            raise ValueError("the beginning of this object was sent already")
        try:
            if self._upload_id is None and self._first is None:
                self._put(head + self._taken())
                return
            if self._waiting:
                self._ship()
            if self._first is not None:
                self._upload(1, head + self._first)
                self._first = None
            self._wait()
            with self._bucket.calls() as s3:
                s3.complete_multipart_upload(
                    **self._where(),
                    UploadId=self._upload_id,
                    MultipartUpload={
                        "Parts": [
                            {"PartNumber": number, "ETag": etag}
                            for number, etag in sorted(self._etags.items())
                        ]
                    },
                )
            self._upload_id = None
        finally:
            self._thread.shutdown()

    def abandon(self) -> None:
        """Leave nothing of it."""
        self._thread.shutdown(cancel_futures=True)
        if self._upload_id is None:
            return
        try:
            with self._bucket.calls() as s3:
                s3.abort_multipart_upload(**self._where(), UploadId=self._upload_id)
        except S3Away as error:
            # What made the object superfluous is what has to be told.
            _log.warning("the upload of %s stays for now: %s", self._key, error)

    def _ship(self) -> None:
        data, number = self._taken(), self._next_part
        self._next_part += 1
        if number == 1 and self._awaits_head:
            self._first = data
            return
        self._upload(number, data)

    def _upload(self, number: int, data: bytes) -> None:
        self._wait()
        if self._upload_id is None:
            with self._bucket.calls() as s3:
                self._upload_id = s3.create_multipart_upload(**self._where())["UploadId"]
        self._uploading = self._thread.submit(self._send, number, data)

    def _send(self, number: int, data: bytes) -> None:
        with self._bucket.calls() as s3:
            answer = s3.upload_part(
                **self._where(), UploadId=self._upload_id, PartNumber=number, Body=data
            )
        self._etags[number] = answer["ETag"]

    def _put(self, data: bytes) -> None:
        with self._bucket.calls() as s3:
            # Nothing is sent without a Body: announced with "Expect", no bytes may be waited for.
            s3.put_object(**self._where(), **({"Body": data} if data else {}))

    def _wait(self) -> None:
        """For the part that is being uploaded. Raises what its upload raised."""
        uploading, self._uploading = self._uploading, None
        if uploading is not None:
            uploading.result()

    def _taken(self) -> bytes:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        return data

    def _where(self) -> dict[str, str]:
        return {"Bucket": self._bucket.name, "Key": self._key}
