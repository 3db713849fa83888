"""What stands behind the steps of an export and its upkeep, but for the worker and the e-mail."""

from __future__ import annotations

from datetime import timedelta

from traksense import bootstrap
from traksense.aws.export_files import S3ExportFiles
from traksense.aws.s3 import Bucket
from traksense.db.connection import Database
from traksense.services.export_fail import ExportFail
from traksense.services.export_finish import ExportFinish
from traksense.services.export_plan import ExportPlan
from traksense.services.export_upkeep import ExportUpkeep
from traksense.settings.exports import ExportFileSettings, StateMachineSettings


def plan() -> ExportPlan:
    """The service behind the first step. Raises ConfigurationError."""
    from traksense.db.export_plan import SqlPlanStore

    _, database = bootstrap.start("export_plan")
    return ExportPlan(SqlPlanStore(database))


def finish() -> ExportFinish:
    """The service behind the step that joins. Raises ConfigurationError."""
    from traksense.db.export_finish import SqlFinishStore

    _, database = bootstrap.start("export_finish")
    return ExportFinish(SqlFinishStore(database), _files())


def fail() -> ExportFail:
    """The service behind the last step of what failed. Raises ConfigurationError."""
    from traksense.db.export_finish import SqlFinishStore

    _, database = bootstrap.start("export_fail")
    return ExportFail(SqlFinishStore(database), _files(), bootstrap.export_mail_of(database))


def upkeep(database: Database, keep: timedelta) -> ExportUpkeep:
    """What maintenance looks after exports with. Raises ConfigurationError."""
    from traksense.aws.step_functions import StepFunctionsRuns
    from traksense.db.export_upkeep import SqlUpkeepStore

    machine = StateMachineSettings.from_environment()
    return ExportUpkeep(
        SqlUpkeepStore(database),
        StepFunctionsRuns(machine.export_state_machine, machine.region),
        _files(),
        bootstrap.export_mail_of(database, "traksense_owner"),
        keep,
    )


def _files() -> S3ExportFiles:
    settings = ExportFileSettings.from_environment()
    return S3ExportFiles(Bucket(settings.bucket, settings.region))
