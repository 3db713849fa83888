"""Executions of the state machine of exports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from traksense.domain.exports import Run


@dataclass(frozen=True, slots=True)
class Execution:
    """What an execution is at."""

    status: str
    """``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``TIMED_OUT``, ``ABORTED`` (DescribeExecution)."""
    error: str | None = None
    """The name of the error of one that failed."""


class ExportRuns(Protocol):
    """What executes exports. Every method raises RetryableError."""

    def start(self, run: Run) -> None:
        """Start a run's execution; that it was started already is as good."""

    def find(self, run: Run) -> Execution | None:
        """What a run's execution is at; None where there is none."""
