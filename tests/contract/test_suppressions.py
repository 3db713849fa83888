"""The list of addresses that get nothing, through the adapter that the platform uses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws.identifiers import CONFIGURATION_SET, SENDER
from tests.contract.emulator import Emulator
from traksense.aws.ses import SesMailer, SesSuppressions
from traksense.i18n.mail import Mail
from traksense.services.export_mail import MailRefused

ANA, BIA = "ana@acme.example", "bia@acme.example"
MAIL = Mail("Subject", "<p>HTML</p>", "Text")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = Emulator.start(tmp_path_factory.mktemp("home"))
    yield emulator
    emulator.stop()


@pytest.fixture
def calls(emulator: Emulator) -> Iterator[Any]:
    client = emulator.client("sesv2")
    yield client
    kept = emulator.home / "aws" / "suppressed.json"
    kept.unlink(missing_ok=True)


def mails(home: Path) -> list[list[str]]:
    found = sorted((home / "aws" / "mail").glob("*.json"))
    return [json.loads(path.read_text("utf-8"))["recipients"] for path in found]


def test_an_address_is_on_the_list_until_it_is_taken_off(emulator: Emulator, calls: Any) -> None:
    found = SesSuppressions("us-east-1", lambda _: calls)
    assert ANA not in found
    calls.put_suppressed_destination(EmailAddress=ANA, Reason="BOUNCE")
    assert ANA in found
    assert BIA not in found
    described = calls.get_suppressed_destination(EmailAddress=ANA)["SuppressedDestination"]
    assert (described["EmailAddress"], described["Reason"]) == (ANA, "BOUNCE")
    assert (emulator.home / "aws" / "suppressed.json").stat().st_mode & 0o077 == 0
    calls.delete_suppressed_destination(EmailAddress=ANA)
    assert ANA not in found
    with pytest.raises(calls.exceptions.NotFoundException):
        calls.delete_suppressed_destination(EmailAddress=ANA)


def test_the_list_is_looked_at_before_a_mail_is_sent(emulator: Emulator, calls: Any) -> None:
    mailer = SesMailer(
        f"TrakSense <{SENDER}>", "us-east-1", CONFIGURATION_SET,
        lambda _: emulator.client("ses"), SesSuppressions("us-east-1", lambda _: calls),
    )  # fmt: skip
    calls.put_suppressed_destination(EmailAddress=ANA, Reason="COMPLAINT")
    before = mails(emulator.home)
    with pytest.raises(MailRefused, match="came back"):
        mailer.send(ANA, MAIL)
    mailer.send(BIA, MAIL)
    assert mails(emulator.home) == [*before, [BIA]]


def test_ses_takes_what_goes_to_a_suppressed_address_and_delivers_none(
    emulator: Emulator, calls: Any
) -> None:
    calls.put_suppressed_destination(EmailAddress=ANA, Reason="BOUNCE")
    before = mails(emulator.home)
    SesMailer(SENDER, "us-east-1", None, lambda _: emulator.client("ses")).send(ANA, MAIL)
    assert mails(emulator.home) == before


def test_the_list_outlives_the_emulator(tmp_path: Path) -> None:
    emulator = Emulator.start(tmp_path)
    try:
        emulator.client("sesv2").put_suppressed_destination(EmailAddress=ANA, Reason="BOUNCE")
        emulator.restart()
        assert ANA in SesSuppressions("us-east-1", lambda _: emulator.client("sesv2"))
    finally:
        emulator.stop()


def test_no_other_call_and_no_nonsense_is_taken(emulator: Emulator, calls: Any) -> None:
    with pytest.raises(ClientError, match="not permitted"):
        calls.list_suppressed_destinations()
    for wrong in ({"EmailAddress": "nobody", "Reason": "BOUNCE"},
                  {"EmailAddress": ANA, "Reason": "WHIM"}):  # fmt: skip
        with pytest.raises(ClientError, match="BadRequest"):
            calls.put_suppressed_destination(**wrong)
    assert ANA not in SesSuppressions("us-east-1", lambda _: calls)
