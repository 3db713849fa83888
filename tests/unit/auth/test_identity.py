from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from traksense.auth.identity import Identity, Role, identity_from_claims
from traksense.domain.errors import Forbidden

TENANT = UUID("7b0c7a52-0a52-4a6e-9d0e-111111111111")


def claims(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "sub": "u-1",
        "email": "ana@acme.example",
        "token_use": "id",
        "cognito:groups": "viewer",
        "custom:tenant_id": str(TENANT),
    }
    merged = base | changes
    return {name: value for name, value in merged.items() if value is not None}


def groups(value: Any) -> dict[str, Any]:
    return claims(**{"cognito:groups": value})


def test_a_customers_identity_has_its_tenant() -> None:
    identity = identity_from_claims(claims())
    assert identity == Identity("u-1", "ana@acme.example", Role.VIEWER, TENANT)


@pytest.mark.parametrize(
    ("value", "role"),
    [
        ("customer_admin", Role.CUSTOMER_ADMIN),
        (["customer_admin"], Role.CUSTOMER_ADMIN),
        (("internal_ops",), Role.INTERNAL_OPS),
        ("[customer_admin]", Role.CUSTOMER_ADMIN),
        ("us-east-1_Google,customer_admin", Role.CUSTOMER_ADMIN),
        (["us-east-1_Google", "viewer"], Role.VIEWER),
    ],
)
def test_groups_are_read_however_they_were_carried(value: Any, role: Role) -> None:
    assert identity_from_claims(groups(value)).role is role


@pytest.mark.parametrize(
    "value",
    [
        "internal_ops,viewer",
        "viewer,internal_ops",
        "[internal_ops viewer]",
        ["customer_admin", "viewer"],
    ],
)
def test_of_several_groups_the_weakest_counts(value: Any) -> None:
    identity = identity_from_claims(groups(value))
    assert identity.role is Role.VIEWER
    assert identity.tenant_id == TENANT


def test_operators_belong_to_no_tenant_whatever_the_token_says() -> None:
    assert identity_from_claims(groups("internal_ops")).tenant_id is None


@pytest.mark.parametrize(
    "value", [None, "", [], "admins", "INTERNAL_OPS", "internal_ops_not", {"internal_ops": 1}, 7]
)
def test_a_user_of_no_known_group_may_nothing(value: Any) -> None:
    with pytest.raises(Forbidden):
        identity_from_claims(groups(value))


@pytest.mark.parametrize("tenant", [None, "", "acme", 7, ["x"], f"{TENANT} or true"])
def test_a_customer_without_a_readable_tenant_may_nothing(tenant: Any) -> None:
    with pytest.raises(Forbidden):
        identity_from_claims(claims(**{"custom:tenant_id": tenant}))


@pytest.mark.parametrize("changes", [{"sub": None}, {"sub": ""}, {"token_use": "access"}])
def test_a_token_that_names_no_user_or_is_no_id_token_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Forbidden):
        identity_from_claims(claims(**changes))
