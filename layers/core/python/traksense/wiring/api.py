"""What stands behind the API: settings → adapters → services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from traksense.auth.origin import DIRECT, Origin
from traksense.aws.cognito import Challenge, Cognito, Tokens
from traksense.aws.export_downloads import S3Downloads
from traksense.aws.iot import IotThings
from traksense.aws.iot_data import IotDataPublisher
from traksense.aws.step_functions import StepFunctionsRuns
from traksense.aws.user_directory import CognitoDirectory
from traksense.bootstrap import start
from traksense.contracts.metrics import AUDIT_FAILURES
from traksense.db.audit import SqlAuditStore
from traksense.db.certificates import SqlCertificateStore
from traksense.db.commands import SqlCommandStore
from traksense.db.connection import Database
from traksense.db.consumption import SqlConsumptionStore
from traksense.db.dashboards import SqlDashboardStore
from traksense.db.dead_letters import SqlDeadLetterStore
from traksense.db.device_writes import SqlDeviceWriteStore
from traksense.db.devices import SqlDeviceStore
from traksense.db.epoch import SqlEpochs
from traksense.db.erasure import SqlErasureRequests
from traksense.db.exports import SqlExportStore
from traksense.db.health import SqlHealthProbes
from traksense.db.quotas import SqlQuotaStore
from traksense.db.readings_query import SqlReadingStore
from traksense.db.replays import SqlReplayStore
from traksense.db.sites import SqlSiteStore
from traksense.db.template_moves import SqlMoveStore
from traksense.db.templates import SqlTemplateStore
from traksense.db.tenant_registry import SqlTenantRegistryStore
from traksense.db.tenants import SqlTenantStore
from traksense.db.users import SqlUserStore
from traksense.observability import metrics
from traksense.services.audit import AuditLog
from traksense.services.cache import TTL_S, Cache
from traksense.services.commands import Commands
from traksense.services.consumption import ConsumptionQuery
from traksense.services.dashboards import Dashboards
from traksense.services.dead_letters import DeadLetters
from traksense.services.device_import import DeviceImport
from traksense.services.device_writes import DeviceWrites
from traksense.services.devices import Devices
from traksense.services.erasure import Erasures
from traksense.services.exports import ExportFiles, ExportRuns, Exports
from traksense.services.health import Health, QueueDepths
from traksense.services.provisioning import Provisioning
from traksense.services.publisher import Publisher
from traksense.services.quotas import Limits, Quotas
from traksense.services.readings_query import ReadingsQuery
from traksense.services.replays import Replays
from traksense.services.series_levels import DEFAULT_RETENTION, Level
from traksense.services.sites import Sites
from traksense.services.template_moves import TemplateMoves
from traksense.services.templates import Templates
from traksense.services.tenant_registry import TenantRegistry
from traksense.services.tenants import Tenants
from traksense.services.things import ThingRegistry
from traksense.services.users import Directory, Users
from traksense.settings.api import (
    CognitoSettings,
    DeviceEndpointSettings,
    OriginSettings,
    QuotaSettings,
)
from traksense.settings.exports import ExportFileSettings, StateMachineSettings
from traksense.settings.retention import LevelSettings
from traksense.vendors.registry import ADAPTERS


class Login(Protocol):
    """The user pool."""

    def login(self, email: str, password: str) -> Tokens | Challenge:
        """Log in. Raises BadCredentials, Throttled or IdentityProviderAway."""

    def refresh(self, refresh_token: str) -> Tokens:
        """New tokens. Raises BadCredentials, Throttled or IdentityProviderAway."""

    def respond(
        self, session: str, new_password: str | None, code: str | None
    ) -> Tokens | Challenge:
        """Answer a challenge. Raises as ``login`` does, and Invalid."""

    def forgot(self, email: str) -> None:
        """Have a code mailed. Raises Throttled or IdentityProviderAway."""

    def reset(self, email: str, code: str, new_password: str) -> None:
        """Set a password by a code. Raises Invalid, Throttled or IdentityProviderAway."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the API talks to besides its database. Nothing of it connects before it is asked."""

    login: Login
    people: Directory
    publisher: Publisher
    things: ThingRegistry
    export_runs: ExportRuns
    export_files: ExportFiles


@dataclass(frozen=True, slots=True)
class ApiServices:
    """What the API's routes call."""

    tenants: Tenants
    registry: TenantRegistry
    sites: Sites
    templates: Templates
    template_moves: TemplateMoves
    dashboards: Dashboards
    users: Users
    devices: Devices
    device_writes: DeviceWrites
    device_import: DeviceImport
    provisioning: Provisioning
    readings: ReadingsQuery
    consumption: ConsumptionQuery
    commands: Commands
    exports: Exports
    dead_letters: DeadLetters
    replays: Replays
    erasures: Erasures
    health: Health
    login: Login
    cache: Cache
    audit: AuditLog
    quotas: Quotas | None = None
    """None: nobody's requests are counted."""
    origin: Origin = DIRECT
    counts_requests: bool = False
    """Whether the API counts its requests itself: where no gateway of ours in front does."""


def api(
    database: Database,
    outside: Outside,
    queues: QueueDepths | None = None,
    *,
    counts_requests: bool = False,
    retention: Mapping[Level, timedelta] = DEFAULT_RETENTION,
    limits: Limits | None = None,
    origin: Origin = DIRECT,
    cache_ttl_s: float = TTL_S,
) -> ApiServices:
    """The services over a database and what is around it. Connects to none of it."""
    cache = Cache(SqlEpochs(database), ttl_s=cache_ttl_s)
    database.watch_epoch(cache.saw if cache.is_on else None)
    devices = SqlDeviceStore(database)
    templates = Templates(SqlTemplateStore(database), ADAPTERS.keys())

    def tenant_of(device: UUID) -> UUID | None:
        return cache.get("device_tenant", device, lambda: devices.tenant_of(device))

    device_writes = DeviceWrites(SqlDeviceWriteStore(database))
    return ApiServices(
        tenants=Tenants(SqlTenantStore(database), cache),
        registry=TenantRegistry(SqlTenantRegistryStore(database), retention),
        sites=Sites(SqlSiteStore(database)),
        templates=templates,
        template_moves=TemplateMoves(templates, SqlMoveStore(database)),
        dashboards=Dashboards(SqlDashboardStore(database)),
        users=Users(SqlUserStore(database), outside.people),
        devices=Devices(devices),
        device_writes=device_writes,
        device_import=DeviceImport(device_writes),
        provisioning=Provisioning(SqlCertificateStore(database), outside.things, device_writes),
        readings=ReadingsQuery(SqlReadingStore(database), tenant_of, retention, cache=cache),
        consumption=ConsumptionQuery(SqlConsumptionStore(database), tenant_of, cache),
        commands=Commands(SqlCommandStore(database), outside.publisher, tenant_of),
        exports=Exports(
            SqlExportStore(database), outside.export_runs, outside.export_files, tenant_of
        ),
        dead_letters=DeadLetters(SqlDeadLetterStore(database)),
        replays=Replays(SqlReplayStore(database), outside.publisher),
        erasures=Erasures(SqlErasureRequests(database)),
        health=Health(SqlHealthProbes(database), queues),
        login=outside.login,
        audit=AuditLog(SqlAuditStore(database), lambda: metrics.count(AUDIT_FAILURES)),
        quotas=None if limits is None else Quotas(SqlQuotaStore(database), limits),
        origin=origin,
        cache=cache,
        counts_requests=counts_requests,
    )


def api_from_environment(queues: QueueDepths | None = None) -> ApiServices:
    """The services of this process. Raises ConfigurationError."""
    cognito = CognitoSettings.from_environment()
    settings, database = start("api")
    kept = LevelSettings.from_environment()
    quotas = QuotaSettings.from_environment()
    files, states = ExportFileSettings.from_environment(), StateMachineSettings.from_environment()
    return api(
        database,
        Outside(
            login=Cognito(cognito.client_id, cognito.region),
            people=CognitoDirectory(cognito.user_pool_id, cognito.region),
            publisher=IotDataPublisher(cognito.region),
            things=IotThings(cognito.region, DeviceEndpointSettings.from_environment().ca_file),
            export_runs=StepFunctionsRuns(states.export_state_machine, states.region),
            export_files=S3Downloads(files.bucket, files.region),
        ),
        queues,
        counts_requests=settings.metrics == "emf",
        retention={
            "raw": timedelta(days=settings.raw_retention_days),
            "1m": timedelta(days=kept.minutes_days),
            "5m": timedelta(days=kept.five_minutes_days),
            "1h": timedelta(days=kept.hours_days),
        },
        limits=Limits(quotas.tenant, quotas.user, quotas.address),
        origin=Origin(OriginSettings.from_environment().secrets),
        cache_ttl_s=settings.cache_ttl_s,
    )
