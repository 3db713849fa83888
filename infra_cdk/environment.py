"""The environment of functions: where each variable of the manifest gets its value in AWS.

One table for all of them. A variable that a manifest names and nothing here knows stops the
synthesis, and the tests let nothing stand here that no manifest names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from infra_cdk.places import DatabaseAccess, Places, made
from infra_cdk.settings import StageSettings
from traksense.contracts import functions
from traksense.contracts.functions import Function

LOCAL: Final = frozenset({"TRAKSENSE_DEVICE_CA"})
"""For one machine alone: in AWS the broker's authority is Amazon's."""

DEFAULTS: Final = frozenset(
    {
        "TRAKSENSE_CACHE_SECONDS",
        "TRAKSENSE_DEVICE_MESSAGES_PER_MINUTE",
        "TRAKSENSE_ENGINE",
        "TRAKSENSE_LOG_LEVEL",
        "TRAKSENSE_PREPARE",
        *functions.RETENTION_ENVIRONMENT,
        *functions.QUOTA_ENVIRONMENT,
    }
)
"""Left to the code's default where the stage's settings name no value."""

DATABASE: Final = frozenset(
    {"DATABASE_URL", "TRAKSENSE_DATABASE_ADMINISTRATOR", "TRAKSENSE_DATABASE_AUTH"}
)
"""Given by the database of the stage (``DatabaseAccess.environment``)."""

Value = Callable[[Places, StageSettings], str]


def _queue_urls(places: Places, _: StageSettings) -> str:
    return ",".join(f"{name}={queue.queue_url}" for name, queue in sorted(places.queues.items()))


VALUES: Final[Mapping[str, Value]] = {
    "COGNITO_CLIENT_ID": lambda places, _: made(places.user_pool_client_id, "the app client"),
    "COGNITO_USER_POOL_ID": lambda places, _: made(places.user_pool, "the user pool").user_pool_id,
    "TRAKSENSE_EXPORTS_BUCKET": lambda places, _: (
        made(places.exports_bucket, "the bucket of exports").bucket_name
    ),
    "TRAKSENSE_EXPORT_STATE_MACHINE": lambda places, _: made(
        places.export_state_machine_arn, "the state machine of exports"
    ),
    "TRAKSENSE_MAIL_CONFIGURATION_SET": lambda places, _: made(
        places.mail_configuration_set, "the configuration set of e-mails"
    ),
    "TRAKSENSE_MAIL_FROM": lambda _, settings: settings.mail.sender,
    "TRAKSENSE_METRICS": lambda *_: "emf",
    "TRAKSENSE_ORIGIN_SECRETS": lambda places, _: made(places.origin_secret, "the origin secret"),
    "TRAKSENSE_QUEUE_URLS": _queue_urls,
    "TRAKSENSE_TOMBSTONES_BUCKET": lambda places, _: (
        made(places.tombstones_bucket, "the bucket of tombstones").bucket_name
    ),
    "TRAKSENSE_WEB_URL": lambda places, _: made(places.web_url, "the page's address"),
}
"""Variables whose value is another resource's, or the same everywhere in AWS."""


class UnknownVariable(Exception):
    """A manifest names a variable that nobody here gives a value; the message says which."""


def environment_of(
    function: Function,
    places: Places,
    settings: StageSettings,
    database: DatabaseAccess | None,
) -> dict[str, str]:
    """A function's environment, by its manifest entry. Raises UnknownVariable and NotMade."""
    known = dict(database.environment(function)) if database is not None else {}
    for name in function.environment:
        if name in known or name in LOCAL:
            continue
        if name in DEFAULTS:
            if name in settings.functions.environment:
                known[name] = settings.functions.environment[name]
        elif name in VALUES:
            known[name] = VALUES[name](places, settings)
        else:
            raise UnknownVariable(
                f"{function.name} reads {name}: infra_cdk/environment.py has none"
            )
    if foreign := known.keys() - set(function.environment):
        raise UnknownVariable(f"{function.name} does not read {', '.join(sorted(foreign))}")
    return known
