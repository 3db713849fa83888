"""Who calls: an identity made from the claims of a verified ID token. Pure.

The token's signature, issuer, audience and expiry were checked before: by API Gateway's Cognito
authorizer in AWS, by the local gateway on one machine.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from traksense.contracts.user_pool import TENANT_ATTRIBUTE
from traksense.domain.errors import Forbidden

TENANT_CLAIM: Final = TENANT_ATTRIBUTE
GROUPS_CLAIM: Final = "cognito:groups"


class Role(StrEnum):
    """A group of the user pool."""

    INTERNAL_OPS = "internal_ops"
    CUSTOMER_ADMIN = "customer_admin"
    VIEWER = "viewer"


_WEAKEST_FIRST: Final = (Role.VIEWER, Role.CUSTOMER_ADMIN, Role.INTERNAL_OPS)


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller of a request. ``tenant_id`` is None for ``internal_ops`` and for no other."""

    user_id: str
    email: str
    role: Role
    tenant_id: UUID | None


def identity_from_claims(claims: Mapping[str, Any]) -> Identity:
    """Read the claims as API Gateway hands them over: every value may have become a string.

    Of several groups the weakest counts: a forgotten membership then takes rights away and never
    gives any. Groups that are none of ours are ignored. Raises Forbidden where no role, no subject
    or, for a customer, no tenant can be read, and for a token that is no ID token.
    """
    if claims.get("token_use", "id") != "id":
        raise Forbidden("an ID token is needed")
    user_id = claims.get("sub")
    if not isinstance(user_id, str) or not user_id:
        raise Forbidden("the token names no user")
    groups = _groups(claims.get(GROUPS_CLAIM))
    role = next((role for role in _WEAKEST_FIRST if role in groups), None)
    if role is None:
        raise Forbidden("the user is in none of the platform's groups")
    email = claims.get("email")
    return Identity(
        user_id=user_id,
        email=email if isinstance(email, str) else "",
        role=role,
        tenant_id=None if role is Role.INTERNAL_OPS else _tenant(claims.get(TENANT_CLAIM)),
    )


def claims_of(token: str) -> Mapping[str, Any]:
    """The claims of a token that comes straight from the user pool: nothing is verified.

    Raises ValueError for what is no token (RFC 7519: three parts, the second is JSON).
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("no token")
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if not isinstance(claims, dict):
        raise ValueError("no token")  # noqa: TRY004 - the caller knows one error
    return claims


def _groups(claim: object) -> frozenset[str]:
    """A list in the token; API Gateway joins it with commas (HTTP APIs: ``[a b]``)."""
    if isinstance(claim, str):
        return frozenset(part for part in re.split(r"[,\s\[\]]+", claim) if part)
    if isinstance(claim, list | tuple):
        return frozenset(part for part in claim if isinstance(part, str))
    return frozenset()


def _tenant(claim: object) -> UUID:
    if not isinstance(claim, str) or not claim:
        raise Forbidden("the user belongs to no tenant")
    try:
        return UUID(claim)
    except ValueError:
        raise Forbidden("the user's tenant is malformed") from None
