"""The migrate Lambda: a custom resource of the deployment, before any function changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, Protocol

from traksense import bootstrap
from traksense.aws.custom_resource import Request, Send, put
from traksense.domain.errors import ConfigurationError, PermanentError, RetryableError

RESOURCE_ID: Final = "traksense-schema"
"""The same for ever: another one would have CloudFormation delete the one before."""


class Schema(Protocol):
    """What the database has to become."""

    def bring(
        self,
        connections: Mapping[str, int],
        secrets: Mapping[str, str] | None,
        time_left_s: Callable[[], float],
    ) -> int:
        """Make it this release's; how many migrations that took."""


@cache
def _schema() -> Schema:
    return bootstrap.schema()


def handler(event: dict[str, Any], context: Any) -> None:
    """Bring the database to this release and say so."""
    answer(
        Request.of_event(event),
        _schema,
        lambda: context.get_remaining_time_in_millis() / 1000,
        put,
    )


def answer(
    request: Request, schema: Callable[[], Schema], time_left_s: Callable[[], float], send: Send
) -> None:
    """Do what is asked and tell how it went, whatever happened; nothing is ever deleted."""
    if request.kind == "Delete":
        request.succeeded(RESOURCE_ID, {}, send)
        return
    try:
        applied = schema().bring(
            _connections(request), request.properties.get("Secrets"), time_left_s
        )
    except (PermanentError, RetryableError) as error:
        request.failed(RESOURCE_ID, str(error), send)
    except Exception:
        told = "something that was not foreseen: the function's log says what"
        request.failed(RESOURCE_ID, told, send)
        raise
    else:
        request.succeeded(RESOURCE_ID, {"Applied": str(applied)}, send)


def _connections(request: Request) -> dict[str, int]:
    """CloudFormation makes a text of every number."""
    try:
        return {name: int(most) for name, most in request.properties["Connections"].items()}
    except (KeyError, ValueError, AttributeError) as error:
        raise ConfigurationError("the property Connections must name numbers") from error
