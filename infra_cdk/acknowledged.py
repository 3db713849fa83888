"""Findings of cdk-nag that are meant, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

PACK: Final = "AwsSolutions"


def acknowledge(construct: IConstruct, rule: str, because: str) -> None:
    """Say why a finding is meant on a construct and on what is in it.

    ``rule`` is one such as ``RDS11``; of IAM's wildcards, with what the wildcard is:
    ``IAM5[Resource::*]``.
    """
    Validations.of(construct).acknowledge(
        Acknowledgment(id=f"{PACK}::{PACK}-{rule}", reason=because)
    )


@dataclass(frozen=True, slots=True)
class Meant:
    """Findings that are meant wherever they are made."""

    rule: str
    """A pattern of the whole rule, such as ``S1`` or ``IAM5\\[…\\]``."""
    path: str
    """A pattern of the whole construct path, without the stage's prefix."""
    because: str


_ANYWHERE: Final = r".*"
_DEPLOYS_THE_PAGE: Final = r"page/Custom::CDKBucketDeployment\w+/.*"

MEANT: Final = (
    Meant(
        r"IAM5\[Resource::arn:<AWS::Partition>:iot:.*:(thing/\*_\*|cert/\*|topic/.+/\*)\]",
        _ANYWHERE,
        "devices come and go: a template does not know their things, certificates and topics",
    ),
    Meant(
        r"IAM5\[Resource::arn:<AWS::Partition>:rds-db:.*:dbuser:\*/traksense_login_\w+\]",
        _ANYWHERE,
        "one log-in by its name; a restored database has another id, and must let functions in",
    ),
    Meant(
        r"IAM5\[Resource::[^:]*(<\w+\.Arn>|:ExportsOutput\w+)/(\w+/)?\*\]",
        _ANYWHERE,
        "the files of a bucket that is named: a template does not know them",
    ),
    Meant(
        r"IAM5\[Resource::arn:<AWS::Partition>:states:.*:execution:.*:\*\]",
        r"maintenance/.*",
        "the executions of one state machine, which get their names when they are started",
    ),
    Meant(
        r"IAM5\[Resource::\*\]",
        r"ingest/Provisioning/.*",
        "a certificate has no name before it is made",
    ),
    Meant(
        r"IAM5\[Resource::\*\]",
        r"exports/Machine/.*",
        "CloudWatch's delivery of logs is tied to no resource",
    ),
    Meant(
        r"(IAM4|IAM5)\[.*\]|L1",
        _DEPLOYS_THE_PAGE,
        "the CDK's own function, which puts the page into its bucket at a deployment",
    ),
    Meant(r"S1", _ANYWHERE, "roles of the platform alone get in, and their functions write logs"),
    Meant(r"APIG2", r"web/Api", "the app checks each request by the models that describe it"),
    Meant(r"APIG3", r"api/Stage", "the stage's settings leave the WAF out: api.waf is false"),
    Meant(
        r"APIG4|COG4",
        r"api/Methods/(PostApiAuth\w+|GetHealth\w+|GetSchema\w+|GetD\w+)",
        "these routes are public by contract; the app counts their calls by address",
    ),
    Meant(
        r"IAM4\[.*/AmazonAPIGatewayPushToCloudWatchLogs\]",
        r"api/Logging/.*",
        "what API Gateway asks for of the account's one role for its logs",
    ),
    Meant(
        r"SMG4",
        r"web/OriginSecret/.*",
        "it is changed by hand, function first: docs/howto/upgrade.md says how",
    ),
    Meant(r"CFR1", r"web/.*", "customers are where their equipment is, in whatever country"),
    Meant(r"CFR2", r"web/.*", "what may be attacked is the API, before which the stage's WAF is"),
    Meant(
        r"CFR4",
        r"web/.*",
        "CloudFront sets the protocols for its own certificate; a domain of one's own has TLS 1.2",
    ),
    Meant(r"SF1|SF2", r"exports/.*", "each step has its log, and the job's state is in a table"),
)
"""Of cdk-nag, by rule and by place; the tests let no finding pass that is neither acknowledged
where it is made nor here."""


def reason_for(rule: str, path: str) -> str | None:
    """Why a finding is meant, such as ``AwsSolutions-S1`` of ``traksense-dev-web/Page/Resource``;
    None: nobody says so.
    """
    place = re.sub(r"^traksense-[a-z0-9]+-", "", path)
    for each in MEANT:
        if re.fullmatch(f"{PACK}-(?:{each.rule})", rule) and re.fullmatch(each.path, place):
            return each.because
    return None
