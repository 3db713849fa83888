"""Publishing through the IoT data plane (``iot-data``, ``Publish``).

Source: AWS IoT data plane API reference, "Publish". With QoS 1 the answer comes after the
broker's acknowledgement.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from traksense.aws.clients import LazyClient, MakeClient, new_client
from traksense.services.publisher import PublisherAway, PublishRefused

if TYPE_CHECKING:
    from botocore.client import BaseClient

_log = logging.getLogger(__name__)

_RETRYABLE_STATUS: Final = frozenset({408, 429})
_THROTTLED: Final = frozenset({"ThrottlingException", "TooManyRequestsException"})


class IotDataPublisher:
    """Implements ``services.publisher.Publisher``. Its client is made at the first call."""

    def __init__(self, region: str, make_client: MakeClient | None = None) -> None:
        self._client = LazyClient(region, make_client or data_plane_client)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> None:
        """Publish, and return once the broker has the message.

        Raises PublisherAway or PublishRefused.
        """
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        expiry = {} if expiry_s is None else {"messageExpiry": expiry_s}
        try:
            self._client.get().publish(
                topic=topic, payload=payload, qos=qos, retain=retain, **expiry
            )
        except ClientError as error:
            raise _translate(error, topic) from error
        except ParamValidationError as error:
            raise PublishRefused(f"the data plane takes no such message on {topic}") from error
        except BotoCoreError as error:
            raise PublisherAway("the IoT data plane cannot be reached") from error


def data_plane_client(region: str) -> BaseClient:
    """A boto3 client of the account's data plane."""
    return new_client("iot-data", region, read_timeout_s=6)


def _translate(error: Any, topic: str) -> PublisherAway | PublishRefused:
    code = str(error.response["Error"].get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    told = {"code": code, "status": status, "topic": topic}
    if 400 <= status < 500 and status not in _RETRYABLE_STATUS and code not in _THROTTLED:
        _log.error("the IoT data plane refused a message", extra=told)
        return PublishRefused(f"the data plane refused a message on {topic}: {code}")
    _log.warning("the IoT data plane failed", extra=told)
    return PublisherAway(f"the IoT data plane answered {status} {code}")
