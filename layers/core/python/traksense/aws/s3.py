"""Files of tenants, and tombstones, in S3.

Whatever a tenant's file is for, its key begins with the tenant's id: ``{tenant_id}/…``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from traksense.aws.clients import LazyClient, MakeClient, new_client
from traksense.domain.errors import RetryableError
from traksense.services.erasure import Tombstone

if TYPE_CHECKING:
    from botocore.client import BaseClient

_TOMBSTONES: Final = "tombstones/"


class S3Away(RetryableError):
    """S3 cannot be reached, or refuses a call for now."""


class Bucket:
    """One bucket. Its boto3 client is made at the first call."""

    def __init__(self, name: str, region: str, make_client: MakeClient | None = None) -> None:
        self.name = name
        self._client = LazyClient(region, make_client or s3_client)

    @contextmanager
    def calls(self) -> Iterator[Any]:
        """The client; what fails inside is S3Away."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield self._client.get()
        except (BotoCoreError, ClientError) as error:
            raise S3Away(f"the bucket {self.name}: {error}") from error

    def has(self, key: str) -> bool:
        """Whether there is such an object. Raises S3Away."""
        from botocore.exceptions import ClientError

        with self.calls() as s3:
            try:
                s3.head_object(Bucket=self.name, Key=key)
            except ClientError as error:
                # S3 answers a HEAD without a code of its own.
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                    raise
                return False
        return True

    def remove(self, key: str) -> None:
        """Remove an object; that there is none is as good. Raises S3Away."""
        with self.calls() as s3:
            s3.delete_object(Bucket=self.name, Key=key)

    def remove_some(self, objects: Sequence[Mapping[str, str]]) -> None:
        """Remove up to 1,000 objects, each a Key and perhaps a VersionId. Raises S3Away."""
        with self.calls() as s3:
            deleted = s3.delete_objects(
                Bucket=self.name, Delete={"Quiet": True, "Objects": list(objects)}
            )
        if refused := deleted.get("Errors"):
            raise S3Away(f"{len(refused)} files stay: {refused[0].get('Code')}")


def s3_client(region: str) -> BaseClient:
    """A boto3 client of S3."""
    return new_client("s3", region, read_timeout_s=20, attempts=3)


class S3TenantObjects:
    """Implements ``traksense.services.erasure.TenantObjects``."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def remove(self, tenant_id: UUID, most: int) -> int:
        """Delete up to so many (1,000 at the most) of a tenant's files; how many.

        Every version of them, so that a bucket with versioning keeps nothing either, and uploads
        that were not finished.
        """
        prefix = f"{tenant_id}/"
        with self._bucket.calls() as s3:
            uploads = s3.list_multipart_uploads(
                Bucket=self._bucket.name, Prefix=prefix, MaxUploads=most
            ).get("Uploads", [])
            for upload in uploads:
                s3.abort_multipart_upload(
                    Bucket=self._bucket.name, Key=upload["Key"], UploadId=upload["UploadId"]
                )
            found = s3.list_object_versions(Bucket=self._bucket.name, Prefix=prefix, MaxKeys=most)
            versions = [*found.get("Versions", []), *found.get("DeleteMarkers", [])]
            if versions:
                self._bucket.remove_some(
                    [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in versions]
                )
        return len(uploads) + len(versions)


class S3Tombstones:
    """Implements ``traksense.services.erasure.TombstoneLedger``."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def bury(self, tombstone: Tombstone) -> None:
        """Keep it, in place of an earlier one of the same tenant."""
        with self._bucket.calls() as s3:
            s3.put_object(
                Bucket=self._bucket.name,
                Key=f"{_TOMBSTONES}{tombstone.tenant_id}.json",
                Body=encode(tombstone),
                ContentType="application/json",
            )

    def buried(self) -> Iterator[Tombstone]:
        """All of them."""
        with self._bucket.calls() as s3:
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=_TOMBSTONES
            )
            keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
            for key in keys:
                body = s3.get_object(Bucket=self._bucket.name, Key=key)["Body"].read()
                yield decode(body)


def encode(tombstone: Tombstone) -> bytes:
    """A tombstone as the JSON that is kept of it."""
    erased_at = tombstone.erased_at
    kept = {
        "tenant_id": str(tombstone.tenant_id),
        "slug": tombstone.slug,
        "buried_at": tombstone.buried_at.isoformat(),
        "erased_at": None if erased_at is None else erased_at.isoformat(),
        "counts": None if tombstone.counts is None else dict(tombstone.counts),
    }
    return json.dumps(kept, indent=1).encode("utf-8")


def decode(raw: bytes) -> Tombstone:
    """The tombstone that ``encode`` wrote. Raises ValueError, KeyError where it is damaged."""
    kept: Mapping[str, Any] = json.loads(raw)
    erased_at = kept["erased_at"]
    return Tombstone(
        tenant_id=UUID(kept["tenant_id"]),
        slug=kept["slug"],
        buried_at=datetime.fromisoformat(kept["buried_at"]),
        erased_at=None if erased_at is None else datetime.fromisoformat(erased_at),
        counts=kept["counts"],
    )
