"""Parameters and bodies through pydantic, with its complaints in the caller's language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError

from functions.api.bounds import MAX_DEPTH, MAX_PARAMETERS, is_too_deep
from traksense.contracts.topics import SLUG_PATTERN
from traksense.domain.errors import Invalid
from traksense.i18n.catalogue import Text, has, text
from traksense.services.paging import Malformed

Model = TypeVar("Model", bound=BaseModel)

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DIGITS: Final = re.compile(r"-?[0-9]{1,18}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
# A length that stands beside a validator of ours is checked, and named, as that of any sequence.
_SAME: Final = {"too_short": "string_too_short", "too_long": "string_too_long"}
_COLLECTIONS: Final = ("List", "Tuple", "Dictionary")
_ITEMS: Final = {"too_short": "few_items", "too_long": "many_items"}
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


def _whole_number(value: object) -> object:
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise PydanticCustomError("whole_number", "a whole number is needed")
        return int(value)
    return value


def _true_or_false(value: object) -> object:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise PydanticCustomError("true_or_false", "true or false is needed")
        return value == "true"
    return value


def _instant(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _RFC3339.fullmatch(value):
        raise PydanticCustomError("timestamp", "an RFC 3339 instant is needed")
    try:
        instant = datetime.fromisoformat(value.upper())
    except ValueError:
        raise PydanticCustomError("timestamp", "an RFC 3339 instant is needed") from None
    if not _EARLIEST <= instant < _LATEST:
        raise PydanticCustomError("timestamp_range", "the instant is out of range")
    return instant.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class _Written:
    """Says in a type's JSON schema what a validator of ours checks beyond pydantic's."""

    pattern: str

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"pattern": self.pattern, **handler(core_schema)}


def _plain(value: str) -> str:
    if _CONTROL.search(value):
        raise PydanticCustomError("control_characters", "control characters are not accepted")
    return value


def no_control_characters(value: object) -> None:
    """Refuse a JSON value with control characters in a text or a name, however deep it lies."""
    if isinstance(value, str):
        _plain(value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            _plain(name)
            no_control_characters(inner)
    elif isinstance(value, list):
        for inner in value:
            no_control_characters(inner)


def _uuid_text(value: object) -> object:
    if isinstance(value, str):
        read = read_uuid(value)
        if read is None:
            raise PydanticCustomError("uuid", "a UUID is needed")
        return read
    return value


UuidText = Annotated[UUID, BeforeValidator(_uuid_text)]
"""A UUID in its canonical form."""
WholeNumber = Annotated[int, BeforeValidator(_whole_number)]
TrueOrFalse = Annotated[bool, BeforeValidator(_true_or_false)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
"""RFC 3339 with an offset, between 1970 and 2200; in UTC once read."""
PlainText = Annotated[str, AfterValidator(_plain), _Written(r"^[^\u0000-\u001f\u007f-\u009f]*$")]
"""Text without control characters."""
Name = Annotated[PlainText, Field(min_length=1, max_length=100, pattern=r"\S")]
"""What a person calls something."""
Slug = Annotated[str, Field(pattern=f"^{SLUG_PATTERN}$", description="Never changes.")]
Limit = Annotated[WholeNumber, Field(ge=1, le=500, description="Most items of a page.")]
Cursor = Annotated[str, Field(description="next_cursor of the page before.")]


class Params(BaseModel):
    """Query parameters of a route. An unknown one is an error, and so is one given refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    repeatable: ClassVar[frozenset[str]] = frozenset()
    """Parameters that may be repeated or hold a comma-separated list."""


class NoParams(Params):
    """A route that takes no parameter."""


class Body(BaseModel):
    """The JSON body of a route."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


def read_uuid(value: str) -> UUID | None:
    """The UUID in its canonical form (RFC 9562, section 4); None for anything else."""
    return UUID(value) if _UUID.fullmatch(value) else None


def read_params(
    model: type[Model], given: dict[str, list[str]], repeatable: frozenset[str]
) -> Model:
    """Query parameters as a model. Raises Invalid."""
    values: dict[str, Any] = {}
    refused: list[tuple[str, str]] = []
    for name, every in given.items():
        if name in repeatable:
            values[name] = [part for value in every for part in value.split(",")]
            if len(values[name]) > MAX_PARAMETERS:
                refused.append((f"query.{name}", text("validation.too_many", most=MAX_PARAMETERS)))
        elif len(every) == 1:
            values[name] = every[0]
        else:
            refused.append((f"query.{name}", text("validation.repeated")))
    if refused:
        raise Invalid(text("problem.invalid.detail"), tuple(refused))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _invalid(error, "query", "validation.unknown_parameter") from None


def read_body(model: type[Model], raw: bytes) -> Model:
    """A JSON body as a model. Raises Malformed where it is no JSON, else Invalid."""
    if not raw.strip():
        raise Malformed(text("body.empty"), (("body", text("body.empty")),))
    if is_too_deep(raw):
        message = text("body.too_deep", most=MAX_DEPTH)
        raise Malformed(message, (("body", message),))
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        if any(found["type"] == "json_invalid" for found in error.errors(include_url=False)):
            raise Malformed(text("body.not_json"), (("body", text("body.not_json")),)) from None
        raise _invalid(error, "body", "validation.unknown_field") from None


def read_text(raw: bytes) -> str:
    """A body that is text, in UTF-8, with or without a byte order mark. Raises Malformed."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        message = text("body.not_utf8")
        raise Malformed(message, (("body", message),)) from None


def _invalid(error: ValidationError, part: str, unknown: str) -> Invalid:
    found = error.errors(include_url=False, include_input=False)
    return Invalid(
        text("problem.invalid.detail"),
        tuple((".".join((part, *map(str, one["loc"]))), _message(one, unknown)) for one in found),
    )


def _message(found: ErrorDetails, unknown: str) -> Text:
    kind = found["type"]
    context = found.get("ctx", {})
    if kind == "extra_forbidden":
        return text(unknown)
    if kind in ("literal_error", "enum"):
        return text("validation.choice", choices=str(context["expected"]).replace(" or ", ", "))
    if kind in ("model_type", "model_attributes_type"):
        return text("validation.object")
    if kind in _SAME and context.get("field_type") in _COLLECTIONS:
        return text(f"validation.{_ITEMS[kind]}", **context)
    key = f"validation.{_SAME.get(kind, kind)}"
    return text(key, **context) if has(key) else text("validation.invalid")
