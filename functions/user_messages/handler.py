"""The user messages Lambda: the wording of an e-mail that Cognito is about to send."""

from __future__ import annotations

from functools import cache
from typing import Any

from traksense import bootstrap
from traksense.services.user_messages import UserMessages


@cache
def _service() -> UserMessages:
    return bootstrap.user_messages()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a CustomMessage trigger."""
    return _service().answer(event)
