"""Invitations, forgotten passwords and second steps: the adapter against the local pool, over
real HTTP, with the e-mails that it really sends.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws import totp
from local.aws.mailbox import KeptMail, Mailbox
from local.aws.users import ensure_user
from tests.contract.emulator import PASSWORD, TENANT, Emulator
from traksense.auth.errors import BadCredentials
from traksense.aws.cognito import Challenge, Tokens
from traksense.domain.errors import Invalid

NEW = "another long passphrase"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    made = Emulator.start(tmp_path_factory.mktemp("home"))
    yield made
    made.stop()


def mailbox(emulator: Emulator) -> Mailbox:
    return Mailbox(emulator.home / "aws" / "mail")


def mail_to(emulator: Emulator, email: str) -> list[KeptMail]:
    return [mail for mail in mailbox(emulator).newest_first() if email in mail.recipients]


def invite(emulator: Emulator, locale: str = "pt-BR", **more: Any) -> str:
    email = f"invited{next(_numbers)}@acme.example"
    emulator.admin().admin_create_user(
        UserPoolId=emulator.ids.user_pool_id,
        Username=email,
        UserAttributes=[
            {"Name": "email", "Value": email},
            {"Name": "email_verified", "Value": "true"},
            {"Name": "name", "Value": "Ana <b>Souza</b>"},
            {"Name": "locale", "Value": locale},
            {"Name": "custom:tenant_id", "Value": TENANT},
        ],
        ClientMetadata={"tenant": "Acme & Filhos"},
        **more,
    )
    return email


def password_in(mail: KeptMail) -> str:
    found = re.search(r"(?:Senha provisória|Temporary password)\s+(\S+)", mail.text)
    assert found is not None, mail.text
    return found[1]


def code_in(mail: KeptMail) -> str:
    found = re.search(r"\b(\d{6})\b", mail.text)
    assert found is not None, mail.text
    return found[1]


def someone(emulator: Emulator) -> str:
    email = f"someone{next(_numbers)}@acme.example"
    admin, pool = emulator.admin(), emulator.ids.user_pool_id
    ensure_user(admin, pool, email, PASSWORD, "viewer", TENANT, "Ana")
    return email


def challenge_of(answer: Tokens | Challenge, name: str) -> Challenge:
    assert isinstance(answer, Challenge)
    assert answer.name == name
    return answer


@pytest.mark.parametrize(
    ("locale", "subject"),
    [("pt-BR", "Seu acesso ao TrakSense"), ("en", "Your access to TrakSense")],
)
def test_an_invited_person_gets_in_with_what_was_mailed(
    emulator: Emulator, locale: str, subject: str
) -> None:
    email = invite(emulator, locale)
    (mail,) = mail_to(emulator, email)
    assert mail.subject == subject
    assert mail.html is not None
    assert "Acme &amp; Filhos" in mail.html
    assert "<b>Souza" not in mail.html
    assert "{" not in mail.text
    cognito = emulator.cognito()
    asked = challenge_of(cognito.login(email, password_in(mail)), "NEW_PASSWORD_REQUIRED")
    with pytest.raises(Invalid) as short:
        cognito.respond(asked.session, "short", None)
    assert short.value.errors[0][0] == "body.new_password"
    assert isinstance(cognito.respond(asked.session, NEW, None), Tokens)
    with pytest.raises(BadCredentials):
        cognito.respond(asked.session, NEW, None)
    assert isinstance(cognito.login(email, NEW), Tokens)


def test_another_invitation_ends_the_password_of_the_first(emulator: Emulator) -> None:
    email = invite(emulator)
    emulator.admin().admin_create_user(
        UserPoolId=emulator.ids.user_pool_id, Username=email, MessageAction="RESEND"
    )
    second, first = mail_to(emulator, email)
    assert password_in(second) != password_in(first)
    cognito = emulator.cognito()
    with pytest.raises(BadCredentials):
        cognito.login(email, password_in(first))
    challenge_of(cognito.login(email, password_in(second)), "NEW_PASSWORD_REQUIRED")


def test_who_was_made_without_a_message_gets_none(emulator: Emulator) -> None:
    assert mail_to(emulator, invite(emulator, MessageAction="SUPPRESS")) == []


def test_a_forgotten_password_is_set_anew_by_the_code_that_was_mailed_once(
    emulator: Emulator,
) -> None:
    email, cognito = someone(emulator), emulator.cognito()
    cognito.forgot(email.upper())
    code = code_in(mail_to(emulator, email)[0])
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for tried in (wrong, "moto-confirmation-code:1", "000000" if code != "000000" else "1"):
        with pytest.raises(Invalid):
            cognito.reset(email, tried, NEW)
    with pytest.raises(Invalid) as short:
        cognito.reset(email, code, "short")
    assert short.value.errors[0][0] == "body.new_password"
    cognito.reset(email, code, NEW)
    assert isinstance(cognito.login(email, NEW), Tokens)
    with pytest.raises(BadCredentials):
        cognito.login(email, PASSWORD)
    with pytest.raises(Invalid):
        cognito.reset(email, code, "yet another passphrase")


def test_after_five_wrong_codes_the_right_one_is_none_either(emulator: Emulator) -> None:
    email, cognito = someone(emulator), emulator.cognito()
    cognito.forgot(email)
    code = code_in(mail_to(emulator, email)[0])
    for number in range(5):
        with pytest.raises(Invalid):
            cognito.reset(email, f"{(int(code) + 1 + number) % 1_000_000:06d}", NEW)
    with pytest.raises(Invalid):
        cognito.reset(email, code, NEW)
    assert isinstance(cognito.login(email, PASSWORD), Tokens)


def test_nobody_learns_who_has_an_account(emulator: Emulator) -> None:
    cognito = emulator.cognito()
    for email in (someone(emulator), invite(emulator), "nobody@acme.example", "no address"):
        before = len(mail_to(emulator, email))
        for _ in range(7):  # more than the pool mails in an hour
            cognito.forgot(email)
        assert len(mail_to(emulator, email)) - before == (5 if "someone" in email else 0)
        with pytest.raises(Invalid) as refused:
            cognito.reset(email, "000001", NEW)
        assert str(refused.value).startswith("The code is wrong")


def test_metadata_of_whoever_asks_for_a_code_is_not_mailed(emulator: Emulator) -> None:
    email = someone(emulator)
    emulator.admin().forgot_password(
        ClientId=emulator.ids.client_id,
        Username=email,
        ClientMetadata={"tenant": "<a href='http://evil.example'>click</a>", "locale": "en"},
    )
    (mail,) = mail_to(emulator, email)
    assert mail.html is not None
    assert "evil" not in mail.html
    assert mail.subject == "Código para criar uma nova senha"


def test_codes_and_invitations_outlive_a_restart(emulator: Emulator) -> None:
    email, invited = someone(emulator), invite(emulator)
    emulator.cognito().forgot(email)
    emulator.restart()
    cognito = emulator.cognito()
    cognito.reset(email, code_in(mail_to(emulator, email)[0]), NEW)
    assert isinstance(cognito.login(email, NEW), Tokens)
    challenge_of(
        cognito.login(invited, password_in(mail_to(emulator, invited)[0])),
        "NEW_PASSWORD_REQUIRED",
    )
    for file in (emulator.home / "aws" / "mail").iterdir():
        assert file.stat().st_mode & 0o077 == 0


def code_now(secret: str, steps: int = 0) -> str:
    return totp.code_at(secret, int(time.time()) // totp.STEP_S + steps)


def test_who_has_set_up_an_app_is_asked_for_its_code(emulator: Emulator) -> None:
    email, cognito, admin = someone(emulator), emulator.cognito(), emulator.admin()
    tokens = cognito.login(email, PASSWORD)
    assert isinstance(tokens, Tokens)
    secret = admin.associate_software_token(AccessToken=tokens.access_token)["SecretCode"]
    with pytest.raises(ClientError, match="CodeMismatch"):
        admin.verify_software_token(AccessToken=tokens.access_token, UserCode="000000")
    admin.verify_software_token(AccessToken=tokens.access_token, UserCode=code_now(secret, -1))
    assert isinstance(cognito.login(email, PASSWORD), Tokens)  # set up, and not turned on
    admin.set_user_mfa_preference(
        AccessToken=tokens.access_token, SoftwareTokenMfaSettings={"Enabled": True}
    )
    asked = challenge_of(cognito.login(email, PASSWORD), "SOFTWARE_TOKEN_MFA")
    with pytest.raises(Invalid) as missing:
        cognito.respond(asked.session, None, None)
    assert missing.value.errors[0][0] == "body.code"
    with pytest.raises(Invalid):
        cognito.respond(asked.session, None, "000000" if code_now(secret) != "000000" else "1")
    used = code_now(secret)
    assert isinstance(cognito.respond(asked.session, None, used), Tokens)
    again = challenge_of(cognito.login(email, PASSWORD), "SOFTWARE_TOKEN_MFA")
    with pytest.raises(Invalid):
        cognito.respond(again.session, None, used)


def test_a_session_ends_after_five_wrong_codes(emulator: Emulator) -> None:
    email, cognito, admin = someone(emulator), emulator.cognito(), emulator.admin()
    tokens = cognito.login(email, PASSWORD)
    assert isinstance(tokens, Tokens)
    secret = admin.associate_software_token(AccessToken=tokens.access_token)["SecretCode"]
    admin.verify_software_token(AccessToken=tokens.access_token, UserCode=code_now(secret, -1))
    admin.set_user_mfa_preference(
        AccessToken=tokens.access_token, SoftwareTokenMfaSettings={"Enabled": True}
    )
    asked = challenge_of(cognito.login(email, PASSWORD), "SOFTWARE_TOKEN_MFA")
    for _ in range(5):
        with pytest.raises(Invalid):
            cognito.respond(asked.session, None, "12345x")
    with pytest.raises(BadCredentials):
        cognito.respond(asked.session, None, code_now(secret))


def test_a_pool_that_demands_a_second_step_has_it_set_up_at_the_next_log_in(
    tmp_path: Path,
) -> None:
    emulator = Emulator.start(tmp_path)
    try:
        email = someone(emulator)
        emulator.admin().set_user_pool_mfa_config(
            UserPoolId=emulator.ids.user_pool_id,
            MfaConfiguration="ON",
            SoftwareTokenMfaConfiguration={"Enabled": True},
        )
        emulator.restart()
        cognito = emulator.cognito()
        asked = challenge_of(cognito.login(email, PASSWORD), "MFA_SETUP")
        assert asked.secret is not None
        assert asked.secret_uri is not None
        assert asked.secret in asked.secret_uri
        with pytest.raises(Invalid):
            cognito.respond(asked.session, None, "12345x")
        code = code_now(asked.secret, -1)
        assert isinstance(cognito.respond(asked.session, None, code), Tokens)
        again = challenge_of(cognito.login(email, PASSWORD), "SOFTWARE_TOKEN_MFA")
        assert isinstance(cognito.respond(again.session, None, code_now(asked.secret)), Tokens)
    finally:
        emulator.stop()


@pytest.mark.parametrize("session", ["x", "W10", "WzEsMl0", "a" * 5000, "", "WyJNRkFfU0VUVVAiXQ"])
def test_a_session_that_was_never_given_out_is_refused(emulator: Emulator, session: str) -> None:
    with pytest.raises(BadCredentials):
        emulator.cognito().respond(session, NEW, "123456")
