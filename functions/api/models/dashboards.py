"""Dashboards: the panels of a template, whose schema is public, and those of a device."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema

from functions.api.models.base import Answer
from traksense.domain.dashboards import (
    COLUMNS,
    LONGEST_PULSE_MS,
    MOST_PANELS,
    MOST_POINTS,
    Dashboard,
    Range,
    Statistic,
)
from traksense.domain.labels import LONGEST_LABEL
from traksense.domain.readings import PointType

# By patterns, not by validators of ours: the same schema says what comes in and what goes out.
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
_NOT_BLANK: Final = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$"
_PARAMETER: Final = "^[A-Za-z][A-Za-z0-9_]{0,63}$"
Label = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL, pattern=_NOT_BLANK)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    """A part of a body, or of an answer that shows it as it was written."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, from_attributes=True, defer_build=True
    )


LabelsModel = Annotated[
    dict[Literal["pt-BR", "en"], Label],
    Field(description="A text by locale. One that is missing gives way to the other."),
]


class PanelPointModel(Part):
    """A point that a panel shows."""

    point_template: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=_PRINTABLE,
            description="Its name in the template.",
        ),
    ]


class PanelModel(Part):
    """What every panel has."""

    title: LabelsModel = Field(default={}, description="Left out: made from the points.")
    width: Annotated[int, Field(ge=1, le=COLUMNS)] | None = Field(
        default=None, description="Columns of twelve; left out: the page decides."
    )


def _points(kind: Literal["timeseries", "status", "timeline"]) -> Any:
    return Field(min_length=1, max_length=MOST_POINTS[kind])


class TimeseriesPanel(PanelModel):
    """The course of num points."""

    type: Literal["timeseries"]
    points: Annotated[list[PanelPointModel], _points("timeseries")]
    range: Range = Field(default="24h", description="What is shown when it is opened.")
    show_limits: bool = Field(default=True, description="Whether the points' limits are drawn.")


class StatusPanel(PanelModel):
    """The newest values of bool, enum and text points."""

    type: Literal["status"]
    points: Annotated[list[PanelPointModel], _points("status")]


class TimelinePanel(PanelModel):
    """When bool and enum points had which value."""

    type: Literal["timeline"]
    points: Annotated[list[PanelPointModel], _points("timeline")]
    range: Range = Field(default="24h", description="What is shown when it is opened.")


class KpiPanel(PanelModel):
    """One figure of one num point."""

    type: Literal["kpi"]
    points: Annotated[list[PanelPointModel], Field(min_length=1, max_length=MOST_POINTS["kpi"])]
    stat: Statistic = Field(default="last", description="Of the readings within the range.")
    range: Range = Field(default="24h", description="What stat is computed over.")
    decimals: Annotated[int, Field(ge=0, le=6)] | None = Field(
        default=None, description="Digits behind the point; left out: the page decides."
    )


class SentParams(Part):
    """Parameters of a command."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        strict=True,
        json_schema_extra={"propertyNames": {"pattern": _PARAMETER}},
    )
    __pydantic_extra__: dict[
        Annotated[str, Field(pattern=_PARAMETER)],
        bool | int | Finite | Annotated[str, Field(max_length=256, pattern=_PRINTABLE)],
    ]

    pulse_ms: Annotated[int, Field(ge=1, le=LONGEST_PULSE_MS)] | None = Field(
        default=None, description="How long the output is switched, in milliseconds."
    )


class ButtonPanel(PanelModel):
    """A command that a person gives by pressing it."""

    type: Literal["button"]
    op: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$", description="The command's.")]
    params: SentParams = SentParams.model_validate({})
    confirm: LabelsModel = Field(
        default={}, description="What is asked before the command is given; left out: nothing."
    )
    points: Annotated[list[PanelPointModel], Field(max_length=MOST_POINTS["button"])] = Field(
        default=[], description="The point that it acts on: without that one it is left out."
    )


AnyPanel = Annotated[
    TimeseriesPanel | StatusPanel | TimelinePanel | KpiPanel | ButtonPanel,
    Field(discriminator="type"),
]


class DashboardModel(Part):
    """The panels of a kind of equipment, in the order that they are shown in."""

    schema_: Literal["v1"] = Field(default="v1", alias="schema")
    panels: Annotated[list[AnyPanel], Field(min_length=1, max_length=MOST_PANELS)]

    def dashboard(self) -> Dashboard:
        """As the platform keeps it: what says no more than its default is left out."""
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return msgspec.convert(said, Dashboard)

    @classmethod
    def of(cls, dashboard: Dashboard) -> DashboardModel:
        """A dashboard as it is kept."""
        return cls.model_validate_json(msgspec.json.encode(dashboard))


class _Published(GenerateJsonSchema):
    """Names the dialect that it is written in (JSON Schema 2020-12)."""

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        return {"$schema": self.schema_dialect, **super().generate(schema, mode)}


def dashboard_schema() -> dict[str, Any]:
    """The JSON Schema of a dashboard: what ``DashboardModel`` takes, by its shape."""
    return cast(
        dict[str, Any],
        {
            **DashboardModel.model_json_schema(schema_generator=_Published),
            "$id": SCHEMA_ID,
        },
    )


SCHEMA_ID: Final = "urn:traksense:schema:dashboard:v1"


class PointShownAnswer(Answer):
    """A point in a panel. ``label`` is in the caller's language."""

    point_id: UUID
    name: str
    label: str
    type: PointType
    unit: str | None
    enum_values: list[str] | None
    polarity: Literal["normal", "inverted"] | None
    hysteresis: float | None
    limits: dict[str, Any] | None


class _PanelAnswer(Answer):
    title: str
    width: int | None
    points: list[PointShownAnswer]


class TimeseriesAnswer(_PanelAnswer):
    """The course of num points."""

    type: Literal["timeseries"]
    range: Range
    show_limits: bool


class StatusAnswer(_PanelAnswer):
    """The newest values of bool, enum and text points."""

    type: Literal["status"]


class TimelineAnswer(_PanelAnswer):
    """When bool and enum points had which value."""

    type: Literal["timeline"]
    range: Range


class KpiAnswer(_PanelAnswer):
    """One figure of one num point."""

    type: Literal["kpi"]
    stat: Statistic
    range: Range
    decimals: int | None


class ButtonAnswer(_PanelAnswer):
    """A command that a person gives by pressing it."""

    type: Literal["button"]
    op: str
    params: dict[str, Any]
    confirm: str | None


class DashboardTemplateAnswer(Answer):
    """The template that a dashboard is of."""

    code: str
    version: int


class DashboardAnswer(Answer):
    """A device's dashboard, with the points that are under contract."""

    device_id: UUID
    template: DashboardTemplateAnswer
    is_generated: bool
    panels: list[
        Annotated[
            TimeseriesAnswer | StatusAnswer | TimelineAnswer | KpiAnswer | ButtonAnswer,
            Field(discriminator="type"),
        ]
    ]
