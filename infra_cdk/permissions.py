"""What the manifest's uses are in IAM: statements on the ARNs of named resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aws_cdk import Arn, ArnComponents, ArnFormat, Stack
from aws_cdk import aws_iam as iam

from infra_cdk.places import Places, made
from traksense.contracts import topics
from traksense.contracts.functions import Function
from traksense.contracts.uses import Resource, Use

Arns = Callable[[Stack, Places], list[str]]


def _iot(stack: Stack, kind: str, name: str) -> str:
    arn: str = stack.format_arn(service="iot", resource=kind, resource_name=name)
    return arn


def _device_topics(stack: Stack, _: Places) -> list[str]:
    """Topics of devices; never those of AWS, whose root is ``$aws``."""
    return [
        _iot(stack, "topic", f"{topics.ROOT}/*"),
        _iot(stack, "topic", f"{topics.TDS_ROOT}/*"),
    ]


def _executions(stack: Stack, places: Places) -> list[str]:
    machine = Arn.split(
        made(places.export_state_machine_arn, "the state machine of exports"),
        ArnFormat.COLON_RESOURCE_NAME,
    )
    parts = ArnComponents(
        service="states",
        resource="execution",
        resource_name=f"{machine.resource_name}:*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return [Arn.format(parts, stack)]


def _mail(stack: Stack, places: Places) -> list[str]:
    name = made(places.mail_configuration_set, "the configuration set of e-mails")
    return [
        made(places.mail_identity_arn, "the identity of e-mails"),
        stack.format_arn(service="ses", resource="configuration-set", resource_name=name),
    ]


ARNS: Final[Mapping[Resource, Arns]] = {
    "certificates": lambda stack, _: [_iot(stack, "cert", "*")],
    "device_topics": _device_topics,
    "export_executions": _executions,
    "export_state_machine": lambda _, places: [
        made(places.export_state_machine_arn, "the state machine of exports")
    ],
    "exports_bucket": lambda _, places: [
        made(places.exports_bucket, "the bucket of exports").bucket_arn
    ],
    "exports_files": lambda _, places: [
        made(places.exports_bucket, "the bucket of exports").arn_for_objects("*")
    ],
    "login_secrets": lambda _, places: [
        secret.secret_arn for secret in made(places.login_secrets, "the log-ins' secrets")
    ],
    "mail": _mail,
    "queues": lambda _, places: [queue.queue_arn for queue in places.queues.values()],
    # A thing is named tenant_device; others of the account, with names of their own, are not ours.
    "things": lambda stack, _: [_iot(stack, "thing", "*_*")],
    "tombstones_bucket": lambda _, places: [
        made(places.tombstones_bucket, "the bucket of tombstones").bucket_arn
    ],
    "tombstones_files": lambda _, places: [
        made(places.tombstones_bucket, "the bucket of tombstones").arn_for_objects("tombstones/*")
    ],
    "user_pool": lambda _, places: [made(places.user_pool, "the user pool").user_pool_arn],
    "anything": lambda *_: ["*"],
}
"""The ARNs that each name of a manifest's use stands for."""


def statements(function: Function, stack: Stack, places: Places) -> list[iam.PolicyStatement]:
    """What a function may ask of AWS, by its manifest entry. Raises NotMade."""
    return statements_of(function.uses, stack, places)


def statements_of(uses: Sequence[Use], stack: Stack, places: Places) -> list[iam.PolicyStatement]:
    """Some uses as IAM has them. Raises NotMade."""
    return [
        iam.PolicyStatement(
            actions=sorted(use.actions),
            resources=[arn for name in use.resources for arn in ARNS[name](stack, places)],
        )
        for use in uses
    ]
