"""Watching a stage: alarms that reach a person, a dashboard, and a watch over the money."""

from __future__ import annotations

from typing import Final

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra_cdk.operations.alarms import AlarmSpec, alarms
from infra_cdk.operations.dashboard import rows
from infra_cdk.operations.spending import Spending
from infra_cdk.operations.watched import Watched
from infra_cdk.settings import StageSettings

RUNBOOKS: Final = "docs/howto/alarms"

TELLS: Final = ("budgets.amazonaws.com", "cloudwatch.amazonaws.com", "costalerts.amazonaws.com")
"""Services that publish to the topic."""


class OperationsStack(Stack):
    """Everything that looks at the other stacks and that none of them knows of."""

    def __init__(self, scope: Construct, settings: StageSettings, watched: Watched) -> None:
        super().__init__(scope, settings.stack_id("operations"))
        self.topic: Final = self._topic(settings)
        action = actions.SnsAction(self.topic)
        self.alarms: Final = [self._alarm(settings, each, action) for each in alarms(watched)]
        dashboard = cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=f"traksense-{settings.stage}-{self.region}"
        )
        for row in rows(watched, self.alarms):
            dashboard.add_widgets(*row)
        Spending(self, settings.stage, settings.operations, self.topic)

    def _topic(self, settings: StageSettings) -> sns.Topic:
        # A key of its own: AWS' key for SNS lets no alarm publish.
        key = kms.Key(
            self,
            "Key",
            description=f"TrakSense {settings.stage}: the topic of alarms",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        topic = sns.Topic(
            self,
            "Alarms",
            topic_name=f"traksense-{settings.stage}-alarms",
            display_name=f"TrakSense {settings.stage}",
            master_key=key,
            enforce_ssl=True,
        )
        from_here = {"StringEquals": {"aws:SourceAccount": self.account}}
        for service in TELLS:
            principal = iam.ServicePrincipal(service)
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[principal],
                    actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                    resources=["*"],  # of a key's policy: the key itself
                    conditions=from_here,
                )
            )
            topic.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[principal],
                    actions=["sns:Publish"],
                    resources=[topic.topic_arn],
                    conditions=from_here,
                )
            )
        if settings.operations.alarm_email is not None:
            topic.add_subscription(subscriptions.EmailSubscription(settings.operations.alarm_email))
        return topic

    def _alarm(
        self, settings: StageSettings, spec: AlarmSpec, action: actions.SnsAction
    ) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            _pascal(spec.name),
            alarm_name=f"traksense-{settings.stage}-{spec.name}",
            alarm_description=f"{spec.says} What to do: {RUNBOOKS}/{spec.runbook}.md",
            metric=spec.metric,
            threshold=spec.threshold,
            comparison_operator=spec.comparison,
            evaluation_periods=spec.periods,
            treat_missing_data=cloudwatch.TreatMissingData(_MISSING[spec.missing]),
        )
        alarm.add_alarm_action(action)
        alarm.add_ok_action(action)
        return alarm


_MISSING: Final = {
    "notBreaching": cloudwatch.TreatMissingData.NOT_BREACHING,
    "breaching": cloudwatch.TreatMissingData.BREACHING,
    "ignore": cloudwatch.TreatMissingData.IGNORE,
}


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.replace("_", "-").split("-"))
