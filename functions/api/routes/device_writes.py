"""Devices and points as operators write them."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from chalice.app import Blueprint
from pydantic import Field

from functions.api.auditing import Audited
from functions.api.models.certificates import CreatedDeviceAnswer
from functions.api.models.device_writes import ChangeDevice, ChangePoint, CreateDevice
from functions.api.models.devices import DeviceAnswer, PointAnswer
from functions.api.routes.certificates import credentials_answer, reason_of
from functions.api.routing import OPS, Call, Reply, route
from functions.api.validation import NoParams, Params, TrueOrFalse
from traksense.domain.errors import TrakSenseError
from traksense.services.device_writes import DeviceChange, NewDevice, PointChange
from traksense.services.scope import Scope

blueprint: Final = Blueprint(__name__)


class CreateParams(Params):
    """What else is to be done for a new device."""

    provision: TrueOrFalse = Field(
        default=False, description="Give it a certificate and a key at once."
    )


@route(
    blueprint,
    "POST",
    "/api/devices",
    roles=OPS,
    audit=Audited("devices.create"),
    params=CreateParams,
    body=CreateDevice,
    response=CreatedDeviceAnswer,
    statuses=(201,),
)
def create_device(call: Call[CreateParams, CreateDevice]) -> Reply:
    """Makes a device with its points from a template; the tenant has to be chosen."""
    made = call.services.device_writes.create(call.scope, _new(call.body))
    device = call.services.devices.get(call.scope, made.id)
    answer = CreatedDeviceAnswer(**dict(DeviceAnswer.of(device)), **_provisioned(call, made.id))
    return Reply(201, answer, {"Location": f"/api/devices/{device.id}"})


def _provisioned(call: Call[CreateParams, CreateDevice], device_id: UUID) -> dict[str, Any]:
    """The new device's credentials where they are asked for, or why there are none yet: the
    device is made either way, and provisioning may be asked for again.
    """
    if not call.params.provision:
        return {"credentials": None, "provision_error": None}
    provisioning = call.services.provisioning
    try:
        endpoint = provisioning.endpoint()
        made = provisioning.provision(call.scope, device_id)
    except TrakSenseError as error:
        return {"credentials": None, "provision_error": reason_of(error, call.locale)}
    return {"credentials": credentials_answer(made, endpoint), "provision_error": None}


@route(
    blueprint,
    "PATCH",
    "/api/devices/{device_id}",
    roles=OPS,
    audit=Audited("devices.change"),
    body=ChangeDevice,
    response=DeviceAnswer,
)
def change_device(call: Call[NoParams, ChangeDevice]) -> DeviceAnswer:
    """Changes a device: its site, status, MAC or metadata. What is left out stays."""
    body, given, device_id = call.body, call.body.model_fields_set, call.ids["device_id"]
    change = DeviceChange(
        given=frozenset(given),
        site=body.site if "site" in given else None,
        status=body.status if "status" in given else None,
        mac=body.mac,
        metadata=body.metadata if "metadata" in given else None,
    )
    tenant_id = call.services.provisioning.change(call.scope, device_id, change)
    return DeviceAnswer.of(call.services.devices.get(Scope.of(tenant_id), device_id))


@route(
    blueprint,
    "DELETE",
    "/api/devices/{device_id}",
    roles=OPS,
    audit=Audited("devices.delete"),
    response=None,
    statuses=(204,),
)
def delete_device(call: Call[NoParams, None]) -> Reply:
    """Deletes a device with its certificates and points; its readings are seen no more."""
    call.services.provisioning.delete(call.scope, call.ids["device_id"])
    return Reply(204)


@route(
    blueprint,
    "PATCH",
    "/api/devices/{device_id}/points/{point_id}",
    roles=OPS,
    audit=Audited("points.change"),
    body=ChangePoint,
    response=PointAnswer,
)
def change_point(call: Call[NoParams, ChangePoint]) -> PointAnswer:
    """Changes a point: its labels, its limits, or whether it is contracted."""
    body, given = call.body, call.body.model_fields_set
    device_id, point_id = call.ids["device_id"], call.ids["point_id"]
    change = PointChange(
        given=frozenset(given),
        labels=body.labels if "labels" in given else None,
        limits=None if body.limits is None else body.limits.given(),
        is_contracted=body.is_contracted if "is_contracted" in given else None,
    )
    tenant_id = call.services.device_writes.change_point(call.scope, device_id, point_id, change)
    points = call.services.devices.points(Scope.of(tenant_id), device_id, call.locale)
    return PointAnswer.model_validate(next(point for point in points if point.id == point_id))


def _new(body: CreateDevice) -> NewDevice:
    return NewDevice(
        name=body.name,
        site=body.site,
        template=body.template,
        version=body.version,
        mac=body.mac,
        gateway=body.gateway,
        gateway_code=body.gateway_code,
        metadata=body.metadata,
        points=None if body.points is None else tuple(body.points),
    )
