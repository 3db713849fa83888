"""What is learned of a call on its way, for the audit log. Never a password, token or free text.

Of parameters and body fields the names are kept that the route itself declares; values only where
their type leaves no room for text that a person chose: ids, true or false, and declared choices.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel

from traksense.auth.identity import Identity, identity_from_claims
from traksense.domain.errors import Forbidden

_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,250}\.[^@\s.]{1,63}")
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(slots=True)
class Trail:
    """A call, so far."""

    user_id: str | None = None
    email: str | None = None
    role: str | None = None
    tenant_id: UUID | None = None
    object_id: str | None = None
    records: int | None = None
    is_silent: bool = False
    """It is one of many alike, of which the first was recorded."""
    _filters: dict[str, Any] = field(default_factory=dict)

    @property
    def filters(self) -> Mapping[str, Any]:
        """What was given: ``query`` (name to value or null), ``body`` (names), ``unknown``."""
        return self._filters

    def claimed(self, claims: Mapping[str, Any]) -> None:
        """A verified token came, whoever it makes the caller."""
        user_id, email = claims.get("sub"), claims.get("email")
        self.user_id = _bounded(user_id, 128) if isinstance(user_id, str) else None
        self.email = _bounded(email, 320) if isinstance(email, str) and email else None

    def identified(self, identity: Identity) -> None:
        """The token makes the caller this person."""
        self.user_id = _bounded(identity.user_id, 128)
        self.email = _bounded(identity.email, 320) or None
        self.role = identity.role.value
        self.tenant_id = identity.tenant_id

    def named(self, ids: Sequence[str]) -> None:
        """The path names these."""
        self.object_id = _bounded("/".join(ids), 256) or None

    def concerned(self, tenant_id: UUID, object_id: UUID) -> None:
        """A call without a caller turned out to be about something of a tenant's."""
        self.tenant_id, self.object_id = tenant_id, str(object_id)

    def asked(self, model: type[BaseModel], given: Mapping[str, Any]) -> None:
        """Parameters came; nothing is known yet of their values."""
        declared = _names(model)
        known = {name: None for name in given if name in declared}
        if known:
            self._filters["query"] = known
        if len(known) < len(given):
            self._filters["unknown"] = len(given) - len(known)

    def read(self, params: BaseModel, body: object) -> None:
        """Parameters and body were read and are valid."""
        kept = self._filters.get("query", {})
        for alias, (name, is_choice) in _names(type(params)).items():
            if alias in kept:
                kept[alias] = _harmless(getattr(params, name), is_choice=is_choice)
        if isinstance(body, BaseModel):
            names = {name: alias for alias, (name, _) in _names(type(body)).items()}
            fields = sorted(names.get(name, name) for name in body.model_fields_set)
            if fields:
                self._filters["body"] = fields
            self._tried(getattr(body, "email", None))

    def _tried(self, email: object) -> None:
        """Somebody who is not logged in gives an e-mail: kept where it has the form of one, since
        people also type their password into that field.
        """
        if self.user_id is None and isinstance(email, str) and _EMAIL.fullmatch(email):
            self.email = _bounded(email.lower(), 320)

    def answered(self, value: object, *, is_write: bool) -> None:
        """A success: its records are counted, and whom it logged in is known from now on."""
        self.records = _records(value, is_write=is_write)
        token = getattr(value, "id_token", None)
        if self.user_id is None and isinstance(token, str):
            self._logged_in(token)

    def _logged_in(self, id_token: str) -> None:
        """Who the token is for. It came from the user pool itself a moment ago."""
        try:
            payload = id_token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            self.claimed(claims)
            self.identified(identity_from_claims(claims))
        except (IndexError, ValueError, binascii.Error, AttributeError, Forbidden):
            return  # a token that names nobody: the e-mail that was tried is all that is known


def _bounded(text: str, most: int) -> str:
    return _UNFIT.sub("?", text)[:most]


def clean_agent(user_agent: str | None) -> str | None:
    """A user agent as it is kept."""
    return _bounded(user_agent, 256) if user_agent else None


def clean_request_id(request_id: str) -> str:
    """A request's id as it is kept."""
    return _bounded(request_id, 128)


def _records(value: object, *, is_write: bool) -> int | None:
    counted = getattr(value, "records", None)
    if isinstance(counted, int):
        return counted
    if not isinstance(value, BaseModel):
        return None
    items, series = getattr(value, "items", None), getattr(value, "series", None)
    if isinstance(items, list):
        return len(items)
    if isinstance(series, list):
        return sum(len(each.rows) for each in series)
    return None if is_write else 1


def _harmless(value: object, *, is_choice: bool) -> str | bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum) and is_choice:
        return str(value.value)
    return value if is_choice and isinstance(value, str) else None


@cache
def _names(model: type[BaseModel]) -> Mapping[str, tuple[str, bool]]:
    """The declared names as a caller gives them: each field's own name, and whether it is a
    choice among declared values.
    """
    return {
        info.alias or name: (name, _is_choice(info.annotation))
        for name, info in model.model_fields.items()
    }


def _is_choice(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_choice(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return all(_is_choice(part) for part in parts)
    return origin is Literal or (isinstance(annotation, type) and issubclass(annotation, Enum))
