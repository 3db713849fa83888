"""Exports and e-mails in a template."""

from __future__ import annotations

import json
from typing import Any

from tests.infra.stages import of_type
from traksense.domain.exports import KEEP

Templates = dict[str, dict[str, Any]]


def test_files_are_encrypted_private_and_gone_after_their_time(prod: Templates) -> None:
    (bucket,) = of_type(prod["exports"], "AWS::S3::Bucket").values()
    properties = bucket["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketEncryption" in properties
    (rule,) = properties["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] > KEEP.days
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert '"aws:SecureTransport": "false"' in json.dumps(
        of_type(prod["exports"], "AWS::S3::BucketPolicy")
    )


def test_the_machine_may_call_its_steps_and_nothing_else(prod: Templates) -> None:
    template = prod["exports"]
    (machine,) = of_type(template, "AWS::StepFunctions::StateMachine").values()
    role = machine["Properties"]["RoleArn"]["Fn::GetAtt"][0]
    (policy,) = [
        each["Properties"]["PolicyDocument"]["Statement"]
        for each in of_type(template, "AWS::IAM::Policy").values()
        if each["Properties"]["Roles"] == [{"Ref": role}]
    ]
    calls = [each for each in policy if each["Action"] == "lambda:InvokeFunction"]
    assert len(calls) == 1
    assert {each["Fn::GetAtt"][0] for each in calls[0]["Resource"]} == {
        name
        for name, each in of_type(template, "AWS::Lambda::Function").items()
        if "FunctionName" in each["Properties"]  # the CDK's own has none
    }
    assert machine["Properties"]["LoggingConfiguration"]["IncludeExecutionData"] is False


def test_who_bounced_or_complained_gets_nothing_more_and_people_are_told(prod: Templates) -> None:
    template = prod["exports"]
    (chosen,) = of_type(template, "AWS::SES::ConfigurationSet").values()
    properties = chosen["Properties"]
    assert sorted(properties["SuppressionOptions"]["SuppressedReasons"]) == ["BOUNCE", "COMPLAINT"]
    assert properties["DeliveryOptions"]["TlsPolicy"] == "REQUIRE"
    (destination,) = of_type(template, "AWS::SES::ConfigurationSetEventDestination").values()
    events = destination["Properties"]["EventDestination"]["MatchingEventTypes"]
    assert sorted(events) == ["bounce", "complaint", "reject"]
    (topic,) = of_type(template, "AWS::SNS::Topic")
    (subscription,) = of_type(template, "AWS::SNS::Subscription").values()
    assert subscription["Properties"]["TopicArn"] == {"Ref": topic}
    assert subscription["Properties"]["Endpoint"] == "operations@traksense.example"


def test_ses_and_nobody_else_may_tell_the_topic_what_came_back(prod: Templates) -> None:
    template = prod["exports"]
    (topic,) = of_type(template, "AWS::SNS::Topic")
    (destination,) = of_type(template, "AWS::SES::ConfigurationSetEventDestination").values()
    told = destination["Properties"]["EventDestination"]
    assert (told["Enabled"], told["SnsDestination"]) == (True, {"TopicARN": {"Ref": topic}})
    (policy,) = of_type(template, "AWS::SNS::TopicPolicy").values()
    assert policy["Properties"]["Topics"] == [{"Ref": topic}]
    allowed = [
        each
        for each in policy["Properties"]["PolicyDocument"]["Statement"]
        if each["Effect"] == "Allow"
    ]
    assert [(each["Principal"], each["Action"]) for each in allowed] == [
        ({"Service": "ses.amazonaws.com"}, "sns:Publish")
    ]
    (chosen,) = of_type(template, "AWS::SES::ConfigurationSet")
    only = allowed[0]["Condition"]["StringEquals"]
    assert only["AWS:SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert only["AWS:SourceArn"]["Fn::Join"][1][-2:] == [":configuration-set/", {"Ref": chosen}]


def test_functions_that_mail_send_with_the_set_and_look_at_the_list(prod: Templates) -> None:
    template = prod["exports"]
    (chosen,) = of_type(template, "AWS::SES::ConfigurationSet")
    for name in ("export-notify", "export-fail"):
        (function,) = [
            each["Properties"]
            for each in of_type(template, "AWS::Lambda::Function").values()
            if each["Properties"].get("FunctionName") == f"traksense-prod-{name}"
        ]
        variables = function["Environment"]["Variables"]
        assert variables["TRAKSENSE_MAIL_CONFIGURATION_SET"] == {"Ref": chosen}
        role = function["Role"]["Fn::GetAtt"][0]
        (policy,) = [
            json.dumps(each["Properties"]["PolicyDocument"])
            for each in of_type(template, "AWS::IAM::Policy").values()
            if {"Ref": role} in each["Properties"]["Roles"]
        ]
        assert "ses:GetSuppressedDestination" in policy
        assert "ses:SendRawEmail" in policy


def test_tombstones_are_kept_in_every_version(prod: Templates) -> None:
    (bucket,) = of_type(prod["maintenance"], "AWS::S3::Bucket").values()
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
