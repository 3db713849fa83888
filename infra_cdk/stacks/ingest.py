"""From the devices to the database: IoT Core's rules, the queues, and the functions behind them."""

from __future__ import annotations

import json
from typing import Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra_cdk.constructs.bucket import private_bucket
from infra_cdk.constructs.names import pascal
from infra_cdk.constructs.surroundings import Surroundings
from infra_cdk.permissions import statements_of
from traksense.contracts import things, uses
from traksense.contracts.functions import function_of
from traksense.contracts.queues import QUEUES, REDRIVE_HOURS, Queue
from traksense.contracts.rules import RULES, SQL_VERSION, TELEMETRY, Rule

REFUSED_DAYS: Final = 30
"""How long a message stays that a rule could not hand to its queue."""
REFUSED_KEY: Final = "rules/${timestamp()}-${newuuid()}.json"
"""Of such a message; IoT Core puts its payload in base64, the rule and the reason into it."""

FED_BY_A_QUEUE: Final = ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
"""What Lambda does at a queue with the role of the function that it feeds (AWS Lambda developer
guide, "Using Lambda with Amazon SQS", permissions of the execution role)."""


class IngestStack(Stack):
    """Device policies, a rule for each topic filter, a queue and a function behind it.

    What IoT Core knows by name is an account's and a region's: one stage in each.
    """

    def __init__(self, scope: Construct, around: Surroundings) -> None:
        settings = around.settings
        super().__init__(scope, settings.stack_id("ingest"))
        self.refused: Final = private_bucket(
            self, "RefusedMessages", keep=settings.keep_data, expire_days=REFUSED_DAYS
        )
        for queue in QUEUES:
            self._queue(queue, around)
        for queue in QUEUES:
            self._feed(queue, around)
        to_queues = self._broker_role(around)
        for rule in RULES:
            self._rule(rule, around, to_queues)
        self._redrive(around)
        self._devices(around)
        self._provisioning(around)

    def _queue(self, queue: Queue, around: Surroundings) -> None:
        stage = around.settings.stage
        dead = sqs.Queue(
            self,
            f"{pascal(queue.name)}DeadLetters",
            queue_name=f"traksense-{stage}-{queue.dead_letter_name}",
            retention_period=Duration.seconds(queue.retention_s),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        around.places.dead_letter_queues[queue.name] = dead
        around.places.queues[queue.name] = sqs.Queue(
            self,
            f"{pascal(queue.name)}Queue",
            queue_name=f"traksense-{stage}-{queue.name}",
            visibility_timeout=Duration.seconds(queue.visibility_s),
            retention_period=Duration.seconds(queue.retention_s),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=queue.max_receives),
        )

    def _feed(self, queue: Queue, around: Surroundings) -> None:
        """The function of a queue, called with its batches."""
        contract = function_of(queue.function)
        batching = queue.batching[around.settings.ingest.batching]
        function = around.function(self, contract)
        arn = around.places.queues[queue.name].queue_arn
        # Not by an SqsEventSource, which allows more than that.
        function.add_to_role_policy(
            iam.PolicyStatement(actions=list(FED_BY_A_QUEUE), resources=[arn])
        )
        function.add_event_source_mapping(
            "Queue",
            event_source_arn=arn,
            batch_size=batching.size,
            max_batching_window=Duration.seconds(batching.window_s),
            max_concurrency=queue.max_concurrency,
            report_batch_item_failures=True,
        )

    def _redrive(self, around: Surroundings) -> None:
        """Once a day each dead-letter queue is handed back to its queue, by SQS itself (ADR 31)."""
        queues, dead = around.places.queues, around.places.dead_letter_queues
        role = iam.Role(
            self,
            "Redrive",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            ),
            description="Hands dead-letter queues back to their queues",
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes",
                    "sqs:ReceiveMessage",
                    "sqs:StartMessageMoveTask",
                ],
                resources=[queue.queue_arn for queue in dead.values()],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["sqs:SendMessage"],
                resources=[queue.queue_arn for queue in queues.values()],
            )
        )
        for name, queue in dead.items():
            made = scheduler.CfnSchedule(
                self,
                f"{pascal(name)}Redrive",
                name=f"traksense-{around.settings.stage}-{name}-redrive",
                schedule_expression=f"rate({REDRIVE_HOURS} hours)",
                flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
                target=scheduler.CfnSchedule.TargetProperty(
                    arn=f"arn:{self.partition}:scheduler:::aws-sdk:sqs:startMessageMoveTask",
                    role_arn=role.role_arn,
                    input=self.to_json_string({"SourceArn": queue.queue_arn}),
                    retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                        maximum_event_age_in_seconds=3600, maximum_retry_attempts=3
                    ),
                ),
            )
            made.node.add_dependency(role)

    def _broker_role(self, around: Surroundings) -> iam.Role:
        """What IoT Core's rules act as: into our queues, and beside them where that fails."""
        role = iam.Role(
            self,
            "Rules",
            assumed_by=iam.ServicePrincipal(
                "iot.amazonaws.com",
                # Nobody else's rules (AWS IoT developer guide, "Cross-service confused deputy").
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            ),
            description="What the topic rules of TrakSense may do",
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["sqs:SendMessage"],
                resources=[queue.queue_arn for queue in around.places.queues.values()],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:PutObject"], resources=[self.refused.arn_for_objects("rules/*")]
            )
        )
        return role

    def _rule(self, rule: Rule, around: Surroundings, role: iam.Role) -> None:
        made = iot.CfnTopicRule(
            self,
            f"Rule{pascal(rule.name)}",
            rule_name=rule_name(around.settings.stage, rule),
            topic_rule_payload=iot.CfnTopicRule.TopicRulePayloadProperty(
                sql=rule.sql,
                aws_iot_sql_version=SQL_VERSION,
                actions=[
                    iot.CfnTopicRule.ActionProperty(
                        sqs=iot.CfnTopicRule.SqsActionProperty(
                            queue_url=around.places.queues[rule.queue.name].queue_url,
                            role_arn=role.role_arn,
                            use_base64=False,
                        )
                    )
                ],
                error_action=iot.CfnTopicRule.ActionProperty(
                    s3=iot.CfnTopicRule.S3ActionProperty(
                        bucket_name=self.refused.bucket_name,
                        key=REFUSED_KEY,
                        role_arn=role.role_arn,
                    )
                ),
            ),
        )
        # IoT Core tries the role at once, before its policy would be attached.
        made.node.add_dependency(role)

    def _devices(self, around: Surroundings) -> None:
        """What certificates get in with; the API makes them, and things, one by one."""
        iot.CfnThingType(
            self,
            "ThingType",
            thing_type_name=things.THING_TYPE,
            thing_type_properties=iot.CfnThingType.ThingTypePropertiesProperty(
                searchable_attributes=list(things.SEARCHABLE)
            ),
        )
        straight = (
            rule_name(around.settings.stage, TELEMETRY)
            if around.settings.ingest.basic_ingest
            else None
        )
        for name, document in things.policies(straight).items():
            iot.CfnPolicy(
                self,
                f"Policy{pascal(name)}",
                policy_name=name,
                policy_document=json.loads(document),
            )

    def _provisioning(self, around: Surroundings) -> None:
        """For people and tools of this account that give devices their certificates beside the API.

        Whom the account lets take it on, with a second factor.
        """
        role = iam.Role(
            self,
            "Provisioning",
            # An account has its roles in no region: the same stage may be in a second one.
            role_name=f"traksense-{around.settings.stage}-provisioning-{self.region}",
            assumed_by=iam.AccountRootPrincipal().with_conditions(
                {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
            ),
            description="Makes things and certificates of devices",
        )
        for statement in statements_of(uses.LET_DEVICES_IN, self, around.places):
            role.add_to_policy(statement)


def rule_name(stage: str, rule: Rule) -> str:
    """Of a topic rule, which knows no hyphens."""
    return f"traksense_{stage}_{rule.name}"
