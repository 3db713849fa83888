"""Readings: series over a range, and the newest of each point."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Literal
from uuid import UUID

import msgspec
from chalice.app import Blueprint
from pydantic import AfterValidator, Field

from functions.api.models import LatestAnswer, LatestReadingAnswer, SeriesListAnswer
from functions.api.routing import EVERYONE, Call, Encoded, route
from functions.api.validation import Instant, Params, PlainText, WholeNumber, read_uuid
from traksense.contracts.topics import DEVICE_NAME_PATTERN
from traksense.services.readings_query import (
    DEFAULT_ROWS,
    MAX_ROWS,
    Aggregation,
    PointsQuestion,
)

blueprint: Final = Blueprint(__name__)


def _id_or_name(value: str) -> UUID | str:
    return read_uuid(value) or value


DeviceReference = Annotated[
    str,
    Field(
        pattern=f"^(?:{DEVICE_NAME_PATTERN}|[0-9a-fA-F-]{{36}})$",
        description="A device's id or, in a tenant's sight, its name.",
    ),
    AfterValidator(_id_or_name),
]
PointReference = Annotated[
    PlainText, Field(min_length=1, max_length=64), AfterValidator(_id_or_name)
]


class ListReadings(Params):
    """Which readings, and how many."""

    repeatable: ClassVar[frozenset[str]] = frozenset({"point"})

    device: DeviceReference
    point: list[PointReference] = Field(
        description="Up to 10 of the device's points by id or name, repeated or comma-separated."
    )
    from_: Instant = Field(alias="from")
    to: Instant | None = Field(default=None, description="Exclusive; now where it is left out.")
    agg: Aggregation = "auto"
    max_points: Annotated[WholeNumber, Field(ge=1, le=MAX_ROWS)] = Field(
        default=DEFAULT_ROWS, description="Most rows of a series."
    )
    fill: Literal["none", "null"] = Field(
        default="none", description="Empty buckets of a rollup; raw readings have none."
    )


class LatestReadings(Params):
    """Of which device."""

    device: DeviceReference


class _Series(msgspec.Struct, rename={"from_": "from"}):
    requested_agg: str
    from_: datetime
    to: datetime
    series: list[Any]


@route(
    blueprint,
    "GET",
    "/api/data/points",
    roles=EVERYONE,
    params=ListReadings,
    response=SeriesListAnswer,
)
def list_readings(call: Call[ListReadings, None]) -> Encoded:
    """Gives the readings of up to ten points of a device between two instants."""
    params = call.params
    question = PointsQuestion(
        device=params.device,
        points=list(dict.fromkeys(params.point)),
        start=params.from_,
        end=params.to or datetime.now(UTC),
        agg=params.agg,
        max_points=params.max_points,
    )
    series = call.services.readings.series(call.scope, question)
    return Encoded(msgspec.json.encode(_Series(params.agg, question.start, question.end, series)))


@route(
    blueprint,
    "GET",
    "/api/data/latest",
    roles=EVERYONE,
    params=LatestReadings,
    response=LatestAnswer,
)
def latest_readings(call: Call[LatestReadings, None]) -> LatestAnswer:
    """Gives the newest reading of each point of a device."""
    found = call.services.readings.latest(call.scope, call.params.device)
    return LatestAnswer(items=[LatestReadingAnswer.model_validate(reading) for reading in found])
