"""How a variable of the environment is read, and what is said where it cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from traksense.domain.errors import ConfigurationError

Engine = Literal["auto", "timescale", "plain"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


def required(environ: Mapping[str, str], name: str, what: str) -> str:
    """A variable that has to be set; ``what`` it must hold. Raises ConfigurationError."""
    value = environ.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"{name} is not set: it must hold {what}")
    return value


def choice(environ: Mapping[str, str], name: str, options: tuple[str, ...], default: str) -> str:
    """One of a few words. Raises ConfigurationError."""
    value = environ.get(name, "").strip() or default
    if value not in options:
        raise ConfigurationError(f"{name} is {value!r}: it must be one of {', '.join(options)}")
    return value


def whole_number(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A number within limits, or the default where it is not set. Raises ConfigurationError."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ConfigurationError(f"{name} is {text!r}: it must be a whole number") from None
    if not least <= value <= most:
        raise ConfigurationError(f"{name} is {value}: it must be between {least} and {most}")
    return value


def database_url(environ: Mapping[str, str]) -> str:
    """Where the database is. Raises ConfigurationError."""
    url = required(environ, "DATABASE_URL", "the URL of a PostgreSQL server, 15 or newer")
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError("DATABASE_URL must begin with postgresql://")
    return url


def web_url(environ: Mapping[str, str]) -> str:
    """Where the page is, without a slash at its end. Raises ConfigurationError."""
    url = required(environ, "TRAKSENSE_WEB_URL", "the address of the web page").rstrip("/")
    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise ConfigurationError("TRAKSENSE_WEB_URL must begin with https://")
    return url
