"""The pool's e-mails: worded by the platform's own function, sent through the local SES."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from typing import Any, Final

from moto.cognitoidp.models import CognitoIdpUser, UserStatus
from moto.core.exceptions import JsonRESTError

from local.lambda_context import LambdaContext
from traksense.contracts.functions import USER_MESSAGES
from traksense.services.user_messages import FORGOTTEN, INVITATION

from .identifiers import REGION
from .plain_text import plain_text

CUSTOM_MESSAGE: Final = "CustomMessage"
"""The trigger that words a message; the only one that the local pool calls."""
CODE_PLACE: Final = "{####}"
USER_PLACE: Final = "{username}"

Trigger = Callable[[dict[str, Any], object], dict[str, Any]]
Send = Callable[[EmailMessage], None]
"""The local SES: takes a whole message."""


class CodeDeliveryFailure(JsonRESTError):
    """The trigger gave nothing that can be sent."""

    def __init__(self) -> None:
        super().__init__("UserLambdaValidationException", "CustomMessage failed with an error.")


class PoolMail:
    """Sends what the pool has to say to a user, in the trigger's words."""

    def __init__(self, pool_id: str, sender: str, trigger: Trigger, send: Send) -> None:
        self._pool_id = pool_id
        self._sender = sender
        self._trigger = trigger
        self._send = send

    def invite(self, user: CognitoIdpUser, password: str, metadata: Mapping[str, str]) -> None:
        """Mail a temporary password."""
        self._mail(INVITATION, user, password, metadata, "CLIENT_ID_NOT_APPLICABLE")

    def send_code(
        self, user: CognitoIdpUser, code: str, metadata: Mapping[str, str], client_id: str
    ) -> None:
        """Mail a code for a new password."""
        self._mail(FORGOTTEN, user, code, metadata, client_id)

    def _mail(
        self,
        source: str,
        user: CognitoIdpUser,
        secret: str,
        metadata: Mapping[str, str],
        client_id: str,
    ) -> None:
        address = user.attribute_lookup["email"]
        status = UserStatus(user.status).value
        event = {
            "version": "1",
            "region": REGION,
            "userPoolId": self._pool_id,
            "userName": user.username,
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": client_id},
            "triggerSource": source,
            "request": {
                "userAttributes": {**user.attribute_lookup, "cognito:user_status": status},
                "codeParameter": CODE_PLACE,
                "usernameParameter": USER_PLACE if source == INVITATION else None,
                "clientMetadata": dict(metadata),
            },
            "response": {"smsMessage": None, "emailMessage": None, "emailSubject": None},
        }
        context = LambdaContext(
            USER_MESSAGES.name, USER_MESSAGES.timeout_s, aws_request_id=secrets.token_hex(16)
        )
        answer = self._trigger(event, context)["response"]
        html, subject = answer["emailMessage"], answer["emailSubject"]
        if not html or not subject or CODE_PLACE not in html:
            raise CodeDeliveryFailure
        html = html.replace(CODE_PLACE, secret).replace(USER_PLACE, address)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, address, subject
        # Cognito sends the HTML alone; the text part is for whoever reads mail without it here.
        message.set_content(plain_text(html))
        message.add_alternative(html, subtype="html")
        self._send(message)
