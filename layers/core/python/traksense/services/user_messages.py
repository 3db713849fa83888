"""What the user pool mails to people: invitations and codes for a new password. Pure.

Cognito asks for the wording before it sends (CustomMessage), and puts the temporary password or
the code in the place that it names; neither ever passes through here. Source: Amazon Cognito
developer guide, "Custom message Lambda trigger".
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any, Final, cast

from traksense.contracts.user_pool import USER_POOL
from traksense.i18n.catalogue import DEFAULT_LOCALE, LOCALES, Locale
from traksense.i18n.mail import Fact, Mail, compose

INVITATION: Final = "CustomMessage_AdminCreateUser"
FORGOTTEN: Final = "CustomMessage_ForgotPassword"
TENANT_METADATA: Final = "tenant"
"""In an invitation's ClientMetadata: the name of the tenant. Only administrators send those."""

_LONGEST_NAME: Final = 100


class UserMessages:
    """The wording of what the pool mails."""

    def __init__(self, web_url: str) -> None:
        """``web_url`` is where the page is."""
        self._url = f"{web_url}/"

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """The trigger's event with the e-mail in its response.

        A message that has no wording of ours keeps Cognito's.
        """
        request = event["request"]
        source = event["triggerSource"]
        if source == INVITATION:
            mail = self._invitation(request)
        elif source == FORGOTTEN:
            mail = self._forgotten(request)
        else:
            return event
        event["response"]["emailSubject"] = mail.subject
        event["response"]["emailMessage"] = mail.html
        return event

    def _invitation(self, request: Mapping[str, Any]) -> Mail:
        tenant = str((request.get("clientMetadata") or {}).get(TENANT_METADATA, "")).strip()
        return compose(
            _locale(request),
            "invitation",
            name=_name(request),
            url=self._url,
            lead="tenant" if tenant else "lead",
            facts=(
                Fact("user", html.escape(str(request["usernameParameter"]))),
                Fact("password", html.escape(str(request["codeParameter"]))),
            ),
            params={
                "tenant": tenant[:_LONGEST_NAME],
                "days": USER_POOL.password.temporary_days,
            },
        )

    def _forgotten(self, request: Mapping[str, Any]) -> Mail:
        # Anybody may ask Cognito for this e-mail, with any ClientMetadata: none of it is shown.
        return compose(
            _locale(request),
            "reset",
            name=_name(request),
            url=self._url,
            facts=(Fact("code", html.escape(str(request["codeParameter"])), "28px"),),
        )


def _name(request: Mapping[str, Any]) -> str:
    return str(request["userAttributes"].get("name", ""))[:_LONGEST_NAME]


def _locale(request: Mapping[str, Any]) -> Locale:
    said = request["userAttributes"].get("locale")
    return cast(Locale, said) if said in LOCALES else DEFAULT_LOCALE
