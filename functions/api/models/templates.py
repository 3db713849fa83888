"""Templates as they are written and shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from pydantic import Field

from functions.api.models.base import Answer, Utc
from functions.api.models.dashboards import DashboardModel, Finite, LabelsModel, Part
from functions.api.validation import Body, Name, PlainText
from traksense.domain.readings import PointType
from traksense.domain.templates import (
    CODE_PATTERN,
    DEFAULT_OFFLINE_AFTER_S,
    MOST_POINTS,
    DeviceTemplate,
    PointTemplate,
)

LONGEST_OFFLINE_AFTER_S = 31 * 24 * 3600

Code = Annotated[
    str, Field(pattern=f"^{CODE_PATTERN}$", description="Never changes; a version has a number.")
]


class LimitsModel(Part):
    """Bounds of what is normal, in the point's unit."""

    low: Finite | None = None
    high: Finite | None = None


class PointModel(Part):
    """A telemetry channel of a template."""

    name: Annotated[PlainText, Field(min_length=1, max_length=64)]
    type: PointType
    labels: LabelsModel = Field(default={})
    unit: Annotated[PlainText, Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="Of a num only. A known one is converted to, any other is text."
    )
    enum_values: (
        Annotated[
            list[Annotated[PlainText, Field(min_length=1, max_length=64)]],
            Field(min_length=1, max_length=100),
        ]
        | None
    ) = Field(default=None, description="Of an enum, and of every one.")
    polarity: Literal["normal", "inverted"] | None = Field(
        default=None,
        description="Of a bool only. normal: true is the alarming value; inverted: false is; "
        "left out: neither.",
    )
    hysteresis: Annotated[Finite, Field(ge=0)] | None = Field(
        default=None,
        description="Of a num only: how far inside its limit a value comes back before it counts "
        "as normal, in the point's unit.",
    )
    limits: LimitsModel | None = Field(default=None, description="Of a num only.")


class TemplateHead(Body):
    """What a version of a template says."""

    name: Name
    vendor: Name | None = None
    adapter: Annotated[PlainText, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Reads the payloads; left out: their shape decides."
    )
    offline_after_s: Annotated[int, Field(ge=1, le=LONGEST_OFFLINE_AFTER_S)] = Field(
        default=DEFAULT_OFFLINE_AFTER_S,
        description="Seconds of silence after which such a device counts as offline.",
    )
    keep_raw: bool = Field(default=False, description="Whether messages are kept as they came.")
    max_messages_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="What such a device sends at most; null: the platform's limit."
    )
    points: Annotated[list[PointModel], Field(max_length=MOST_POINTS)]
    dashboard: DashboardModel | None = Field(
        default=None, description="See /schema/dashboard; null: one is made from the points."
    )

    def template(self, code: str) -> DeviceTemplate:
        """What it says as the platform keeps it."""
        said = self.model_dump(
            include=set(TemplateHead.model_fields) - {"points", "dashboard"}, exclude_none=True
        )
        points = [point.model_dump(exclude_none=True) for point in self.points]
        return DeviceTemplate(
            code=code,
            points=msgspec.convert(points, tuple[PointTemplate, ...]),
            dashboard=None if self.dashboard is None else self.dashboard.dashboard(),
            **said,
        )


class NewTemplate(TemplateHead):
    """A template to be made, in its first version."""

    code: Code
    publish: bool = Field(default=True, description="false: it stays a draft that can be replaced.")


class NewVersion(TemplateHead):
    """The next version of a template, whole."""

    publish: bool = Field(default=True, description="false: it stays a draft that can be replaced.")
    based_on: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="The version that it was made from: 409 where a newer one is."
    )


class Draft(TemplateHead):
    """A draft, whole."""


class TemplateSummary(Answer):
    """A version of a template. ``tenant`` is a slug; null: everybody's."""

    code: str
    version: int
    tenant: str | None
    name: str
    vendor: str | None
    adapter: str | None
    superseded_by: int | None = Field(description="The version after it.")
    points: int
    published_at: Utc | None = Field(description="null: a draft.")
    created_at: Utc


class TemplatePointAnswer(Answer):
    """A point of a template."""

    name: str
    type: PointType
    labels: dict[str, str]
    unit: str | None
    enum_values: list[str] | None
    polarity: Literal["normal", "inverted"] | None
    hysteresis: float | None
    limits: LimitsModel | None


class TemplateDetail(Answer):
    """A version of a template with all that it says. ``tenant`` is a slug; null: everybody's."""

    code: str
    version: int
    tenant: str | None
    name: str
    vendor: str | None
    adapter: str | None
    offline_after_s: int
    keep_raw: bool
    max_messages_per_minute: int | None
    points: list[TemplatePointAnswer]
    dashboard: DashboardModel | None
    superseded_by: int | None = Field(description="The version after it.")
    published_at: Utc | None = Field(description="null: a draft.")
    created_at: Utc


class MoveBody(Body):
    """Which devices are to go to the version."""

    devices: Literal["all"] | Annotated[list[UUID], Field(min_length=1, max_length=500)] = Field(
        description='Ids, or "all": every device in sight that is of an older version.'
    )
    contract_added: bool = Field(
        default=True, description="Whether points that the version adds are under contract."
    )


class ChangeAnswer(Answer):
    """A field that changes; of a point where ``name`` is a point's."""

    name: str
    field: str
    before: Any
    after: Any


class MovedFromAnswer(Answer):
    """What changes for the devices of one older version."""

    version: int
    devices: int
    added: list[str]
    removed: list[str]
    changed: list[ChangeAnswer]
    settings: list[ChangeAnswer]
    dashboard_changed: bool


class IncompatibleAnswer(Answer):
    """Points of devices that would change their type or unit: the move is refused."""

    name: str
    before: str
    after: str
    devices: int


class MoveAnswer(Answer):
    """What a move does, or did."""

    code: str
    version: int
    dry_run: bool
    devices: int
    moved_from: list[MovedFromAnswer]
    incompatible: list[IncompatibleAnswer]
