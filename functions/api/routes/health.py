"""Is it up, and are the parts that it stands on."""

from __future__ import annotations

from typing import Final

from chalice.app import Blueprint

import traksense
from functions.api.models import DeepHealthAnswer, HealthAnswer, PartAnswer
from functions.api.routing import OPS, PUBLIC, Call, route
from functions.api.validation import NoParams

blueprint: Final = Blueprint(__name__)


@route(blueprint, "GET", "/health", roles=PUBLIC, response=HealthAnswer)
def health(call: Call[NoParams, None]) -> HealthAnswer:  # noqa: ARG001
    """Says that the service is up, and its version."""
    return HealthAnswer(status="ok", version=traksense.__version__)


@route(blueprint, "GET", "/health/deep", roles=OPS, response=DeepHealthAnswer, statuses=(200, 503))
def deep_health(call: Call[NoParams, None]) -> tuple[int, DeepHealthAnswer]:
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
    return 200 if healthy else 503, DeepHealthAnswer(
        status="ok" if healthy else "failing", version=traksense.__version__, parts=parts
    )
