"""Where exports run, and where their files are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from traksense.domain.errors import ConfigurationError
from traksense.settings.reading import required


@dataclass(frozen=True, slots=True)
class ExportFileSettings:
    """Where the files of exports are."""

    region: str
    bucket: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> ExportFileSettings:
        """Read the environment. Raises ConfigurationError."""
        return cls(
            region=required(environ, "AWS_REGION", "the AWS region of the platform"),
            bucket=required(
                environ, "TRAKSENSE_EXPORTS_BUCKET", "the bucket that files of tenants are in"
            ),
        )


@dataclass(frozen=True, slots=True)
class StateMachineSettings:
    """What runs exports."""

    region: str
    export_state_machine: str
    """Its ARN."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> StateMachineSettings:
        """Read the environment. Raises ConfigurationError."""
        name = "TRAKSENSE_EXPORT_STATE_MACHINE"
        arn = required(environ, name, "the ARN of the state machine of exports")
        if not arn.startswith("arn:"):
            raise ConfigurationError(f"{name} is {arn!r}: it must be an ARN")
        return cls(required(environ, "AWS_REGION", "the AWS region of the platform"), arn)
