"""What the gateway is told by the process that starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import StartupError
from traksense.settings.api import CognitoSettings


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The gateway's settings."""

    home: Path
    http_port: int
    aws_endpoint_url: str
    cognito: CognitoSettings

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> GatewaySettings:
        """Read the environment. Raises StartupError or ConfigurationError, naming the variable."""
        port = environ.get("TRAKSENSE_HTTP_PORT", "")
        if not (port.isascii() and port.isdigit()):
            raise StartupError(f"TRAKSENSE_HTTP_PORT is {port!r}: it must be a port number")
        endpoint = environ.get("AWS_ENDPOINT_URL", "")
        if not endpoint.startswith("http://127.0.0.1:"):
            raise StartupError("AWS_ENDPOINT_URL must be http://127.0.0.1:<port>")
        home = environ.get("TRAKSENSE_HOME", "")
        if not home:
            raise StartupError("TRAKSENSE_HOME is not set")
        return cls(Path(home), int(port), endpoint, CognitoSettings.from_environment(environ))
