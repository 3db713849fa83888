"""Answers about devices and their points."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import Field

from functions.api.models.base import Answer, Utc
from traksense.domain.readings import PointType
from traksense.services.devices import Device, Status


class TemplateAnswer(Answer):
    """A device's template."""

    code: str
    version: int


class GatewayAnswer(Answer):
    """The gateway that speaks for a device, and what it calls it."""

    id: UUID
    code: str


class DeviceAnswer(Answer):
    """A device. ``tenant`` and ``site`` are slugs."""

    id: UUID
    name: str
    tenant: str
    site: str
    template: TemplateAnswer
    is_online: bool
    last_seen: Utc | None
    metadata: dict[str, Any]
    created_at: Utc
    status: Status = Field(description="What people decided about it, online or not.")
    mac: str | None
    gateway: GatewayAnswer | None
    is_provisioned: bool = Field(description="Whether it has a certificate that lets it in.")
    over_rate_at: Utc | None = Field(
        description="The last minute in which it sent more messages than its template allows."
    )

    @classmethod
    def of(cls, device: Device) -> DeviceAnswer:
        """The answer about a device."""
        gateway = None
        if device.gateway_id is not None and device.gateway_code is not None:
            gateway = GatewayAnswer(id=device.gateway_id, code=device.gateway_code)
        return cls(
            id=device.id,
            name=device.name,
            tenant=device.tenant,
            site=device.site,
            template=TemplateAnswer(code=device.template_code, version=device.template_version),
            is_online=device.is_online,
            last_seen=device.last_seen,
            metadata=device.metadata,
            created_at=device.created_at,
            status=device.status,
            mac=device.mac,
            gateway=gateway,
            is_provisioned=device.is_provisioned,
            over_rate_at=device.over_rate_at,
        )


class PointAnswer(Answer):
    """A point of a device. ``label`` is in the caller's language."""

    id: UUID
    name: str
    label: str
    type: PointType
    unit: str | None
    enum_values: list[str] | None
    limits: dict[str, Any] | None
    is_contracted: bool


class PointsAnswer(Answer):
    """A device's points, in its template's order."""

    items: list[PointAnswer]
