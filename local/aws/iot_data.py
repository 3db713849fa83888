"""The IoT data plane's ``Publish`` over HTTP, in front of the local broker.

Source: AWS IoT data plane API reference, "Publish", and botocore's service model (iot-data,
2015-05-28): ``POST /topics/{topic}?qos=&retain=&messageExpiry=`` with the payload as the body;
AWS IoT Core quotas for topics and payloads. What the platform does not use is refused rather
than left out in silence.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from local.bridge.source import BrokerAddress
from local.home import Home, read_json

from .broker_link import BrokerGone

_log = logging.getLogger(__name__)

MAX_PAYLOAD_BYTES: Final = 128 * 1024
MAX_TOPIC_BYTES: Final = 256
MAX_SLASHES: Final = 7
MAX_EXPIRY_S: Final = 2**32 - 1
_PATH: Final = "/topics/"
_PARAMETERS: Final = frozenset({"qos", "retain", "messageExpiry"})
_UNUSED: Final = (
    "HTTP_X_AMZ_MQTT5_USER_PROPERTIES",
    "HTTP_X_AMZ_MQTT5_CORRELATION_DATA",
    "HTTP_X_AMZ_MQTT5_PAYLOAD_FORMAT_INDICATOR",
)


class Link(Protocol):
    """The connection to the broker."""

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, expiry_s: int | None
    ) -> None:
        """Publish, and return after the broker's acknowledgement. Raises BrokerGone."""


class _Refused(Exception):
    def __init__(self, status: str, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type


class IotData:
    """The service's WSGI app; whoever may call it was checked before."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Publish one message, or say why not."""
        try:
            self._publish(environ)
        except _Refused as refused:
            return _answer(start_response, refused.status, refused.error_type, str(refused))
        except BrokerGone as error:
            _log.warning("a message was not published: %s", error)
            return _answer(
                start_response, "500 Internal Server Error", "InternalFailureException", str(error)
            )
        return _answer(start_response, "200 OK", None, "OK")

    def _publish(self, environ: dict[str, Any]) -> None:
        path = environ["PATH_INFO"]
        if not path.startswith(_PATH):
            raise _invalid(f"{path} is not served here")
        if environ["REQUEST_METHOD"] != "POST":
            raise _Refused(
                "405 Method Not Allowed", "MethodNotAllowedException", "only POST is taken"
            )
        topic = _topic(path.removeprefix(_PATH))
        parameters = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        unused = sorted(parameters.keys() - _PARAMETERS) + [
            name for name in _UNUSED if name in environ
        ]
        if unused:
            raise _invalid(f"not served here: {', '.join(unused)}")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_PAYLOAD_BYTES:
            raise _Refused(
                "413 Request Entity Too Large",
                "RequestEntityTooLargeException",
                f"{length} bytes, at most {MAX_PAYLOAD_BYTES}",
            )
        self._link.publish(
            topic,
            environ["wsgi.input"].read(length),
            qos=int(_choice(parameters, "qos", ("0", "1"))),
            retain=_choice(parameters, "retain", ("false", "true")) == "true",
            expiry_s=_expiry(parameters.get("messageExpiry")),
        )


def broker_address(folder: Path) -> BrokerAddress:
    """The platform's listener as the broker's record names it now. Raises OSError without one."""
    home = Home(folder)
    port = read_json(home.run / "broker.json").get("platform_port")
    if not isinstance(port, int):
        raise ConnectionRefusedError("the broker has not been started yet")
    certificates = home.certificates
    return BrokerAddress(
        port=port,
        ca=certificates / "ca.crt",
        certificate=certificates / "bridge.crt",
        key=certificates / "bridge.key",
    )


def _topic(path: str) -> str:
    try:
        topic = path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise _invalid("the topic is no UTF-8") from None
    size = len(topic.encode())
    if not topic or size > MAX_TOPIC_BYTES or topic.count("/") > MAX_SLASHES:
        raise _invalid(
            f"a topic has 1 to {MAX_TOPIC_BYTES} bytes and at most {MAX_SLASHES} slashes"
        )
    if any(character in topic for character in "+#\0") or topic.startswith("$"):
        raise _invalid("a topic has no wildcard, and none that begins with $ is taken")
    return topic


def _choice(parameters: dict[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = parameters.get(name, choices[0])
    if value not in choices:
        raise _invalid(f"{name} is one of {', '.join(choices)}")
    return value


def _expiry(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_EXPIRY_S):
        raise _invalid(f"messageExpiry is 1 to {MAX_EXPIRY_S} seconds")
    return int(text)


def _invalid(message: str) -> _Refused:
    return _Refused("400 Bad Request", "InvalidRequestException", message)


def _answer(
    start_response: Callable[..., Any], status: str, error_type: str | None, message: str
) -> list[bytes]:
    body = json.dumps({"message": message}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if error_type is not None:
        headers.append(("x-amzn-ErrorType", error_type))
    start_response(status, headers)
    return [body]
