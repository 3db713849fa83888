"""Files of exports in S3, opened to whoever has an address that was signed for them.

Source: Amazon S3 user guide, "Download and upload objects with presigned URLs": such an address
dies with the credentials that signed it, so that each is made at the moment of its use.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from traksense.aws.clients import MakeClient, new_client
from traksense.aws.s3 import Bucket

if TYPE_CHECKING:
    from botocore.client import BaseClient


AMAZON: Final = ".amazonaws.com"


class S3Downloads:
    """Implements ``traksense.services.exports.ExportFiles``."""

    def __init__(self, name: str, region: str, make_client: MakeClient | None = None) -> None:
        self._bucket = Bucket(name, region, make_client or presigning_client)

    def url(self, key: str, name: str, media_type: str, opens_for: timedelta) -> str | None:
        """An address that opens a file for so long, under a name; None: there is no such file.

        Raises S3Away.
        """
        if not self._bucket.has(key):
            return None
        with self._bucket.calls() as s3:
            url: str = s3.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket.name,
                    "Key": key,
                    "ResponseContentDisposition": disposition(name),
                    "ResponseContentType": media_type,
                    "ResponseCacheControl": "private, no-store",
                },
                ExpiresIn=int(opens_for.total_seconds()),
            )
        return url


def disposition(name: str) -> str:
    """The header that keeps a file under a name (RFC 6266)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    if plain == name:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def presigning_client(region: str) -> BaseClient:
    """A boto3 client of S3 whose addresses are signed with version 4 and name the region.

    One without a region is answered by another one while the bucket is young, and in regions of
    2019 and later for ever (Amazon S3 user guide, "Virtual hosting of general purpose buckets").
    """
    make = partial(new_client, "s3", region, read_timeout_s=5, attempts=2, signature="s3v4")
    client = make()
    # An emulator has no name for each bucket.
    if (urlsplit(client.meta.endpoint_url).hostname or "").endswith(AMAZON):
        client = make(addressing="virtual")
    return client
