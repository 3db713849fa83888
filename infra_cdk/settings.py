"""What a stage is made with: the context of ``cdk.json``, read into frozen dataclasses.

``-c stage=prod`` chooses the stage and ``-c database=aurora`` another kind of database than the
stage's; everything else is changed in the file. A key that is missing, unknown or malformed is
named by its path. What is ``null`` there may as well be left out, for the CDK drops it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from traksense.contracts.functions import FUNCTIONS, Function
from traksense.contracts.queues import Stage as Batching

Egress = Literal["nat_instance", "nat_gateways"]
DatabaseKind = Literal["rds", "aurora", "external"]
Mfa = Literal["off", "optional", "required"]
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653]
PriceClass = Literal["PriceClass_100", "PriceClass_200", "PriceClass_All"]

CDK_JSON: Final = Path(__file__).resolve().parents[1] / "cdk.json"

_STRICT: Final = ConfigDict(extra="forbid", strict=True)
_STAGE_NAME: Final = r"^[a-z][a-z0-9]{0,11}$"

Positive = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(min_length=1)]


class SettingsError(Exception):
    """The context cannot be used; the message names the key."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class NetworkSettings:
    """The private network of the functions and the database."""

    cidr: str
    """Of the VPC, /16 to /24."""
    egress: Egress
    """How functions in it reach AWS's interfaces: the sums are in ADR 28."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class RdsSettings:
    """PostgreSQL on RDS."""

    instance_type: Annotated[str, Field(pattern=r"^[a-z0-9]+\.[a-z0-9]+$")]
    """Without the ``db.`` in front."""
    storage_gb: Annotated[int, Field(ge=20, le=65_536)]
    most_storage_gb: Annotated[int, Field(ge=20, le=65_536)]
    """How far storage grows by itself."""
    multi_az: bool
    proxy: bool
    backup_days: Annotated[int, Field(ge=1, le=35)]
    """Any second of them can be restored."""
    performance_insights: bool


@dataclass(frozen=True, slots=True, config=_STRICT)
class AuroraSettings:
    """Aurora PostgreSQL, Serverless v2."""

    least_acu: Annotated[float, Field(ge=0, le=256, multiple_of=0.5, strict=False)]
    """0: it sleeps when nobody is connected, which a schedule or a proxy prevents."""
    most_acu: Annotated[float, Field(ge=1, le=256, multiple_of=0.5, strict=False)]
    readers: Annotated[int, Field(ge=0, le=15)]
    """Standbys in the other zone, of the writer's size."""
    proxy: bool
    backup_days: Annotated[int, Field(ge=1, le=35)]
    performance_insights: bool


@dataclass(frozen=True, slots=True, config=_STRICT)
class ExternalSettings:
    """A PostgreSQL or TimescaleDB that somebody else keeps."""

    secret_name: Name
    """In Secrets Manager, with ``username`` and ``password`` of its administrator."""
    host: Name
    port: Annotated[int, Field(ge=1, le=65_535)]
    verify_certificate: bool
    """False: it is encrypted, but nobody known to Amazon Linux signed for the host's name."""
    private_endpoint_service: str | None = None
    """Name of the PrivateLink service that leads to it; None: by peering or the internet."""
    rotation_days: Annotated[int, Field(ge=1, le=365)] = 30
    """After so many the functions' log-ins get new passwords."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class DatabaseSettings:
    """The database: what is chosen, and how each choice is made."""

    kind: DatabaseKind
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    connections: Annotated[int, Field(ge=40, le=5000)]
    """Its ``max_connections``, from which the functions' concurrency is computed."""
    rds: RdsSettings
    aurora: AuroraSettings
    external: ExternalSettings

    @property
    def has_proxy(self) -> bool:
        """Whether functions reach it through RDS Proxy."""
        if self.kind == "external":
            return False
        return self.rds.proxy if self.kind == "rds" else self.aurora.proxy

    @property
    def has_passwords(self) -> bool:
        """Whether functions log in by passwords, which are rotated; else by their roles."""
        return self.kind == "external"


@dataclass(frozen=True, slots=True, config=_STRICT)
class IngestSettings:
    """The devices' side."""

    batching: Batching
    """How the queues gather batches: see ``traksense.contracts.queues``."""
    basic_ingest: bool
    """Whether devices may publish telemetry straight to the rule, without the broker's price."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class FunctionsSettings:
    """What all functions share."""

    reserve_concurrency: bool
    """False: for an account whose limit of concurrent calls is still the 10 of a new one."""
    log_retention_days: LogDays
    environment: dict[str, str]
    """Environment variables that differ from their defaults, for the functions that read them."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class DomainSettings:
    """A name of one's own."""

    name: Name
    certificate_arn: Annotated[str, Field(pattern=r"^arn:[^:]+:acm:")]
    """In us-east-1 for the page (CloudFront), in the stage's region for the API."""
    hosted_zone_id: str | None = None
    """In Route 53; None: the record is made by hand."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class ApiSettings:
    """The HTTP API."""

    requests_per_second: Positive
    burst: Positive
    waf: bool
    domain: DomainSettings | None = None


@dataclass(frozen=True, slots=True, config=_STRICT)
class WebSettings:
    """The page."""

    price_class: PriceClass
    domain: DomainSettings | None = None


@dataclass(frozen=True, slots=True, config=_STRICT)
class UsersSettings:
    """The user pool."""

    mfa: Mfa


@dataclass(frozen=True, slots=True, config=_STRICT)
class MailSettings:
    """The platform's own e-mails."""

    sender: Annotated[str, Field(pattern=r"^[^@<>]*<?[^@<>\s]+@[^@<>\s]+>?$")]
    """An address, or ``Name <address>``."""
    identity: Name
    """The domain, or the address, that SES verifies."""
    verified: bool
    """Whether SES has done so: until then Cognito sends from an address of its own, 50 a day."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class OperationsSettings:
    """Who is told, and of what."""

    monthly_budget_usd: Positive
    cost_anomalies: bool
    """Whether unusual costs are watched for. Only where Cost Explorer has been opened once, and not
    in a member account of an organization, whose tags are its management account's.
    """
    alarm_email: str | None = None


@dataclass(frozen=True, slots=True, config=_STRICT)
class StageSettings:
    """A stage: one platform of its own in an account."""

    stage: Annotated[str, Field(pattern=_STAGE_NAME)]
    keep_data: bool
    """Whether what holds data outlives its stack and is protected from deletion."""
    network: NetworkSettings
    database: DatabaseSettings
    ingest: IngestSettings
    functions: FunctionsSettings
    api: ApiSettings
    web: WebSettings
    users: UsersSettings
    mail: MailSettings
    operations: OperationsSettings

    def stack_id(self, name: str) -> str:
        """Of a stack of this stage: ``traksense-dev-network``."""
        return f"traksense-{self.stage}-{name}"


def functions_of(settings: StageSettings) -> tuple[Function, ...]:
    """The functions that a stage has: that of rotations only where log-ins have passwords."""
    has_passwords = settings.database.has_passwords
    return tuple(each for each in FUNCTIONS if has_passwords or each.trigger != "rotation")


_STAGE: Final = TypeAdapter(StageSettings)


def read(context: Mapping[str, Any]) -> StageSettings:
    """The stage that a context chooses. Raises SettingsError."""
    stage = context.get("stage")
    stages = context.get("stages")
    if not isinstance(stages, Mapping) or not stages:
        raise SettingsError("context: stages is missing: cdk.json holds each stage's settings")
    if stage not in stages:
        raise SettingsError(f"context: stage is {stage!r}: it must be one of {', '.join(stages)}")
    at = f"stages.{stage}"
    try:
        # By way of JSON, where a list is a tuple and nothing else is taken for something else.
        settings = _STAGE.validate_json(json.dumps({**stages[stage], "stage": stage}))
    except (ValidationError, TypeError) as error:
        raise SettingsError(_told(at, error)) from None
    chosen = context.get("database", settings.database.kind)
    if chosen not in get_args(DatabaseKind):
        raise SettingsError(
            f"context: database is {chosen!r}: it must be one of "
            f"{', '.join(get_args(DatabaseKind))}"
        )
    settings = replace(settings, database=replace(settings.database, kind=chosen))
    _check(at, settings)
    return settings


def context_of_file(path: Path = CDK_JSON, **changes: str) -> dict[str, Any]:
    """The context as the CDK's command reads it, with what ``-c`` would change."""
    context: dict[str, Any] = json.loads(path.read_text("utf-8"))["context"]
    return {**context, **changes}


def _told(at: str, error: ValidationError | TypeError) -> str:
    if not isinstance(error, ValidationError):
        return f"context: {at} must hold a section for each part of the platform"
    lines = (
        f"context: {'.'.join([at, *map(str, each['loc'])])}: {each['msg']}"
        for each in error.errors(include_url=False)
    )
    return "\n".join(lines)


def _check(at: str, settings: StageSettings) -> None:
    """What no single key can know."""
    database = settings.database
    try:
        network = IPv4Network(settings.network.cidr)
    except ValueError as error:
        raise SettingsError(f"context: {at}.network.cidr: {error}") from None
    if not 16 <= network.prefixlen <= 24:
        raise SettingsError(f"context: {at}.network.cidr: must be between /16 and /24")
    # RDS takes no limit that is nearer (RDS user guide, "Storage autoscaling").
    if database.rds.most_storage_gb * 10 < database.rds.storage_gb * 11:
        raise SettingsError(
            f"context: {at}.database.rds.most_storage_gb: less than storage_gb and a tenth of it"
        )
    web = settings.web.domain
    if web is not None and web.certificate_arn.split(":")[3] != "us-east-1":
        raise SettingsError(
            f"context: {at}.web.domain.certificate_arn: CloudFront takes one of us-east-1 alone"
        )
    if database.aurora.most_acu < database.aurora.least_acu:
        raise SettingsError(f"context: {at}.database.aurora.most_acu: less than least_acu")
    if database.kind == "aurora" and database.aurora.least_acu == 0 and database.aurora.proxy:
        raise SettingsError(
            f"context: {at}.database.aurora.proxy: a proxy keeps connections, with which a "
            "database that may go down to 0 ACU never does"
        )
