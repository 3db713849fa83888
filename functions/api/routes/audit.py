"""The audit log, for operators."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final

from chalice.app import Blueprint
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from functions.api import audit_csv
from functions.api.auditing import ACTION_PATTERN, Audited
from functions.api.models.audit import AuditEntryAnswer
from functions.api.models.base import ListAnswer
from functions.api.routing import JSON, OPS, Call, Encoded, Header, route
from functions.api.validation import Cursor, Instant, Limit, Params, PlainText
from traksense.services.audit import AuditFilter

blueprint: Final = Blueprint(__name__)


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise PydanticCustomError("ip_address", "an IP address is needed") from None


class ListEntries(Params):
    """Which entries, and how many."""

    limit: Limit = 50
    cursor: Cursor | None = None
    action: Annotated[str, Field(max_length=64, pattern=f"^{ACTION_PATTERN}$")] | None = Field(
        default=None, description="Such as devices.list."
    )
    user: Annotated[PlainText, Field(min_length=1, max_length=320)] | None = Field(
        default=None, description="A user's id, or the whole e-mail."
    )
    ip: Annotated[str, Field(max_length=45), AfterValidator(_address)] | None = None
    from_: Instant | None = Field(default=None, alias="from")
    to: Instant | None = Field(default=None, description="Exclusive.")
    q: Annotated[PlainText, Field(min_length=2, max_length=128)] | None = Field(
        default=None,
        description="Part of an e-mail, an object, a user agent or an action, in any case; or the "
        "whole id of a user or of a request.",
    )


@route(
    blueprint,
    "GET",
    "/api/audit",
    roles=OPS,
    audit=Audited("audit.list"),
    params=ListEntries,
    response=ListAnswer[AuditEntryAnswer],
    conditional=True,
    media_types=(JSON, audit_csv.CSV),
    answer_headers=(Header(audit_csv.CURSOR_HEADER, "Of CSV: next_cursor, where there is one."),),
)
def list_entries(call: Call[ListEntries, None]) -> ListAnswer[AuditEntryAnswer] | Encoded:
    """Lists who did what, newest first; ``tenant`` chooses in whose sight."""
    params = call.params
    page = call.services.audit.page(
        AuditFilter(
            tenant_id=call.scope.tenant_id,
            action=params.action,
            user=params.user,
            ip=params.ip,
            start=params.from_,
            end=params.to,
            q=params.q,
        ),
        params.limit,
        params.cursor,
    )
    entries = [AuditEntryAnswer.model_validate(entry) for entry in page.items]
    if call.media_type == audit_csv.CSV:
        more = {} if page.next_cursor is None else {audit_csv.CURSOR_HEADER: page.next_cursor}
        return Encoded(
            audit_csv.encode(entries), audit_csv.CONTENT_TYPE, more, records=len(entries)
        )
    return ListAnswer[AuditEntryAnswer](items=entries, next_cursor=page.next_cursor)
