"""People of a tenant."""

from __future__ import annotations

from tests.support.api_routes.entry import Entry, Request
from tests.support.api_routes.fresh import fresh
from tests.unit.api.support import Tenant, World
from traksense.services.users import Person


def invited(world: World, tenant: Tenant) -> str:
    """The id of a new person of a tenant, in the pool and in the list."""
    email = f"{fresh(f'person-of-{tenant.slug}')}@{tenant.slug}.example"
    person = Person(email, "Ana", "viewer", "pt-BR", tenant.id, tenant.slug.title(), True)
    standing = world.login.directory.ensure(person, invite=False, sign_out=False)
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.users (id, tenant_id, email, name, role)"
            " VALUES (%s, %s, %s, 'Ana', 'viewer')",
            (standing.subject, tenant.id, email),
        )
    return str(standing.subject)


def _people(world: World, tenant: Tenant) -> Request:
    return Request({"slug": tenant.slug})


def _new(world: World, tenant: Tenant) -> Request:
    body = {"email": f"{fresh('new')}@people.example", "name": "Bia", "role": "viewer"}
    return Request({"slug": tenant.slug}, body=body)


def _person(world: World, tenant: Tenant) -> Request:
    return Request({"slug": tenant.slug, "user_id": invited(world, tenant)})


def _change(world: World, tenant: Tenant) -> Request:
    return Request(_person(world, tenant).names, body={"role": "customer_admin", "locale": "en"})


_LIST = "/api/tenants/{slug}/users"
_ONE = "/api/tenants/{slug}/users/{user_id}"
_OBJECTS = ("path.slug", "path.user_id")

ENTRIES = (
    Entry("GET", _LIST, "admins", make=_people, objects=("path.slug",)),
    Entry("POST", _LIST, "admins", make=_new, objects=("path.slug",), status=201),
    Entry("GET", _ONE, "admins", make=_person, objects=_OBJECTS),
    Entry("PATCH", _ONE, "admins", make=_change, objects=_OBJECTS),
    Entry("DELETE", _ONE, "admins", make=_person, objects=_OBJECTS, status=204),
    Entry("POST", f"{_ONE}/invitation", "admins", make=_person, objects=_OBJECTS),
)
