"""Being told of money: a budget for the month, and what is unusual in between."""

from __future__ import annotations

import json
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_ce as ce
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra_cdk.settings import OperationsSettings

LEAST_ANOMALY_USD: Final = 20


class Spending(Construct):
    """A budget of the account's month, and a watch for anomalies of the stage's costs."""

    def __init__(
        self, scope: Construct, stage: str, operations: OperationsSettings, topic: sns.ITopic
    ) -> None:
        super().__init__(scope, "Spending")
        self._budget(stage, operations.monthly_budget_usd, topic)
        if operations.cost_anomalies:
            self._anomalies(stage, operations.monthly_budget_usd, topic)
        # Both try whether they may publish, before the topic's policy would let them.
        self.node.add_dependency(topic)

    def _budget(self, stage: str, monthly_usd: int, topic: sns.ITopic) -> None:
        subscribers = [
            budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn)
        ]
        # Of the whole account: by a tag it would count nothing until somebody activated the tag.
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                # An account has its budgets in no region.
                budget_name=f"traksense-{stage}-{Stack.of(self).region}",
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=monthly_usd, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind,
                        comparison_operator="GREATER_THAN",
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=subscribers,
                )
                for kind, percent in (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
            ],
        )

    def _anomalies(self, stage: str, monthly_usd: int, topic: sns.ITopic) -> None:
        # A monitor of services may exist once in an account, and new accounts have one; one of a
        # tag may be made by each stage.
        monitor = ce.CfnAnomalyMonitor(
            self,
            "Monitor",
            monitor_name=f"traksense-{stage}",
            monitor_type="CUSTOM",
            monitor_specification=json.dumps({"Tags": {"Key": "stage", "Values": [stage]}}),
        )
        ce.CfnAnomalySubscription(
            self,
            "Anomalies",
            subscription_name=f"traksense-{stage}",
            frequency="IMMEDIATE",  # which only a topic can take
            monitor_arn_list=[monitor.attr_monitor_arn],
            subscribers=[
                ce.CfnAnomalySubscription.SubscriberProperty(type="SNS", address=topic.topic_arn)
            ],
            threshold_expression=json.dumps(
                {
                    "Dimensions": {
                        "Key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                        "MatchOptions": ["GREATER_THAN_OR_EQUAL"],
                        "Values": [str(max(LEAST_ANOMALY_USD, monthly_usd // 20))],
                    }
                }
            ),
        )
