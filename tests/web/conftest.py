"""A browser, and the stand-in platform to drive the page against."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.support.browser import PATIENCE_MS, browser

from .fake_api import FakePlatform, FakeServer
from .fake_data import PASSWORD

# A test may call an API that fails; that Chromium writes it down is no fault of the page.
EXPECTED_MESSAGE = "Failed to load resource"

__all__ = ["browser"]  # the fixture

OpenPage = Callable[..., Page]


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


@pytest.fixture
def server(platform: FakePlatform) -> Iterator[FakeServer]:
    with FakeServer(platform) as running:
        yield running


@pytest.fixture
def open_page(browser: Browser, server: FakeServer) -> Iterator[OpenPage]:
    """Opens the page at a place; the test fails if a page reports an error of its own."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and EXPECTED_MESSAGE not in message.text:
            complaints.append(message.text)

    def open_at(place: str = "", width: int = 1440, height: int = 900) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            base_url=server.url,
            timezone_id="Asia/Tokyo",
            locale="en-US",
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"/{place}")
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def logged_in(open_page: OpenPage) -> OpenPage:
    """Opens the page at a place and logs in, as acme's administrator unless told."""

    def open_at(place: str = "", email: str = "ana@acme.example", **size: int) -> Page:
        page = open_page(place, **size)
        log_in(page, email)
        page.locator(".topbar").wait_for()
        return page

    return open_at


def log_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Fill in the form of the log-in and send it."""
    page.locator("#login-email").fill(email)
    page.locator("#login-password").fill(password)
    page.locator("button[type=submit]").click()
