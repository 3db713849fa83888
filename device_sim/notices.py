"""State, event and alarm messages, as devices send them."""

from __future__ import annotations

import json
from typing import Any, Literal

from .models import Severity
from .models.normalised import SCHEMA, rfc3339


def state(status: Literal["online", "offline"], ts: float | None) -> bytes:
    """A state message; a Last Will has no ``ts``."""
    body: dict[str, Any] = {"schema": SCHEMA, "status": status}
    if ts is not None:
        body["ts"] = rfc3339(ts)
    return encode(body)


def event(event_type: str, ts: float, data: dict[str, Any]) -> bytes:
    """An event message."""
    return encode({"schema": SCHEMA, "event_type": event_type, "ts": rfc3339(ts), "data": data})


def alarm(code: str, severity: Severity, active: bool, ts: float) -> bytes:
    """An alarm message: one when it starts, one when it ends."""
    return encode(
        {"schema": SCHEMA, "code": code, "severity": severity, "active": active,
         "ts": rfc3339(ts)}
    )  # fmt: skip


def encode(body: dict[str, Any]) -> bytes:
    """Compact JSON."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
