"""The environment of the platform's children: where each variable gets its value on one machine.

A child is told what the manifest entries of its functions name, and what it reads itself; nothing
else of the platform's reaches it. As in AWS (infra_cdk/environment.py), a variable that nothing
here knows stops the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from traksense.contracts import functions
from traksense.contracts.buckets import EXPORTS
from traksense.contracts.functions import RUNTIME_ENVIRONMENT, Function
from traksense.contracts.state_machines import STATE_MACHINES

from .aws.identifiers import CONFIGURATION_SET, REGION, SENDER, PoolIds, state_machine_arn
from .errors import StartupError
from .prometheus import ENVIRONMENT as METRICS_FOLDER

STAGE: Final = "busy"
"""The batching that the local queues use, the same as a busy stage's in AWS."""

DATABASE_URL: Final = "DATABASE_URL"
"""The log-in of the child's function."""

FROM_OUTSIDE: Final = (
    "TRAKSENSE_PREPARE",
    *functions.RETENTION_ENVIRONMENT,
    *functions.QUOTA_ENVIRONMENT,
)
"""What a person may set for the functions."""

LEFT_OUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AWS_LAMBDA_FUNCTION_NAME": "no Lambda runs it, and metrics have no such dimension here",
        "AWS_SESSION_TOKEN": "the run's key is no role's, and does not end",
        "TRAKSENSE_CACHE_SECONDS": "the default serves one machine as well",
        "TRAKSENSE_DATABASE_AUTH": "the default: a log-in's password stands in its URL",
        "TRAKSENSE_DEVICE_MESSAGES_PER_MINUTE": "the default serves one machine as well",
        "TRAKSENSE_ORIGIN_SECRETS": "nothing stands in front of the gateway",
        "TRAKSENSE_QUEUE_URLS": "the queues are the broker's, whose depths the bridge counts",
        "TRAKSENSE_TOMBSTONES_BUCKET": "tombstones are files of the home, which outlives S3 here",
    }
)
"""What functions read and one machine does not tell them, each with its reason."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is decided once for a run and told to the children."""

    home: Path
    http_port: int
    mqtt_port: int
    aws_port: int
    access_key: str
    secret_key: str = field(repr=False)
    pool: PoolIds
    log_level: str
    functions_port: int = 0
    functions_key: str = field(default="", repr=False)
    broker_port: int = 0
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Database URL by function name."""

    @property
    def web_url(self) -> str:
        """Where the page and the API are."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def aws_url(self) -> str:
        """Where the AWS emulator listens."""
        return f"http://127.0.0.1:{self.aws_port}"


VALUES: Final[Mapping[str, Callable[[RunFacts], str]]] = {
    "AWS_ACCESS_KEY_ID": lambda facts: facts.access_key,
    # No metadata service, no profile: nothing but what stands here.
    "AWS_EC2_METADATA_DISABLED": lambda _: "true",
    "AWS_ENDPOINT_URL": lambda facts: facts.aws_url,
    "AWS_REGION": lambda _: REGION,
    "AWS_SECRET_ACCESS_KEY": lambda facts: facts.secret_key,
    "COGNITO_CLIENT_ID": lambda facts: facts.pool.client_id,
    "COGNITO_USER_POOL_ID": lambda facts: facts.pool.user_pool_id,
    METRICS_FOLDER: lambda facts: str(facts.home / "metrics"),
    "TRAKSENSE_BROKER_PORT": lambda facts: str(facts.broker_port),
    "TRAKSENSE_DEVICE_CA": lambda facts: str(facts.home / "certificates" / "ca.crt"),
    "TRAKSENSE_EXPORTS_BUCKET": lambda _: EXPORTS.name,
    "TRAKSENSE_FUNCTIONS_KEY": lambda facts: facts.functions_key,
    "TRAKSENSE_FUNCTIONS_URL": lambda facts: f"http://127.0.0.1:{facts.functions_port}",
    "TRAKSENSE_HOME": lambda facts: str(facts.home),
    "TRAKSENSE_HTTP_PORT": lambda facts: str(facts.http_port),
    "TRAKSENSE_LOG_LEVEL": lambda facts: facts.log_level,
    "TRAKSENSE_MAIL_CONFIGURATION_SET": lambda _: CONFIGURATION_SET,
    "TRAKSENSE_MAIL_FROM": lambda _: f"TrakSense <{SENDER}>",
    # The child chooses its sink itself, before the function is loaded.
    "TRAKSENSE_METRICS": lambda _: "none",
    "TRAKSENSE_MQTT_PORT": lambda facts: str(facts.mqtt_port),
    "TRAKSENSE_STAGE": lambda _: STAGE,
    "TRAKSENSE_WEB_URL": lambda facts: facts.web_url,
    **{
        each.environment_variable: lambda _, name=each.name: state_machine_arn(name)  # type: ignore[misc]
        for each in STATE_MACHINES
    },
}
"""Variables whose value is the run's."""

OF_THE_SDK: Final = ("AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL")
"""What boto3 reads, which then asks the emulator and nobody else."""


def names_of(hosted: Iterable[Function], own: Iterable[str]) -> set[str]:
    """What a child is told of, apart from what is left out."""
    named = set(own)
    for function in hosted:
        named |= set(function.environment)
        if function.uses:
            named |= {*RUNTIME_ENVIRONMENT, *OF_THE_SDK}
    return named - LEFT_OUT.keys()


def environment_of(
    hosted: tuple[Function, ...],
    own: tuple[str, ...],
    login: str | None,
    facts: RunFacts,
    inherited: Mapping[str, str],
) -> dict[str, str]:
    """A child's environment: the person's own, without her databases and AWS accounts, and what
    the child's functions and it itself read. ``login``: the function whose log-in it uses.

    Raises StartupError for a variable that nobody here gives a value.
    """
    told = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(("AWS_", "PG", "TRAKSENSE_")) and name != DATABASE_URL
    }
    for name in sorted(names_of(hosted, own)):
        if name in FROM_OUTSIDE:
            if name in inherited:
                told[name] = inherited[name]
        elif name in VALUES:
            told[name] = VALUES[name](facts)
        elif name == DATABASE_URL and login is not None:
            told[name] = facts.logins[login]
        else:
            raise StartupError(f"{name} is read here, and local/environment.py has no value for it")
    return told
