"""Readings: series over a range, the newest of each point, and what each month came to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final
from uuid import UUID

from chalice.app import Blueprint
from pydantic import AfterValidator, Field

from functions.api import series_csv
from functions.api.auditing import Audited
from functions.api.models.data import (
    ConsumptionAnswer,
    LatestAnswer,
    LatestReadingAnswer,
    PointMonthsAnswer,
    SeriesListAnswer,
)
from functions.api.routing import EVERYONE, JSON, Call, Encoded, Header, route
from functions.api.validation import Instant, Params, PlainText, WholeNumber, read_uuid
from traksense.contracts.topics import DEVICE_NAME_PATTERN
from traksense.services.readings_query import (
    DEFAULT_ROWS,
    MAX_ROWS,
    Fill,
    PointsQuestion,
    Thin,
)
from traksense.services.series import Series, fit, json_rows, json_series, stamp
from traksense.services.series_levels import Aggregation, microseconds

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
    fill: Fill = Field(
        default="none", description="Empty buckets of a rollup; raw readings have none."
    )
    thin: Thin = Field(
        default="lttb",
        description="What a num series of more rows becomes: thinned, or cut with next_from.",
    )


class LatestReadings(Params):
    """Of which device."""

    device: DeviceReference


class ListMonths(Params):
    """Which months of which points."""

    repeatable: ClassVar[frozenset[str]] = frozenset({"point"})

    device: DeviceReference
    point: list[PointReference] = Field(
        description="Up to 10 of the device's points by id or name, repeated or comma-separated."
    )
    from_: Instant = Field(alias="from")
    to: Instant = Field(description="Exclusive.")


@route(
    blueprint,
    "GET",
    "/api/data/points",
    roles=EVERYONE,
    audit=Audited("readings.list"),
    params=ListReadings,
    response=SeriesListAnswer,
    conditional=True,
    media_types=(JSON, series_csv.CSV),
    answer_headers=(
        Header("X-Truncated", "Of CSV: ids of the points whose series were cut."),
        Header("X-Reduced", "Of CSV: ids of the points whose series were thinned."),
        Header("X-Degraded", "Of CSV: ids of the points that have a coarser level."),
        Header("X-Available-From", "Of CSV: ids of the points that begin later."),
    ),
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
        fill=params.fill,
        thin=params.thin,
    )
    found = call.services.readings.series(call.scope, question)
    may_thin = params.thin == "lttb"
    if call.media_type == series_csv.CSV:
        return _csv(found, may_thin=may_thin)
    return _json(found, question, may_thin=may_thin)


def _json(found: list[Series], question: PointsQuestion, *, may_thin: bool) -> Encoded:
    fitting = fit(found, json_rows, may_thin=may_thin)
    start, end = (stamp(microseconds(at)) for at in (question.start, question.end))
    head = f'{{"requested_agg":"{question.agg}","from":"{start}","to":"{end}","series":['
    series = b",".join([json_series(one, rows) for one, rows in fitting])
    return Encoded(head.encode() + series + b"]}", records=_rows_of(fitting))


def _rows_of(fitting: list[tuple[Series, bytes]]) -> int:
    return sum(len(one.rows) for one, _ in fitting)


def _csv(found: list[Series], *, may_thin: bool) -> Encoded:
    columns = series_csv.columns_of(found)
    fitting = fit(found, series_csv.rows_in(columns), may_thin=may_thin)
    body = series_csv.header(columns) + b"".join([rows for _, rows in fitting])
    notes = series_csv.notes([one for one, _ in fitting])
    return Encoded(body, series_csv.CONTENT_TYPE, notes, records=_rows_of(fitting))


@route(
    blueprint,
    "GET",
    "/api/data/latest",
    roles=EVERYONE,
    audit=Audited("readings.latest"),
    params=LatestReadings,
    response=LatestAnswer,
)
def latest_readings(call: Call[LatestReadings, None]) -> LatestAnswer:
    """Gives the newest reading of each point of a device."""
    found = call.services.readings.latest(call.scope, call.params.device)
    return LatestAnswer(items=[LatestReadingAnswer.model_validate(reading) for reading in found])


@route(
    blueprint,
    "GET",
    "/api/data/consumption",
    roles=EVERYONE,
    audit=Audited("readings.consumption"),
    params=ListMonths,
    response=ConsumptionAnswer,
)
def list_months(call: Call[ListMonths, None]) -> ConsumptionAnswer:
    """Gives the sum, mean and count of each month of up to ten points of a device."""
    params = call.params
    found = call.services.consumption.months(
        call.scope, params.device, list(dict.fromkeys(params.point)), params.from_, params.to
    )
    return ConsumptionAnswer(  # by alias, since "from" is no name of Python's
        **{"from": params.from_},
        time_zone=found.time_zone,
        to=params.to,
        series=[
            PointMonthsAnswer(
                device_id=each.point.device_id,
                point_id=each.point.point_id,
                name=each.point.name,
                type=each.point.type,
                unit=each.point.unit,
                columns=["month", "sum", "mean", "count"],
                rows=[
                    (f"{month.first_day:%Y-%m}", month.sum, month.mean, month.count)
                    for month in each.months
                ],
            )
            for each in found.points
        ],
    )
