"""Executions of a state machine: started, and looked at.

Source: AWS Step Functions API, StartExecution and DescribeExecution.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from traksense.aws.clients import LazyClient, MakeClient, new_client
from traksense.domain.errors import RetryableError
from traksense.domain.exports import Run
from traksense.services.export_runs import Execution

if TYPE_CHECKING:
    from botocore.client import BaseClient

_MISSING: Final = "ExecutionDoesNotExist"
_THERE: Final = "ExecutionAlreadyExists"


class StepFunctionsAway(RetryableError):
    """Step Functions cannot be reached, or refuses a call for now."""


class StepFunctionsRuns:
    """Implements ``traksense.services.export_runs.ExportRuns``."""

    def __init__(
        self, state_machine_arn: str, region: str, make_client: MakeClient | None = None
    ) -> None:
        self._arn = state_machine_arn
        self._client = LazyClient(region, make_client or step_functions_client)

    def start(self, run: Run) -> None:
        """Start a run's execution; that it was started already is as good."""
        from botocore.exceptions import ClientError

        event = {
            "tenant_id": str(run.tenant_id),
            "export_id": str(run.export_id),
            "attempt": run.attempt,
        }
        with self._calls() as states:
            try:
                states.start_execution(
                    stateMachineArn=self._arn, name=run.execution_name, input=json.dumps(event)
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != _THERE:
                    raise

    def find(self, run: Run) -> Execution | None:
        """What a run's execution is at; None where there is none."""
        from botocore.exceptions import ClientError

        arn = self._arn.replace(":stateMachine:", ":execution:", 1)
        with self._calls() as states:
            try:
                found = states.describe_execution(executionArn=f"{arn}:{run.execution_name}")
            except ClientError as error:
                if error.response["Error"]["Code"] != _MISSING:
                    raise
                return None
        return Execution(found["status"], found.get("error"))

    @contextmanager
    def _calls(self) -> Iterator[Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield self._client.get()
        except (BotoCoreError, ClientError) as error:
            raise StepFunctionsAway(f"Step Functions: {error}") from error


def step_functions_client(region: str) -> BaseClient:
    """A boto3 client of Step Functions."""
    return new_client("stepfunctions", region, attempts=3)
