"""Templates: kinds of equipment, their versions, and moving devices to a newer one."""

from __future__ import annotations

from typing import Annotated, Any, Final

from chalice.app import Blueprint
from pydantic import Field

from functions.api.auditing import Audited
from functions.api.models.base import ListAnswer
from functions.api.models.dashboards import DashboardModel
from functions.api.models.templates import (
    Draft,
    MoveAnswer,
    MoveBody,
    NewTemplate,
    NewVersion,
    TemplateDetail,
    TemplatePointAnswer,
    TemplateSummary,
)
from functions.api.routing import EVERYONE, OPS, Call, Reply, route
from functions.api.validation import Cursor, Limit, NoParams, Params, PlainText, TrueOrFalse
from traksense.auth.identity import Role
from traksense.services.paging import Page
from traksense.services.templates import Summary, TemplateFilter, Version

blueprint: Final = Blueprint(__name__)

MAX_TEMPLATE_BYTES: Final = 1024 * 1024
"""Of a body: 500 points with labels in two languages, and a dashboard, are some 300 KB."""


class ListTemplates(Params):
    """Which templates, and how many."""

    limit: Limit = 50
    cursor: Cursor | None = None
    q: Annotated[PlainText, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Part of the code or the name, in any case."
    )
    adapter: Annotated[PlainText, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="The adapter that it names."
    )
    shared: TrueOrFalse | None = Field(
        default=None, description="true: everybody's only; false: tenants' own only."
    )


class ListVersions(Params):
    """How many versions."""

    limit: Limit = 50
    cursor: Cursor | None = None


class MoveParams(Params):
    """Whether to move at all."""

    dry_run: TrueOrFalse = Field(default=False, description="true: only show what it would do.")


@route(
    blueprint,
    "GET",
    "/api/templates",
    roles=EVERYONE,
    audit=Audited("templates.list"),
    params=ListTemplates,
    response=ListAnswer[TemplateSummary],
)
def list_templates(call: Call[ListTemplates, None]) -> ListAnswer[TemplateSummary]:
    """Lists the newest version of each template in sight, by code."""
    params = call.params
    wanted = TemplateFilter(q=params.q, adapter=params.adapter, shared=params.shared)
    return _summaries(
        call.services.templates.page(
            call.scope, wanted, params.limit, params.cursor, sees_drafts=_sees_drafts(call)
        )
    )


@route(
    blueprint,
    "POST",
    "/api/templates",
    roles=OPS,
    audit=Audited("templates.create"),
    body=NewTemplate,
    response=TemplateDetail,
    statuses=(201,),
    max_body_bytes=MAX_TEMPLATE_BYTES,
)
def create_template(call: Call[NoParams, NewTemplate]) -> Reply:
    """Makes a template in its first version: everybody's, or the chosen tenant's own."""
    body = call.body
    return _made(
        call.services.templates.create(call.scope, body.template(body.code), publish=body.publish)
    )


@route(
    blueprint,
    "GET",
    "/api/templates/{code}",
    roles=EVERYONE,
    audit=Audited("templates.versions"),
    params=ListVersions,
    response=ListAnswer[TemplateSummary],
)
def list_versions(call: Call[ListVersions, None]) -> ListAnswer[TemplateSummary]:
    """Lists the versions of a template, newest first."""
    return _summaries(
        call.services.templates.versions(
            call.scope,
            call.names["code"],
            call.params.limit,
            call.params.cursor,
            sees_drafts=_sees_drafts(call),
        )
    )


@route(
    blueprint,
    "POST",
    "/api/templates/{code}/versions",
    roles=OPS,
    audit=Audited("templates.create_version"),
    body=NewVersion,
    response=TemplateDetail,
    statuses=(201,),
    max_body_bytes=MAX_TEMPLATE_BYTES,
)
def create_version(call: Call[NoParams, NewVersion]) -> Reply:
    """Makes the next version of a template, which supersedes the one before once published."""
    body = call.body
    return _made(
        call.services.templates.create_version(
            call.scope,
            body.template(call.names["code"]),
            body.based_on,
            publish=body.publish,
        )
    )


@route(
    blueprint,
    "GET",
    "/api/templates/{code}/{version}",
    roles=EVERYONE,
    audit=Audited("templates.read"),
    response=TemplateDetail,
)
def get_template(call: Call[NoParams, None]) -> TemplateDetail:
    """Shows one version of a template with its points and its dashboard."""
    return _detail(
        call.services.templates.get(
            call.scope, call.names["code"], _version(call), sees_drafts=_sees_drafts(call)
        )
    )


@route(
    blueprint,
    "PUT",
    "/api/templates/{code}/{version}",
    roles=OPS,
    audit=Audited("templates.replace"),
    body=Draft,
    response=TemplateDetail,
    max_body_bytes=MAX_TEMPLATE_BYTES,
)
def replace_draft(call: Call[NoParams, Draft]) -> TemplateDetail:
    """Replaces a draft. A published version is never changed."""
    template = call.body.template(call.names["code"])
    return _detail(call.services.templates.replace(call.scope, template, _version(call)))


@route(
    blueprint,
    "DELETE",
    "/api/templates/{code}/{version}",
    roles=OPS,
    audit=Audited("templates.delete"),
    response=None,
    statuses=(204,),
)
def remove_draft(call: Call[NoParams, None]) -> Reply:
    """Removes a draft. A published version stays."""
    call.services.templates.remove(call.scope, call.names["code"], _version(call))
    return Reply(204)


@route(
    blueprint,
    "POST",
    "/api/templates/{code}/{version}/publish",
    roles=OPS,
    audit=Audited("templates.publish"),
    response=TemplateDetail,
)
def publish_draft(call: Call[NoParams, None]) -> TemplateDetail:
    """Publishes a draft: devices can be made from it, and nobody changes it any more."""
    return _detail(call.services.templates.publish(call.scope, call.names["code"], _version(call)))


@route(
    blueprint,
    "POST",
    "/api/templates/{code}/{version}/moves",
    roles=OPS,
    audit=Audited("templates.move"),
    params=MoveParams,
    body=MoveBody,
    response=MoveAnswer,
)
def move_devices(call: Call[MoveParams, MoveBody]) -> MoveAnswer:
    """Moves devices of older versions to this one, or shows what that would change."""
    body, dry_run = call.body, call.params.dry_run
    moved = call.services.template_moves.move(
        call.scope,
        call.names["code"],
        _version(call),
        None if body.devices == "all" else body.devices,
        contract_added=body.contract_added,
        dry_run=dry_run,
    )
    return MoveAnswer.model_validate(moved)


def _sees_drafts(call: Call[Any, Any]) -> bool:
    return call.identity.role is Role.INTERNAL_OPS


def _version(call: Call[Any, Any]) -> int:
    return int(call.names["version"])


def _summaries(page: Page[Summary]) -> ListAnswer[TemplateSummary]:
    return ListAnswer[TemplateSummary](
        items=[TemplateSummary.model_validate(item) for item in page.items],
        next_cursor=page.next_cursor,
    )


def _made(made: Version) -> Reply:
    location = f"/api/templates/{made.template.code}/{made.version}"
    return Reply(201, _detail(made), {"Location": location})


def _detail(found: Version) -> TemplateDetail:
    said = found.template
    return TemplateDetail(
        code=said.code,
        version=found.version,
        tenant=found.tenant,
        name=said.name,
        vendor=said.vendor,
        adapter=said.adapter,
        offline_after_s=said.offline_after_s,
        keep_raw=said.keep_raw,
        max_messages_per_minute=said.max_messages_per_minute,
        points=[TemplatePointAnswer.model_validate(point) for point in said.points],
        dashboard=None if said.dashboard is None else DashboardModel.of(said.dashboard),
        superseded_by=found.superseded_by,
        published_at=found.published_at,
        created_at=found.created_at,
    )
