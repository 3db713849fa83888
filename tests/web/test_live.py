"""A device's last values and its chart, as readings arrive and as the API comes and goes."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .conftest import OpenPage
from .fake_api import FakePlatform
from .fake_data import from_ts

pytestmark = pytest.mark.browser

SERIES = """async () => {
    const echarts = await import('/vendor/echarts/echarts.esm.min.js');
    const chart = echarts.getInstanceByDom(document.querySelector('.chart-canvas'));
    const option = chart?.getOption();
    if (!option?.series) return null;
    return option.series.map(({id, step, data}) => ({id, step, data}));
}"""


def drawn(page: Page) -> list[dict[str, Any]]:
    """The series that the chart holds, once it is drawn (then it has a description) and shown."""
    expect(page.locator(".chart-canvas[aria-label]")).to_be_visible()
    series: list[dict[str, Any]] = page.evaluate(SERIES)
    return series


def card(page: Page, point: str) -> Any:
    return page.locator(f".card[data-point={point}]")


def stale(page: Page, point: str) -> Any:
    return card(page, point).get_by_text("Desatualizado")


def poll_now(page: Page) -> None:
    """Let the page ask at once, as it does when the network comes back."""
    page.evaluate("dispatchEvent(new Event('online'))")


def wait_for_last_value(page: Page, value: float) -> None:
    """Until the first series of the chart ends with a value."""
    deadline = time.monotonic() + 30
    while drawn(page)[0]["data"][-1][1] != value:
        assert time.monotonic() < deadline, f"the chart never came to {value}"
        page.wait_for_timeout(100)


def place(platform: FakePlatform, device: str, query: str = "") -> str:
    return f"#/t/acme/d/{platform.device(device).id}{query}"


def test_last_values_are_shown_with_unit_word_and_age(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    device = platform.device("CHILLER-01")
    device.point("temp_agua_saida").publish(7.25, time.time())
    device.point("modo").publish("DEFROST", time.time())
    page = logged_in(place(platform, "CHILLER-01"))
    temperature = card(page, "temp_agua_saida")
    expect(temperature.locator(".card-value")).to_have_text("7,25°C")
    expect(temperature.locator("time")).to_have_text(re.compile(r"^(agora|há \d+ s)$"))
    expect(card(page, "modo").locator(".card-value")).to_have_text("Degelo")
    expect(card(page, "compressor_1_on").locator(".card-value")).to_have_text(
        re.compile("^(Sim|Não)$")
    )
    expect(card(page, "vazao")).to_contain_text("Sem leitura")


def test_a_value_beyond_its_limit_is_marked_in_words(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(place(platform, "CHILLER-01"))
    expect(card(page, "pressao_alta")).to_contain_text("Acima do limite de 18 bar")
    expect(page.locator(".card.is-alert")).to_have_count(1)
    platform.device("CHILLER-01").point("temp_agua_saida").publish(3.9, time.time())
    poll_now(page)
    expect(card(page, "temp_agua_saida")).to_contain_text("Abaixo do limite de 4 °C")


def test_values_of_a_silent_device_are_marked_stale(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(place(platform, "CHILLER-02"))
    expect(stale(page, "temp_agua_saida")).to_be_visible()
    expect(card(page, "temp_agua_saida")).to_contain_text("há 2 h")


def test_a_point_that_its_device_leaves_out_goes_stale_alone(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    device = platform.device("VACINA-1")
    device.point("temp").history_end -= 1200
    page = logged_in(place(platform, "VACINA-1"))
    expect(stale(page, "temp")).to_be_visible()
    expect(stale(page, "door_open")).to_be_hidden()


def test_the_chart_draws_and_grows_with_a_new_reading(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    point = platform.device("VACINA-1").point("temp")
    page = logged_in(place(platform, "VACINA-1", "?points=temp&range=1h"))
    before = drawn(page)[0]["data"]
    assert 350 <= len(before) <= 361
    now = time.time()
    point.publish(6.125, now)
    expect(card(page, "temp").locator(".card-value")).to_have_text("6,125°C")
    wait_for_last_value(page, 6.125)
    assert drawn(page)[0]["data"][-1][0] == int(now * 1000)


def test_only_readings_newer_than_the_last_are_asked_for(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    point = platform.device("VACINA-1").point("temp")
    page = logged_in(place(platform, "VACINA-1", "?points=temp&range=1h"))
    drawn(page)
    published = time.time()
    point.publish(6.125, published)
    poll_now(page)
    wait_for_last_value(page, 6.125)
    with page.expect_response("**/api/data/points*"):
        poll_now(page)
    last = platform.calls("/api/data/points")[-1]
    assert from_ts(last["from"]) == int(published * 1e6)


def test_states_are_drawn_as_steps_with_their_words(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(place(platform, "CHILLER-01", "?points=temp_agua_saida,modo&range=6h"))
    temperature, mode = drawn(page)
    assert temperature["step"] is False
    assert mode["step"] == "end"
    values = platform.device("CHILLER-01").point("modo")
    words = ["OFF", "COOL", "DEFROST", "PURGE"]  # The last is not in enum_values.
    for ms, index in mode["data"]:
        assert values.at(ms // 1000) == words[index]


def test_pages_of_readings_join_without_loss(logged_in: OpenPage, platform: FakePlatform) -> None:
    platform.most_rows = 37
    platform.auto_level = "raw"
    platform.thins = False
    page = logged_in(place(platform, "VACINA-1", "?points=temp&range=1h"))
    times = [ms for ms, _ in drawn(page)[0]["data"]]
    assert 350 <= len(times) <= 361
    assert {b - a for a, b in pairwise(times)} == {10_000}
    assert len(platform.calls("/api/data/points")) >= 10


def test_a_cut_is_said_and_caught_up(logged_in: OpenPage, platform: FakePlatform) -> None:
    platform.most_rows = 10
    platform.auto_level = "raw"
    platform.thins = False
    page = logged_in(place(platform, "VACINA-1", "?points=temp&range=1h"))
    expect(page.locator(".chart-notes")).to_contain_text("há mais leituras depois de")
    poll_now(page)
    expect(page.locator(".chart-notes")).not_to_contain_text("há mais leituras")
    times = [ms for ms, _ in drawn(page)[0]["data"]]
    assert {b - a for a, b in pairwise(times)} == {10_000}


def notes(page: Page) -> Any:
    return page.locator(".chart-notes")


def test_a_long_range_shows_averages_and_says_so(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(place(platform, "VACINA-1", "?points=temp&range=1h"))
    drawn(page)
    expect(notes(page)).not_to_contain_text("médias")
    for range_name, level, most in (("24 h", "1 minuto", 1441), ("14 d", "5 minutos", 4033)):
        page.get_by_text(range_name, exact=True).click()
        expect(notes(page)).to_contain_text(f"médias de {level}")
        expect(notes(page)).not_to_contain_text("simplificada")
        assert most - 3 <= len(drawn(page)[0]["data"]) <= most
    expect(page).to_have_url(re.compile("range=14d"))
    assert {query["agg"] for query in platform.calls("/api/data/points")} <= {
        "auto", "raw", "1m", "5m",
    }  # fmt: skip


def test_the_minute_that_is_filling_follows_its_readings(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    platform.auto_level = "1m"
    point = platform.device("VACINA-1").point("temp")
    page = logged_in(place(platform, "VACINA-1", "?points=temp&range=1h"))
    before = drawn(page)[0]["data"]
    minute = int(time.time() // 60) * 60
    point.history_end = minute - 1  # The minute holds only what is published now.
    for value, average in ((10.0, 10.0), (20.0, 15.0)):
        point.publish(value, minute + value)
        poll_now(page)
        wait_for_last_value(page, average)
    after = drawn(page)[0]["data"]
    assert after[-1][0] == minute * 1000
    assert len(after) <= len(before) + 2
    assert platform.calls("/api/data/points")[-1]["agg"] == "1m"


def test_thinning_is_said(logged_in: OpenPage, platform: FakePlatform) -> None:
    platform.most_rows = 100
    page = logged_in(place(platform, "VACINA-1", "?points=temp&range=14d"))
    expect(notes(page)).to_contain_text("simplificada")
    assert len(drawn(page)[0]["data"]) <= 101


def test_levels_that_are_gone_and_states_that_were_reduced_are_said(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    platform.raw_is_gone = True
    platform.available_from = "2025-10-07T12:00:00Z"
    platform.most_rows = 2000
    page = logged_in(place(platform, "CHILLER-01", "?points=temp_agua_saida,modo&range=6h"))
    expect(notes(page)).to_contain_text("já não são guardadas; o que aparece foi calculado")
    expect(notes(page)).to_contain_text("anteriores a 07/10/2025, 09:00")
    expect(notes(page)).to_contain_text("só as mudanças de estado foram buscadas")


def test_times_are_shown_in_the_tenants_zone(logged_in: OpenPage, platform: FakePlatform) -> None:
    point = platform.device("VACINA-1").point("temp")
    point.publish(5.0, time.time())
    page = logged_in(place(platform, "VACINA-1", "?points=temp&range=1h"))
    expect(page.locator(".chart-notes")).to_contain_text("America/Sao_Paulo")
    expected = page.evaluate(
        """(ms) => new Intl.DateTimeFormat('pt-BR', {timeZone: 'America/Sao_Paulo',
            day: '2-digit', month: '2-digit', year: 'numeric', hour: '2-digit',
            minute: '2-digit', second: '2-digit'}).format(ms)""",
        point.published[0][0] / 1000,
    )
    expect(card(page, "temp").locator("time")).to_have_attribute("title", expected)


@pytest.mark.parametrize("email", ["rui@globex.example", "ops@traksense.example"])
def test_each_tenant_has_its_own_zone(
    logged_in: OpenPage, platform: FakePlatform, email: str
) -> None:
    page = logged_in(f"#/t/globex/d/{platform.device('FRIDGE-Y').id}", email=email)
    expect(page.locator(".chart-notes")).to_contain_text("America/Manaus")


def test_points_are_chosen_and_left(logged_in: OpenPage, platform: FakePlatform) -> None:
    page = logged_in(place(platform, "CHILLER-01", "?points=modo"))
    assert len(drawn(page)) == 1
    page.get_by_role("button", name="Potência elétrica").click()
    expect(page).to_have_url(re.compile("points=potencia_kw,modo"))
    expect(page.locator(".chart-overlay")).to_be_hidden()
    assert len(drawn(page)) == 2
    for chip in ("Potência elétrica", "Modo"):
        page.get_by_role("button", name=chip).click()
    expect(page.locator(".chart-overlay")).to_contain_text("Nenhum ponto escolhido")


def test_a_window_without_readings_says_so(logged_in: OpenPage, platform: FakePlatform) -> None:
    page = logged_in(place(platform, "CHILLER-01", "?points=vazao"))
    expect(page.locator(".chart-overlay")).to_contain_text("Nenhuma leitura neste período")


def test_a_device_without_points_says_so(logged_in: OpenPage, platform: FakePlatform) -> None:
    page = logged_in(place(platform, "SENSOR-09"))
    expect(page.locator(".detail")).to_contain_text("não tem pontos contratados")


def test_an_api_that_goes_away_is_said_and_its_return_too(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(place(platform, "VACINA-1", "?points=temp&range=1h"))
    drawn(page)
    platform.is_away = True
    poll_now(page)
    banner = page.locator(".banner")
    expect(banner).to_contain_text("Sem conexão com o servidor")
    expect(stale(page, "temp")).to_be_visible()
    platform.device("VACINA-1").point("temp").publish(6.5, time.time())
    platform.is_away = False
    banner.get_by_role("button", name="Tentar agora").click()
    expect(banner).to_be_hidden()
    expect(card(page, "temp").locator(".card-value")).to_have_text("6,5°C")
    expect(page.locator("#announcer")).to_contain_text("Conexão restabelecida")


def test_an_api_that_is_away_from_the_start_can_be_tried_again(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in()
    platform.is_away = True
    page.locator(".device-row", has_text="VACINA-3").click()
    expect(page.locator(".detail").get_by_role("alert")).to_contain_text("Sem conexão")
    platform.is_away = False
    page.locator(".detail").get_by_role("button", name="Tentar de novo").click()
    expect(page.get_by_role("heading", name="VACINA-3")).to_be_visible()


def test_a_chart_that_fails_leaves_the_values_alone(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    platform.failing_paths.add("/api/data/points")
    page = logged_in(place(platform, "VACINA-1", "?points=temp"))
    expect(page.locator(".chart-overlay")).to_contain_text("erro 500")
    expect(card(page, "temp").locator(".card-value")).to_contain_text("°C")
    expect(page.locator(".banner")).to_be_hidden()
    platform.failing_paths.clear()
    page.locator(".chart-overlay").get_by_role("button", name="Tentar de novo").click()
    assert len(drawn(page)) == 1


def test_the_summary_gives_the_charts_figures(logged_in: OpenPage, platform: FakePlatform) -> None:
    page = logged_in(place(platform, "CHILLER-01", "?points=pressao_alta&range=1h"))
    drawn(page)
    page.locator("summary").click()
    expect(page.locator("tbody td")).to_have_text(["19,2 bar"] * 3)
