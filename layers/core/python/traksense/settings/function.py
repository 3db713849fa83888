"""What functions need."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from traksense.settings.reading import LogLevel, choice, database_url, whole_number
from traksense.settings.retention import raw_days

Metrics = Literal["emf", "none"]


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """What every function needs."""

    database_url: str
    prepare_statements: bool
    metrics: Metrics
    raw_retention_days: int
    log_level: LogLevel = "INFO"
    lambda_name: str | None = None
    """Under which name Lambda runs it, which tells stages apart; None: Lambda does not."""
    cache_ttl_s: int = 300
    """How long a copy of the configuration serves in memory at most; 0: none is kept."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> FunctionSettings:
        """Read the environment. Raises ConfigurationError."""
        return cls(
            database_url=database_url(environ),
            log_level=cast(
                LogLevel, choice(environ, "TRAKSENSE_LOG_LEVEL", get_args(LogLevel), "INFO")
            ),
            prepare_statements=choice(environ, "TRAKSENSE_PREPARE", ("on", "off"), "off") == "on",
            metrics=cast(Metrics, choice(environ, "TRAKSENSE_METRICS", get_args(Metrics), "emf")),
            raw_retention_days=raw_days(environ),
            lambda_name=environ.get("AWS_LAMBDA_FUNCTION_NAME"),
            cache_ttl_s=whole_number(environ, "TRAKSENSE_CACHE_SECONDS", 300, 0, 3600),
        )


@dataclass(frozen=True, slots=True)
class RateSettings:
    """How many messages a minute a device may send whose template says nothing."""

    messages_per_minute: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> RateSettings:
        """Read the environment. Raises ConfigurationError."""
        name = "TRAKSENSE_DEVICE_MESSAGES_PER_MINUTE"
        return cls(whole_number(environ, name, 60_000, 1, 1_000_000))
