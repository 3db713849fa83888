"""Answers about commands."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from functions.api.models.base import Answer, Utc
from traksense.services.commands import Status


class CommandAccepted(Answer):
    """A command on its way."""

    cmd_id: str
    status: Literal["pending"]


class CommandAnswer(Answer):
    """A command and what became of it."""

    cmd_id: str
    device_id: UUID
    op: str
    params: dict[str, Any]
    by: str = Field(description="Id of the user who sent it.")
    status: Status
    created_at: Utc
    expires_at: Utc = Field(description="The device begins it before this or never.")
    published_at: Utc | None = Field(description="When the broker had it.")
    acked_at: Utc | None = Field(description="When the device's ack arrived, also a late one.")
    ts_exec: Utc | None = Field(description="When the device says that it did it.")
    err: str | None = Field(description="What the device says went wrong.")
