"""The erasure of a tenant: asked for, watched, proved."""

from __future__ import annotations

from typing import Final

from chalice.app import Blueprint
from pydantic import Field

from functions.api.auditing import Audited
from functions.api.models.erasures import ErasureAnswer
from functions.api.routing import OPS, Call, Reply, route
from functions.api.validation import NoParams, Params, Slug

blueprint: Final = Blueprint(__name__)


class ConfirmErasure(Params):
    """That this is meant."""

    confirm: Slug = Field(description="The slug once more: what is erased never comes back.")


@route(
    blueprint,
    "DELETE",
    "/api/tenants/{slug}",
    roles=OPS,
    audit=Audited("tenants.erase"),
    params=ConfirmErasure,
    response=ErasureAnswer,
    statuses=(202,),
)
def erase_tenant(call: Call[ConfirmErasure, None]) -> Reply:
    """Asks for the erasure of a tenant and everything of it; once more changes nothing."""
    found = call.services.erasures.begin(call.names["slug"], call.params.confirm)
    return Reply(202, ErasureAnswer.model_validate(found))


@route(
    blueprint,
    "GET",
    "/api/tenants/{slug}/erasure",
    roles=OPS,
    audit=Audited("tenants.read_erasure"),
    response=ErasureAnswer,
)
def get_erasure(call: Call[NoParams, None]) -> ErasureAnswer:
    """Shows how far the erasure of a tenant is, and the proof once nothing is left of it."""
    return ErasureAnswer.model_validate(call.services.erasures.get(call.names["slug"]))
