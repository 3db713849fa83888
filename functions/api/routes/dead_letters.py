"""Dead letters, for operators."""

from __future__ import annotations

from typing import Annotated, Final

from chalice.app import Blueprint
from pydantic import Field, Strict

from functions.api.auditing import Audited
from functions.api.models.base import ListAnswer
from functions.api.models.dead_letters import (
    DeadLetterAnswer,
    ReplayAnswer,
    ReplayedAnswer,
)
from functions.api.routing import OPS, Call, route
from functions.api.validation import Body, Cursor, Instant, Limit, NoParams, Params, PlainText
from traksense.domain.errors import Invalid
from traksense.domain.reasons import Reason
from traksense.i18n.catalogue import text, translate
from traksense.services.dead_letters import DeadLetterFilter
from traksense.services.replays import MOST

blueprint: Final = Blueprint(__name__)

LetterId = Annotated[int, Field(ge=1, le=2**63 - 1)]


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
                replayed_at=letter.stored.replayed_at,
                replays=letter.stored.replays,
            )
            for letter in page.items
        ],
        next_cursor=page.next_cursor,
    )


class ReplayFilter(Body):
    """Which dead letters, as in the list; those that were put through again are left out."""

    reason: Annotated[Reason, Strict(strict=False)] | None = None
    topic: Annotated[PlainText, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="The beginning of the topic."
    )
    from_: Instant | None = Field(default=None, alias="from")
    to: Instant | None = Field(default=None, description="Exclusive.")


class ReplayLetters(Body):
    """Which dead letters: by id, or by a filter."""

    ids: Annotated[list[LetterId], Field(min_length=1, max_length=MOST)] | None = None
    filter: ReplayFilter | None = None
    limit: int = Field(default=MOST, ge=1, le=MOST, description="Most letters of a filter.")


@route(
    blueprint,
    "POST",
    "/api/dlq/replay",
    roles=OPS,
    audit=Audited("dead_letters.replay"),
    body=ReplayLetters,
    response=ReplayAnswer,
)
def replay_dead_letters(call: Call[NoParams, ReplayLetters]) -> ReplayAnswer:
    """Puts dead letters through again, on the way that they came; ``tenant`` chooses whose."""
    body, tenant_id = call.body, call.scope.tenant_id
    if (body.ids is None) == (body.filter is None):
        message = text("dead_letter.ids_or_filter")
        raise Invalid(message, (("body", message),))
    if body.ids is not None:
        done = call.services.replays.by_ids(tenant_id, body.ids)
    else:
        assert body.filter is not None
        wanted = DeadLetterFilter(
            tenant_id=tenant_id,
            reason=body.filter.reason,
            topic=body.filter.topic,
            start=body.filter.from_,
            end=body.filter.to,
        )
        done = call.services.replays.matching(wanted, body.limit)
    return ReplayAnswer(
        items=[
            ReplayedAnswer(
                id=item.id,
                outcome=item.outcome,
                detail=None if item.why is None else translate(call.locale, item.why),
            )
            for item in done.items
        ],
        more=done.more,
    )
