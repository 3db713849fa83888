"""What is asked and answered about an import of devices."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from functions.api.models.base import Answer
from functions.api.models.devices import TemplateAnswer
from functions.api.validation import Params, TrueOrFalse


class ImportParams(Params):
    """How to import."""

    dry_run: TrueOrFalse = Field(
        default=False, description="Only say what would be made, and make nothing."
    )


class ImportedAnswer(Answer):
    """A device of the file."""

    line: int = Field(description="Of the file, the header being line 1.")
    id: UUID | None = Field(description="null in a dry run.")
    name: str
    site: str
    template: TemplateAnswer
    gateway: str | None
    points: int
    contracted: int


class ImportAnswer(Answer):
    """What was made, or would be."""

    dry_run: bool
    devices: int
    points: int
    items: list[ImportedAnswer]
