"""Commands to devices."""

from __future__ import annotations

from typing import Annotated, Any, Final

from chalice.app import Blueprint
from pydantic import Field

from functions.api import idempotency
from functions.api.auditing import Audited
from functions.api.models.base import ListAnswer
from functions.api.models.commands import CommandAccepted, CommandAnswer
from functions.api.routing import OPS, Call, Reply, route
from functions.api.validation import Body, Cursor, Instant, Limit, NoParams, Params
from traksense.auth.identity import Role
from traksense.services.commands import (
    DEFAULT_TIMEOUT_S,
    MAX_TIMEOUT_S,
    CommandFilter,
    Status,
)

blueprint: Final = Blueprint(__name__)

WHO: Final = OPS | {Role.CUSTOMER_ADMIN}

Op = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class SendCommand(Body):
    """What the device is to do."""

    op: Op
    params: dict[str, Any] = Field(
        default_factory=dict, description="At most 8 KiB of JSON; ``pulse_ms`` is 1 to 60,000."
    )
    timeout_s: int = Field(
        default=DEFAULT_TIMEOUT_S,
        ge=5,
        le=MAX_TIMEOUT_S,
        description="Seconds after which the device may no longer begin.",
    )


class ListCommands(Params):
    """Which commands, and how many."""

    limit: Limit = 50
    cursor: Cursor | None = None
    status: Status | None = None
    op: Op | None = None
    from_: Instant | None = Field(default=None, alias="from")
    to: Instant | None = Field(default=None, description="Exclusive.")


@route(
    blueprint,
    "POST",
    "/api/cmd/{device_id}",
    roles=WHO,
    audit=Audited("commands.send"),
    body=SendCommand,
    response=CommandAccepted,
    statuses=(202,),
    headers=(idempotency.HEADER,),
)
def send_command(call: Call[NoParams, SendCommand]) -> Reply:
    """Sends a device a command, once for each ``Idempotency-Key``."""
    cmd_id = call.services.commands.send(
        call.scope,
        call.identity,
        call.ids["device_id"],
        call.body.op,
        call.body.params,
        timeout_s=call.body.timeout_s,
        idempotency_key=idempotency.key_of(call.headers),
    )
    return Reply(202, CommandAccepted(cmd_id=cmd_id, status="pending"))


@route(
    blueprint,
    "GET",
    "/api/cmd/{device_id}",
    roles=WHO,
    audit=Audited("commands.list"),
    params=ListCommands,
    response=ListAnswer[CommandAnswer],
)
def list_commands(call: Call[ListCommands, None]) -> ListAnswer[CommandAnswer]:
    """Lists a device's commands, newest first."""
    params = call.params
    page = call.services.commands.page(
        call.scope,
        call.ids["device_id"],
        CommandFilter(params.status, params.op, params.from_, params.to),
        params.limit,
        params.cursor,
    )
    return ListAnswer[CommandAnswer](
        items=[CommandAnswer.model_validate(command) for command in page.items],
        next_cursor=page.next_cursor,
    )


@route(
    blueprint,
    "GET",
    "/api/cmd/{device_id}/{cmd_id}",
    roles=WHO,
    audit=Audited("commands.read"),
    response=CommandAnswer,
)
def get_command(call: Call[NoParams, None]) -> CommandAnswer:
    """Shows a command and what became of it."""
    command = call.services.commands.get(call.scope, call.ids["device_id"], call.names["cmd_id"])
    return CommandAnswer.model_validate(command)
