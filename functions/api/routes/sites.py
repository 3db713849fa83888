"""Places of tenants."""

from __future__ import annotations

from typing import Final

from chalice.app import Blueprint

from functions.api.auditing import Audited
from functions.api.models.base import ListAnswer
from functions.api.models.tenants import SiteAnswer
from functions.api.routing import EVERYONE, OPS, Call, Reply, route
from functions.api.validation import Body, Cursor, Limit, Name, NoParams, Params, Slug

blueprint: Final = Blueprint(__name__)


class ListSites(Params):
    """How many sites."""

    limit: Limit = 50
    cursor: Cursor | None = None


class NewSite(Body):
    """A site to be made in the chosen tenant."""

    slug: Slug
    name: Name


class PatchSite(Body):
    """What is to change in a site."""

    name: Name


@route(
    blueprint,
    "GET",
    "/api/sites",
    roles=EVERYONE,
    audit=Audited("sites.list"),
    params=ListSites,
    response=ListAnswer[SiteAnswer],
)
def list_sites(call: Call[ListSites, None]) -> ListAnswer[SiteAnswer]:
    """Lists the sites in sight, by tenant and slug."""
    page = call.services.sites.page(call.scope, call.params.limit, call.params.cursor)
    return ListAnswer[SiteAnswer](
        items=[SiteAnswer.model_validate(site) for site in page.items],
        next_cursor=page.next_cursor,
    )


@route(
    blueprint,
    "POST",
    "/api/sites",
    roles=OPS,
    audit=Audited("sites.create"),
    body=NewSite,
    response=SiteAnswer,
    statuses=(201,),
)
def create_site(call: Call[NoParams, NewSite]) -> Reply:
    """Makes a site of the chosen tenant. Its slug stands in topics and never changes."""
    made = call.services.sites.create(call.scope, call.body.slug, call.body.name)
    return Reply(201, SiteAnswer.model_validate(made), {"Location": f"/api/sites/{made.id}"})


@route(
    blueprint,
    "GET",
    "/api/sites/{site_id}",
    roles=EVERYONE,
    audit=Audited("sites.read"),
    response=SiteAnswer,
)
def get_site(call: Call[NoParams, None]) -> SiteAnswer:
    """Shows one site."""
    return SiteAnswer.model_validate(call.services.sites.get(call.scope, call.ids["site_id"]))


@route(
    blueprint,
    "PATCH",
    "/api/sites/{site_id}",
    roles=OPS,
    audit=Audited("sites.update"),
    body=PatchSite,
    response=SiteAnswer,
)
def rename_site(call: Call[NoParams, PatchSite]) -> SiteAnswer:
    """Gives a site another name."""
    renamed = call.services.sites.rename(call.scope, call.ids["site_id"], call.body.name)
    return SiteAnswer.model_validate(renamed)


@route(
    blueprint,
    "DELETE",
    "/api/sites/{site_id}",
    roles=OPS,
    audit=Audited("sites.delete"),
    response=None,
    statuses=(204,),
)
def remove_site(call: Call[NoParams, None]) -> Reply:
    """Removes a site that has no devices."""
    call.services.sites.remove(call.scope, call.ids["site_id"])
    return Reply(204)
