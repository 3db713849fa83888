"""People of a tenant."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from chalice.app import Blueprint
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from functions.api.auditing import Audited
from functions.api.models.base import ListAnswer
from functions.api.models.people import PersonAnswer
from functions.api.routing import OPS, Call, Reply, route
from functions.api.validation import Body, Cursor, Limit, Name, NoParams, Params, PlainText
from traksense.auth.identity import Role
from traksense.services.users import NewUser, User, normal_email

blueprint: Final = Blueprint(__name__)

ADMINS: Final = OPS | {Role.CUSTOMER_ADMIN}
CustomerRole = Literal["customer_admin", "viewer"]
UserLocale = Literal["pt-BR", "en"]


class ListUsers(Params):
    """How many people."""

    limit: Limit = 50
    cursor: Cursor | None = None


class NewUserBody(Body):
    """Who is to be invited."""

    email: Annotated[PlainText, Field(min_length=3, max_length=128)]
    name: Name
    role: CustomerRole
    locale: UserLocale | None = Field(default=None, description="Null: the tenant's.")


class PatchUser(Body):
    """What is to change in a person; what is left out stays."""

    name: Name = ""
    role: CustomerRole = "viewer"
    locale: UserLocale | None = Field(default=None, description="Null: the tenant's.")
    is_enabled: bool = Field(default=True, description="Whether she may log in.")

    @model_validator(mode="after")
    def _says_something(self) -> PatchUser:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing_given", "give at least one field")
        return self


@route(
    blueprint,
    "GET",
    "/api/tenants/{slug}/users",
    roles=ADMINS,
    audit=Audited("users.list"),
    params=ListUsers,
    response=ListAnswer[PersonAnswer],
)
def list_users(call: Call[ListUsers, None]) -> ListAnswer[PersonAnswer]:
    """Lists the people of a tenant by e-mail."""
    page = call.services.users.page(_tenant(call), call.params.limit, call.params.cursor)
    return ListAnswer[PersonAnswer](
        items=[_person(user) for user in page.items], next_cursor=page.next_cursor
    )


@route(
    blueprint,
    "POST",
    "/api/tenants/{slug}/users",
    roles=ADMINS,
    audit=Audited("users.invite"),
    body=NewUserBody,
    response=PersonAnswer,
    statuses=(201,),
)
def invite_user(call: Call[NoParams, NewUserBody]) -> Reply:
    """Invites a person by e-mail, with a temporary password."""
    body = call.body
    new = NewUser(normal_email(body.email), body.name, body.role, body.locale)
    made = call.services.users.invite(_tenant(call), new)
    place = f"/api/tenants/{made.tenant}/users/{made.id}"
    return Reply(201, _person(made), {"Location": place})


@route(
    blueprint,
    "GET",
    "/api/tenants/{slug}/users/{user_id}",
    roles=ADMINS,
    audit=Audited("users.read"),
    response=PersonAnswer,
)
def get_user(call: Call[NoParams, None]) -> PersonAnswer:
    """Shows one person of a tenant."""
    return _person(call.services.users.get(_tenant(call), call.ids["user_id"]))


@route(
    blueprint,
    "PATCH",
    "/api/tenants/{slug}/users/{user_id}",
    roles=ADMINS,
    audit=Audited("users.update"),
    body=PatchUser,
    response=PersonAnswer,
)
def change_user(call: Call[NoParams, PatchUser]) -> PersonAnswer:
    """Changes what is given of a person; another role, or none, ends her sessions."""
    fields: dict[str, Any] = call.body.model_dump(exclude_unset=True)
    changed = call.services.users.change(call.identity, _tenant(call), call.ids["user_id"], fields)
    return _person(changed)


@route(
    blueprint,
    "DELETE",
    "/api/tenants/{slug}/users/{user_id}",
    roles=ADMINS,
    audit=Audited("users.delete"),
    response=None,
    statuses=(204,),
)
def remove_user(call: Call[NoParams, None]) -> Reply:
    """Removes a person, who is logged out everywhere."""
    call.services.users.remove(call.identity, _tenant(call), call.ids["user_id"])
    return Reply(204)


@route(
    blueprint,
    "POST",
    "/api/tenants/{slug}/users/{user_id}/invitation",
    roles=ADMINS,
    audit=Audited("users.invite"),
    response=PersonAnswer,
)
def invite_again(call: Call[NoParams, None]) -> PersonAnswer:
    """Mails an invited person another temporary password; the one before is no longer good."""
    return _person(call.services.users.invite_again(_tenant(call), call.ids["user_id"]))


def _tenant(call: Call[Any, Any]) -> UUID:
    return call.services.tenants.within(call.scope, call.names["slug"])


def _person(user: User) -> PersonAnswer:
    return PersonAnswer.model_validate(user)
