"""Answers about devices and their points."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from functions.api.models.base import Answer, Utc
from traksense.domain.readings import PointType


class TemplateAnswer(Answer):
    """A device's template."""

    code: str
    version: int


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
