"""People of a tenant through the API, over a user pool in memory that fails where a test likes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from tests.support.api_routes.fresh import fresh
from tests.support.api_routes.users import invited
from tests.support.user_directory import FakeDirectory
from traksense.auth.identity import Role
from traksense.domain.errors import DatabaseAway

from .support import OPERATOR, Answer, Person, Tenant, World, call


@pytest.fixture
def pool(world: World) -> Iterator[FakeDirectory]:
    directory = world.login.directory
    yield directory
    directory.is_away = False
    directory.before = directory.after = None


def path_of(tenant: Tenant, user: str = "") -> str:
    return f"/api/tenants/{tenant.slug}/users" + (f"/{user}" if user else "")


def invite(world: World, person: Person | None = None, **fields: Any) -> Answer:
    body = {"email": f"{fresh('p')}@acme.example", "name": "Ana", "role": "viewer", **fields}
    return call("POST", path_of(world.acme), person or world.acme.admin, body=body)


def change(world: World, user: str, person: Person | None = None, **fields: Any) -> Answer:
    return call("PATCH", path_of(world.acme, user), person or world.acme.admin, body=fields)


def read(world: World, user: str) -> Answer:
    return call("GET", path_of(world.acme, user), world.acme.admin)


def listed(world: World) -> dict[str, Any]:
    page = call("GET", path_of(world.acme), world.acme.admin, query={"limit": "500"})
    return {user["email"]: user for user in page.json["items"]}


def test_an_invited_person_is_in_the_pool_and_in_the_list(
    world: World, pool: FakeDirectory
) -> None:
    made = invite(world, email="  Ana.Lima@Acme.Example ", locale="en")
    assert made.status == 201
    assert made.json["email"] == "ana.lima@acme.example"
    member = pool.members["ana.lima@acme.example"]
    assert made.json["id"] == str(member.subject)
    assert (member.person.tenant_id, member.person.locale) == (world.acme.id, "en")
    assert (made.json["status"], made.json["is_settled"]) == ("invited", True)
    assert listed(world)["ana.lima@acme.example"] == made.json
    assert call("GET", made.headers["Location"], OPERATOR).json == made.json


def test_the_tenants_language_is_the_persons_where_she_has_none(
    world: World, pool: FakeDirectory
) -> None:
    made = invite(world)
    assert made.json["locale"] is None
    assert pool.members[made.json["email"]].person.locale == "pt-BR"


@pytest.mark.parametrize("role", ["internal_ops", "owner", "", None])
def test_nobody_makes_an_operator(world: World, role: Any) -> None:
    user = invite(world).json["id"]
    for person in (world.acme.admin, OPERATOR):
        assert invite(world, person, role=role).status == 422
        assert change(world, user, person, role=role).status == 422


@pytest.mark.parametrize(
    "email", ["", "ana", "ana@", "@acme.example", "ana@acme", "a b@acme.example", "ana@-.example",
              "ana@a..example", "<ana@acme.example>", "a@b.c, d@e.f", "aña@acme.example",
              f"{'a' * 120}@acme.example", "ana@acme.example\nBcc: x@y.example"]
)  # fmt: skip
def test_an_e_mail_that_none_could_arrive_at_is_refused(world: World, email: str) -> None:
    answer = invite(world, email=email)
    assert answer.status == 422
    assert answer.json["errors"][0]["loc"] == "body.email"


def test_an_e_mail_is_one_persons_whoever_has_it(world: World, pool: FakeDirectory) -> None:
    email = invite(world).json["email"]
    assert invite(world, email=email.upper()).status == 409
    body = {"email": email, "name": "Eve", "role": "viewer"}
    elsewhere = call("POST", path_of(world.globex), world.globex.admin, body=body)
    assert elsewhere.status == 409
    assert "acme" not in elsewhere.json["detail"]
    assert pool.members[email].person.tenant_id == world.acme.id


def test_an_e_mail_that_only_the_pool_knows_as_anothers_leaves_no_row(
    world: World, pool: FakeDirectory
) -> None:
    email = invite(world).json["email"]
    pool.members[f"x{email}"] = pool.members[email]
    pool.members[f"x{email}"].person = pool.members[email].person.__class__(
        f"x{email}", "Op", "viewer", "en", world.globex.id, "Globex", True
    )
    assert invite(world, email=f"x{email}").status == 409
    assert f"x{email}" not in listed(world)


def test_a_tenant_has_no_more_people_than_it_may(world: World, pool: FakeDirectory) -> None:
    slug = fresh("small")
    assert call(
        "POST", "/api/tenants", OPERATOR,
        body={"slug": slug, "name": "Small", "limits": {"max_users": 1}},
    ).status == 201  # fmt: skip
    answers = [
        call("POST", f"/api/tenants/{slug}/users", OPERATOR,
             body={"email": f"{fresh('s')}@small.example", "name": "S", "role": "viewer"})
        for _ in range(2)
    ]  # fmt: skip
    assert [answer.status for answer in answers] == [201, 409]
    assert "1" in answers[1].json["detail"]


def test_a_change_reaches_the_pool_and_of_rights_ends_the_sessions(
    world: World, pool: FakeDirectory
) -> None:
    made = invite(world).json
    member = pool.members[made["email"]]
    assert change(world, made["id"], name="Ana Lima").json["name"] == "Ana Lima"
    assert (member.person.name, member.sign_outs) == ("Ana Lima", 0)
    assert change(world, made["id"], role="customer_admin").json["role"] == "customer_admin"
    assert (member.person.role, member.sign_outs) == ("customer_admin", 1)
    assert change(world, made["id"], is_enabled=False).json["status"] == "disabled"
    assert (member.person.is_enabled, member.sign_outs) == (False, 2)
    assert change(world, made["id"], is_enabled=True).json["status"] == "invited"
    assert change(world, made["id"]).status == 422
    assert change(world, made["id"], email="other@acme.example").status == 422


def test_a_removed_person_is_gone_from_both(world: World, pool: FakeDirectory) -> None:
    made = invite(world).json
    for status in (204, 404):
        assert call("DELETE", path_of(world.acme, made["id"]), world.acme.admin).status == status
    assert made["email"] not in pool.members
    assert made["email"] not in listed(world)


def test_an_administrator_does_not_take_her_own_rights_away(
    world: World, pool: FakeDirectory
) -> None:
    made = invite(world, role="customer_admin").json
    claims = {
        "sub": made["id"],
        "cognito:groups": "customer_admin",
        "custom:tenant_id": str(world.acme.id),
    }
    herself = Person(Role.CUSTOMER_ADMIN, claims=claims)
    assert change(world, made["id"], herself, role="viewer").status == 403
    assert change(world, made["id"], herself, is_enabled=False).status == 403
    assert call("DELETE", path_of(world.acme, made["id"]), herself).status == 403
    assert change(world, made["id"], herself, name="Ana", role="customer_admin").status == 200
    assert change(world, made["id"], OPERATOR, role="viewer").status == 200


def test_another_invitation_is_mailed_to_who_waits_for_one(
    world: World, pool: FakeDirectory
) -> None:
    made = invite(world).json
    again = f"{path_of(world.acme, made['id'])}/invitation"
    assert call("POST", again, world.acme.admin).status == 200
    assert pool.members[made["email"]].invitations == 2
    pool.members[made["email"]].is_confirmed = True
    assert call("POST", again, world.acme.admin).status == 409
    assert read(world, made["id"]).json["status"] == "active"
    assert pool.members[made["email"]].invitations == 2


def test_a_first_password_makes_a_person_active(world: World, pool: FakeDirectory) -> None:
    made = invite(world).json
    world.login.claims = {"sub": made["id"], "custom:tenant_id": str(world.acme.id)}
    body = {"session": "next", "code": "123456"}
    assert call("POST", "/api/auth/challenge", body=body).status == 200
    assert read(world, made["id"]).json["status"] == "active"


# -- the pool, or the database, is away in the middle


def test_a_pool_that_is_away_leaves_an_unsettled_row_that_the_same_call_carries_out(
    world: World, pool: FakeDirectory
) -> None:
    email = f"{fresh('late')}@acme.example"
    pool.is_away = True
    assert invite(world, email=email).status == 503
    row = listed(world)[email]
    assert (row["is_settled"], row["status"]) == (False, "invited")
    assert read(world, row["id"]).json == row
    pool.is_away = False
    made = invite(world, email=email, name="Ana Lima")
    assert (made.status, made.json["is_settled"], made.json["name"]) == (201, True, "Ana Lima")
    assert made.json["id"] == str(pool.members[email].subject)
    assert [user for user in listed(world) if user == email] == [email]


def test_an_answer_of_the_pool_that_is_lost_makes_nobody_twice(
    world: World, pool: FakeDirectory
) -> None:
    def lose(email: str) -> None:
        raise DatabaseAway("the connection broke before the commit")

    email = f"{fresh('lost')}@acme.example"
    pool.after = lose
    assert invite(world, email=email).status == 503
    subject = pool.members[email].subject
    pool.after = None
    found = read(world, listed(world)[email]["id"])
    assert found.json["id"] == str(subject)
    assert found.json["is_settled"] is True
    assert pool.members[email].invitations == 2  # the first may never have left


@pytest.mark.parametrize("is_done", [False, True])
def test_a_demotion_that_was_cut_short_is_carried_out_by_the_next_call(
    world: World, pool: FakeDirectory, is_done: bool
) -> None:
    made = invite(world, role="customer_admin").json

    def fail(email: str) -> None:
        raise DatabaseAway("away")

    if is_done:
        pool.after = fail
    else:
        pool.before = fail
    assert change(world, made["id"], role="viewer").status == 503
    pool.before = pool.after = None
    assert listed(world)[made["email"]]["is_settled"] is False
    assert change(world, made["id"], name="Ana").json["role"] == "viewer"
    member = pool.members[made["email"]]
    assert member.person.role == "viewer"
    assert member.sign_outs >= 1


def test_a_removal_that_was_cut_short_is_carried_out_by_the_next_call(
    world: World, pool: FakeDirectory
) -> None:
    made = invite(world).json
    pool.is_away = True
    path = path_of(world.acme, made["id"])
    assert call("DELETE", path, world.acme.admin).status == 503
    assert read(world, made["id"]).json["status"] == "leaving"
    assert change(world, made["id"], name="Back").status == 409
    pool.is_away = False
    assert call("GET", path, world.acme.admin).status == 404
    assert made["email"] not in pool.members


def test_of_a_tenant_that_is_erased_everybody_goes(world: World, pool: FakeDirectory) -> None:
    from functions.api.services import services

    slug = fresh("erased")
    tenant = call("POST", "/api/tenants", OPERATOR, body={"slug": slug, "name": "E"}).json["id"]
    emails = [f"{fresh('e')}@erased.example" for _ in range(3)]
    for email in emails:
        body = {"email": email, "name": "E", "role": "viewer"}
        assert call("POST", f"/api/tenants/{slug}/users", OPERATOR, body=body).status == 201
    others = len(pool.members) - 3
    assert services.get().users.remove_all(UUID(tenant)) == 3
    assert len(pool.members) == others
    assert services.get().users.remove_all(UUID(tenant)) == 0


def test_people_are_listed_in_pages(world: World) -> None:
    invited(world, world.acme)
    invited(world, world.acme)
    seen: list[str] = []
    query = {"limit": "1"}
    for _ in range(500):
        page = call("GET", path_of(world.acme), world.acme.admin, query=query).json
        seen += [user["email"] for user in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == sorted(set(seen)) == sorted(listed(world))
