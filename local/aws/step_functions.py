"""Step Functions: moto executes the state machines' own files; the functions run elsewhere."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Final

from traksense.contracts.state_machines import STATE_MACHINES, StateMachine

from .functions import FunctionsHost
from .guard import WsgiApp
from .identifiers import ACCOUNT, REGION, function_arn, state_machine_arn

ROOT: Final = Path(__file__).parents[2]


def step_functions(host: FunctionsHost) -> WsgiApp:
    """The service's app, with every state machine of the contracts in it."""
    from moto.core.config import default_user_config
    from moto.moto_server.werkzeug_app import create_backend_app

    default_user_config["stepfunctions"]["execute_state_machine"] = True
    # It logs an error's whole tree of parsed states; the functions' host logs the error itself.
    logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
    app: WsgiApp = create_backend_app("stepfunctions")
    call_functions_at(host)
    create_state_machines()
    return app


def call_functions_at(host: FunctionsHost) -> None:
    """Have executions call their functions at a host. The one place that is replaced in moto: it
    would ask a Lambda of its own, which runs containers or nothing.
    """
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils

    def invoke(parameters: dict[str, Any], region: str, state_credentials: Any) -> dict[str, Any]:
        del region, state_credentials
        function = str(parameters["FunctionName"]).rpartition(":")[2]
        answer = host.call(function, parameters["Payload"])
        found: dict[str, Any] = {"StatusCode": 200, "Payload": answer.payload}
        if answer.is_error:
            found["FunctionError"] = "Unhandled"
        return found

    lambda_eval_utils._invoke_lambda_function = invoke


def create_state_machines() -> None:
    """Create those of the contracts."""
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    backend = stepfunctions_parser_backends[ACCOUNT][REGION]
    for machine in STATE_MACHINES:
        made = backend.create_state_machine(
            machine.name, definition_of(machine), f"arn:aws:iam::{ACCOUNT}:role/{machine.name}"
        )
        assert made.arn == state_machine_arn(machine.name)


def definition_of(machine: StateMachine) -> str:
    """The state machine's file with this account's functions in it."""
    text = (ROOT / machine.definition).read_text("utf-8")
    for token, function in machine.tokens.items():
        text = text.replace(f"${{{token}}}", function_arn(function))
    json.loads(text)
    return text
