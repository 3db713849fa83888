"""What every error is answered with (RFC 9457)."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field, JsonValue

from functions.api.errors import ANSWERS, INTERNAL
from functions.api.problem import problem_type

_TYPES: Final = {problem_type(answer.code) for answer in (*ANSWERS.values(), INTERNAL)}
PROBLEM_TYPES: Final[list[JsonValue]] = [*sorted(_TYPES)]
"""Every type that a problem of ours may have."""


class Fault(BaseModel):
    """One value at fault."""

    loc: str = Field(description="Where: `query.limit`, `body.points.0.name`, `header.x`.")
    msg: str = Field(description="What is wrong with it, in the caller's language.")


class Problem(BaseModel):
    """An error, for programs by its `type` and for people by its `title` and `detail`."""

    type: str = Field(
        description="What kind of error it is; front ends go by it.",
        json_schema_extra={"enum": PROBLEM_TYPES},
    )
    title: str = Field(description="The kind of error, in the caller's language.")
    status: int = Field(description="The answer's own status.", ge=400, le=599)
    detail: str = Field(description="This error, in the caller's language.")
    instance: str = Field(description="The path that was called.")
    errors: list[Fault] | None = Field(
        default=None, description="Each value at fault; absent where no value is."
    )
