"""State machines: Step Functions in AWS, the emulator's on one machine, from the same file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from traksense.contracts import functions


@dataclass(frozen=True, slots=True)
class StateMachine:
    """One state machine, in the Amazon States Language with JSONPath."""

    name: str
    definition: str
    """Path of its file from the top of the project."""
    tokens: Mapping[str, str]
    """What stands as ``${Token}`` in the file, for the ARN of which function."""
    environment_variable: str
    """Under which functions are told its ARN."""


EXPORT: Final = StateMachine(
    name="traksense-export",
    definition="functions/exports/export.asl.json",
    tokens=MappingProxyType(
        {
            "ExportPlanArn": functions.EXPORT_PLAN.name,
            "ExportChunkArn": functions.EXPORT_CHUNK.name,
            "ExportFinishArn": functions.EXPORT_FINISH.name,
            "ExportNotifyArn": functions.EXPORT_NOTIFY.name,
            "ExportFailArn": functions.EXPORT_FAIL.name,
        }
    ),
    environment_variable="TRAKSENSE_EXPORT_STATE_MACHINE",
)

STATE_MACHINES: Final = (EXPORT,)
"""Every state machine of the platform."""
