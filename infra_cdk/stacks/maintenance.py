"""What runs by the clock, and the bucket of tombstones that only it writes."""

from __future__ import annotations

import json
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from infra_cdk.constructs.bucket import bucket_of
from infra_cdk.constructs.names import pascal
from infra_cdk.constructs.surroundings import Surroundings
from traksense.contracts.buckets import TOMBSTONES
from traksense.contracts.functions import FUNCTIONS
from traksense.contracts.schedules import SCHEDULES

LEAST_EVENT_AGE_S: Final = 60
"""EventBridge Scheduler holds a call no shorter; the next one does its work as well."""


class MaintenanceStack(Stack):
    """The functions that schedules call; they reach into what all other stacks made."""

    def __init__(self, scope: Construct, around: Surroundings) -> None:
        settings, places = around.settings, around.places
        super().__init__(scope, settings.stack_id("maintenance"))
        # Read after the database was restored, to erase again what came back with it.
        self.tombstones: Final = bucket_of(self, "Tombstones", TOMBSTONES, keep=settings.keep_data)
        places.tombstones_bucket = self.tombstones
        functions = {
            function.name: around.function(self, function)
            for function in FUNCTIONS
            if function.trigger == "schedule"
        }
        role = iam.Role(
            self,
            "Clock",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            ),
            description="Calls what runs by the clock",
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["lambda:InvokeFunction"],
                resources=[function.function_arn for function in functions.values()],
            )
        )
        group = scheduler.CfnScheduleGroup(self, "Group", name=f"traksense-{settings.stage}")
        for schedule in SCHEDULES:
            unit = "minute" if schedule.rate_minutes == 1 else "minutes"
            made = scheduler.CfnSchedule(
                self,
                pascal(schedule.name),
                name=schedule.name,
                group_name=group.name,
                schedule_expression=f"rate({schedule.rate_minutes} {unit})",
                flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
                target=scheduler.CfnSchedule.TargetProperty(
                    arn=functions[schedule.function].function_arn,
                    role_arn=role.role_arn,
                    input=json.dumps(schedule.payload),
                    retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                        maximum_event_age_in_seconds=LEAST_EVENT_AGE_S, maximum_retry_attempts=0
                    ),
                ),
            )
            made.node.add_dependency(group)
