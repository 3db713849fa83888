"""What Secrets Manager sends, step by step."""

from __future__ import annotations

from typing import Any

import pytest

from functions.rotate.handler import take
from traksense.services.rotation import RotationError

EVENT: dict[str, Any] = {"Step": "setSecret", "SecretId": "arn:x", "ClientRequestToken": "token"}


class Steps:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def run(self, step: str, secret: str, version: str) -> None:
        self.asked.append((step, secret, version))


def test_an_event_is_one_step_of_one_version() -> None:
    steps = Steps()
    take(EVENT, steps)
    assert steps.asked == [("setSecret", "arn:x", "token")]


@pytest.mark.parametrize("missing", EVENT)
def test_an_event_that_lacks_something_is_refused(missing: str) -> None:
    steps = Steps()
    with pytest.raises(RotationError, match=f"no {missing}"):
        take({name: value for name, value in EVENT.items() if name != missing}, steps)
    assert steps.asked == []


def test_a_step_that_there_is_not_is_refused() -> None:
    with pytest.raises(RotationError, match="no step 'dropSecret'"):
        take(EVENT | {"Step": "dropSecret"}, Steps())
