"""Exports: asked for, followed, cancelled and downloaded."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from chalice.app import Blueprint
from pydantic import AfterValidator, ConfigDict, Field

from functions.api import idempotency
from functions.api.auditing import Audited
from functions.api.models.base import ListAnswer
from functions.api.models.exports import (
    DownloadAnswer,
    ExportAnswer,
    ExportDetail,
    StatusWord,
    answer_of,
    detail_of,
)
from functions.api.representation import preferred
from functions.api.routing import EVERYONE, JSON, PUBLIC, Call, Header, Reply, route
from functions.api.validation import (
    Body,
    Cursor,
    Instant,
    Limit,
    NoParams,
    Params,
    PlainText,
    read_uuid,
)
from traksense.contracts.topics import DEVICE_NAME_PATTERN
from traksense.domain.exports import Agg, Format, Status
from traksense.i18n.catalogue import Locale
from traksense.services.exports import MOST_POINTS, Order

blueprint: Final = Blueprint(__name__)

NO_REFERRER: Final = Header("Referrer-Policy", "The address is told to nobody.")
_ANY: Final = "*/*"


def _id_or_name(value: str) -> UUID | str:
    return read_uuid(value) or value


class CreateExport(Body):
    """What the file is to hold."""

    device: (
        Annotated[
            str,
            Field(pattern=f"^(?:{DEVICE_NAME_PATTERN}|[0-9a-fA-F-]{{36}})$"),
            AfterValidator(_id_or_name),
        ]
        | None
    ) = Field(default=None, description="Its id or, in a tenant's sight, its name; else all.")
    points: (
        Annotated[
            list[
                Annotated[
                    PlainText, Field(min_length=1, max_length=64), AfterValidator(_id_or_name)
                ]
            ],
            Field(min_length=1, max_length=MOST_POINTS),
        ]
        | None
    ) = Field(default=None, description="Ids or, with a device, names; else all.")
    from_: Instant = Field(alias="from")
    to: Instant = Field(description="Exclusive; the present where it is later.")
    agg: Agg
    format: Format
    for_spreadsheet: bool = Field(
        default=False, description="CSV as the spreadsheet program of the locale reads it."
    )
    locale: Locale | None = Field(
        default=None, description="Of the e-mail and a spreadsheet; else the person's own."
    )


class ListExports(Params):
    """Which exports, and how many."""

    limit: Limit = 50
    cursor: Cursor | None = None
    status: StatusWord | None = None


class AnyParams(Params):
    """Whatever a mail program or its scanner put behind a link."""

    model_config = ConfigDict(extra="ignore", frozen=True)


@route(
    blueprint,
    "POST",
    "/api/exports",
    roles=EVERYONE,
    audit=Audited("exports.create"),
    body=CreateExport,
    response=ExportAnswer,
    statuses=(202,),
    headers=(idempotency.HEADER,),
)
def create_export(call: Call[NoParams, CreateExport]) -> Reply:
    """Takes on an export, once for each ``Idempotency-Key``; an e-mail tells its end."""
    body = call.body
    export = call.services.exports.create(
        call.scope,
        call.identity,
        Order(
            device=body.device,
            points=None if body.points is None else tuple(dict.fromkeys(body.points)),
            start=body.from_,
            end=body.to,
            agg=body.agg,
            format=body.format,
            for_spreadsheet=body.for_spreadsheet,
            locale=body.locale,
        ),
        idempotency.key_of(call.headers),
    )
    return Reply(202, answer_of(export, call.locale), {"Location": f"/api/exports/{export.id}"})


@route(
    blueprint,
    "GET",
    "/api/exports",
    roles=EVERYONE,
    audit=Audited("exports.list"),
    params=ListExports,
    response=ListAnswer[ExportAnswer],
)
def list_exports(call: Call[ListExports, None]) -> ListAnswer[ExportAnswer]:
    """Lists the tenant's exports, newest first; of all tenants for operators who chose none."""
    params = call.params
    status = None if params.status is None else Status(params.status)
    page = call.services.exports.page(call.scope, status, params.limit, params.cursor)
    return ListAnswer[ExportAnswer](
        items=[answer_of(export, call.locale) for export in page.items],
        next_cursor=page.next_cursor,
    )


@route(
    blueprint,
    "GET",
    "/api/exports/{export_id}",
    roles=EVERYONE,
    audit=Audited("exports.read"),
    response=ExportDetail,
)
def get_export(call: Call[NoParams, None]) -> ExportDetail:
    """Shows an export, how far it is, and its parts."""
    export, parts = call.services.exports.detail(call.scope, call.ids["export_id"])
    return detail_of(export, parts, call.locale)


@route(
    blueprint,
    "POST",
    "/api/exports/{export_id}/cancel",
    roles=EVERYONE,
    audit=Audited("exports.cancel"),
    response=ExportAnswer,
)
def cancel_export(call: Call[NoParams, None]) -> ExportAnswer:
    """Ends an export that is running; nothing of it is kept."""
    export = call.services.exports.cancel(call.scope, call.ids["export_id"])
    return answer_of(export, call.locale)


@route(
    blueprint,
    "GET",
    "/api/exports/{export_id}/download",
    roles=EVERYONE,
    audit=Audited("exports.download"),
    response=DownloadAnswer,
    statuses=(200, 302),
    errors=(409, 410),
    answer_headers=(NO_REFERRER,),
)
def download_export(call: Call[NoParams, None]) -> Reply:
    """Leads to the file; who accepts ``application/json`` gets the address in an answer."""
    found = call.services.exports.download(call.scope, call.ids["export_id"])
    if preferred(call.headers.get("accept"), (_ANY, JSON)) == JSON:
        name = found.export.file_name
        return Reply(
            200, DownloadAnswer(url=found.url, file_name=name, opens_until=found.opens_until)
        )
    return _redirect(found.url)


@route(
    blueprint,
    "GET",
    "/d/{token}",
    roles=PUBLIC,
    audit=Audited("exports.open_link"),
    params=AnyParams,
    response=None,
    statuses=(302,),
    errors=(410,),
    answer_headers=(NO_REFERRER,),
    is_for_people=True,
)
def open_export_link(call: Call[AnyParams, None]) -> Reply:
    """Leads who has the link of an e-mail to the file; to nothing once that is gone."""
    found = call.services.exports.open_link(call.names["token"])
    concerns = (found.export.tenant_id, found.export.id)
    return _redirect(found.url, concerns)


def _redirect(url: str, concerns: tuple[UUID, UUID] | None = None) -> Reply:
    headers = {"Location": url, "Referrer-Policy": "no-referrer"}
    return Reply(302, None, headers, concerns)
