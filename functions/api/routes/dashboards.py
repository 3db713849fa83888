"""Dashboards of devices, and the schema of those that templates have."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from chalice.app import Blueprint

from functions.api.auditing import Audited, NotAudited
from functions.api.models.dashboards import (
    DashboardAnswer,
    DashboardTemplateAnswer,
    dashboard_schema,
)
from functions.api.routing import EVERYONE, PUBLIC, Call, Encoded, route
from functions.api.validation import NoParams

blueprint: Final = Blueprint(__name__)


@cache
def _schema() -> bytes:
    return json.dumps(dashboard_schema(), ensure_ascii=False).encode("utf-8")


@route(
    blueprint,
    "GET",
    "/schema/dashboard",
    roles=PUBLIC,
    audit=NotAudited("it is the same for everyone and says nothing of anybody"),
    response=dict[str, Any],
    conditional=True,
)
def get_dashboard_schema(call: Call[NoParams, None]) -> Encoded:  # noqa: ARG001 - a view takes its call
    """Shows the JSON Schema of a template's dashboard."""
    return Encoded(_schema())


@route(
    blueprint,
    "GET",
    "/api/dashboards/{device_id}",
    roles=EVERYONE,
    audit=Audited("dashboards.read"),
    response=DashboardAnswer,
)
def get_dashboard(call: Call[NoParams, None]) -> DashboardAnswer:
    """Shows a device's dashboard, with its points under contract."""
    found = call.services.dashboards.of(call.scope, call.ids["device_id"], call.locale)
    return DashboardAnswer(
        device_id=found.device_id,
        template=DashboardTemplateAnswer(code=found.template_code, version=found.template_version),
        is_generated=found.is_generated,
        panels=found.panels,  # type: ignore[arg-type] # read by attribute
    )
