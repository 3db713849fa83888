"""Logging in, staying logged in, and what happens when that ends."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import OpenPage, log_in
from .fake_api import CODE, FakePlatform
from .fake_data import PASSWORD

pytestmark = pytest.mark.browser


def test_a_wrong_password_is_said_and_the_right_one_lets_in(open_page: OpenPage) -> None:
    page = open_page()
    log_in(page, "ana@acme.example", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("E-mail ou senha incorretos.")
    log_in(page, "ana@acme.example")
    expect(page.locator(".topbar-email")).to_have_text("ana@acme.example")
    expect(page).to_have_url(re.compile(r"#/t/acme$"))


def test_an_empty_form_is_not_sent(open_page: OpenPage, platform: FakePlatform) -> None:
    page = open_page()
    page.locator("button[type=submit]").click()
    expect(page.get_by_role("alert")).to_contain_text("Preencha todos os campos.")
    assert platform.calls("/api/auth/login") == []


def test_an_invited_person_chooses_a_password_and_is_in(
    open_page: OpenPage, platform: FakePlatform
) -> None:
    page = open_page()
    log_in(page, "new@acme.example")
    expect(page.get_by_role("heading", name="Escolha sua senha")).to_be_visible()
    expect(page.locator("#login-email")).to_have_value("new@acme.example")
    page.locator("#login-new_password").fill("curta")
    page.get_by_role("button", name="Salvar e entrar").click()
    expect(page.get_by_role("alert")).to_contain_text("Curta demais")
    page.locator("#login-new_password").fill("uma frase bem comprida")
    page.get_by_text("Mostrar a senha").click()
    expect(page.locator("#login-new_password")).to_have_attribute("type", "text")
    page.get_by_role("button", name="Salvar e entrar").click()
    expect(page.locator(".topbar")).to_be_visible()
    assert platform.steps[-1][1]["new_password"] == "uma frase bem comprida"


def test_a_second_step_asks_for_the_code_of_an_app(
    open_page: OpenPage, platform: FakePlatform
) -> None:
    platform.second_steps.add("ana@acme.example")
    page = open_page()
    log_in(page, "ana@acme.example")
    page.locator("#login-code").fill("000000")
    page.get_by_role("button", name="Confirmar").click()
    expect(page.get_by_role("alert")).to_contain_text("O código está errado")
    page.locator("#login-code").fill(CODE)
    page.get_by_role("button", name="Confirmar").click()
    expect(page.locator(".topbar")).to_be_visible()


def test_a_pool_that_demands_an_app_has_it_set_up(
    open_page: OpenPage, platform: FakePlatform
) -> None:
    platform.demands_setup = True
    page = open_page()
    log_in(page, "new@acme.example")
    page.locator("#login-new_password").fill("uma frase bem comprida")
    page.get_by_role("button", name="Salvar e entrar").click()
    expect(page.locator(".login-secret")).to_have_text("ABCD EFGH " * 3 + "ABCD EFGH")
    page.locator("#login-code").fill(CODE)
    page.get_by_role("button", name="Ativar e entrar").click()
    expect(page.locator(".topbar")).to_be_visible()


def test_a_forgotten_password_is_set_anew_by_a_code(
    open_page: OpenPage, platform: FakePlatform
) -> None:
    page = open_page()
    page.locator("#login-email").fill("ana@acme.example")
    page.get_by_role("button", name="Esqueci minha senha").click()
    expect(page.locator("#login-email")).to_have_value("ana@acme.example")
    page.get_by_role("button", name="Enviar código").click()
    expect(page.get_by_role("alert")).to_contain_text("Se houver uma conta com este e-mail")
    page.locator("[data-locale=en]").click()
    expect(page.get_by_role("heading", name="Choose a new password")).to_be_visible()
    page.locator("#login-code").fill(CODE)
    page.locator("#login-new_password").fill(PASSWORD)
    page.get_by_role("button", name="Save and log in").click()
    expect(page.locator(".topbar")).to_be_visible()
    assert [path for path, _ in platform.steps] == ["/api/auth/forgot", "/api/auth/reset"]


def test_a_challenge_that_took_too_long_begins_anew(
    open_page: OpenPage, platform: FakePlatform
) -> None:
    page = open_page()
    log_in(page, "new@acme.example")
    page.locator("#login-new_password").fill("uma frase bem comprida")
    platform.forgets_sessions = True
    page.get_by_role("button", name="Salvar e entrar").click()
    expect(page.get_by_role("alert")).to_contain_text("demorou demais")
    expect(page.locator("#login-password")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1440])
def test_no_step_is_wider_than_the_screen(
    open_page: OpenPage, platform: FakePlatform, width: int
) -> None:
    platform.demands_setup = True
    page = open_page(width=width, height=740)
    log_in(page, "new@acme.example")
    for field in ("#login-new_password", "#login-code"):
        expect(page.locator(field)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if field == "#login-new_password":
            page.locator(field).fill("uma frase bem comprida")
            page.locator("button[type=submit]").click()


def test_a_server_that_is_away_is_no_wrong_password(
    open_page: OpenPage, platform: FakePlatform
) -> None:
    page = open_page()
    platform.is_away = True
    log_in(page, "ana@acme.example")
    expect(page.get_by_role("alert")).to_contain_text("Sem conexão com o servidor")
    platform.is_away = False
    log_in(page, "ana@acme.example")
    expect(page.locator(".topbar")).to_be_visible()


def test_an_expired_token_is_renewed_without_a_word(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(f"#/t/acme/d/{platform.device('VACINA-1').id}")
    expect(page.get_by_role("heading", name="VACINA-1")).to_be_visible()
    platform.expire_sessions()
    seen = len(platform.calls("/api/data/latest"))
    page.locator(".device-row", has_text="VACINA-2").click()
    expect(page.get_by_role("heading", name="VACINA-2")).to_be_visible()
    expect(page.locator(".card").first.locator("time")).to_have_attribute(
        "datetime", re.compile("Z$")
    )
    assert platform.renewals == 1
    assert len(platform.calls("/api/data/latest")) > seen


def test_a_session_that_is_over_asks_for_a_log_in_and_keeps_the_place(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(f"#/t/acme/d/{platform.device('VACINA-1').id}")
    expect(page.get_by_role("heading", name="VACINA-1")).to_be_visible()
    platform.refuses_renewal = True
    platform.expire_sessions()
    expect(page.get_by_role("alert")).to_contain_text("Sua sessão terminou")
    log_in(page, "ana@acme.example")
    expect(page.get_by_role("heading", name="VACINA-1")).to_be_visible()


def test_a_reload_keeps_the_session_and_another_tab_has_none(logged_in: OpenPage) -> None:
    page = logged_in()
    page.reload()
    expect(page.locator(".topbar-email")).to_have_text("ana@acme.example")
    other = page.context.new_page()
    other.goto("/")
    expect(other.locator("#login-email")).to_be_visible()


def test_logging_out_forgets_the_tokens(logged_in: OpenPage) -> None:
    page = logged_in()
    assert "refresh:ana" in str(page.evaluate("JSON.stringify({...sessionStorage})"))
    page.get_by_role("button", name="Sair").click()
    expect(page.locator("#login-email")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    assert page.evaluate("JSON.stringify({...localStorage})").find("refresh") == -1
    page.reload()
    expect(page.locator("#login-email")).to_be_visible()


def test_no_token_is_ever_part_of_an_address(logged_in: OpenPage, platform: FakePlatform) -> None:
    page = logged_in(f"#/t/acme/d/{platform.device('VACINA-1').id}")
    expect(page.locator(".chart-canvas canvas")).to_be_visible()
    addresses = str(platform.requests) + page.url
    assert "id-" not in addresses
    assert "refresh:" not in addresses
