"""Answers about exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from functions.api.models.base import Answer, Utc
from traksense.domain.exports import Agg, Failure, Format, Notification
from traksense.i18n.catalogue import Locale
from traksense.services.export_mail import failure_of, failure_text
from traksense.services.exports import Export, Part

StatusWord = Literal["PENDING", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED", "EXPIRED"]
"""As ``traksense.domain.exports.Status``."""


class ExportError(Answer):
    """Why an export failed."""

    code: Failure
    message: str


class ExportPart(Answer):
    """A part of an export; the file is all of them in the order of their numbers."""

    number: int
    planned_rows: int = Field(description="An estimate.")
    rows: int = Field(description="Written so far.")
    bytes: int | None = Field(description="Null until it is done.")
    sha256: str | None = Field(description="Of its data, in hexadecimal; null until it is done.")


class ExportAnswer(Answer):
    """An export and what became of it."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)

    id: UUID
    tenant: str
    status: StatusWord
    progress: float = Field(ge=0, le=1, description="1 once the file is there.")
    planned_rows: int | None = Field(description="An estimate; null until it is planned.")
    record_count: int | None = Field(description="While it is being made, the rows so far.")
    file_size: int | None = Field(description="Bytes.")
    file_name: str | None
    sha256: str | None = Field(description="Of the file, in hexadecimal, where it is known.")
    created_at: Utc
    started_at: Utc | None
    finished_at: Utc | None
    expires_at: Utc | None = Field(description="When the file is deleted.")
    error: ExportError | None
    notification: Notification | None = Field(
        description="What came of the e-mail of its end: `refused` where its address takes none, "
        "`unsent` where it could not be sent in time; null where nobody is told."
    )
    device: str | None = Field(description="Its name; null: every device.")
    device_id: UUID | None
    points: list[str] | None = Field(description="Their names; null: every point.")
    point_ids: list[UUID] | None
    from_: Utc = Field(alias="from")
    to: Utc = Field(description="Exclusive; not after the moment at which it was asked for.")
    agg: Agg
    format: Format
    for_spreadsheet: bool
    locale: Literal["pt-BR", "en"] = Field(description="Of the e-mail, and of a spreadsheet.")
    time_zone: str = Field(description="The tenant's, which a spreadsheet's times are in.")
    requested_by: str = Field(description="The e-mail address that is told.")


class ExportDetail(ExportAnswer):
    """An export with its parts."""

    parts: list[ExportPart]


class DownloadAnswer(Answer):
    """Where the file can be fetched now, by whoever has the address."""

    url: str
    file_name: str | None
    opens_until: Utc = Field(description="Until when a download may begin; then ask again.")


def answer_of(export: Export, locale: Locale) -> ExportAnswer:
    """An export as it is answered, its error in the caller's language."""
    return ExportAnswer(**_fields(export, locale))


def detail_of(export: Export, parts: Sequence[Part], locale: Locale) -> ExportDetail:
    """An export as it is answered with its parts."""
    return ExportDetail(
        **_fields(export, locale),
        parts=[
            ExportPart(
                number=part.number,
                planned_rows=part.planned_rows,
                rows=part.rows,
                bytes=part.size,
                sha256=None if part.sha256 is None else part.sha256.hex(),
            )
            for part in parts
        ],
    )


def _fields(export: Export, locale: Locale) -> dict[str, Any]:
    error = None
    if export.error is not None:
        code = failure_of(export.error)
        error = ExportError(code=code, message=failure_text(code, locale))
    return {
        "id": export.id,
        "tenant": export.tenant,
        "status": export.status.value,
        "progress": export.progress,
        "planned_rows": export.planned_rows,
        "record_count": export.rows,
        "file_size": export.file_size,
        "file_name": export.file_name,
        "sha256": None if export.sha256 is None else export.sha256.hex(),
        "created_at": export.created_at,
        "started_at": export.started_at,
        "finished_at": export.finished_at,
        "expires_at": export.expires_at,
        "error": error,
        "notification": export.notification,
        "device": export.device,
        "device_id": export.device_id,
        "points": export.points,
        "point_ids": export.point_ids,
        "from_": export.start,
        "to": export.end,
        "agg": export.agg,
        "format": export.format,
        "for_spreadsheet": export.for_spreadsheet,
        "locale": export.locale,
        "time_zone": export.time_zone,
        "requested_by": export.email,
    }
