"""What the API answers. Fields may be added, never renamed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from traksense.auth.identity import Role
from traksense.domain.readings import PointType

Utc = Annotated[datetime, AfterValidator(lambda instant: instant.astimezone(UTC))]
"""RFC 3339 with ``Z``."""

Item = TypeVar("Item")


class Answer(BaseModel):
    """Base of every answer: made from the services' own records by attribute."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class ListAnswer(Answer, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    next_cursor: str | None = Field(description="Pass it back for the next page; null at the end.")


class HealthAnswer(Answer):
    """The service is up."""

    status: Literal["ok"]
    version: str


class PartAnswer(Answer):
    """One part that the service stands on."""

    status: Literal["ok", "failing"]
    latency_ms: float
    server_version: str | None = None
    engine: str | None = None
    lag_s: dict[str, float] | None = None
    depth: dict[str, int] | None = None


class DeepHealthAnswer(Answer):
    """Every part; ``failing`` where one of them is."""

    status: Literal["ok", "failing"]
    version: str
    parts: dict[str, PartAnswer]


class TokensAnswer(Answer):
    """A login. The ID token goes into ``Authorization: Bearer``. ``expires_in`` in seconds."""

    id_token: str
    access_token: str
    refresh_token: str
    expires_in: int


class ChallengeAnswer(Answer):
    """The user pool wants more before it gives tokens."""

    challenge: str
    session: str


class UserAnswer(Answer):
    """The caller. ``tenant`` is a slug, null for ``internal_ops``."""

    id: str
    email: str
    role: Role
    tenant: str | None
    time_zone: str
    locale: str


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


class LatestReadingAnswer(Answer):
    """A point's newest reading; ``ts``, ``value`` and ``qual`` are null where it has none."""

    point_id: UUID
    name: str
    type: PointType
    unit: str | None
    ts: Utc | None
    value: bool | float | str | None
    qual: int | None


class LatestAnswer(Answer):
    """The newest reading of each point of a device."""

    items: list[LatestReadingAnswer]


RawRow = tuple[Utc, bool | float | str, int]
"""``ts``, ``value``, ``qual``."""
RollupRow = tuple[Utc, float | None, float | None, float | None, int]
"""``ts`` of the bucket's beginning, ``avg``, ``min``, ``max``, ``count``."""


class SeriesAnswer(Answer):
    """Readings or rollups of one point, oldest first."""

    device_id: UUID
    point_id: UUID
    name: str
    type: PointType
    unit: str | None
    agg: Literal["raw", "1m", "5m", "1h"]
    degraded: bool = Field(description="A finer level was due and no longer reaches back to from.")
    reduction: Literal["lttb", "changes"] | None = Field(
        description="How rows were left out between those that are here; null where none was."
    )
    truncated: bool = Field(description="There were more rows than max_points.")
    next_from: Utc | None = Field(description="Read on from here; null where nothing was cut off.")
    available_from: Utc | None = Field(
        description="Where this level begins, if that is after from; null where it reaches back."
    )
    columns: list[str]
    rows: list[RollupRow] | list[RawRow]


class SeriesListAnswer(Answer):
    """What ``/api/data/points`` answers."""

    model_config = ConfigDict(from_attributes=True, frozen=True, populate_by_name=True)

    requested_agg: Literal["auto", "raw", "1m", "5m", "1h"]
    from_: Utc = Field(alias="from")
    to: Utc
    series: list[SeriesAnswer]


class PointMonthsAnswer(Answer):
    """The months of one point that hold readings, oldest first."""

    device_id: UUID
    point_id: UUID
    name: str
    type: PointType
    unit: str | None
    columns: list[str]
    rows: list[tuple[str, float, float, int]]


class ConsumptionAnswer(Answer):
    """What ``/api/data/consumption`` answers: whole months of the tenant's calendar."""

    model_config = ConfigDict(from_attributes=True, frozen=True, populate_by_name=True)

    time_zone: str
    from_: Utc = Field(alias="from")
    to: Utc
    series: list[PointMonthsAnswer]


class DeadLetterAnswer(Answer):
    """A message that could not be accepted, whole or in part."""

    id: int
    received_at: Utc
    last_received_at: Utc
    occurrences: int
    tenant: str | None
    topic: str
    client_id: str | None
    reason: str
    detail: str
    payload: str
    payload_encoding: Literal["utf-8", "base64"]
