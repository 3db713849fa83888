"""Logging in, staying logged in, and what happens when that ends."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import OpenPage, log_in
from .fake_api import FakePlatform

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
    expect(page.get_by_role("alert")).to_contain_text("Preencha o e-mail e a senha.")
    assert platform.calls("/api/auth/login") == []


def test_a_challenge_is_said_in_words(open_page: OpenPage) -> None:
    page = open_page()
    log_in(page, "new@acme.example")
    expect(page.get_by_role("alert")).to_contain_text("NEW_PASSWORD_REQUIRED")


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
