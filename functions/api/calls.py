"""What a route is, what a call of it holds, and what it may answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar
from uuid import UUID

from chalice.app import CognitoUserPoolAuthorizer, Request
from pydantic import BaseModel

from functions.api import errors
from functions.api.auditing import Decision
from functions.api.services import services
from functions.api.validation import (
    Params,
)
from traksense.auth.identity import Identity, Role
from traksense.contracts.topics import SLUG_PATTERN
from traksense.i18n.catalogue import Locale, negotiate
from traksense.services.scope import Scope
from traksense.wiring.api import ApiServices

P = TypeVar("P", bound=Params)
B = TypeVar("B")

JSON: Final = "application/json"
CSV: Final = "text/csv"
MAX_BODY_BYTES: Final = 64 * 1024
TENANT_HEADER: Final = "X-Tenant"
TENANT_PARAMETER: Final = "tenant"

Roles = frozenset[Role] | Literal["public"]
PUBLIC: Final = "public"
"""No token is asked for."""
EVERYONE: Final = frozenset(Role)
OPS: Final = frozenset({Role.INTERNAL_OPS})

PATH_TEXTS: Final[Mapping[str, re.Pattern[str]]] = {
    "slug": re.compile(SLUG_PATTERN),
    "code": re.compile(r"[a-z0-9_-]{1,64}"),
    "version": re.compile(r"[1-9][0-9]{0,8}"),
    "cmd_id": re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}"),
    "token": re.compile(r"[A-Za-z0-9_-]{43}"),
}
"""The variables of paths that are no uuid, by name."""
SECRET_TEXTS: Final = frozenset({"token"})
"""Those that open something by themselves: no log has them."""

# Marks a route as one that API Gateway lets nobody reach without a token. Which pool that is, is
# the deployment's to say.
AUTHORIZER: Final = CognitoUserPoolAuthorizer("traksense-users", provider_arns=[])


@dataclass(frozen=True, slots=True)
class Header:
    """A header that a route reads from a request, or puts into its answer."""

    name: str
    description: str
    pattern: str | None = None
    """What its value looks like, as a regular expression of ECMA-262."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route as it was declared."""

    method: str
    path: str
    roles: Roles
    params: type[Params]
    body: type[BaseModel] | None
    response: Any
    """The model of a successful answer, or a union of models."""
    statuses: tuple[int, ...]
    summary: str
    audit: Decision
    media_types: tuple[str, ...] = (JSON,)
    """What a successful answer may be in; the first is the default."""
    text_body: str | None = None
    """Media type of a body that is text rather than a JSON model, which ``body`` then is not."""
    max_body_bytes: int = MAX_BODY_BYTES
    is_limited: bool = True
    """Whether it is only for who comes through our own front, and its calls are counted."""
    name: str = ""
    """The view's, and what the call is called in a generated client."""
    subject: str = ""
    """Name of the module that declares it."""
    errors: tuple[int, ...] = ()
    """Statuses of errors beyond those that every such route can answer with."""
    conditional: bool = False
    """Whether the answer has an ``ETag``, and If-None-Match may be answered with 304."""
    headers: tuple[Header, ...] = ()
    """Request headers of its own."""
    answer_headers: tuple[Header, ...] = ()
    """Headers of a successful answer of its own."""

    @property
    def is_write(self) -> bool:
        """Whether a call may change something."""
        return self.method != "GET"

    is_for_people: bool = False
    """Whether its errors are pages for somebody who followed a link."""

    has_optional_body: bool = False
    """Whether a call without a body is one whose body is ``{}``."""

    @property
    def is_public(self) -> bool:
        """Whether no token is asked for."""
        return self.roles == PUBLIC


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer that is bytes already: for what is too large for a model."""

    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    records: int | None = None
    """How many records it holds, for the audit log."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file to be kept, never by a cache."""

    body: bytes
    content_type: str
    name: str
    """Of plain letters, digits, points, dashes and underscores."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer with a status or headers of its own. Without a value: no body (204)."""

    status: int
    value: BaseModel | Encoded | Download | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    concerns: tuple[UUID, UUID] | None = None
    """Of a public route: the tenant and the object that the call turned out to be about."""


@dataclass(frozen=True, slots=True)
class Call(Generic[P, B]):
    """One call of a route, read and checked."""

    params: P
    body: B
    ids: Mapping[str, UUID]
    """Ids in the path, by name."""
    names: Mapping[str, str]
    """What else is variable in the path, by name: those of ``PATH_TEXTS``."""
    headers: Mapping[str, str]
    """The request's, in lower case."""
    locale: Locale
    media_type: str
    """The one of the route's media types that the caller wants most."""
    _identity: Identity | None
    _scope: Scope | None

    @property
    def services(self) -> ApiServices:
        """What the platform can do. Raises ConfigurationError."""
        return services.get()

    @property
    def identity(self) -> Identity:
        """The caller. Only where the route is not public."""
        if self._identity is None:
            raise errors.Unauthenticated
        return self._identity

    @property
    def scope(self) -> Scope:
        """In whose sight the call runs. Only where the route is not public."""
        if self._scope is None:
            raise errors.Unauthenticated
        return self._scope


current: Final[ContextVar[Request]] = ContextVar("request")
"""The request of this thread. The app's own ``current_request`` is one for all threads."""

View = Callable[[Call[P, B]], Any]


def instance_of(request: Request) -> str:
    """The path that was called, without the stage."""
    return str(request.to_original_event().get("path") or request.path)


def locale_of(request: Request) -> Locale:
    """The caller's language."""
    return negotiate(request.headers.get("accept-language"))
