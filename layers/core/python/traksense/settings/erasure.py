"""Where a tenant is erased."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from traksense.domain.errors import ConfigurationError
from traksense.settings.reading import required


@dataclass(frozen=True, slots=True)
class ErasureSettings:
    """Where, besides the database, something of a tenant may be."""

    region: str
    user_pool_id: str
    exports_bucket: str
    tombstones_bucket: str
    queue_urls: Mapping[str, str]
    """By the queue's name."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> ErasureSettings:
        """Read the environment. Raises ConfigurationError."""
        urls = required(
            environ, "TRAKSENSE_QUEUE_URLS", "the queues as name=URL, separated by commas"
        )
        pairs = [part.strip().partition("=") for part in urls.split(",")]
        if not all(name and url.startswith("https://") for name, _, url in pairs):
            raise ConfigurationError(
                f"TRAKSENSE_QUEUE_URLS is {urls!r}: it must hold name=https://… for each queue"
            )
        return cls(
            region=required(environ, "AWS_REGION", "the AWS region of the platform"),
            user_pool_id=required(environ, "COGNITO_USER_POOL_ID", "the id of the user pool"),
            exports_bucket=required(
                environ, "TRAKSENSE_EXPORTS_BUCKET", "the bucket that files of tenants are in"
            ),
            tombstones_bucket=required(
                environ, "TRAKSENSE_TOMBSTONES_BUCKET", "the bucket that tombstones are kept in"
            ),
            queue_urls={name: url for name, _, url in pairs},
        )
