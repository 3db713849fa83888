"""The erasure of a tenant: its steps, in their order, and what is known of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Step(StrEnum):
    """What is done next. The order is the order of the members.

    Doors are closed before anything is deleted, and what is written meanwhile by whoever was
    still inside is found by the second sweep.
    """

    LISTING = "listing"
    """Names what there is outside the tables that name the tenant."""
    CERTIFICATES = "certificates"
    """Devices are let in no more."""
    QUEUES = "queues"
    """What had been sent before that is taken in, or found later."""
    READINGS = "readings"
    """Rows and segments."""
    ROLLUPS = "rollups"
    MESSAGES = "messages"
    """Kept as they came."""
    CONFIGURATION = "configuration"
    OBJECTS = "objects"
    """Files, such as exports."""
    THINGS = "things"
    USERS = "users"
    RETAINED = "retained"
    """Messages that the broker keeps."""
    DEAD_LETTERS = "dead_letters"
    SETTLING = "settling"
    """Until every call has ended that may have begun before the configuration was gone."""
    SECOND_SWEEP = "second_sweep"
    DONE = "done"

    @property
    def following(self) -> Step:
        """The step after this one."""
        steps = list(Step)
        return steps[min(steps.index(self) + 1, len(steps) - 1)]


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure. Times in UTC. ``counts``: how much was deleted, by kind."""

    id: UUID
    tenant_id: UUID
    slug: str
    step: Step
    done_to: str | None
    """Where in the step an interrupted run goes on."""
    step_since: datetime
    requested_at: datetime
    finished_at: datetime | None
    trouble: str | None
    """What the last run could not reach."""
    is_again: bool
    """It was applied to a database that had been restored from before it."""
    counts: dict[str, int] = field(default_factory=dict)
