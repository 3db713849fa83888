"""What the e-mails of exports are made from, in PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.export_work import of_run
from traksense.domain.exports import Run, Status
from traksense.services.export_mail import EndedExport


class SqlExportMailStore:
    """Implements ``traksense.services.export_mail.ExportMailStore``."""

    def __init__(
        self,
        database: Database,
        role: Literal["traksense_app", "traksense_owner"] = "traksense_app",
    ) -> None:
        """``role``: the steps of an export take on the tenant's, its upkeep the owner's."""
        self._database = database
        self._role: Literal["traksense_app", "traksense_owner"] = role
        self._queries = queries.load("export_mail")

    def unmailed(self, run: Run, status: Status) -> EndedExport | None:
        """The export, if it ended so in this attempt and its e-mail has had no end yet."""
        with self._database.transaction(self._role, run.tenant_id) as cursor:
            row = cursor.execute(
                self._queries["unmailed_export"], {**of_run(run), "status": status.value}
            ).fetchone()
        if row is None:
            return None
        email, name, locale, device, points, *rest = row
        return EndedExport(
            email, name, locale, device, None if points is None else tuple(points), *rest
        )

    def add_link(self, run: Run, digest: bytes, expires_at: datetime) -> None:
        """Keep a link by the SHA-256 of its token."""
        with self._database.transaction(self._role, run.tenant_id) as cursor:
            cursor.execute(
                self._queries["add_export_link"],
                {**of_run(run), "digest": digest, "expires_at": expires_at},
            )

    def note_mailed(self, run: Run) -> None:
        """The e-mail was taken for delivery."""
        with self._database.transaction(self._role, run.tenant_id) as cursor:
            cursor.execute(self._queries["note_export_mailed"], of_run(run))

    def note_refused(self, run: Run) -> None:
        """The e-mail was refused for good."""
        with self._database.transaction(self._role, run.tenant_id) as cursor:
            cursor.execute(self._queries["note_export_mail_refused"], of_run(run))
