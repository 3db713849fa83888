"""The user messages Lambda: the wording of an e-mail that Cognito is about to send."""

from __future__ import annotations

from functools import cache
from typing import Any

from traksense.services.user_messages import UserMessages
from traksense.wiring import user_messages


@cache
def _service() -> UserMessages:
    return user_messages.user_messages()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a CustomMessage trigger."""
    return _service().answer(event)
