"""Devices and their points."""

from __future__ import annotations

from typing import Annotated, Final

from chalice.app import Blueprint
from pydantic import Field

from functions.api.auditing import Audited
from functions.api.models.base import ListAnswer
from functions.api.models.devices import (
    DeviceAnswer,
    PointAnswer,
    PointsAnswer,
)
from functions.api.routing import EVERYONE, Call, route
from functions.api.validation import (
    Cursor,
    Limit,
    NoParams,
    Params,
    PlainText,
    TrueOrFalse,
    UuidText,
)
from traksense.services.devices import DeviceFilter, Status

blueprint: Final = Blueprint(__name__)


class ListDevices(Params):
    """Which devices, and how many."""

    limit: Limit = 50
    cursor: Cursor | None = None
    q: Annotated[PlainText, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Part of the name, in any case."
    )
    site: Annotated[PlainText, Field(min_length=1, max_length=31)] | None = Field(
        default=None, description="Slug of a site."
    )
    online: TrueOrFalse | None = None
    status: Status | None = None
    gateway: UuidText | None = Field(
        default=None, description="Only those behind this device, by id."
    )


@route(
    blueprint,
    "GET",
    "/api/devices",
    roles=EVERYONE,
    audit=Audited("devices.list"),
    params=ListDevices,
    response=ListAnswer[DeviceAnswer],
)
def list_devices(call: Call[ListDevices, None]) -> ListAnswer[DeviceAnswer]:
    """Lists the devices in sight, by tenant and name."""
    params = call.params
    page = call.services.devices.page(
        call.scope,
        DeviceFilter(
            q=params.q,
            site=params.site,
            online=params.online,
            status=params.status,
            gateway=params.gateway,
        ),
        params.limit,
        params.cursor,
    )
    return ListAnswer[DeviceAnswer](
        items=[DeviceAnswer.of(device) for device in page.items], next_cursor=page.next_cursor
    )


@route(
    blueprint,
    "GET",
    "/api/devices/{device_id}",
    roles=EVERYONE,
    audit=Audited("devices.read"),
    response=DeviceAnswer,
)
def get_device(call: Call[NoParams, None]) -> DeviceAnswer:
    """Shows one device."""
    return DeviceAnswer.of(call.services.devices.get(call.scope, call.ids["device_id"]))


@route(
    blueprint,
    "GET",
    "/api/devices/{device_id}/points",
    roles=EVERYONE,
    audit=Audited("points.list"),
    response=PointsAnswer,
)
def get_points(call: Call[NoParams, None]) -> PointsAnswer:
    """Lists a device's points, in its template's order."""
    points = call.services.devices.points(call.scope, call.ids["device_id"], call.locale)
    return PointsAnswer(items=[PointAnswer.model_validate(point) for point in points])
