"""The manifest of functions: handler, memory, time limit, environment, database role and uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from traksense.contracts import uses
from traksense.contracts.uses import Use

Trigger = Literal[
    "queue", "http", "schedule", "user_pool", "state_machine", "deployment", "rotation"
]
"""``rotation``: Secrets Manager, where the database's log-ins have passwords. Elsewhere there is no
such function."""

COMMON_ENVIRONMENT: Final = (
    "DATABASE_URL",
    "TRAKSENSE_CACHE_SECONDS",
    "TRAKSENSE_DATABASE_AUTH",
    "TRAKSENSE_LOG_LEVEL",
    "TRAKSENSE_METRICS",
    "TRAKSENSE_PREPARE",
    "TRAKSENSE_RAW_RETENTION_DAYS",
)

RUNTIME_ENVIRONMENT: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
"""What Lambda tells every function by itself, and lets nobody else do: no entry names it."""

LEVEL_ENVIRONMENT: Final = (
    "TRAKSENSE_MINUTE_RETENTION_DAYS",
    "TRAKSENSE_FIVE_MINUTE_RETENTION_DAYS",
    "TRAKSENSE_HOUR_RETENTION_DAYS",
)
"""How far back the rollups reach: for who drops them, and for who chooses among them."""

RETENTION_ENVIRONMENT: Final = (
    "TRAKSENSE_RAW_RETENTION_DAYS",
    *LEVEL_ENVIRONMENT,
    "TRAKSENSE_CLOSE_AFTER_DAYS",
    "TRAKSENSE_DEAD_LETTER_DAYS",
    "TRAKSENSE_AUDIT_DAYS",
)
"""All that says how long something is kept, and as what."""


QUOTA_ENVIRONMENT: Final = (
    "TRAKSENSE_TENANT_REQUESTS_PER_MINUTE",
    "TRAKSENSE_USER_REQUESTS_PER_MINUTE",
    "TRAKSENSE_ADDRESS_REQUESTS_PER_MINUTE",
)
"""How many requests the API answers in a minute."""


ERASURE_ENVIRONMENT: Final = (
    "COGNITO_USER_POOL_ID",
    "TRAKSENSE_EXPORTS_BUCKET",
    "TRAKSENSE_TOMBSTONES_BUCKET",
    "TRAKSENSE_QUEUE_URLS",
)
"""Where, besides the database, something of a tenant may be."""


EXPORT_ENVIRONMENT: Final = ("TRAKSENSE_EXPORTS_BUCKET",)
"""Where the files of exports are."""


MAIL_ENVIRONMENT: Final = (
    "TRAKSENSE_MAIL_FROM",
    "TRAKSENSE_MAIL_CONFIGURATION_SET",
    "TRAKSENSE_WEB_URL",
)
"""Who e-mails come from, and where their links lead."""


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function."""

    name: str
    handler: str
    """``module:attribute``."""
    trigger: Trigger
    memory_mb: int
    timeout_s: int
    database_roles: tuple[str, ...]
    """Roles that its transactions take; its login is a member of these and of no other. None: it
    has no database, and no login."""
    environment: tuple[str, ...] = COMMON_ENVIRONMENT
    """Names of the environment variables that it reads."""
    layers: tuple[str, ...] = ()
    """Layers beyond ``deps`` and ``core``, which all have."""
    uses: tuple[Use, ...] = ()
    """What it may ask of AWS."""
    max_concurrency: int | None = None
    """Most calls at once, each with a connection to the database; None: of one with a database,
    as many as the others leave."""

    @property
    def has_database(self) -> bool:
        """Whether it talks to the database, as a log-in of its own or as others."""
        return bool(self.database_roles) or self.trigger in ("deployment", "rotation")


INGEST: Final = Function(
    name="ingest",
    handler="functions.ingest.handler:handler",
    trigger="queue",
    memory_mb=1769,
    timeout_s=60,
    database_roles=("traksense_ingest",),
    environment=(*COMMON_ENVIRONMENT, "TRAKSENSE_DEVICE_MESSAGES_PER_MINUTE"),
    max_concurrency=5,
)
DEVICE_EVENTS: Final = Function(
    name="device_events",
    handler="functions.device_events.handler:handler",
    trigger="queue",
    memory_mb=512,
    timeout_s=30,
    database_roles=("traksense_ingest",),
    max_concurrency=2,
)
API: Final = Function(
    name="api",
    handler="functions.api.app:app",
    trigger="http",
    memory_mb=1024,
    timeout_s=29,
    database_roles=("traksense_app", "traksense_ops"),
    environment=(
        *COMMON_ENVIRONMENT,
        *LEVEL_ENVIRONMENT,
        *QUOTA_ENVIRONMENT,
        "TRAKSENSE_ORIGIN_SECRETS",
        "COGNITO_USER_POOL_ID",
        "COGNITO_CLIENT_ID",
        "TRAKSENSE_DEVICE_CA",
        *EXPORT_ENVIRONMENT,
        "TRAKSENSE_EXPORT_STATE_MACHINE",
    ),
    layers=("keys",),
    uses=(
        uses.KEEP_PEOPLE,
        *uses.LET_DEVICES_IN,
        *uses.TURN_DEVICES_OFF,
        uses.PUBLISH,
        *uses.OPEN_EXPORTS,
        uses.START_EXPORTS,
    ),
)
MAINTENANCE: Final = Function(
    name="maintenance",
    handler="functions.maintenance.handler:handler",
    trigger="schedule",
    memory_mb=512,
    timeout_s=900,
    database_roles=("traksense_owner",),
    environment=(
        *COMMON_ENVIRONMENT,
        *(name for name in RETENTION_ENVIRONMENT if name not in COMMON_ENVIRONMENT),
        *ERASURE_ENVIRONMENT,
        "TRAKSENSE_EXPORT_STATE_MACHINE",
        *MAIL_ENVIRONMENT,
    ),
    uses=(
        uses.REMOVE_PEOPLE,
        *uses.TURN_DEVICES_OFF,
        uses.CLEAR_RETAINED,
        *uses.ERASE_EXPORTS,
        *uses.KEEP_TOMBSTONES,
        uses.COUNT_QUEUES,
        uses.START_EXPORTS,
        uses.WATCH_EXPORTS,
        *uses.SEND_MAIL,
    ),
    max_concurrency=7,  # what comes each minute, and one that takes long
)
USER_MESSAGES: Final = Function(
    name="user_messages",
    handler="functions.user_messages.handler:handler",
    trigger="user_pool",
    memory_mb=256,
    timeout_s=5,  # Cognito waits no longer
    database_roles=(),
    environment=("TRAKSENSE_LOG_LEVEL", "TRAKSENSE_WEB_URL"),
)

EXPORT_PLAN: Final = Function(
    name="export_plan",
    handler="functions.exports.plan:handler",
    trigger="state_machine",
    memory_mb=512,
    timeout_s=300,
    database_roles=("traksense_app",),
    max_concurrency=2,
)
EXPORT_CHUNK: Final = Function(
    name="export_chunk",
    handler="functions.exports.chunk:handler",
    trigger="state_machine",
    memory_mb=1769,
    timeout_s=300,
    database_roles=("traksense_app",),
    environment=(*COMMON_ENVIRONMENT, *EXPORT_ENVIRONMENT),
    layers=("parquet",),
    uses=(uses.STAGE_EXPORTS,),
    max_concurrency=8,
)
EXPORT_FINISH: Final = Function(
    name="export_finish",
    handler="functions.exports.finish:handler",
    trigger="state_machine",
    memory_mb=1769,
    timeout_s=900,
    database_roles=("traksense_app",),
    environment=(*COMMON_ENVIRONMENT, *EXPORT_ENVIRONMENT),
    uses=uses.JOIN_EXPORTS,
    max_concurrency=2,
)
EXPORT_NOTIFY: Final = Function(
    name="export_notify",
    handler="functions.exports.notify:handler",
    trigger="state_machine",
    memory_mb=512,
    timeout_s=60,
    database_roles=("traksense_app",),
    environment=(*COMMON_ENVIRONMENT, *MAIL_ENVIRONMENT),
    uses=uses.SEND_MAIL,
    max_concurrency=2,
)
EXPORT_FAIL: Final = Function(
    name="export_fail",
    handler="functions.exports.fail:handler",
    trigger="state_machine",
    memory_mb=512,
    timeout_s=300,
    database_roles=("traksense_app",),
    environment=(*COMMON_ENVIRONMENT, *EXPORT_ENVIRONMENT, *MAIL_ENVIRONMENT),
    uses=(*uses.REMOVE_EXPORTS, *uses.SEND_MAIL),
    max_concurrency=2,
)

MIGRATE: Final = Function(
    name="migrate",
    handler="functions.migrate.handler:handler",
    trigger="deployment",
    memory_mb=512,
    timeout_s=900,
    database_roles=(),  # it logs in as the administrator
    environment=(
        "DATABASE_URL",
        "TRAKSENSE_DATABASE_ADMINISTRATOR",
        "TRAKSENSE_ENGINE",
        "TRAKSENSE_LOG_LEVEL",
    ),
)

ROTATE: Final = Function(
    name="rotate",
    handler="functions.rotate.handler:handler",
    trigger="rotation",
    memory_mb=256,
    timeout_s=60,
    database_roles=(),  # it logs in as whose password it changes
    environment=("DATABASE_URL", "TRAKSENSE_LOG_LEVEL"),
    uses=(uses.ROTATE_LOGINS,),
)

FUNCTIONS: Final = (
    INGEST,
    DEVICE_EVENTS,
    API,
    MAINTENANCE,
    USER_MESSAGES,
    EXPORT_PLAN,
    EXPORT_CHUNK,
    EXPORT_FINISH,
    EXPORT_NOTIFY,
    EXPORT_FAIL,
    MIGRATE,
    ROTATE,
)
"""Every function of the platform."""


def function_of(name: str) -> Function:
    """The function of a name that the contracts give. Raises KeyError."""
    return {function.name: function for function in FUNCTIONS}[name]


def triggered_by(trigger: Trigger) -> tuple[Function, ...]:
    """Every function that is called so."""
    return tuple(function for function in FUNCTIONS if function.trigger == trigger)
