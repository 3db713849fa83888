"""The environment, read here and nowhere else, into frozen dataclasses.

A missing or malformed variable raises ConfigurationError, which names it and says what it wants.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast, get_args

from traksense.domain.errors import ConfigurationError

Engine = Literal["auto", "timescale", "plain"]
Metrics = Literal["emf", "none"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_LEAST_SECRET: Final = 16


def _required(environ: Mapping[str, str], name: str, what: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"{name} is not set: it must hold {what}")
    return value


def _choice(environ: Mapping[str, str], name: str, options: tuple[str, ...], default: str) -> str:
    value = environ.get(name, "").strip() or default
    if value not in options:
        raise ConfigurationError(f"{name} is {value!r}: it must be one of {', '.join(options)}")
    return value


def _whole_number(
    environ: Mapping[str, str], name: str, default: int, least: int, most: int
) -> int:
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


def _database_url(environ: Mapping[str, str]) -> str:
    url = _required(environ, "DATABASE_URL", "the URL of a PostgreSQL server, 15 or newer")
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError("DATABASE_URL must begin with postgresql://")
    return url


@dataclass(frozen=True, slots=True)
class MigrationSettings:
    """What migrations need: a login that may create roles and tables."""

    database_url: str
    engine: Engine

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> MigrationSettings:
        """Read the environment. Raises ConfigurationError."""
        engine = _choice(environ, "TRAKSENSE_ENGINE", get_args(Engine), "auto")
        return cls(_database_url(environ), cast(Engine, engine))


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
        level = _choice(environ, "TRAKSENSE_LOG_LEVEL", get_args(LogLevel), "INFO")
        return cls(
            MigrationSettings.from_environment(environ),
            _required(
                environ,
                "TRAKSENSE_DATABASE_ADMINISTRATOR",
                "the ARN of the secret with the log-in of the database's administrator",
            ),
            _required(environ, "AWS_REGION", "the AWS region of that secret"),
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
        level = _choice(environ, "TRAKSENSE_LOG_LEVEL", get_args(LogLevel), "INFO")
        return cls(
            _database_url(environ),
            _required(environ, "AWS_REGION", "the AWS region of the log-ins' secrets"),
            cast(LogLevel, level),
        )


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
            database_url=_database_url(environ),
            log_level=cast(
                LogLevel, _choice(environ, "TRAKSENSE_LOG_LEVEL", get_args(LogLevel), "INFO")
            ),
            prepare_statements=_choice(environ, "TRAKSENSE_PREPARE", ("on", "off"), "off") == "on",
            metrics=cast(Metrics, _choice(environ, "TRAKSENSE_METRICS", get_args(Metrics), "emf")),
            raw_retention_days=_raw_days(environ),
            lambda_name=environ.get("AWS_LAMBDA_FUNCTION_NAME"),
            cache_ttl_s=_whole_number(environ, "TRAKSENSE_CACHE_SECONDS", 300, 0, 3600),
        )


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
        region = _required(environ, "AWS_REGION", "the AWS region of the database's log-in")
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
            _required(environ, "AWS_ACCESS_KEY_ID", "the key id of the function's role"),
            _required(environ, "AWS_SECRET_ACCESS_KEY", "the secret key of the function's role"),
            environ.get("AWS_SESSION_TOKEN", "").strip() or None,
        )


@dataclass(frozen=True, slots=True)
class RateSettings:
    """How many messages a minute a device may send whose template says nothing."""

    messages_per_minute: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> RateSettings:
        """Read the environment. Raises ConfigurationError."""
        name = "TRAKSENSE_DEVICE_MESSAGES_PER_MINUTE"
        return cls(_whole_number(environ, name, 60_000, 1, 1_000_000))


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
            close_after_days=_whole_number(environ, "TRAKSENSE_CLOSE_AFTER_DAYS", 2, 1, 365),
            dead_letter_days=_whole_number(environ, "TRAKSENSE_DEAD_LETTER_DAYS", 30, 1, 36_500),
            audit_days=_whole_number(environ, "TRAKSENSE_AUDIT_DAYS", 90, 1, 36_500),
        )


def _raw_days(environ: Mapping[str, str]) -> int:
    return _whole_number(environ, "TRAKSENSE_RAW_RETENTION_DAYS", 14, 1, 365)


def _level_days(environ: Mapping[str, str]) -> dict[str, int]:
    """Each level is computed anew from the one before it when readings come late, so that it is
    kept at least as long.
    """
    source, least = "TRAKSENSE_RAW_RETENTION_DAYS", _raw_days(environ)
    days: dict[str, int] = {}
    for level, name, default in (
        ("minutes_days", "TRAKSENSE_MINUTE_RETENTION_DAYS", 365),
        ("five_minutes_days", "TRAKSENSE_FIVE_MINUTE_RETENTION_DAYS", 730),
        ("hours_days", "TRAKSENSE_HOUR_RETENTION_DAYS", 1825),
    ):
        days[level] = _whole_number(environ, name, default, 1, 36_500)
        if days[level] < least:
            raise ConfigurationError(
                f"{name} is {days[level]}: it must be at least {source}, which is {least}"
            )
        source, least = name, days[level]
    return days


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
            tenant=_whole_number(environ, "TRAKSENSE_TENANT_REQUESTS_PER_MINUTE", 6_000, 1, most),
            user=_whole_number(environ, "TRAKSENSE_USER_REQUESTS_PER_MINUTE", 600, 1, most),
            address=_whole_number(environ, "TRAKSENSE_ADDRESS_REQUESTS_PER_MINUTE", 120, 1, most),
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
class ErasureSettings:
    """Where, besides the database, something of a tenant may be."""

    region: str
    user_pool_id: str
    exports_bucket: str
    tombstones_bucket: str
    queue_urls: Mapping[str, str]
    """By the queue's name."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> ErasureSettings:
        """Read the environment. Raises ConfigurationError."""
        urls = _required(
            environ, "TRAKSENSE_QUEUE_URLS", "the queues as name=URL, separated by commas"
        )
        pairs = [part.strip().partition("=") for part in urls.split(",")]
        if not all(name and url.startswith("https://") for name, _, url in pairs):
            raise ConfigurationError(
                f"TRAKSENSE_QUEUE_URLS is {urls!r}: it must hold name=https://… for each queue"
            )
        return cls(
            region=_required(environ, "AWS_REGION", "the AWS region of the platform"),
            user_pool_id=_required(environ, "COGNITO_USER_POOL_ID", "the id of the user pool"),
            exports_bucket=_required(
                environ, "TRAKSENSE_EXPORTS_BUCKET", "the bucket that files of tenants are in"
            ),
            tombstones_bucket=_required(
                environ, "TRAKSENSE_TOMBSTONES_BUCKET", "the bucket that tombstones are kept in"
            ),
            queue_urls={name: url for name, _, url in pairs},
        )


@dataclass(frozen=True, slots=True)
class ExportFileSettings:
    """Where the files of exports are."""

    region: str
    bucket: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> ExportFileSettings:
        """Read the environment. Raises ConfigurationError."""
        return cls(
            region=_required(environ, "AWS_REGION", "the AWS region of the platform"),
            bucket=_required(
                environ, "TRAKSENSE_EXPORTS_BUCKET", "the bucket that files of tenants are in"
            ),
        )


@dataclass(frozen=True, slots=True)
class StateMachineSettings:
    """What runs exports."""

    region: str
    export_state_machine: str
    """Its ARN."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> StateMachineSettings:
        """Read the environment. Raises ConfigurationError."""
        name = "TRAKSENSE_EXPORT_STATE_MACHINE"
        arn = _required(environ, name, "the ARN of the state machine of exports")
        if not arn.startswith("arn:"):
            raise ConfigurationError(f"{name} is {arn!r}: it must be an ARN")
        return cls(_required(environ, "AWS_REGION", "the AWS region of the platform"), arn)


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
        sender = _required(environ, "TRAKSENSE_MAIL_FROM", "the address that e-mails come from")
        if "@" not in sender or any(ord(character) < 32 for character in sender):
            raise ConfigurationError(
                f"TRAKSENSE_MAIL_FROM is {sender!r}: it must be an address such as "
                "TrakSense <no-reply@traksense.example>"
            )
        return cls(
            region=_required(environ, "AWS_REGION", "the AWS region of the platform"),
            sender=sender,
            web_url=_web_url(environ),
            configuration_set=environ.get("TRAKSENSE_MAIL_CONFIGURATION_SET", "").strip() or None,
        )


def _web_url(environ: Mapping[str, str]) -> str:
    url = _required(environ, "TRAKSENSE_WEB_URL", "the address of the web page").rstrip("/")
    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise ConfigurationError("TRAKSENSE_WEB_URL must begin with https://")
    return url


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
            region=_required(environ, "AWS_REGION", "the AWS region of the user pool"),
            user_pool_id=_required(environ, "COGNITO_USER_POOL_ID", "the id of the user pool"),
            client_id=_required(environ, "COGNITO_CLIENT_ID", "the id of its app client"),
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
        url = _web_url(environ)
        level = _choice(environ, "TRAKSENSE_LOG_LEVEL", get_args(LogLevel), "INFO")
        return cls(url, cast(LogLevel, level))
