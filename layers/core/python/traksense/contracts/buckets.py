"""Buckets: S3 in AWS, the emulator's on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bucket:
    """One private bucket. Its lifecycle is a second net: who makes an object also removes it."""

    name: str
    expires_after_days: int
    """Objects older than this go, whoever forgot them. S3 counts in whole days."""
    uploads_end_after_days: int
    """Multipart uploads that were not finished by then are aborted."""

    @property
    def lifecycle(self) -> list[dict[str, object]]:
        """The rules as ``PutBucketLifecycleConfiguration`` takes them."""
        return [
            {
                "ID": "expire",
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "Expiration": {"Days": self.expires_after_days},
                "AbortIncompleteMultipartUpload": {
                    "DaysAfterInitiation": self.uploads_end_after_days
                },
            }
        ]


EXPORTS: Final = Bucket(
    name="traksense-exports",
    expires_after_days=2,  # a file is kept for 24 hours after it is done, and S3 rounds up
    uploads_end_after_days=1,
)

BUCKETS: Final = (EXPORTS,)
"""Every bucket that the platform's files go through."""
