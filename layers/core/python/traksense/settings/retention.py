"""How long everything is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from traksense.domain.errors import ConfigurationError
from traksense.settings.reading import whole_number


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSettings:
    """How long the rollups are kept; in days."""

    minutes_days: int
    five_minutes_days: int
    hours_days: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> LevelSettings:
        """Read the environment. Raises ConfigurationError."""
        return cls(**_level_days(environ))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings(LevelSettings):
    """What maintenance keeps, and how; in days."""

    close_after_days: int
    dead_letter_days: int
    audit_days: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> RetentionSettings:
        """Read the environment. Raises ConfigurationError."""
        return cls(
            **_level_days(environ),
            close_after_days=whole_number(environ, "TRAKSENSE_CLOSE_AFTER_DAYS", 2, 1, 365),
            dead_letter_days=whole_number(environ, "TRAKSENSE_DEAD_LETTER_DAYS", 30, 1, 36_500),
            audit_days=whole_number(environ, "TRAKSENSE_AUDIT_DAYS", 90, 1, 36_500),
        )


def raw_days(environ: Mapping[str, str]) -> int:
    """How long open days are kept; in days. Raises ConfigurationError."""
    return whole_number(environ, "TRAKSENSE_RAW_RETENTION_DAYS", 14, 1, 365)


def _level_days(environ: Mapping[str, str]) -> dict[str, int]:
    """Each level is computed anew from the one before it when readings come late, so that it is
    kept at least as long.
    """
    source, least = "TRAKSENSE_RAW_RETENTION_DAYS", raw_days(environ)
    days: dict[str, int] = {}
    for level, name, default in (
        ("minutes_days", "TRAKSENSE_MINUTE_RETENTION_DAYS", 365),
        ("five_minutes_days", "TRAKSENSE_FIVE_MINUTE_RETENTION_DAYS", 730),
        ("hours_days", "TRAKSENSE_HOUR_RETENTION_DAYS", 1825),
    ):
        days[level] = whole_number(environ, name, default, 1, 36_500)
        if days[level] < least:
            raise ConfigurationError(
                f"{name} is {days[level]}: it must be at least {source}, which is {least}"
            )
        source, least = name, days[level]
    return days
