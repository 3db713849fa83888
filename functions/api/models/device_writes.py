"""What is sent to make devices, change them and change their points."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from functions.api.validation import Body, PlainText, no_control_characters
from traksense.contracts.topics import (
    DEVICE_NAME_PATTERN,
    SLUG_PATTERN,
    TopicError,
    normalise_mac,
)
from traksense.i18n.catalogue import Locale
from traksense.services.devices import Status

MAX_METADATA_BYTES: Final = 4096


def _mac(value: str) -> str:
    try:
        return normalise_mac(value)
    except TopicError:
        raise PydanticCustomError("device_mac", "a MAC address is needed") from None


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    no_control_characters(value)
    if len(json.dumps(value, ensure_ascii=False).encode("utf-8")) > MAX_METADATA_BYTES:
        raise PydanticCustomError(
            "device_metadata", "the metadata are too large", {"most": MAX_METADATA_BYTES}
        )
    return value


SiteSlug = Annotated[str, Field(pattern=f"^{SLUG_PATTERN}$", description="Slug of a site.")]
DeviceName = Annotated[str, Field(pattern=f"^{DEVICE_NAME_PATTERN}$")]
Mac = Annotated[str, AfterValidator(_mac)]
Metadata = Annotated[
    dict[str, Any],
    AfterValidator(_metadata),
    Field(description="What people know of it; up to 4,096 bytes as JSON."),
]
PointName = Annotated[PlainText, Field(min_length=1, max_length=64)]
LabelText = Annotated[PlainText, Field(min_length=1, max_length=100)]


class CreateDevice(Body):
    """A new device. ``gateway`` and ``gateway_code`` go together."""

    name: DeviceName
    site: SiteSlug
    template: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$", description="Its code.")]
    version: Annotated[int, Field(ge=1, le=999_999_999)] | None = Field(
        default=None, description="Of the template; the newest published one where left out."
    )
    mac: Mac | None = Field(default=None, description="Of a gateway that is known by it.")
    gateway: DeviceName | None = Field(
        default=None, description="Name of the gateway that speaks for this device."
    )
    gateway_code: Annotated[PlainText, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Under which the gateway reports it."
    )
    metadata: Metadata = Field(default_factory=dict)
    points: Annotated[list[PointName], Field(max_length=500)] | None = Field(
        default=None, description="Names of the contracted points; all where left out."
    )


class ChangeDevice(Body):
    """What is to be changed; what is left out stays."""

    site: SiteSlug = ""
    status: Status = "active"
    mac: Mac | None = None
    metadata: Metadata = Field(default_factory=dict)


class Limits(Body):
    """Where a value begins to be out of the ordinary, in the point's unit."""

    low: Annotated[float, Field(allow_inf_nan=False)] | None = None
    high: Annotated[float, Field(allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _are_limits(self) -> Limits:
        if self.low is None and self.high is None:
            raise PydanticCustomError("limits_empty", "one of the two is needed")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise PydanticCustomError("limits_order", "low must be below high")
        return self

    def given(self) -> dict[str, float]:
        """Those that there are."""
        both = {"low": self.low, "high": self.high}
        return {name: value for name, value in both.items() if value is not None}


class ChangePoint(Body):
    """What is to be changed; what is left out stays."""

    labels: dict[Locale, LabelText | None] = Field(
        default_factory=dict, description="By locale; null takes one away."
    )
    limits: Limits | None = Field(default=None, description="null: none.")
    is_contracted: bool = True
