"""The page against the real platform: a person logs in and sees a device's reading arrive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import browser
from tests.support.device import TestDevice
from tests.support.platform import RunningPlatform

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

__all__ = ["browser"]  # the fixture


@pytest.fixture
def page(browser: Browser, platform: RunningPlatform) -> Iterator[Page]:
    """The page at the log-in; whatever it complains of fails the test."""
    complaints: list[str] = []
    context = browser.new_context(base_url=platform.endpoints.api_url, locale="pt-BR")
    opened = context.new_page()
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    opened.goto("/")
    yield opened
    context.close()
    assert complaints == []


def log_in(page: Page, platform: RunningPlatform, role: str, tenant: str | None) -> None:
    user = platform.user(role, tenant)
    page.locator("#login-email").fill(user.email)
    page.locator("#login-password").fill(user.password)
    page.locator("button[type=submit]").click()


def test_a_reading_appears_on_the_page_without_a_reload(
    page: Page, platform: RunningPlatform
) -> None:
    endpoint = platform.idle_device("umc")
    log_in(page, platform, "viewer", "umc")
    page.get_by_role("link").filter(has_text=endpoint.name).first.click()
    expect(page.get_by_role("heading", name=endpoint.name)).to_be_visible()
    with TestDevice(platform.endpoints.mqtt, endpoint) as device:
        for value in (41.5, 42.25):
            ts = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            points = [
                {"name": "temperatura", "v": value},
                {"name": "ligado", "t": "bool", "v": True},
            ]
            assert device.publish("telem", {"schema": "v1", "ts": ts, "points": points}) == 0
            shown = f"{value}".replace(".", ",")
            card = page.locator('.card[data-point="temperatura"]')
            expect(card).to_contain_text(shown, timeout=20_000)
        expect(page.locator('.card[data-point="ligado"]')).to_contain_text("Sim")
        expect(page.locator("canvas").first).to_be_visible()


def test_a_customer_sees_only_its_own_devices_and_can_switch_to_english(
    page: Page, platform: RunningPlatform
) -> None:
    log_in(page, platform, "customer_admin", "globex")
    expect(page.get_by_text("Equipamentos").first).to_be_visible()
    own = {d.name for d in platform.endpoints.devices if d.tenant == "globex"}
    foreign = {d.name for d in platform.endpoints.devices if d.tenant == "umc"} - own
    expect(page.get_by_role("link").filter(has_text=min(own)).first).to_be_visible()
    for name in foreign:
        assert page.get_by_text(name, exact=True).count() == 0, name
    page.get_by_role("button", name="EN").click()
    expect(page.get_by_text("Devices").first).to_be_visible()
