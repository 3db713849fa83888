"""``python -m infra_cdk.region sa-east-1``: whether a region has every service that is used.

By the endpoints that botocore knows, without asking anybody: no account is needed. A new region
or service may be younger than the installed botocore, which the answer names.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Service:
    """An AWS service that the platform cannot do without."""

    endpoint: str
    """Its name in botocore."""
    namespaces: tuple[str, ...]
    """Of CloudFormation: ``AWS::<namespace>::…``; none where only code calls it."""
    use: str


REGIONAL: Final = (
    Service("apigateway", ("ApiGateway",), "the HTTP API"),
    Service("cloudformation", ("CloudFormation", "CDK"), "deployment"),
    Service("cloudwatch", ("CloudWatch",), "alarms and the dashboard"),
    Service("cognito-idp", ("Cognito",), "people"),
    Service("ec2", ("EC2",), "the network"),
    Service("events", ("Events",), "what services tell each other"),
    Service("iot", ("IoT",), "rules, policies, things"),
    Service("iot-data", (), "commands"),
    Service("kms", ("KMS",), "keys"),
    Service("lambda", ("Lambda",), "functions"),
    Service("logs", ("Logs",), "logs"),
    Service("rds", ("RDS",), "the database"),
    Service("s3", ("S3",), "exports, tombstones, the page"),
    Service("scheduler", ("Scheduler",), "what runs by the clock"),
    Service("secretsmanager", ("SecretsManager",), "log-ins of the database"),
    Service("sesv2", ("SES",), "e-mails"),
    Service("sns", ("SNS",), "who is told of alarms"),
    Service("sqs", ("SQS",), "queues"),
    Service("ssm", ("SSM",), "deployment"),
    Service("stepfunctions", ("StepFunctions",), "exports"),
    Service("sts", (), "roles"),
    Service("wafv2", ("WAFv2",), "the API's shield"),
)
"""With an endpoint in each region."""

GLOBAL: Final = (
    Service("budgets", ("Budgets",), "the month's budget"),
    Service("ce", ("CE",), "unusual costs"),
    Service("cloudfront", ("CloudFront",), "the page"),
    Service("iam", ("IAM",), "rights"),
    Service("route53", ("Route53",), "a name of one's own"),
)
"""For all regions of a partition."""

AUTHORITIES: Final = (
    Path(__file__).resolve().parents[1]
    / "layers/core/python/traksense/aws/database-authorities.pem"
)
"""Who signs the certificates of RDS and Aurora, one for each region; functions trust no other."""

CUSTOM: Final = frozenset({"Custom"})
"""No service: functions that CloudFormation calls."""


def missing(region: str) -> Iterator[Service]:
    """Services without an endpoint in a region; all of them for one that there is not."""
    import botocore.session

    session = botocore.session.get_session()
    for service in REGIONAL:
        if region not in session.get_available_regions(service.endpoint):
            yield service


def has_authority(region: str) -> bool:
    """Whether functions trust the databases of a region; one elsewhere needs none of these."""
    return f"# Amazon RDS {region} Root CA RSA2048 G1\n" in AUTHORITIES.read_text("ascii")


def unknown_namespaces(resource_types: Sequence[str]) -> set[str]:
    """Namespaces of resource types that no service here accounts for."""
    known = {each for service in (*REGIONAL, *GLOBAL) for each in service.namespaces} | CUSTOM
    return {_namespace(each) for each in resource_types} - known


def _namespace(resource_type: str) -> str:
    first, _, rest = resource_type.partition("::")
    return rest.partition("::")[0] if first == "AWS" else first


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status is 0 where nothing is missing."""
    import botocore

    parser = argparse.ArgumentParser(prog="python -m infra_cdk.region", description=__doc__)
    parser.add_argument("region")
    region = parser.parse_args(arguments).region
    lacking = {each.endpoint for each in missing(region)}
    for service in REGIONAL:
        print(f"{'MISSING' if service.endpoint in lacking else 'there  '}  {service.endpoint:16}"
              f"  {service.use}")  # fmt: skip
    trusted = has_authority(region)
    print(f"{'there  ' if trusted else 'MISSING'}  {'rds authority':16}  "
          "whom functions trust to be the database")  # fmt: skip
    for service in GLOBAL:
        print(f"global   {service.endpoint:16}  {service.use}")
    if lacking:
        print(
            f"{region} lacks {len(lacking)} services, as botocore {botocore.__version__} knows it",
            file=sys.stderr,
        )
        return 1
    if not trusted:
        print(
            f"functions know no authority of RDS in {region}: add it to {AUTHORITIES.name} "
            '(RDS user guide, "Certificate bundles"), or use database=external',
            file=sys.stderr,
        )
        return 1
    print(f"{region} has every service, as botocore {botocore.__version__} knows it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
