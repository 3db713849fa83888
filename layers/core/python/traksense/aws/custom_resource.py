"""What CloudFormation asks of a custom resource, and how it is answered.

Source: CloudFormation user guide, "Custom resource request and response reference".
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast, get_args
from urllib.error import URLError

from traksense.domain.errors import PermanentError, RetryableError

Kind = Literal["Create", "Update", "Delete"]
Send = Callable[[str, bytes], None]
"""Puts a body to an address. Raises OSError."""

_MOST_REASON: Final = 1000
"""Bytes; an answer has 4,096 in all, with two long ARNs."""
_TRIES: Final = 4


class NotARequest(PermanentError):
    """An event that CloudFormation did not send."""


class NotAnswered(RetryableError):
    """CloudFormation could not be told."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call for a custom resource."""

    kind: Kind
    properties: Mapping[str, Any]
    response_url: str = field(repr=False)
    """Signed: who has it may answer."""
    echoed: Mapping[str, str]
    """What the answer has to say again."""

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> Request:
        """Read an event. Raises NotARequest."""
        try:
            kind = event["RequestType"]
            url = event["ResponseURL"]
            echoed = {
                name: str(event[name]) for name in ("StackId", "RequestId", "LogicalResourceId")
            }
        except KeyError as error:
            raise NotARequest(f"the event has no {error.args[0]}") from None
        if kind not in get_args(Kind) or not str(url).startswith("https://"):
            raise NotARequest("the event is of no custom resource")
        return cls(cast(Kind, kind), event.get("ResourceProperties") or {}, str(url), echoed)

    def succeeded(
        self, resource_id: str, data: Mapping[str, str], send: Send | None = None
    ) -> None:
        """Tell that it is done. Raises NotAnswered."""
        self._answer({"Status": "SUCCESS", "Data": dict(data)}, resource_id, send)

    def failed(self, resource_id: str, reason: str, send: Send | None = None) -> None:
        """Tell why it is not; shown where the deployment is watched. Raises NotAnswered."""
        self._answer({"Status": "FAILED", "Reason": _shortened(reason)}, resource_id, send)

    def _answer(self, answer: dict[str, Any], resource_id: str, send: Send | None) -> None:
        body = json.dumps(
            {**answer, **self.echoed, "PhysicalResourceId": resource_id}, ensure_ascii=False
        ).encode()
        for attempt in range(_TRIES):
            try:
                (send or put)(self.response_url, body)
            except OSError as error:
                if attempt == _TRIES - 1:
                    # Without the address, which is signed.
                    told = error.reason if isinstance(error, URLError) else type(error).__name__
                    raise NotAnswered(f"CloudFormation could not be told: {told}") from None
                time.sleep(2**attempt / 4)
            else:
                return


def _shortened(text: str) -> str:
    return text.encode()[:_MOST_REASON].decode(errors="ignore")


def put(url: str, body: bytes) -> None:
    """PUT without a content type, which the address is not signed for. Raises OSError."""
    if not url.startswith("https://"):
        raise URLError("not an https address")
    request = urllib.request.Request(  # noqa: S310  looked at above
        url, data=body, method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        return
