"""Choosing a tenant and a device, in either language, on any screen."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Route, expect

from .conftest import OpenPage
from .fake_api import ROOT, FakePlatform
from .fake_data import HOSTILE

pytestmark = pytest.mark.browser


def test_devices_are_listed_by_site_with_their_state(logged_in: OpenPage) -> None:
    page = logged_in()
    expect(page.locator(".device-group-title")).to_have_text(["hospital-central", "posto-norte"])
    assert page.locator(".device-row").count() == 15
    silent = page.locator(".device-row", has_text="CHILLER-02")
    expect(silent).to_contain_text("Sem comunicação")
    expect(silent).to_contain_text("há 2 h")
    expect(page.locator(".device-row", has_text="SENSOR-09")).to_contain_text("Nunca se comunicou")
    names = page.locator(".device-row-name").all_inner_texts()
    assert names.index("VACINA-2") < names.index("VACINA-10")


def test_a_fleet_of_several_pages_is_listed_whole(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    platform.device_page = 5
    page = logged_in()
    expect(page.locator(".sidebar-count")).to_have_text("15 equipamentos · 13 on-line")


def test_a_fleet_too_large_to_hold_is_searched_by_the_server(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    platform.device_page = 2
    page = logged_in()
    expect(page.locator(".sidebar-count")).to_contain_text("Primeiros 8 equipamentos")
    page.get_by_label("Buscar equipamento").fill("vacina-9")
    expect(page.locator(".device-row-name")).to_have_text(["VACINA-9"])
    page.get_by_label("Buscar equipamento").fill("")
    expect(page.locator(".device-row")).to_have_count(8)


def test_the_search_finds_by_name_and_site_without_accents(logged_in: OpenPage) -> None:
    page = logged_in()
    search = page.get_by_label("Buscar equipamento")
    search.fill("chiller")
    expect(page.locator(".device-row")).to_have_count(2)
    search.fill("NÓRTE vacina-3")
    expect(page.locator(".device-row-name")).to_have_text(["VACINA-3"])
    search.fill("nothing like it")
    expect(page.locator(".sidebar-count")).to_have_text("Nenhum encontrado")


def test_a_device_is_chosen_with_the_keyboard_alone(logged_in: OpenPage) -> None:
    page = logged_in()
    expect(page.locator(".device-row")).to_have_count(15)
    page.get_by_label("Buscar equipamento").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="CHILLER-01")).to_be_visible()
    expect(page.locator(".device-row[aria-current=page]")).to_contain_text("CHILLER-01")


def test_a_device_that_goes_silent_is_shown_so_in_the_list(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in()
    row = page.locator(".device-row", has_text="VACINA-1").first
    expect(row).to_contain_text("On-line")
    row.focus()
    platform.device("VACINA-1").is_online = False
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(row).to_contain_text("Sem comunicação")
    expect(row).to_be_focused()


def test_operators_choose_a_tenant_and_see_only_its_devices(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    platform.device_page = 5
    page = logged_in(email="ops@traksense.example")
    expect(page.locator(".tenant-name")).to_have_text(["acme", "globex"])
    expect(page.locator(".tenant").first).to_contain_text("15 equipamentos")
    page.locator(".tenant", has_text="globex").click()
    expect(page.locator(".device-row-name")).to_have_text(["FRIDGE-X", "FRIDGE-Y"])
    page.locator(".topbar-tenant").click()
    expect(page.locator(".tenant")).to_have_count(2)


def test_a_tenant_that_does_not_exist_is_not_found(logged_in: OpenPage) -> None:
    page = logged_in("#/t/acme", email="ops@traksense.example")
    expect(page.locator(".device-row")).to_have_count(15)
    page.goto("/#/t/initech")
    expect(page.get_by_role("alert")).to_contain_text("Não encontrado")
    page.locator(".brand").click()
    expect(page.locator(".tenant")).to_have_count(2)


def test_a_customer_is_not_offered_another_tenant(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in("#/t/globex")
    expect(page.locator(".message")).to_contain_text("Não encontrado")
    assert platform.calls("/api/devices") == []
    page.get_by_role("link", name="Ir para meus equipamentos").click()
    expect(page.locator(".device-row")).to_have_count(15)


def test_a_device_of_another_tenant_is_not_found(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(f"#/t/acme/d/{platform.device('FRIDGE-Y').id}")
    expect(page.get_by_role("alert")).to_contain_text("Não encontrado")


def test_the_language_switch_changes_every_text_and_is_kept(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(f"#/t/acme/d/{platform.device('CHILLER-01').id}?points=modo&range=24h")
    expect(page.locator(".card-label").first).to_have_text("Água gelada, saída")
    page.get_by_role("button", name="English").click()
    expect(page.locator(".card-label").first).to_have_text("Chilled water, supply")
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("button", name="English")).to_be_focused()
    expect(page.locator(".chip[aria-pressed=true]")).to_have_text(["Mode"])
    expect(page.get_by_role("radio", name="24 h")).to_be_checked()
    page.reload()
    expect(page.get_by_role("heading", name="History")).to_be_visible()


def test_every_text_on_screen_comes_from_the_catalogue_or_is_data(
    open_page: OpenPage, platform: FakePlatform
) -> None:
    marked = {
        key: f"⟦{text}⟧"
        for key, text in json.loads((ROOT / "web/i18n/pt-BR.json").read_text("utf-8")).items()
    }

    def answer(route: Route) -> None:
        route.fulfill(json=marked)

    def strangers() -> list[str]:
        found: list[str] = page.evaluate(
            """() => {
                const found = [];
                const outside = (text) => text.replace(/⟦.*⟧/gs, '').match(/\\p{L}/u);
                const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
                while (walker.nextNode()) {
                    const node = walker.currentNode;
                    if (node.parentElement.closest('[translate=no], time')) continue;
                    if (outside(node.data)) found.push(node.data);
                }
                for (const element of document.querySelectorAll('*')) {
                    for (const name of ['aria-label', 'title', 'placeholder', 'alt']) {
                        const text = element.getAttribute(name);
                        if (text && element.tagName !== 'TIME' && outside(text)) found.push(text);
                    }
                }
                return found;
            }"""
        )
        return found

    page = open_page()
    page.route("**/i18n/pt-BR.json", answer)
    page.reload()
    page.locator("button[type=submit]").click()
    expect(page.get_by_role("alert")).to_contain_text("⟦")
    assert strangers() == []
    page.locator("#login-email").fill("ana@acme.example")
    page.locator("#login-password").fill("correct-horse-7")
    page.locator("button[type=submit]").click()
    expect(page.locator(".silent")).to_have_count(2)
    assert strangers() == []
    page.locator(".device-row", has_text="CHILLER-01").click()
    expect(page.locator(".chart-canvas canvas")).to_be_visible()
    expect(page.locator(".card.is-alert")).to_be_visible()
    page.locator("summary").click()
    assert strangers() == []
    platform.exports.complete(platform.exports.add("acme", points=["corrente"]))
    platform.exports.add("acme", status="PROCESSING", progress=0.5, record_count=10)
    page.locator(".device-export").click()
    expect(page.locator(".export")).to_have_count(2)
    expect(page.locator(".export-point-list input").first).to_be_visible()
    for summary in page.locator(".export-details summary").all():
        summary.click()
    assert strangers() == []
    page.locator(".export .button.is-close:visible").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert strangers() == []


def test_a_label_of_markup_is_shown_as_text_everywhere(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    device = platform.device("FRIDGE-X")
    device.site = "<b>plant</b>"
    page = logged_in(f"#/t/globex/d/{device.id}?points=temp", email="rui@globex.example")
    expect(page.locator(".card-label").first).to_have_text(HOSTILE)
    expect(page.locator(".chip").first).to_contain_text(HOSTILE)
    canvas = page.locator(".chart-canvas canvas")
    expect(canvas).to_be_visible()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 120)
    expect(page.locator(".chart-tooltip-row").first).to_contain_text(HOSTILE)
    assert page.locator("#app img, #app b").count() == 0
    assert page.title() == "FRIDGE-X · TrakSense"


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_no_screen_scrolls_sideways(
    logged_in: OpenPage, platform: FakePlatform, width: int
) -> None:
    page = logged_in(width=width, height=844)

    def overflow() -> int:
        return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    expect(page.locator(".device-row").first).to_be_visible()
    assert overflow() <= 0
    page.locator(".device-row", has_text="CHILLER-01").click()
    expect(page.locator(".chart-canvas canvas")).to_be_visible()
    page.locator("summary").click()
    assert overflow() <= 0


def test_on_a_phone_list_and_device_take_turns(logged_in: OpenPage) -> None:
    page = logged_in(width=390, height=844)
    page.locator(".device-row", has_text="VACINA-1").first.click()
    expect(page.get_by_role("heading", name="VACINA-1")).to_be_visible()
    expect(page.locator(".sidebar")).to_be_hidden()
    page.locator(".back").click()
    expect(page.locator(".sidebar")).to_be_visible()
    expect(page).to_have_url(re.compile(r"#/t/acme$"))


def test_text_stands_out_from_its_ground_in_light_and_dark(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(f"#/t/acme/d/{platform.device('CHILLER-02').id}")
    expect(page.locator(".card.is-alert")).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CONTRAST) == []


CONTRAST = """() => {
    const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgba = (color) => {
        paint.clearRect(0, 0, 1, 1);
        paint.fillStyle = color;
        paint.fillRect(0, 0, 1, 1);
        return [...paint.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (color) => {
        const [r, g, b] = rgba(color).map((c) => {
            const s = c / 255;
            return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = getComputedStyle(at).backgroundColor;
            if (rgba(color)[3] === 255) return color;
        }
        return 'white';
    };
    const weak = [];
    const walker = document.createTreeWalker(document.getElementById('app'), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!element.checkVisibility()) continue;
        const [a, b] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) weak.push(`${element.className} ${ratio.toFixed(2)}`);
    }
    return weak;
}"""
