"""Dead letters, for operators."""

from __future__ import annotations

from typing import Annotated, Final

from chalice.app import Blueprint
from pydantic import Field

from functions.api.auditing import Audited
from functions.api.models.base import ListAnswer
from functions.api.models.dead_letters import DeadLetterAnswer
from functions.api.routing import OPS, Call, route
from functions.api.validation import Cursor, Instant, Limit, Params, PlainText
from traksense.domain.reasons import Reason
from traksense.services.dead_letters import DeadLetterFilter

blueprint: Final = Blueprint(__name__)


class ListDeadLetters(Params):
    """Which dead letters, and how many."""

    limit: Limit = 50
    cursor: Cursor | None = None
    reason: Reason | None = None
    topic: Annotated[PlainText, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="The beginning of the topic."
    )
    from_: Instant | None = Field(default=None, alias="from")
    to: Instant | None = Field(default=None, description="Exclusive.")


@route(
    blueprint,
    "GET",
    "/api/dlq",
    roles=OPS,
    audit=Audited("dead_letters.list"),
    params=ListDeadLetters,
    response=ListAnswer[DeadLetterAnswer],
)
def list_dead_letters(call: Call[ListDeadLetters, None]) -> ListAnswer[DeadLetterAnswer]:
    """Lists what could not be accepted, newest first; ``tenant`` chooses whose."""
    params = call.params
    page = call.services.dead_letters.page(
        DeadLetterFilter(
            tenant_id=call.scope.tenant_id,
            reason=params.reason,
            topic=params.topic,
            start=params.from_,
            end=params.to,
        ),
        params.limit,
        params.cursor,
    )
    return ListAnswer[DeadLetterAnswer](
        items=[
            DeadLetterAnswer(
                id=letter.stored.id,
                received_at=letter.stored.received_at,
                last_received_at=letter.stored.last_received_at,
                occurrences=letter.stored.occurrences,
                tenant=letter.stored.tenant,
                topic=letter.stored.topic,
                client_id=letter.stored.client_id,
                reason=letter.stored.reason,
                detail=letter.stored.detail,
                payload=letter.payload,
                payload_encoding=letter.payload_encoding,
            )
            for letter in page.items
        ],
        next_cursor=page.next_cursor,
    )
