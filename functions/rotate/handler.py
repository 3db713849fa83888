"""The rotate Lambda: Secrets Manager calls it for each step of a new password."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol, cast

from traksense import bootstrap
from traksense.services.rotation import STEPS, RotationError, Step


class Steps(Protocol):
    """What changes a password."""

    def run(self, step: Step, secret: str, version: str) -> None:
        """Do one step."""


@cache
def _rotation() -> Steps:
    return bootstrap.rotation()


def handler(event: dict[str, Any], _context: object) -> None:
    """Do one step; what is raised is Secrets Manager's to try again."""
    take(event, _rotation())


def take(event: dict[str, Any], rotation: Steps) -> None:
    """Read an event and do its step. Raises RotationError."""
    try:
        step, secret, version = event["Step"], event["SecretId"], event["ClientRequestToken"]
    except KeyError as error:
        raise RotationError(f"the event has no {error.args[0]}") from None
    if step not in STEPS:
        raise RotationError(f"there is no step {step!r}: it is one of {', '.join(STEPS)}")
    rotation.run(cast(Step, step), str(secret), str(version))
