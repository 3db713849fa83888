"""What a person may set from outside, read from the environment once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from traksense.domain.errors import ConfigurationError
from traksense.settings.retention import RetentionSettings

from .errors import StartupError

DEFAULT_HOME: Final = ".local"
DEFAULT_HTTP_PORT: Final = 8000
DEFAULT_MQTT_PORT: Final = 8883
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The local platform's settings."""

    home: Path
    """Where all state lives. Absolute."""
    http_port: int
    mqtt_port: int
    database_url: str | None
    """An existing server instead of the embedded one."""
    demo: bool
    """Whether there are the demo's tenants, devices and users."""
    demo_traffic: bool
    """Whether a simulator plays the demo's devices, and their history is made."""
    log_level: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> LocalSettings:
        """Read the settings. Raises StartupError naming the variable that is malformed.

        An empty variable counts as one that is not set.
        """
        _check_retention(environ)
        http_port = _port(environ, "TRAKSENSE_HTTP_PORT", DEFAULT_HTTP_PORT)
        mqtt_port = _port(environ, "TRAKSENSE_MQTT_PORT", DEFAULT_MQTT_PORT)
        if http_port == mqtt_port:
            raise StartupError(
                f"TRAKSENSE_HTTP_PORT and TRAKSENSE_MQTT_PORT are both {http_port}: "
                "give each a port of its own"
            )
        return cls(
            home=Path(environ.get("TRAKSENSE_HOME") or DEFAULT_HOME).expanduser().absolute(),
            http_port=http_port,
            mqtt_port=mqtt_port,
            database_url=_database_url(environ),
            demo=_demo(environ) != "0",
            demo_traffic=_demo(environ) == "1",
            log_level=_log_level(environ),
        )


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 65535:
        raise StartupError(f"{name} is {text!r}: give a port number from 1 to 65535")
    return int(text)


def _check_retention(environ: Mapping[str, str]) -> None:
    """What the functions are told is refused here, before anything starts."""
    try:
        RetentionSettings.from_environment(environ)
    except ConfigurationError as error:
        raise StartupError(str(error)) from error


def _demo(environ: Mapping[str, str]) -> str:
    """``1`` (all of the demo), ``data`` (its data and nobody to play it) or ``0`` (none)."""
    text = environ.get("TRAKSENSE_DEMO", "").strip().lower()
    if not text or text in _YES:
        return "1"
    if text in _NO:
        return "0"
    if text == "data":
        return text
    raise StartupError(f"TRAKSENSE_DEMO is {text!r}: give 1, 0, or data for no simulator")


def _log_level(environ: Mapping[str, str]) -> str:
    text = environ.get("TRAKSENSE_LOG_LEVEL", "").strip().upper() or "INFO"
    if text not in LOG_LEVELS:
        raise StartupError(f"TRAKSENSE_LOG_LEVEL is {text!r}: give one of {', '.join(LOG_LEVELS)}")
    return text


def _database_url(environ: Mapping[str, str]) -> str | None:
    text = environ.get("DATABASE_URL", "").strip()
    if not text:
        return None
    wanted = "give it as postgresql://user:password@host:port/database"
    try:
        parts = urlsplit(text)
        complete = parts.scheme in ("postgresql", "postgres") and len(parts.path) > 1
        complete = complete and (parts.port is None or parts.port > 0)
    except ValueError as error:
        # The text itself may hold a password, so it is not repeated.
        raise StartupError(f"DATABASE_URL is malformed: {wanted}") from error
    if not complete:
        raise StartupError(f"DATABASE_URL is malformed: {wanted}")
    return text
