"""How many messages wait in the queues."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from traksense.domain.errors import RetryableError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_COUNTED: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class QueuesAway(RetryableError):
    """SQS cannot be reached, or refuses a call for now."""


class SqsDepths:
    """Counts what waits, or is being worked on, in each queue. Its client is made at first use."""

    def __init__(
        self,
        urls: Mapping[str, str],
        region: str,
        make_client: Callable[[str], BaseClient] | None = None,
    ) -> None:
        """``urls`` by the queue's name."""
        self._urls = urls
        self._region = region
        self._make_client = make_client or _sqs_client
        self._client: Any = None
        self._lock = threading.Lock()

    def __call__(self) -> dict[str, int]:
        """Messages by queue, as SQS estimates them. Raises QueuesAway."""
        from botocore.exceptions import BotoCoreError, ClientError

        with self._lock:
            if self._client is None:
                self._client = self._make_client(self._region)
        try:
            return {name: self._depth(url) for name, url in self._urls.items()}
        except (BotoCoreError, ClientError) as error:
            raise QueuesAway(f"the queues' depths: {error}") from error

    def _depth(self, url: str) -> int:
        found = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTED))
        return sum(int(found["Attributes"].get(name, 0)) for name in _COUNTED)


def _sqs_client(region: str) -> BaseClient:
    import boto3
    from botocore.config import Config

    client: BaseClient = boto3.session.Session().client(
        "sqs",
        region_name=region,
        config=Config(
            connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 3}
        ),
    )
    return client
