"""What an entry of the table of routes is made of."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from functions.api.routing import EVERYONE, OPS, PUBLIC, Roles
from tests.unit.api.support import Answer, Person, Tenant, World, call
from traksense.auth.identity import Role

Who = Literal["public", "everyone", "admins", "ops", "customers"]
ROLES: Final[Mapping[Who, Roles]] = {
    "public": PUBLIC,
    "everyone": EVERYONE,
    "admins": OPS | {Role.CUSTOMER_ADMIN},
    "ops": OPS,
    "customers": EVERYONE - OPS,
}
Key = tuple[str, str]


@dataclass(frozen=True)
class Request:
    """A call of a route that has to succeed for whoever may make it."""

    names: Mapping[str, str] = field(default_factory=dict)
    """The variables of the path."""
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def parts(self) -> dict[str, Any]:
        """Itself as one tree, the places of which have names such as ``body.items.0.site``."""
        return {
            "path": dict(self.names),
            "query": dict(self.query),
            "body": copy.deepcopy(self.body),
            "headers": dict(self.headers),
        }

    def with_part_of(self, other: Request, where: str) -> Request:
        """Itself, with what stands at one place in another call of the same route."""
        mine, theirs = self.parts(), other.parts()
        *way, last = [int(step) if step.isdigit() else step for step in where.split(".")]
        place: Any = mine
        for step in way:
            place, theirs = place[step], theirs[step]
        if place[last] == theirs[last]:
            raise ValueError(f"{where} names the same object for both tenants")
        place[last] = theirs[last]
        return Request(mine["path"], mine["query"], mine["body"], mine["headers"])

    def said(self) -> str:
        """All that the caller says in it."""
        return str(self.parts())


def _nothing(world: World, tenant: Tenant) -> Request:
    return Request()


@dataclass(frozen=True)
class Entry:
    """How one route is called, and who gets what from it."""

    method: str
    path: str
    who: Who
    make: Callable[[World, Tenant], Request] = _nothing
    """A valid call about a tenant's objects. Called anew for each call: what the route changes or
    deletes is made here, in the database or in the fakes, for this call alone."""
    status: int = 200
    """What whoever may call it gets."""
    objects: tuple[str, ...] = ()
    """Places of the call that name something of the tenant's: ``path.device_id``,
    ``query.device``, ``body.site``, ``body.rows.0.site``. Each is tried with the other tenant's
    object alone, and all of them together."""
    shared: tuple[str, ...] = ()
    """Variables of the path that name what belongs to no tenant, such as ``code``."""
    foreign: int = 404
    """What an object of another tenant is answered with."""
    foreign_at: Mapping[str, int] = field(default_factory=dict)
    """Where a place of ``objects`` is answered otherwise."""
    unchosen: int | None = None
    """What internal_ops get without a choice of a tenant; None: the same as with one."""
    spans: bool = False
    """Whether internal_ops reach every tenant's objects here whichever tenant they chose."""

    @property
    def key(self) -> Key:
        """Its key in the registry of routes."""
        return self.method, self.path

    @property
    def is_public(self) -> bool:
        """Whether nobody needs a token."""
        return self.who == "public"

    def allows(self, role: Role | None) -> bool:
        """Whether a role gets through."""
        roles = ROLES[self.who]
        return roles == PUBLIC or role in roles

    def refusal(self, person: Person) -> int | None:
        """The status for somebody who may not call this at all."""
        if self.allows(person.role):
            return None
        return 401 if person.role is None else 403

    def refusal_of(self, role: str) -> int | None:
        """The status for a role by its name, ``nobody`` among them."""
        return self.refusal(Person(None if role == "nobody" else Role(role)))

    def caller(self, tenant: Tenant) -> tuple[Person, dict[str, str]]:
        """Somebody who may call it, with the headers that put her into the tenant's sight."""
        for person in (tenant.viewer, tenant.admin):
            if self.allows(person.role):
                return person, {}
        return Person(Role.INTERNAL_OPS), {"X-Tenant": tenant.slug}

    def send(
        self, request: Request, person: Person, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One call of the real app."""
        path = "/".join(
            request.names[step[1:-1]] if step.startswith("{") else step
            for step in self.path.split("/")
        )
        return call(
            self.method,
            path,
            person,
            query=request.query,
            headers={**request.headers, **(headers or {})},
            body=request.body,
        )
