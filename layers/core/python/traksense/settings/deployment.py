"""What those need that change the database itself: its schema, and passwords of its log-ins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from traksense.settings.reading import Engine, LogLevel, choice, database_url, required


@dataclass(frozen=True, slots=True)
class MigrationSettings:
    """What migrations need: a login that may create roles and tables."""

    database_url: str
    engine: Engine

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> MigrationSettings:
        """Read the environment. Raises ConfigurationError."""
        engine = choice(environ, "TRAKSENSE_ENGINE", get_args(Engine), "auto")
        return cls(database_url(environ), cast(Engine, engine))


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """What the migrations of a deployment need."""

    migration: MigrationSettings
    """Its URL names no log-in."""
    administrator: str
    """ARN of the secret that has it."""
    region: str
    log_level: LogLevel

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> DeploymentSettings:
        """Read the environment. Raises ConfigurationError."""
        level = choice(environ, "TRAKSENSE_LOG_LEVEL", get_args(LogLevel), "INFO")
        return cls(
            MigrationSettings.from_environment(environ),
            required(
                environ,
                "TRAKSENSE_DATABASE_ADMINISTRATOR",
                "the ARN of the secret with the log-in of the database's administrator",
            ),
            required(environ, "AWS_REGION", "the AWS region of that secret"),
            cast(LogLevel, level),
        )


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """What changing the passwords of log-ins needs."""

    database_url: str
    """It names no log-in: each secret has its own."""
    region: str
    log_level: LogLevel

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> RotationSettings:
        """Read the environment. Raises ConfigurationError."""
        level = choice(environ, "TRAKSENSE_LOG_LEVEL", get_args(LogLevel), "INFO")
        return cls(
            database_url(environ),
            required(environ, "AWS_REGION", "the AWS region of the log-ins' secrets"),
            cast(LogLevel, level),
        )
