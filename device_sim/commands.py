"""A device's side of commands: carry each one out once, and acknowledge it each time."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from .models import CommandRefusedError, Model
from .models.normalised import SCHEMA, rfc3339
from .notices import encode

log = logging.getLogger(__name__)

MAX_PULSE_MS: Final = 60_000
REMEMBERED: Final = 1000


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An ack and when to send it."""

    due: float
    """Unix seconds: the end of the pulse, where the command has one."""
    payload: bytes


class CommandDesk:
    """Takes the commands of one device. ``model`` is None for one that knows no command."""

    def __init__(self, model: Model | None) -> None:
        self._model = model
        self._answered: OrderedDict[str, Acknowledgement] = OrderedDict()

    def receive(self, payload: bytes, now: float) -> Acknowledgement | None:
        """Carry out a command and say how to acknowledge it.

        A ``cmd_id`` seen before gets its first acknowledgement again, and does nothing. None
        when the payload has no ``cmd_id``: there is nothing that an ack could name.
        """
        try:
            command = json.loads(payload)
        except ValueError:
            log.warning("a command is no JSON: %r", payload[:80])
            return None
        cmd_id = command.get("cmd_id") if isinstance(command, dict) else None
        if not isinstance(cmd_id, str) or not cmd_id:
            log.warning("a command has no cmd_id: %r", payload[:80])
            return None
        known = self._answered.get(cmd_id)
        if known is not None:
            return known
        answer = self._answer(cmd_id, command, now)
        self._answered[cmd_id] = answer
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)
        return answer

    def _answer(self, cmd_id: str, command: Mapping[str, Any], now: float) -> Acknowledgement:
        error: str | None = None
        pulse_s = 0.0
        try:
            pulse_s = self._carry_out(command, now)
        except CommandRefusedError as refusal:
            error = str(refusal)
        body = {
            "schema": SCHEMA,
            "cmd_id": cmd_id,
            "ok": error is None,
            "ts_exec": rfc3339(now),
            "err": error,
        }
        return Acknowledgement(now + pulse_s, encode(body))

    def _carry_out(self, command: Mapping[str, Any], now: float) -> float:
        """Do it; the length of its pulse in seconds. Raises CommandRefusedError."""
        if now >= _expiry(command.get("expires_at")):
            raise CommandRefusedError("expired")
        op, params = command.get("op"), command.get("params", {})
        if not isinstance(op, str):
            raise CommandRefusedError("unknown_op")
        if params is None:
            params = {}
        if not isinstance(params, dict):
            raise CommandRefusedError("bad_params: params must be an object")
        pulse_s = _pulse(command.get("pulse_ms", params.get("pulse_ms")))
        if self._model is None:
            raise CommandRefusedError("unknown_op")
        self._model.execute(op, params, now)
        return pulse_s


def _expiry(expires_at: object) -> float:
    if expires_at is None:
        return float("inf")
    try:
        instant = datetime.fromisoformat(str(expires_at))
    except ValueError:
        raise CommandRefusedError("bad_command: expires_at is no RFC 3339 time") from None
    if instant.tzinfo is None:
        raise CommandRefusedError("bad_command: expires_at has no time zone")
    return instant.timestamp()


def _pulse(pulse_ms: object) -> float:
    if pulse_ms is None:
        return 0.0
    if (
        isinstance(pulse_ms, bool)
        or not isinstance(pulse_ms, int)
        or not (0 < pulse_ms <= MAX_PULSE_MS)
    ):
        raise CommandRefusedError(
            f"bad_params: pulse_ms must be a whole number from 1 to {MAX_PULSE_MS}"
        )
    return pulse_ms / 1000.0
