"""E-mails through SES, as whole messages: HTML, and text for who reads none.

Source: Amazon SES API reference, SendRawEmail.
"""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Any, Final

from traksense.aws.clients import LazyClient, MakeClient, new_client
from traksense.i18n.mail import Mail
from traksense.services.export_mail import MailAway, MailRefused

if TYPE_CHECKING:
    from botocore.client import BaseClient

_POLICY: Final = SMTP.clone(cte_type="7bit")
"""Not every server on the way takes eight bits."""
_NEVER: Final = frozenset({"MessageRejected", "InvalidParameterValue"})
"""What SES says of a message that it will not take however often it comes."""


class SesMailer:
    """Implements ``traksense.services.export_mail.Mailer``."""

    def __init__(
        self,
        sender: str,
        region: str,
        configuration_set: str | None = None,
        make_client: MakeClient | None = None,
    ) -> None:
        """``sender``: an address, or ``Name <address>``, that SES has verified."""
        self._sender = sender
        self._configuration_set = configuration_set
        self._client = LazyClient(region, make_client or ses_client)

    def send(self, to: str, mail: Mail) -> None:
        """Hand an e-mail over for delivery. Raises MailAway or MailRefused."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            message = compose(self._sender, to, mail)
        except ValueError as error:  # no address that can stand in a message
            raise MailRefused(str(error)) from error
        given: dict[str, Any] = {"Destinations": [to], "RawMessage": {"Data": message}}
        if self._configuration_set is not None:
            given["ConfigurationSetName"] = self._configuration_set
        try:
            self._client.get().send_raw_email(**given)
        except ClientError as error:
            kind = MailRefused if error.response["Error"]["Code"] in _NEVER else MailAway
            raise kind(f"SES: {error}") from error
        except BotoCoreError as error:
            raise MailAway(f"SES: {error}") from error


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
