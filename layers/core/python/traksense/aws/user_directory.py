"""People in the Cognito user pool, as an administrator makes and changes them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from traksense.auth.errors import IdentityProviderAway, Throttled
from traksense.auth.identity import TENANT_CLAIM, Role
from traksense.aws.clients import LazyClient, MakeClient
from traksense.aws.cognito import signed_client
from traksense.services.user_messages import TENANT_METADATA
from traksense.services.users import Person, SomebodyElse, Standing

if TYPE_CHECKING:
    pass

_log = logging.getLogger(__name__)

_INVITED: Final = "FORCE_CHANGE_PASSWORD"
_THROTTLED: Final = frozenset(
    {"TooManyRequestsException", "LimitExceededException", "ThrottlingException"}
)


class CognitoDirectory:
    """Implements ``traksense.services.users.Directory``. Its client is made at the first call."""

    def __init__(
        self,
        pool_id: str,
        region: str,
        make_client: MakeClient | None = None,
    ) -> None:
        self._pool_id = pool_id
        self._client = LazyClient(region, make_client or signed_client)

    def ensure(self, person: Person, *, invite: bool, sign_out: bool) -> Standing:
        """Bring the pool to this. Raises SomebodyElse, Throttled or IdentityProviderAway."""
        found = self._find(person.email)
        if found is None:
            found = self._create(person)
            if found is None:  # somebody was quicker
                return self.ensure(person, invite=invite, sign_out=sign_out)
            invite = False
        known = _attributes_of(found)
        if known.get(TENANT_CLAIM) != str(person.tenant_id):
            raise SomebodyElse
        self._bring_attributes(person, known)
        self._bring_groups(person)
        if found["Enabled"] != person.is_enabled:
            self._call("admin_enable_user" if person.is_enabled else "admin_disable_user", person)
        if sign_out or not person.is_enabled:
            self._call("admin_user_global_sign_out", person)
        is_confirmed = found["UserStatus"] != _INVITED
        if invite and not is_confirmed and person.is_enabled:
            self._call(
                "admin_create_user",
                person,
                MessageAction="RESEND",
                ClientMetadata={TENANT_METADATA: person.tenant_name},
            )
        return Standing(UUID(known["sub"]), is_confirmed)

    def remove(self, email: str, tenant_id: UUID) -> None:
        """Sign out and delete this tenant's person."""
        found = self._find(email)
        if found is None:
            return
        if _attributes_of(found).get(TENANT_CLAIM) != str(tenant_id):
            _log.error("a person of another tenant was not removed", extra={"email": email})
            return
        for operation in ("admin_user_global_sign_out", "admin_delete_user"):
            self._ask(operation, missing_ok=True, Username=email)

    def _find(self, email: str) -> Any:
        return self._ask("admin_get_user", missing_ok=True, Username=email)

    def _create(self, person: Person) -> Any:
        made = self._ask(
            "admin_create_user",
            exists_ok=True,
            Username=person.email,
            DesiredDeliveryMediums=["EMAIL"],
            UserAttributes=_pairs(
                {
                    "email": person.email,
                    "email_verified": "true",
                    "name": person.name,
                    "locale": person.locale,
                    TENANT_CLAIM: str(person.tenant_id),
                }
            ),
            ClientMetadata={TENANT_METADATA: person.tenant_name},
        )
        if made is None:
            return None
        user = made["User"]
        return {**user, "UserAttributes": user["Attributes"]}

    def _bring_attributes(self, person: Person, known: dict[str, str]) -> None:
        wanted = {"name": person.name, "locale": person.locale}
        if different := {key: value for key, value in wanted.items() if known.get(key) != value}:
            self._call("admin_update_user_attributes", person, UserAttributes=_pairs(different))

    def _bring_groups(self, person: Person) -> None:
        """The group of the role, and no other of ours. Joined before another is left: of two
        groups the weaker counts, so that nobody has more rights meanwhile than before or after.
        """
        listed = self._call("admin_list_groups_for_user", person)["Groups"]
        current = {group["GroupName"] for group in listed}
        if person.role not in current:
            self._call("admin_add_user_to_group", person, GroupName=person.role)
        for other in sorted(current & {str(role) for role in Role} - {person.role}):
            self._call("admin_remove_user_from_group", person, GroupName=other)

    def _call(self, operation: str, person: Person, **parameters: Any) -> Any:
        return self._ask(operation, Username=person.email, **parameters)

    def _ask(
        self,
        operation: str,
        *,
        missing_ok: bool = False,
        exists_ok: bool = False,
        **parameters: Any,
    ) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client.get(), operation)(UserPoolId=self._pool_id, **parameters)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if (missing_ok and code == "UserNotFoundException") or (
                exists_ok and code == "UsernameExistsException"
            ):
                return None
            if code in _THROTTLED:
                raise Throttled("the user pool is busy") from error
            _log.error("the user pool refused a call", extra={"code": code, "call": operation})
            raise IdentityProviderAway("the user pool does not answer as it should") from error
        except BotoCoreError as error:
            raise IdentityProviderAway("the user pool cannot be reached") from error


def _pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def _attributes_of(found: Any) -> dict[str, str]:
    return {each["Name"]: each["Value"] for each in found["UserAttributes"]}
