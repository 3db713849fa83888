"""What every answer is made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Utc = Annotated[datetime, AfterValidator(lambda instant: instant.astimezone(UTC))]
"""RFC 3339 with ``Z``."""

Item = TypeVar("Item")


class Answer(BaseModel):
    """Base of every answer: made from the services' own records by attribute."""

    model_config = ConfigDict(from_attributes=True, frozen=True, defer_build=True)


class ListAnswer(Answer, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    next_cursor: str | None = Field(description="Pass it back for the next page; null at the end.")
