"""Buckets: S3 in AWS, the emulator's on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bucket:
    """One private bucket. Its lifecycle is a second net: who makes an object also removes it."""

    name: str
    environment_variable: str
    """Under which functions are told its name."""
    expires_after_days: int | None
    """Objects older than this go, whoever forgot them. S3 counts in whole days. None: never."""
    uploads_end_after_days: int
    """Multipart uploads that were not finished by then are aborted."""
    versioned: bool = False
    """It keeps what is written over or deleted."""

    @property
    def lifecycle(self) -> list[dict[str, object]]:
        """The rules as ``PutBucketLifecycleConfiguration`` takes them."""
        rule: dict[str, object] = {
            "ID": "expire",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": self.uploads_end_after_days},
        }
        if self.expires_after_days is not None:
            rule["Expiration"] = {"Days": self.expires_after_days}
        return [rule]


EXPORTS: Final = Bucket(
    name="traksense-exports",
    environment_variable="TRAKSENSE_EXPORTS_BUCKET",
    expires_after_days=2,  # a file is kept for 24 hours after it is done, and S3 rounds up
    uploads_end_after_days=1,
)

TOMBSTONES: Final = Bucket(
    name="traksense-tombstones",
    environment_variable="TRAKSENSE_TOMBSTONES_BUCKET",
    expires_after_days=None,
    uploads_end_after_days=1,
    versioned=True,
)

BUCKETS: Final = (EXPORTS, TOMBSTONES)
"""Every bucket that functions read or write."""
