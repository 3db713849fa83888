"""To whom SES would deliver nothing, nothing is sent."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from traksense.aws.ses import SesMailer, SesSuppressions
from traksense.i18n.mail import Mail
from traksense.services.export_mail import MailAway, MailRefused

REGION = "sa-east-1"
SENDER = "TrakSense <no-reply@traksense.example>"
MAIL = Mail(subject="Pronto", html="<p>Pronto</p>", text="Pronto")


def stubbed(service: str) -> tuple[Any, Stubber]:
    client = boto3.client(
        service, region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret"
    )
    stubber = Stubber(client)
    stubber.activate()
    return client, stubber


def suppressions() -> tuple[SesSuppressions, Stubber]:
    client, stubber = stubbed("sesv2")
    return SesSuppressions(REGION, lambda _: client), stubber


def test_an_address_that_came_back_is_on_the_list() -> None:
    found, answers = suppressions()
    answers.add_response(
        "get_suppressed_destination",
        {
            "SuppressedDestination": {
                "EmailAddress": "ana@acme.example",
                "Reason": "BOUNCE",
                "LastUpdateTime": 1_700_000_000,
            }
        },
        {"EmailAddress": "ana@acme.example"},
    )
    answers.add_client_error("get_suppressed_destination", "NotFoundException")
    assert "ana@acme.example" in found
    assert "bia@globex.example" not in found


def test_a_list_that_cannot_be_read_is_asked_again_later() -> None:
    found, answers = suppressions()
    answers.add_client_error("get_suppressed_destination", "TooManyRequestsException")
    with pytest.raises(MailAway):
        assert "ana@acme.example" in found


def test_nothing_goes_to_a_suppressed_address() -> None:
    client, answers = stubbed("ses")
    mailer = SesMailer(
        SENDER, REGION, "traksense-dev", lambda _: client, suppressed={"ana@acme.example"}
    )
    with pytest.raises(MailRefused):
        mailer.send("ana@acme.example", MAIL)
    answers.add_response("send_raw_email", {"MessageId": "1"})
    mailer.send("bia@globex.example", MAIL)
    answers.assert_no_pending_responses()


NOT_VERIFIED = "Email address is not verified. The following identities failed the check in region"
"""What SES says; the addresses follow."""


@pytest.mark.parametrize(
    ("code", "message", "wanted"),
    [
        ("MessageRejected", f"{NOT_VERIFIED} SA-EAST-1: Ana@acme.example", MailRefused),
        ("InvalidParameterValue", "Domain contains dot-dot", MailRefused),
        # The platform's own address, account or configuration: nothing is wrong with the person's.
        ("MessageRejected", f"{NOT_VERIFIED} SA-EAST-1: no-reply@traksense.example", MailAway),
        (
            "MessageRejected",
            f"{NOT_VERIFIED} SA-EAST-1: no-reply@traksense.example, ana@acme.example",
            MailAway,
        ),
        ("MessageRejected", "Sending suspended for this account.", MailAway),
        ("AccountSendingPausedException", "paused", MailAway),
        ("ConfigurationSetDoesNotExist", "traksense-dev", MailAway),
        ("Throttling", "Maximum sending rate exceeded.", MailAway),
    ],
)
def test_what_is_said_of_the_recipient_is_final_and_nothing_else(
    code: str, message: str, wanted: type[Exception]
) -> None:
    client, answers = stubbed("ses")
    answers.add_client_error("send_raw_email", code, message)
    with pytest.raises(wanted):
        SesMailer(SENDER, REGION, None, lambda _: client).send("ana@acme.example", MAIL)
