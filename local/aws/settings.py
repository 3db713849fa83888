"""What the emulator is told by the process that starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from local.errors import StartupError

from .functions import FunctionsHost
from .identifiers import PoolIds, pool_ids
from .signature import Credentials


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """The emulator's settings. ``port`` is on 127.0.0.1."""

    home: Path
    port: int
    mqtt_port: int
    """Of the broker's listener for devices."""
    credentials: Credentials
    ids: PoolIds
    log_level: str
    functions: FunctionsHost | None = None
    """Who calls the functions of state machines; None: there is no Step Functions."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> AwsSettings:
        """Read the environment. Raises StartupError naming what is missing or malformed."""
        home = Path(_required(environ, "TRAKSENSE_HOME"))
        endpoint = urlsplit(_required(environ, "AWS_ENDPOINT_URL"))
        if endpoint.scheme != "http" or endpoint.hostname != "127.0.0.1" or not endpoint.port:
            raise StartupError("AWS_ENDPOINT_URL must be http://127.0.0.1:<port>")
        ids = pool_ids(home)
        told = PoolIds(
            environ.get("COGNITO_USER_POOL_ID") or ids.user_pool_id,
            environ.get("COGNITO_CLIENT_ID") or ids.client_id,
        )
        if told != ids:
            raise StartupError(f"COGNITO_USER_POOL_ID or COGNITO_CLIENT_ID is not that of {home}")
        return cls(
            home=home,
            port=endpoint.port,
            mqtt_port=int(_required(environ, "TRAKSENSE_MQTT_PORT")),
            credentials=Credentials(
                _required(environ, "AWS_ACCESS_KEY_ID"),
                _required(environ, "AWS_SECRET_ACCESS_KEY"),
            ),
            ids=ids,
            log_level=environ.get("TRAKSENSE_LOG_LEVEL") or "INFO",
            functions=FunctionsHost.from_environment(environ),
        )


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise StartupError(f"{name} is not set")
    return value
