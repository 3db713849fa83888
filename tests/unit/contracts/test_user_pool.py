"""The user pool as data: nobody gives herself a tenant, nobody signs up."""

from __future__ import annotations

from traksense.auth.identity import TENANT_CLAIM, Role
from traksense.contracts.functions import FUNCTIONS
from traksense.contracts.user_pool import (
    TENANT_ATTRIBUTE,
    USER_POOL,
    attribute_parameters,
    client_parameters,
    pool_parameters,
)


def test_no_client_may_write_the_tenant() -> None:
    written = client_parameters(USER_POOL.client)["WriteAttributes"]
    assert TENANT_CLAIM == TENANT_ATTRIBUTE
    assert TENANT_ATTRIBUTE not in written
    assert not {"email", "email_verified"} & set(written)


def test_nobody_signs_up_and_nobody_learns_who_has_an_account() -> None:
    assert pool_parameters(USER_POOL)["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert client_parameters(USER_POOL.client)["PreventUserExistenceErrors"] == "ENABLED"
    assert not client_parameters(USER_POOL.client)["GenerateSecret"]


def test_the_groups_are_the_roles_the_strongest_first() -> None:
    assert [group.name for group in USER_POOL.groups] == [str(role) for role in Role]


def test_the_tenant_is_the_one_attribute_of_ours() -> None:
    (attribute,) = attribute_parameters(USER_POOL)
    assert attribute["Name"] == "tenant_id"
    assert attribute["StringAttributeConstraints"] == {"MinLength": "36", "MaxLength": "36"}


def test_each_trigger_calls_a_function_that_is_made_for_it() -> None:
    functions = {function.name: function for function in FUNCTIONS}
    for name in USER_POOL.triggers.values():
        assert functions[name].trigger == "user_pool"
        assert functions[name].timeout_s <= 5, "Cognito waits no longer"
        assert functions[name].database_roles == ()
