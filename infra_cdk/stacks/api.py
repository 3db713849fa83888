"""The HTTP API and who may use it: the user pool, the function, its methods and its limits."""

from __future__ import annotations

import json
from typing import Any, Final

from aws_cdk import CfnOutput, Fn, RemovalPolicy, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from functions.api.app import app
from infra_cdk.constructs.function import retention_of
from infra_cdk.constructs.removal import removal
from infra_cdk.constructs.rest_api import Methods
from infra_cdk.constructs.surroundings import Surroundings
from infra_cdk.constructs.users import Users
from infra_cdk.settings import DomainSettings, StageSettings
from infra_cdk.stacks.web import API_STAGE
from traksense.auth.origin import ADDRESS_HEADER
from traksense.contracts.functions import API, USER_MESSAGES

REQUESTS_OF_AN_ADDRESS: Final = 3_000
"""In five minutes, after which the firewall refuses it: ten a second, far above a page's."""

ACCESS_LOG: Final = {
    "request": "$context.requestId",
    "lambda_request": "$context.integration.requestId",
    "address": "$context.identity.sourceIp",
    "at": "$context.requestTimeEpoch",
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "ms": "$context.responseLatency",
    "integration_ms": "$context.integrationLatency",
    "error": "$context.error.message",
}
"""A line of the access log. Paths of routes only: a path that was asked for may hold a secret."""


class ApiStack(Stack):
    """The function behind the API that CloudFront leads to."""

    def __init__(self, scope: Construct, around: Surroundings, api: apigateway.CfnRestApi) -> None:
        settings, places = around.settings, around.places
        super().__init__(scope, settings.stack_id("api"))
        around.function(self, USER_MESSAGES)
        self.users: Final = Users(self, settings, places)
        function = around.function(self, API)
        methods = Methods(
            self,
            api,
            app.routes,
            pool_arn=self.users.pool_arn,
            uri=Fn.join(
                "",
                [
                    f"arn:{self.partition}:apigateway:{self.region}:lambda:path/2015-03-31/functions/",
                    function.function_arn,
                    "/invocations",
                ],
            ),
        )
        lambda_.CfnPermission(
            self,
            "Call",
            action="lambda:InvokeFunction",
            function_name=function.function_arn,
            principal="apigateway.amazonaws.com",
            source_arn=self.format_arn(
                service="execute-api", resource=api.ref, resource_name=f"{API_STAGE}/*/*"
            ),
        )
        self.stage: Final = self._stage(settings, api, methods)
        CfnOutput(self, "UserPoolId", value=self.users.pool_id, description="Of people's log-ins")
        if settings.api.waf:
            self._firewall(settings, api)
        if settings.api.domain is not None:
            self._domain(settings.api.domain, api)

    def _stage(
        self, settings: StageSettings, api: apigateway.CfnRestApi, methods: Methods
    ) -> apigateway.CfnStage:
        log = logs.LogGroup(
            self,
            "AccessLog",
            log_group_name=f"/traksense/{settings.stage}/api-access",
            retention=retention_of(settings.functions.log_retention_days),
            removal_policy=removal(keep=settings.keep_data),
        )
        stage = apigateway.CfnStage(
            self,
            "Stage",
            rest_api_id=api.ref,
            deployment_id=methods.deployment.ref,
            stage_name=API_STAGE,
            access_log_setting=apigateway.CfnStage.AccessLogSettingProperty(
                destination_arn=log.log_group_arn, format=json.dumps(ACCESS_LOG)
            ),
            method_settings=[
                apigateway.CfnStage.MethodSettingProperty(
                    resource_path="/*",
                    http_method="*",
                    metrics_enabled=True,
                    logging_level="ERROR",
                    # What is asked for and answered is nobody's to read in a log.
                    data_trace_enabled=False,
                    throttling_rate_limit=settings.api.requests_per_second,
                    throttling_burst_limit=settings.api.burst,
                )
            ],
        )
        errors = logs.LogGroup(
            self,
            "ErrorLog",
            # Made before API Gateway makes it itself under this name, which would keep it for ever.
            log_group_name=f"API-Gateway-Execution-Logs_{api.ref}/{API_STAGE}",
            retention=retention_of(settings.functions.log_retention_days),
            removal_policy=removal(keep=settings.keep_data),
        )
        stage.node.add_dependency(self._logging(), errors)
        return stage

    def _logging(self) -> apigateway.CfnAccount:
        """API Gateway writes no log before the account names a role for that."""
        role = iam.Role(
            self,
            "Logging",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name(
                    "service-role/AmazonAPIGatewayPushToCloudWatchLogs"
                )
            ],
        )
        account = apigateway.CfnAccount(self, "Account", cloud_watch_role_arn=role.role_arn)
        # The account's, also when this stage goes.
        account.apply_removal_policy(RemovalPolicy.RETAIN)
        role.apply_removal_policy(RemovalPolicy.RETAIN)
        return account

    def _firewall(self, settings: StageSettings, api: apigateway.CfnRestApi) -> None:
        acl = waf.CfnWebACL(
            self,
            "Firewall",
            scope="REGIONAL",
            default_action={"allow": {}},
            visibility_config=_seen(f"traksense-{settings.stage}"),
            rules=[
                _managed(0, "AWSManagedRulesAmazonIpReputationList"),
                _managed(1, "AWSManagedRulesKnownBadInputsRuleSet"),
                {
                    "name": "address",
                    "priority": 2,
                    "action": {"block": {}},
                    "statement": {
                        "rateBasedStatement": {
                            "limit": REQUESTS_OF_AN_ADDRESS,
                            # The peer is CloudFront; the viewer's address stands in the header.
                            "aggregateKeyType": "CUSTOM_KEYS",
                            "customKeys": [
                                {
                                    "header": {
                                        "name": ADDRESS_HEADER,
                                        "textTransformations": [{"priority": 0, "type": "NONE"}],
                                    }
                                }
                            ],
                        }
                    },
                    "visibilityConfig": _seen("address"),
                },
            ],
        )
        bound = waf.CfnWebACLAssociation(
            self,
            "FirewallOfApi",
            web_acl_arn=acl.attr_arn,
            resource_arn=self.format_arn(
                service="apigateway",
                account="",
                resource="/restapis",
                resource_name=f"{api.ref}/stages/{API_STAGE}",
            ),
        )
        bound.node.add_dependency(self.stage)

    def _domain(self, domain: DomainSettings, api: apigateway.CfnRestApi) -> None:
        """A name of the API's own, for machines; what comes by it has to bring the secret too."""
        name = apigateway.DomainName(
            self,
            "Domain",
            domain_name=domain.name,
            certificate=certificates.Certificate.from_certificate_arn(
                self, "Certificate", domain.certificate_arn
            ),
            endpoint_type=apigateway.EndpointType.REGIONAL,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
        )
        mapping = apigateway.CfnBasePathMapping(
            self, "Mapping", domain_name=name.domain_name, rest_api_id=api.ref, stage=API_STAGE
        )
        mapping.node.add_dependency(self.stage)
        if domain.hosted_zone_id is not None:
            zone = route53.HostedZone.from_hosted_zone_attributes(
                self, "Zone", hosted_zone_id=domain.hosted_zone_id, zone_name=domain.name
            )
            route53.ARecord(
                self,
                "Record",
                zone=zone,
                record_name=f"{domain.name}.",
                target=route53.RecordTarget.from_alias(targets.ApiGatewayDomain(name)),
            )


def _managed(priority: int, name: str) -> dict[str, Any]:
    """A group of rules that AWS keeps."""
    return {
        "name": name,
        "priority": priority,
        "overrideAction": {"none": {}},
        "statement": {"managedRuleGroupStatement": {"vendorName": "AWS", "name": name}},
        "visibilityConfig": _seen(name),
    }


def _seen(name: str) -> dict[str, Any]:
    return {
        "cloudWatchMetricsEnabled": True,
        "metricName": name,
        "sampledRequestsEnabled": False,
    }
