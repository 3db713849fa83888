"""E-mails through SES, as whole messages: HTML, and text for who reads none.

SES keeps the addresses from which an e-mail came back for good, or whose owner complained. It takes
more e-mails for them, and delivers none; so that the platform does not believe that somebody was
told, it looks there first.

Source: Amazon SES API reference, SendRawEmail; API reference v2, GetSuppressedDestination.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any, Final

from traksense.aws.clients import LazyClient, MakeClient, new_client
from traksense.i18n.mail import Mail
from traksense.services.export_mail import MailAway, MailRefused

if TYPE_CHECKING:
    from botocore.client import BaseClient

_POLICY: Final = SMTP.clone(cte_type="7bit")
"""Not every server on the way takes eight bits."""
_NO_ADDRESS: Final = "InvalidParameterValue"
_REJECTED: Final = "MessageRejected"
"""Of whichever addresses its text names: while the account is in the sandbox the recipient's, else
the sender's, which is ours to have verified (Amazon SES developer guide, "Amazon SES email sending
errors")."""


class SesSuppressions:
    """The account's list of addresses that get nothing. Its client is made at the first call."""

    def __init__(self, region: str, make_client: MakeClient | None = None) -> None:
        self._client = LazyClient(region, make_client or suppressions_client)

    def __contains__(self, address: object) -> bool:
        """Whether an address gets nothing. Raises MailAway."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.get().get_suppressed_destination(EmailAddress=str(address))
        except ClientError as error:
            if error.response["Error"]["Code"] == "NotFoundException":
                return False
            raise MailAway(f"SES: {error}") from error
        except BotoCoreError as error:
            raise MailAway(f"SES: {error}") from error
        return True


class SesMailer:
    """Implements ``traksense.services.export_mail.Mailer``."""

    def __init__(
        self,
        sender: str,
        region: str,
        configuration_set: str | None = None,
        make_client: MakeClient | None = None,
        suppressed: Container[str] = frozenset(),
    ) -> None:
        """``sender``: an address, or ``Name <address>``, that SES has verified.

        ``suppressed``: addresses to which nothing goes; to look there may raise MailAway.
        """
        self._sender = sender
        self._configuration_set = configuration_set
        self._suppressed = suppressed
        self._client = LazyClient(region, make_client or ses_client)

    def send(self, to: str, mail: Mail) -> None:
        """Hand an e-mail over for delivery. Raises MailAway or MailRefused."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            message = compose(self._sender, to, mail)
        except ValueError as error:  # no address that can stand in a message
            raise MailRefused(str(error)) from error
        if to in self._suppressed:
            raise MailRefused("e-mails to this address came back, or were complained of")
        given: dict[str, Any] = {"Destinations": [to], "RawMessage": {"Data": message}}
        if self._configuration_set is not None:
            given["ConfigurationSetName"] = self._configuration_set
        try:
            self._client.get().send_raw_email(**given)
        except ClientError as error:
            kind = MailRefused if self._is_about(to, error.response["Error"]) else MailAway
            raise kind(f"SES: {error}") from error
        except BotoCoreError as error:
            raise MailAway(f"SES: {error}") from error

    def _is_about(self, to: str, error: Mapping[str, str]) -> bool:
        """Whether an error will be the same for this recipient however often it comes."""
        if error["Code"] != _REJECTED:
            return error["Code"] == _NO_ADDRESS
        said = error.get("Message", "").lower()
        return to.lower() in said and parseaddr(self._sender)[1].lower() not in said


def compose(sender: str, to: str, mail: Mail) -> bytes:
    """The message as it is sent. Raises ValueError for an address that is none."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = to
    message["Subject"] = mail.subject
    # RFC 3834: nobody's out-of-office notice is wanted.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message.as_bytes()


def ses_client(region: str) -> BaseClient:
    """A boto3 client of SES."""
    return new_client("ses", region, attempts=3)


def suppressions_client(region: str) -> BaseClient:
    """A boto3 client of the part of SES that keeps the list."""
    return new_client("sesv2", region, attempts=3)
