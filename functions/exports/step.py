"""What the state machine hands to each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from traksense.domain.exports import Run


def run_of(event: Mapping[str, Any]) -> Run:
    """The run that a step belongs to. Raises KeyError, ValueError where the event is no step's."""
    return Run(UUID(event["tenant_id"]), UUID(event["export_id"]), int(event["attempt"]))
