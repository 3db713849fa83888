"""How many messages wait in the queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from traksense.aws.clients import LazyClient, MakeClient, new_client
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
        make_client: MakeClient | None = None,
    ) -> None:
        """``urls`` by the queue's name."""
        self._urls = urls
        self._client = LazyClient(region, make_client or _sqs_client)

    def __call__(self) -> dict[str, int]:
        """Messages by queue, as SQS estimates them. Raises QueuesAway."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return {name: self._depth(url) for name, url in self._urls.items()}
        except (BotoCoreError, ClientError) as error:
            raise QueuesAway(f"the queues' depths: {error}") from error

    def _depth(self, url: str) -> int:
        found = self._client.get().get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTED))
        return sum(int(found["Attributes"].get(name, 0)) for name in _COUNTED)


def _sqs_client(region: str) -> BaseClient:
    return new_client("sqs", region, attempts=3)
