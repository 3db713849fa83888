"""Is it up, and are the parts that it stands on."""

from __future__ import annotations

from typing import Final

from chalice.app import Blueprint

import traksense
from functions.api.auditing import Audited, NotAudited
from functions.api.models.health import DeepHealthAnswer, HealthAnswer, PartAnswer
from functions.api.routing import OPS, PUBLIC, Call, Reply, route
from functions.api.validation import NoParams

blueprint: Final = Blueprint(__name__)


@route(
    blueprint,
    "GET",
    "/health",
    roles=PUBLIC,
    audit=NotAudited("it says only that the service is up"),
    is_limited=False,
    response=HealthAnswer,
)
def health(call: Call[NoParams, None]) -> HealthAnswer:  # noqa: ARG001
    """Says that the service is up, and its version."""
    return HealthAnswer(status="ok", version=traksense.__version__)


@route(
    blueprint,
    "GET",
    "/health/deep",
    roles=OPS,
    audit=Audited("health.read"),
    response=DeepHealthAnswer,
    statuses=(200, 503),
)
def deep_health(call: Call[NoParams, None]) -> Reply:
    """Asks every part and says how long each took; 503 in the same shape when one fails."""
    parts = {
        name: PartAnswer.model_validate(
            {
                "status": "ok" if part.ok else "failing",
                "latency_ms": part.latency_ms,
                **part.facts,
            }
        )
        for name, part in call.services.health.deep().items()
    }
    healthy = all(part.status == "ok" for part in parts.values())
    found = DeepHealthAnswer(
        status="ok" if healthy else "failing", version=traksense.__version__, parts=parts
    )
    return Reply(200 if healthy else 503, found)
