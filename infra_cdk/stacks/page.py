"""The page's files, put where CloudFront finds them."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_deployment as deployment
from constructs import Construct

from infra_cdk.constructs.function import retention_of
from infra_cdk.constructs.removal import removal
from infra_cdk.packaging.targets import ROOT
from infra_cdk.settings import StageSettings
from infra_cdk.stacks.web import WebStack
from traksense.contracts import page


class PageStack(Stack):
    """Deployed after the API: a page asks for what the API of its own release has.

    The other way round the page of a new release would ask the API of the one before.
    """

    def __init__(self, scope: Construct, settings: StageSettings, web: WebStack) -> None:
        super().__init__(scope, settings.stack_id("page"))
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/traksense/{settings.stage}/page",
            retention=retention_of(settings.functions.log_retention_days),
            removal_policy=removal(keep=settings.keep_data),
        )
        into, folder, file = page.VENDOR
        for name, source, prefix, left_out in (
            ("Files", ROOT / "web", None, ["*.d.ts"]),
            ("Vendor", ROOT / folder, into, ["**", f"!{file}"]),
        ):
            deployment.BucketDeployment(
                self,
                name,
                sources=[deployment.Source.asset(str(source), exclude=left_out)],
                destination_bucket=web.files,
                destination_key_prefix=prefix,
                # Of the page's files alone: the other ones lie beside them.
                prune=prefix is not None,
                cache_control=[deployment.CacheControl.from_string("no-cache")],
                # Edges keep nothing of earlier ones.
                distribution=web.distribution,
                distribution_paths=["/*"],
                memory_limit=256,
                log_group=log,
            )
