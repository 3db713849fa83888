"""Exports: the bucket of their files, the steps, the state machine that calls them, the e-mails."""

from __future__ import annotations

from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from infra_cdk.constructs.bucket import bucket_of
from infra_cdk.constructs.function import retention_of
from infra_cdk.constructs.mail import Mail
from infra_cdk.constructs.removal import removal
from infra_cdk.constructs.surroundings import Surroundings
from infra_cdk.packaging.targets import ROOT
from infra_cdk.settings import StageSettings
from traksense.contracts.buckets import EXPORTS
from traksense.contracts.functions import FUNCTIONS
from traksense.contracts.state_machines import EXPORT

LOG_DELIVERY: Final = (
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)
"""What Step Functions asks of a role whose executions are logged; tied to no resource (AWS Step
Functions developer guide, "Logging in CloudWatch Logs")."""


class ExportsStack(Stack):
    """The state machine is the file that the local platform runs too."""

    def __init__(self, scope: Construct, around: Surroundings) -> None:
        settings, places = around.settings, around.places
        super().__init__(scope, settings.stack_id("exports"))
        self.mail: Final = Mail(self, settings, places)
        # Whoever has no file any more can ask for it again.
        self.bucket: Final = bucket_of(self, "Files", EXPORTS, keep=False)
        places.exports_bucket = self.bucket
        arns = {
            function.name: around.function(self, function).function_arn
            for function in FUNCTIONS
            if function.trigger == "state_machine"
        }
        role = iam.Role(
            self,
            "Machine",
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            ),
            description="Calls the steps of exports",
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["lambda:InvokeFunction"],
                resources=[arns[name] for name in EXPORT.tokens.values()],
            )
        )
        role.add_to_policy(iam.PolicyStatement(actions=list(LOG_DELIVERY), resources=["*"]))
        self.machine: Final = stepfunctions.CfnStateMachine(
            self,
            "Exports",
            state_machine_name=f"{EXPORT.name}-{settings.stage}",
            role_arn=role.role_arn,
            definition_string=(ROOT / EXPORT.definition).read_text("utf-8"),
            definition_substitutions={
                token: arns[function] for token, function in EXPORT.tokens.items()
            },
            logging_configuration=stepfunctions.CfnStateMachine.LoggingConfigurationProperty(
                level="ERROR",
                include_execution_data=False,
                destinations=[
                    stepfunctions.CfnStateMachine.LogDestinationProperty(
                        cloud_watch_logs_log_group=(
                            stepfunctions.CfnStateMachine.CloudWatchLogsLogGroupProperty(
                                log_group_arn=self._log(settings).log_group_arn
                            )
                        )
                    )
                ],
            ),
        )
        # It tries the role when it is made, before its policy would be attached.
        self.machine.node.add_dependency(role)
        places.export_state_machine_arn = self.machine.attr_arn

    def _log(self, settings: StageSettings) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            "MachineLog",
            # Under this name no resource policy has to list it (its size is limited).
            log_group_name=f"/aws/vendedlogs/states/traksense-{settings.stage}-export",
            retention=retention_of(settings.functions.log_retention_days),
            removal_policy=removal(keep=settings.keep_data),
        )
