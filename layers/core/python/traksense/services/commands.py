"""Commands to devices: made once, published, acknowledged, or timed out.

A command is stored before it is published, so that its ack always finds it. Whoever calls again
with the same idempotency key gets the same command; it is published again only if it is not
known that the broker has it, always under its one ``cmd_id``, by which a device tells a repeat.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from traksense.auth.identity import Identity, Role
from traksense.contracts.topics import Channel, device_topic
from traksense.domain import ulid
from traksense.domain.errors import Conflict, Forbidden, Invalid, NotFound
from traksense.i18n.catalogue import text
from traksense.services.instants import rfc3339
from traksense.services.paging import Page, decode_cursor, encode_cursor, malformed_cursor
from traksense.services.publisher import Publisher
from traksense.services.scope import Scope

Status = Literal["pending", "acked", "error", "timeout"]

SCHEMA: Final = "v1"
DEFAULT_TIMEOUT_S: Final = 60
MAX_TIMEOUT_S: Final = 3600
MAX_PULSE_MS: Final = 60_000
ACK_GRACE: Final = timedelta(seconds=10)
"""How long an ack may be on its way after the last moment at which the device may begin."""
MAX_PARAMS_BYTES: Final = 8 * 1024
MAX_DEPTH: Final = 8
_MAX_INTEGER: Final = 2**63 - 1
_CURSOR: Final = "cmd"
_ULID_LENGTH: Final = 26


@dataclass(frozen=True, slots=True)
class Target:
    """Where a command goes."""

    tenant: str
    site: str
    device: str
    gateway: str | None
    """Name of the gateway that the device is behind; None: it has an identity of its own."""
    is_retired: bool
    commands_enabled: bool
    """Whether the tenant's own people may send commands."""


@dataclass(frozen=True, slots=True)
class NewCommand:
    """A command as it is stored. Times in UTC."""

    cmd_id: str
    device_id: UUID
    op: str
    params: Mapping[str, Any]
    sent_by: str
    created_at: datetime
    expires_at: datetime
    times_out_at: datetime
    idempotency_key: str | None
    request_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A stored command that has to be published."""

    tenant: str
    site: str
    device: str
    cmd_id: str
    op: str
    params: Mapping[str, Any]
    sent_by: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Command:
    """A command and what became of it. Times in UTC."""

    cmd_id: str
    device_id: UUID
    op: str
    params: dict[str, Any]
    by: str
    status: Status
    created_at: datetime
    expires_at: datetime
    published_at: datetime | None
    acked_at: datetime | None
    ts_exec: datetime | None
    err: str | None


@dataclass(frozen=True, slots=True)
class CommandFilter:
    """Which commands a list holds; None leaves a filter out."""

    status: Status | None = None
    op: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    """Exclusive."""


class CommandStore(Protocol):
    """Where commands are kept. Every method raises DatabaseAway."""

    def add(
        self, tenant_id: UUID, command: NewCommand, check: Callable[[Target], None]
    ) -> tuple[str, bytes | None]:
        """Store a command, if ``check`` lets it pass and its key was not used.

        The ``cmd_id`` and the request's hash of what then has the key: this command or an
        earlier one. Raises NotFound without such a device, and what ``check`` raises.
        """

    def publishing(
        self, tenant_id: UUID, cmd_id: str, now: datetime
    ) -> AbstractContextManager[Outgoing | None]:
        """Hold a command that has to be published; it counts as published when the block ends.

        One caller at a time has it, and an error in the block leaves it unpublished. None:
        somebody published it, or it has expired or been answered.
        """

    def get(self, tenant_id: UUID, device_id: UUID, cmd_id: str) -> Command | None:
        """One command of a device."""

    def page(
        self, tenant_id: UUID, device_id: UUID, wanted: CommandFilter, before: str | None,
        limit: int,
    ) -> Sequence[Command] | None:  # fmt: skip
        """Up to ``limit`` commands of a device, newest first; None without such a device."""


class Commands:
    """What the API does with commands."""

    def __init__(
        self,
        store: CommandStore,
        publisher: Publisher,
        tenant_of: Callable[[UUID], UUID | None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``tenant_of``: whose a device is, for an operator who chose no tenant."""
        self._store = store
        self._publisher = publisher
        self._tenant_of = tenant_of
        self._now = now

    def send(
        self,
        scope: Scope,
        caller: Identity,
        device_id: UUID,
        op: str,
        params: Mapping[str, Any],
        *,
        timeout_s: int = DEFAULT_TIMEOUT_S,
        idempotency_key: str | None = None,
    ) -> str:
        """Make a command and publish it; its ``cmd_id``.

        Raises NotFound, Forbidden, Conflict where the device takes no commands, Invalid, also for
        a key that was used for another request, and PublisherAway where it is not known that the
        broker has it: then a call with the same key publishes it again.
        """
        tenant_id = self._tenant(scope, device_id)
        pulse = _check_params(params)
        now = self._now()
        expires_at = now + timedelta(seconds=timeout_s)
        request = _request_hash(caller, device_id, op, params, timeout_s)
        command = NewCommand(
            cmd_id=ulid.new(now),
            device_id=device_id,
            op=op,
            params=params,
            sent_by=caller.user_id,
            created_at=now,
            expires_at=expires_at,
            times_out_at=expires_at + pulse + ACK_GRACE,
            idempotency_key=idempotency_key,
            request_hash=None if idempotency_key is None else request,
        )
        cmd_id, known = self._store.add(tenant_id, command, lambda target: _check(caller, target))
        if known is not None and known != request:
            message = text("command.key_reused")
            raise Invalid(message, (("header.Idempotency-Key", message),))
        self._publish(tenant_id, cmd_id)
        return cmd_id

    def get(self, scope: Scope, device_id: UUID, cmd_id: str) -> Command:
        """One command. Raises NotFound, also for another device's."""
        found = self._store.get(self._tenant(scope, device_id), device_id, cmd_id)
        if found is None:
            raise NotFound(text("command.not_found"))
        return found

    def page(
        self, scope: Scope, device_id: UUID, wanted: CommandFilter, limit: int, cursor: str | None
    ) -> Page[Command]:
        """One page of a device's commands, newest first. Raises NotFound or Malformed."""
        before = None if cursor is None else _key_of(cursor)
        tenant_id = self._tenant(scope, device_id)
        found = self._store.page(tenant_id, device_id, wanted, before, limit + 1)
        if found is None:
            raise NotFound(text("device.not_found"))
        items = found[:limit]
        more = len(found) > limit
        return Page(items, encode_cursor(_CURSOR, items[-1].cmd_id) if more else None)

    def _publish(self, tenant_id: UUID, cmd_id: str) -> None:
        now = self._now()
        with self._store.publishing(tenant_id, cmd_id, now) as outgoing:
            if outgoing is None:
                return
            topic = device_topic(outgoing.tenant, outgoing.site, outgoing.device, Channel.CMD)
            # Rounded down: the broker may not hand it out after it has expired.
            left_s = max(1, int((outgoing.expires_at - self._now()).total_seconds()))
            self._publisher.publish(str(topic), payload(outgoing), qos=1, expiry_s=left_s)

    def _tenant(self, scope: Scope, device_id: UUID) -> UUID:
        if scope.tenant_id is not None:
            return scope.tenant_id
        found = self._tenant_of(device_id)
        if found is None:
            raise NotFound(text("device.not_found"))
        return found


def payload(command: Outgoing) -> bytes:
    """The bytes on the device's ``cmd`` topic: the same however often they are published."""
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "cmd_id": command.cmd_id,
        "op": command.op,
        "params": command.params,
        "by": command.sent_by,
        "expires_at": rfc3339(command.expires_at),
    }
    if "pulse_ms" in command.params:
        # Where existing firmware looks for it.
        body["pulse_ms"] = command.params["pulse_ms"]
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _check(caller: Identity, target: Target) -> None:
    if caller.role is not Role.INTERNAL_OPS and not target.commands_enabled:
        raise Forbidden(text("command.not_enabled"))
    if target.is_retired:
        raise Conflict(text("command.retired"))
    if target.gateway is not None:
        raise Conflict(text("command.behind_gateway", gateway=target.gateway))


def _check_params(params: Mapping[str, Any]) -> timedelta:
    """The length of the command's pulse. Raises Invalid for what no device could be sent."""
    problem = _fault(params, MAX_DEPTH)
    if problem is None and len(_canonical(params)) > MAX_PARAMS_BYTES:
        problem = text("command.params_too_large", most=MAX_PARAMS_BYTES)
    if problem is not None:
        raise Invalid(text("problem.invalid.detail"), (("body.params", problem),))
    if "pulse_ms" not in params:
        return timedelta(0)
    pulse_ms = params["pulse_ms"]
    if type(pulse_ms) is not int or not 0 < pulse_ms <= MAX_PULSE_MS:
        message = text("command.pulse", most=MAX_PULSE_MS)
        raise Invalid(text("problem.invalid.detail"), (("body.params.pulse_ms", message),))
    return timedelta(milliseconds=pulse_ms)


def _fault(value: Any, levels: int) -> str | None:
    """What keeps a value from being stored or being JSON; None: nothing."""
    if isinstance(value, str):
        unfit = "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value)
        return text("command.params_text") if unfit else None
    if isinstance(value, float):
        return None if math.isfinite(value) else text("command.params_number")
    if isinstance(value, int):
        return None if abs(value) <= _MAX_INTEGER else text("command.params_number")
    if value is None:
        return None
    if levels == 0:
        return text("command.params_depth", most=MAX_DEPTH)
    inner = [*value.keys(), *value.values()] if isinstance(value, Mapping) else value
    return next((fault for each in inner if (fault := _fault(each, levels - 1))), None)


def _request_hash(
    caller: Identity, device_id: UUID, op: str, params: Mapping[str, Any], timeout_s: int
) -> bytes:
    """What makes two requests the same; whose they are among it."""
    parts = [caller.user_id, str(device_id), op, params, timeout_s]
    return hashlib.sha256(_canonical(parts)).digest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _key_of(cursor: str) -> str:
    (cmd_id,) = decode_cursor(_CURSOR, cursor, str)
    if len(str(cmd_id)) != _ULID_LENGTH or not str(cmd_id).isalnum():
        raise malformed_cursor()
    return str(cmd_id)
