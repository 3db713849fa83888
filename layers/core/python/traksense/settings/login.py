"""How a function proves who it is, to its database and to AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from traksense.domain.errors import ConfigurationError
from traksense.settings.reading import required


@dataclass(frozen=True, slots=True)
class DatabaseAuthentication:
    """How a log-in proves who it is."""

    method: Literal["url", "rds-iam", "secret"]
    """``url``: by what the URL says."""
    region: str = ""
    secret: str = ""
    """ARN of the secret that holds its password."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> DatabaseAuthentication:
        """Read the environment. Raises ConfigurationError."""
        name = "TRAKSENSE_DATABASE_AUTH"
        value = environ.get(name, "").strip() or "url"
        if value == "url":
            return cls("url")
        if value != "rds-iam" and not value.startswith("arn:"):
            raise ConfigurationError(
                f"{name} is {value!r}: it must be url, rds-iam or the ARN of a secret"
            )
        region = required(environ, "AWS_REGION", "the AWS region of the database's log-in")
        if value == "rds-iam":
            return cls("rds-iam", region)
        return cls("secret", region, value)


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """Who a function is to AWS: Lambda puts its role's credentials into the environment."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> AwsCredentials:
        """Read the environment. Raises ConfigurationError."""
        return cls(
            required(environ, "AWS_ACCESS_KEY_ID", "the key id of the function's role"),
            required(environ, "AWS_SECRET_ACCESS_KEY", "the secret key of the function's role"),
            environ.get("AWS_SESSION_TOKEN", "").strip() or None,
        )
