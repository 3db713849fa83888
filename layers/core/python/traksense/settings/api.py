"""What the API alone needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from traksense.domain.errors import ConfigurationError
from traksense.settings.reading import required, whole_number

_LEAST_SECRET: Final = 16


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """Requests a minute of each, where a tenant has no limits of its own."""

    tenant: int
    user: int
    address: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> QuotaSettings:
        """Read the environment. Raises ConfigurationError."""
        most = 10_000_000
        return cls(
            tenant=whole_number(environ, "TRAKSENSE_TENANT_REQUESTS_PER_MINUTE", 6_000, 1, most),
            user=whole_number(environ, "TRAKSENSE_USER_REQUESTS_PER_MINUTE", 600, 1, most),
            address=whole_number(environ, "TRAKSENSE_ADDRESS_REQUESTS_PER_MINUTE", 120, 1, most),
        )


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """What tells a request that came through CloudFront."""

    secrets: tuple[str, ...] = field(repr=False)
    """Each is good, so that one can follow the other. None: requests come directly."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> OriginSettings:
        """Read the environment. Raises ConfigurationError."""
        given = environ.get("TRAKSENSE_ORIGIN_SECRETS", "").strip()
        secrets = tuple(part.strip() for part in given.split(",")) if given else ()
        if any(len(secret) < _LEAST_SECRET for secret in secrets):
            raise ConfigurationError(
                f"TRAKSENSE_ORIGIN_SECRETS must hold secrets of at least {_LEAST_SECRET} "
                "characters, separated by commas"
            )
        return cls(secrets)


@dataclass(frozen=True, slots=True)
class DeviceEndpointSettings:
    """What devices are told about the broker."""

    ca_file: Path | None
    """PEM of the authority that signed the broker's certificate; None: Amazon's."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> DeviceEndpointSettings:
        """Read the environment."""
        path = environ.get("TRAKSENSE_DEVICE_CA", "").strip()
        return cls(Path(path) if path else None)


@dataclass(frozen=True, slots=True)
class CognitoSettings:
    """The user pool that people log in to."""

    region: str
    user_pool_id: str
    client_id: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> CognitoSettings:
        """Read the environment. Raises ConfigurationError."""
        return cls(
            region=required(environ, "AWS_REGION", "the AWS region of the user pool"),
            user_pool_id=required(environ, "COGNITO_USER_POOL_ID", "the id of the user pool"),
            client_id=required(environ, "COGNITO_CLIENT_ID", "the id of its app client"),
        )
