"""What is decided for a run of the local platform, where nothing runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from local.aws.identifiers import PoolIds
from local.environment import RunFacts
from traksense.contracts.functions import FUNCTIONS

FACTS: Final = RunFacts(
    home=Path("/home/acme"),
    http_port=8000,
    mqtt_port=8883,
    aws_port=4566,
    access_key="LOCAL1",
    secret_key="s3cret",
    pool=PoolIds("us-east-1_abc", "client"),
    log_level="INFO",
    functions_port=4567,
    functions_key="k3y",
    broker_port=1884,
    logins={function.name: f"postgresql://{function.name}@db/x" for function in FUNCTIONS},
)
