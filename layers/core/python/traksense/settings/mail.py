"""Who e-mails come from, and where their links lead."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from traksense.domain.errors import ConfigurationError
from traksense.settings.reading import LogLevel, choice, required, web_url


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Who the platform's own e-mails come from, and where their links lead."""

    region: str
    sender: str
    """An address, or ``Name <address>``, that SES has verified."""
    web_url: str
    """Where the page and its links are, without a slash at the end."""
    configuration_set: str | None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> MailSettings:
        """Read the environment. Raises ConfigurationError."""
        sender = required(environ, "TRAKSENSE_MAIL_FROM", "the address that e-mails come from")
        if "@" not in sender or any(ord(character) < 32 for character in sender):
            raise ConfigurationError(
                f"TRAKSENSE_MAIL_FROM is {sender!r}: it must be an address such as "
                "TrakSense <no-reply@traksense.example>"
            )
        return cls(
            region=required(environ, "AWS_REGION", "the AWS region of the platform"),
            sender=sender,
            web_url=web_url(environ),
            configuration_set=environ.get("TRAKSENSE_MAIL_CONFIGURATION_SET", "").strip() or None,
        )


@dataclass(frozen=True, slots=True)
class MessageSettings:
    """What e-mails to people need."""

    web_url: str
    """Where the page is, without a slash at the end."""
    log_level: LogLevel = "INFO"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> MessageSettings:
        """Read the environment. Raises ConfigurationError."""
        url = web_url(environ)
        level = choice(environ, "TRAKSENSE_LOG_LEVEL", get_args(LogLevel), "INFO")
        return cls(url, cast(LogLevel, level))
