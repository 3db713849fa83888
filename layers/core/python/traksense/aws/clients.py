"""boto3 clients: made at the first call and never at import, once for all threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from botocore.client import BaseClient

MakeClient = Callable[[str], "BaseClient"]
"""Makes a client for a region."""


class LazyClient:
    """A client that is made when it is first asked for: importing boto3 alone takes 150 ms."""

    def __init__(self, region: str, make: MakeClient) -> None:
        self._region = region
        self._make = make
        self._client: BaseClient | None = None
        self._lock = threading.Lock()

    def get(self) -> Any:
        """The client. Threads may share it."""
        with self._lock:
            if self._client is None:
                client = self._make(self._region)
                # Its exceptions are classes made at first use: two threads would make two of each,
                # and then what one of them waits for is never what is raised.
                assert client.exceptions
                self._client = client
            return self._client


def new_client(
    service: str,
    region: str,
    *,
    read_timeout_s: int = 10,
    attempts: int = 2,
    mode: Literal["standard", "adaptive"] = "standard",
    connections: int = 10,
    signature: str | None = None,
    addressing: Literal["virtual"] | None = None,
) -> BaseClient:
    """A boto3 client whose calls end well within a function's own time.

    ``adaptive`` slows down where the service says so, for services with low limits. ``signature``
    is a version other than the service's usual one. ``addressing`` is S3's: with ``virtual`` signed
    addresses name the bucket's region, too.
    """
    import boto3
    from botocore.config import Config

    client: BaseClient = boto3.session.Session().client(
        service,
        region_name=region,
        config=Config(
            connect_timeout=3,
            read_timeout=read_timeout_s,
            max_pool_connections=connections,
            signature_version=signature,
            s3=None if addressing is None else {"addressing_style": addressing},
            retries={"mode": mode, "max_attempts": attempts},
        ),
    )
    return client
