"""The composition root: settings → adapters → services. Nothing is built before it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Literal

from traksense.contracts.metrics import EXPORT_MAILS
from traksense.db.connection import Database
from traksense.db.passwords import Passwords
from traksense.observability import EmfMetrics, configure_logging, metrics
from traksense.settings.deployment import DeploymentSettings
from traksense.settings.function import FunctionSettings
from traksense.settings.login import AwsCredentials, DatabaseAuthentication

if TYPE_CHECKING:
    from traksense.db.schema import Schema
    from traksense.services.device_events import DeviceEventsService
    from traksense.services.directory import Directory
    from traksense.services.erasure import ErasedPlaces
    from traksense.services.export_chunk import ExportChunks
    from traksense.services.export_mail import ExportMail
    from traksense.services.export_upkeep import ExportUpkeep
    from traksense.services.ingest import IngestService
    from traksense.services.maintenance import MaintenanceService
    from traksense.services.rotation import Rotation


def start(function: str) -> tuple[FunctionSettings, Database]:
    """What every function starts with. Raises ConfigurationError."""
    settings = FunctionSettings.from_environment()
    configure_logging(function, settings.log_level)
    if settings.metrics == "emf":
        metrics.use(EmfMetrics(settings.lambda_name or function))
    database = Database(
        settings.database_url,
        passwords=passwords(settings.database_url, DatabaseAuthentication.from_environment()),
        application_name=f"traksense-{function}",
        prepare=settings.prepare_statements,
    )
    return settings, database


def passwords(url: str, authentication: DatabaseAuthentication) -> Passwords | None:
    """Where the password of a URL's log-in comes from; None: the URL says it all.

    Raises ConfigurationError.
    """
    if authentication.method == "url":
        return None
    if authentication.method == "rds-iam":
        from traksense.aws.rds_iam import RdsIamPasswords

        return RdsIamPasswords.of_url(url, authentication.region, AwsCredentials.from_environment)
    from traksense.aws.secrets import DatabaseSecrets, SecretPasswords

    return SecretPasswords(authentication.secret, DatabaseSecrets(authentication.region))


def ingest() -> IngestService:
    """The service behind the ingest function. Raises ConfigurationError."""
    from traksense import vendors
    from traksense.db.ingest_store import SqlReadingStore
    from traksense.db.message_rates import SqlRateStore
    from traksense.services.acceptance import Acceptance
    from traksense.services.ingest import IngestService
    from traksense.services.message_rates import MessageRates
    from traksense.settings.function import RateSettings

    settings, database = start("ingest")
    return IngestService(
        _directory(settings, database),
        Acceptance(vendors.decode, timedelta(days=settings.raw_retention_days), vendors.snapshot),
        SqlReadingStore(database),
        release=database.close,
        rates=MessageRates(
            SqlRateStore(database), RateSettings.from_environment().messages_per_minute
        ),
    )


def device_events() -> DeviceEventsService:
    """The service behind the device events function. Raises ConfigurationError."""
    from traksense.db.event_store import SqlEventStore
    from traksense.services.device_events import DeviceEventsService

    settings, database = start("device_events")
    return DeviceEventsService(_directory(settings, database), SqlEventStore(database))


def _directory(settings: FunctionSettings, database: Database) -> Directory:
    """The directory of a container that does one batch at a time."""
    from traksense.db.directory import SqlDirectoryLoader
    from traksense.services.cache import LastEpoch
    from traksense.services.directory import Directory

    last = LastEpoch()
    if settings.cache_ttl_s:
        database.watch_epoch(last.saw)
    return Directory(SqlDirectoryLoader(database), epoch=lambda: last.value)


def maintenance(places: Callable[[], ErasedPlaces] | None = None) -> MaintenanceService:
    """The service behind the maintenance function. Raises ConfigurationError.

    ``places``: what is outside the database, where a runner has its own.
    """
    settings, database = start("maintenance")
    return maintenance_of(settings, database, places)


def maintenance_of(
    settings: FunctionSettings,
    database: Database,
    places: Callable[[], ErasedPlaces] | None = None,
) -> MaintenanceService:
    """The maintenance jobs over a database."""
    from traksense.db.by_engine import ClosingByEngine, RollupStoreByEngine
    from traksense.db.engine import EngineOf
    from traksense.db.erasure import SqlErasureStore
    from traksense.db.job_files import discover
    from traksense.db.maintenance import SqlMaintenanceStore
    from traksense.db.messages import SqlMessageStore
    from traksense.db.release_jobs import SqlReleaseJobs
    from traksense.db.retention import SqlRetentionStore
    from traksense.db.rollups import SqlRollupStore
    from traksense.db.segments import SqlSegmentStore
    from traksense.db.timescale.compression import TimescaleCompressionStore
    from traksense.db.timescale.rollups import TimescaleRollupStore
    from traksense.services.compression import Compression
    from traksense.services.maintenance import MaintenanceService
    from traksense.services.messages import Messages
    from traksense.services.release_jobs import ReleaseJobs
    from traksense.services.retention import Keep, Retention
    from traksense.services.rollups import Rollups
    from traksense.services.segments import Segments
    from traksense.services.tenant_erasure import TenantErasure
    from traksense.settings.retention import RetentionSettings

    keep = RetentionSettings.from_environment()
    close_after = timedelta(days=keep.close_after_days)
    engine = EngineOf(database)

    def exports() -> ExportUpkeep:
        # As erasure: it brings adapters of AWS along.
        from traksense.wiring.exports import upkeep

        return upkeep(database, timedelta(days=keep.audit_days))

    def erasure() -> TenantErasure:
        # Imported when there is something to erase: it brings five adapters of AWS along.
        from traksense.wiring.erasure import places_from_environment

        return TenantErasure(SqlErasureStore(database), (places or places_from_environment)())

    return MaintenanceService(
        SqlMaintenanceStore(database),
        timedelta(days=settings.raw_retention_days),
        rollups=Rollups(
            RollupStoreByEngine(engine, SqlRollupStore(database), TimescaleRollupStore(database))
        ),
        segments=ClosingByEngine(
            engine,
            Segments(SqlSegmentStore(database), close_after),
            Compression(TimescaleCompressionStore(database), close_after),
        ),
        messages=Messages(SqlMessageStore(database), close_after),
        retention=Retention(
            SqlRetentionStore(database),
            Keep(
                raw=timedelta(days=settings.raw_retention_days),
                minutes=timedelta(days=keep.minutes_days),
                five_minutes=timedelta(days=keep.five_minutes_days),
                hours=timedelta(days=keep.hours_days),
                dead_letters=timedelta(days=keep.dead_letter_days),
                audit=timedelta(days=keep.audit_days),
            ),
        ),
        erasure=cache(erasure),
        exports=cache(exports),
        release_jobs=ReleaseJobs(SqlReleaseJobs(database, lambda: discover(engine()))),
    )


def export_mail() -> ExportMail:
    """The service behind the last step of a finished export. Raises ConfigurationError."""
    _, database = start("export_notify")
    return export_mail_of(database)


def export_mail_of(
    database: Database, role: Literal["traksense_app", "traksense_owner"] = "traksense_app"
) -> ExportMail:
    """The e-mails of exports over a database, which ``role`` asks. Raises ConfigurationError."""
    from traksense.aws.ses import SesMailer, SesSuppressions
    from traksense.db.export_mail import SqlExportMailStore
    from traksense.services.export_mail import ExportMail
    from traksense.settings.mail import MailSettings

    settings = MailSettings.from_environment()
    # A configuration set is what puts addresses on the list.
    suppressed: Container[str] = (
        SesSuppressions(settings.region) if settings.configuration_set else frozenset()
    )
    return ExportMail(
        SqlExportMailStore(database, role),
        SesMailer(
            settings.sender,
            settings.region,
            settings.configuration_set,
            suppressed=suppressed,
        ),
        settings.web_url,
        lambda outcome: metrics.count(EXPORT_MAILS, label=outcome),
    )


def schema() -> Schema:
    """What a deployment does to the database. Raises ConfigurationError."""
    from traksense.aws.secrets import DatabaseSecrets, SecretPasswords
    from traksense.db.schema import Schema

    settings = DeploymentSettings.from_environment()
    configure_logging("migrate", settings.log_level)
    secrets = DatabaseSecrets(settings.region)
    return Schema(
        settings.migration.database_url,
        settings.migration.engine,
        settings.administrator,
        secrets.read,
        lambda secret: SecretPasswords(secret, secrets),
    )


def rotation() -> Rotation:
    """What changes the password of a log-in. Raises ConfigurationError."""
    from traksense.aws.secret_versions import SecretVersions
    from traksense.db.login_passwords import SqlLoginPasswords
    from traksense.services.rotation import Rotation
    from traksense.settings.deployment import RotationSettings

    settings = RotationSettings.from_environment()
    configure_logging("rotate", settings.log_level)
    return Rotation(SecretVersions(settings.region), SqlLoginPasswords(settings.database_url))


def export_chunk() -> ExportChunks:
    """The service behind the function of an export's chunk. Raises ConfigurationError."""
    from traksense.aws.export_staging import S3StagingFiles
    from traksense.aws.s3 import Bucket
    from traksense.db.export_rows import SqlExportRows
    from traksense.db.export_work import SqlExportWork
    from traksense.services.export_chunk import ExportChunks
    from traksense.settings.exports import ExportFileSettings

    _, database = start("export_chunk")
    files = ExportFileSettings.from_environment()
    return ExportChunks(
        SqlExportWork(database),
        SqlExportRows(database),
        S3StagingFiles(Bucket(files.bucket, files.region)),
    )
