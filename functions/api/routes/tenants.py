"""Tenants, as operators list, make and change them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from chalice.app import Blueprint
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from functions.api.auditing import Audited
from functions.api.models.base import ListAnswer
from functions.api.models.tenants import RetentionAnswer, TenantAnswer, TenantLimitsAnswer
from functions.api.routing import OPS, Call, Reply, route
from functions.api.validation import Body, Cursor, Limit, Name, NoParams, Params, PlainText, Slug
from traksense.services.tenant_registry import Tenant

blueprint: Final = Blueprint(__name__)

Count = Annotated[int, Field(ge=0, le=1_000_000)]
Rate = Annotated[int, Field(ge=1, le=1_000_000)]
Days = Annotated[int, Field(ge=1, le=36_500)]

_LEVELS: Final = {
    "raw_days": "raw_retention_days",
    "minute_days": "retention_1m_days",
    "five_minute_days": "retention_5m_days",
    "hour_days": "retention_1h_days",
}
"""The columns of a tenant's retention by the fields of ours."""


class ListTenants(Params):
    """Which tenants, and how many."""

    limit: Limit = 50
    cursor: Cursor | None = None
    q: Annotated[PlainText, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Part of the slug or the name, in any case."
    )


class TenantLimitsBody(Body):
    """How much a tenant may have. Null: the platform's limit."""

    max_devices: Count | None = None
    max_users: Count | None = None
    requests_per_minute: Rate | None = None
    user_requests_per_minute: Rate | None = None


class RetentionBody(Body):
    """For how many days each level is shown: at most the platform's. Null: the platform's."""

    raw_days: Days | None = None
    minute_days: Days | None = Field(default=None, alias="1m_days")
    five_minute_days: Days | None = Field(default=None, alias="5m_days")
    hour_days: Days | None = Field(default=None, alias="1h_days")


class ChangeTenant(Body):
    """What is to change; what is left out stays."""

    name: Name = ""
    time_zone: Annotated[PlainText, Field(max_length=64)] = Field(
        default="", description="A name of the tz database, such as America/Sao_Paulo."
    )
    locale: Literal["pt-BR", "en"] = "pt-BR"
    commands_enabled: bool = False
    limits: TenantLimitsBody = TenantLimitsBody()
    retention: RetentionBody = RetentionBody()

    def fields(self) -> dict[str, Any]:
        """The columns that were given, with their values."""
        given = self.model_dump(include=self.model_fields_set - {"slug", "limits", "retention"})
        given |= self.limits.model_dump(exclude_unset=True)
        retention = self.retention.model_dump(exclude_unset=True)
        return given | {_LEVELS[name]: days for name, days in retention.items()}


class PatchTenant(ChangeTenant):
    """What is to change in a tenant."""

    @model_validator(mode="after")
    def _says_something(self) -> PatchTenant:
        if not self.fields():
            raise PydanticCustomError("nothing_given", "give at least one field")
        return self


class NewTenant(ChangeTenant):
    """A tenant to be made."""

    slug: Slug
    name: Name


@route(
    blueprint,
    "GET",
    "/api/tenants",
    roles=OPS,
    audit=Audited("tenants.list"),
    params=ListTenants,
    response=ListAnswer[TenantAnswer],
)
def list_tenants(call: Call[ListTenants, None]) -> ListAnswer[TenantAnswer]:
    """Lists the tenants by slug."""
    params = call.params
    page = call.services.registry.page(call.scope, params.q, params.limit, params.cursor)
    return ListAnswer[TenantAnswer](
        items=[_tenant(tenant) for tenant in page.items], next_cursor=page.next_cursor
    )


@route(
    blueprint,
    "POST",
    "/api/tenants",
    roles=OPS,
    audit=Audited("tenants.create"),
    body=NewTenant,
    response=TenantAnswer,
    statuses=(201,),
)
def create_tenant(call: Call[NoParams, NewTenant]) -> Reply:
    """Makes a tenant. Its slug never changes and is never used again."""
    made = call.services.registry.create(call.body.slug, call.body.fields())
    return Reply(201, _tenant(made), {"Location": f"/api/tenants/{made.slug}"})


@route(
    blueprint,
    "GET",
    "/api/tenants/{slug}",
    roles=OPS,
    audit=Audited("tenants.read"),
    response=TenantAnswer,
)
def get_tenant(call: Call[NoParams, None]) -> TenantAnswer:
    """Shows one tenant, also while it is being erased."""
    return _tenant(call.services.registry.get(call.scope, call.names["slug"]))


@route(
    blueprint,
    "PATCH",
    "/api/tenants/{slug}",
    roles=OPS,
    audit=Audited("tenants.update"),
    body=PatchTenant,
    response=TenantAnswer,
)
def change_tenant(call: Call[NoParams, PatchTenant]) -> TenantAnswer:
    """Changes what is given of a tenant."""
    registry = call.services.registry
    return _tenant(registry.change(call.scope, call.names["slug"], call.body.fields()))


def _tenant(tenant: Tenant) -> TenantAnswer:
    return TenantAnswer(
        id=tenant.id,
        slug=tenant.slug,
        name=tenant.name,
        time_zone=tenant.time_zone,
        locale=tenant.locale,
        commands_enabled=tenant.commands_enabled,
        limits=TenantLimitsAnswer.model_validate(tenant),
        retention=RetentionAnswer.model_validate(
            {
                "raw_days": tenant.raw_retention_days,
                "1m_days": tenant.retention_1m_days,
                "5m_days": tenant.retention_5m_days,
                "1h_days": tenant.retention_1h_days,
            }
        ),
        created_at=tenant.created_at,
        erasing_at=tenant.erasing_at,
    )
