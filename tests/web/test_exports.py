"""The exports' screen: asking for one, and following it until its file is there."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from .conftest import OpenPage
from .fake_api import FakePlatform
from .fake_data import HOSTILE
from .fake_exports import FILE, at
from .test_places import CONTRAST

pytestmark = pytest.mark.browser

PLACE = "#/t/acme/exports"
ZONE = ZoneInfo("America/Sao_Paulo")


def row(page: Page, job: dict[str, Any]) -> Locator:
    return page.locator(f".export[data-key='{job['id']}']")


def submit(page: Page) -> None:
    page.get_by_role("button", name="Pedir exportação").click()


def asked(platform: FakePlatform) -> dict[str, Any]:
    return platform.exports.asked[-1][1]


def pick(page: Page, text: str) -> None:
    page.locator(".choice-options").get_by_text(text, exact=True).click()


def pretend_hidden(page: Page, is_hidden: bool) -> None:
    """Let the page believe that its tab is, or is no longer, in the background."""
    page.evaluate(
        """(is) => {
            Object.defineProperty(document, 'hidden', {configurable: true, get: () => is});
            document.dispatchEvent(new Event('visibilitychange'));
        }""",
        is_hidden,
    )


def test_without_exports_the_screen_says_so_and_asks_no_more(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(PLACE)
    expect(page.locator(".export-history")).to_contain_text("Nenhuma exportação ainda")
    assert len(platform.calls("/api/exports")) == 1
    page.wait_for_timeout(3000)
    assert len(platform.calls("/api/exports")) == 1


def test_all_of_a_day_is_asked_for_with_two_clicks(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in()
    page.get_by_role("link", name="Exportações").click()
    expect(page.get_by_role("heading", name="Exportações", exact=True)).to_be_visible()
    submit(page)
    expect(page.locator(".export")).to_contain_text("Na fila")
    expect(page.locator("#announcer")).to_have_text("Exportação pedida: Todos os equipamentos")
    body = asked(platform)
    start, end = (datetime.fromisoformat(body[name]) for name in ("from", "to"))
    assert end - start == timedelta(days=1)
    assert abs(datetime.now(UTC) - end) < timedelta(minutes=1)
    rest = {name: value for name, value in body.items() if name not in ("from", "to")}
    assert rest == {"agg": "raw", "format": "csv", "locale": "pt-BR", "for_spreadsheet": False}
    expect(page.locator(".export")).to_be_focused()


def test_a_device_is_exported_as_it_is_being_looked_at(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    device = platform.device("CHILLER-01")
    page = logged_in(f"#/t/acme/d/{device.id}?points=corrente&range=6h")
    page.get_by_role("button", name="Potência elétrica").click()
    page.get_by_role("link", name="Exportar leituras").click()
    expect(page.get_by_label("Equipamento", exact=True)).to_have_value(device.id)
    expect(page.get_by_label("Corrente do compressor")).to_be_checked()
    expect(page.get_by_label("Água gelada, saída")).not_to_be_checked()
    expect(page.get_by_role("radio", name="Outro")).to_be_checked()
    submit(page)
    expect(page.locator(".export-title")).to_have_text("CHILLER-01")
    expect(page.locator(".export-points")).to_have_text("corrente, potencia_kw")
    body = asked(platform)
    assert (body["device"], body["points"]) == (device.id, ["corrente", "potencia_kw"])
    start, end = (datetime.fromisoformat(body[name]) for name in ("from", "to"))
    assert end - start == timedelta(hours=6)


def test_times_are_those_of_the_tenants_zone(logged_in: OpenPage, platform: FakePlatform) -> None:
    page = logged_in(PLACE)
    pick(page, "Outro")
    expect(page.locator(".form-times")).to_contain_text("America/Sao_Paulo")
    page.get_by_label("De", exact=True).fill("2025-11-20T00:00")
    page.get_by_label("Até (exclusive)").fill("2025-11-21T06:30")
    submit(page)
    expect(page.locator(".export-kind")).to_contain_text("20/11/2025, 00:00 a 21/11/2025, 06:30")
    assert asked(platform)["from"] == "2025-11-20T03:00:00.000Z"
    assert asked(platform)["to"] == "2025-11-21T09:30:00.000Z"


def test_last_month_begins_and_ends_at_midnight_there(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(PLACE)
    pick(page, "Mês passado")
    submit(page)
    expect(page.locator(".export")).to_be_visible()
    start, end = (
        datetime.fromisoformat(asked(platform)[name]).astimezone(ZONE) for name in ("from", "to")
    )
    first = datetime.now(ZONE).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert end == first
    assert start == (first - timedelta(days=1)).replace(day=1)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2025-11-20T10:00", "2025-11-20T10:00", "tem de ser depois"),
        ("2099-01-01T00:00", "2099-02-01T00:00", "começa no futuro"),
        ("", "2025-11-20T10:00", "o início e o fim"),
    ],
)
def test_a_period_that_cannot_be_is_refused_in_words(
    logged_in: OpenPage, platform: FakePlatform, start: str, end: str, words: str
) -> None:
    page = logged_in(PLACE)
    pick(page, "Outro")
    page.get_by_label("De", exact=True).fill(start)
    page.get_by_label("Até (exclusive)").fill(end)
    submit(page)
    expect(page.locator(".form-message")).to_contain_text(words)
    assert platform.exports.asked == []


def test_averages_are_of_numbers_only(logged_in: OpenPage, platform: FakePlatform) -> None:
    device = platform.device("CHILLER-01")
    page = logged_in(f"{PLACE}?device={device.id}&points=modo,corrente")
    expect(page.get_by_label("Modo", exact=True)).to_be_checked()
    pick(page, "5 minutos")
    expect(page.get_by_label("Modo", exact=True)).to_be_disabled()
    page.get_by_label("Corrente do compressor").uncheck()
    submit(page)
    expect(page.locator(".form-message")).to_contain_text("ao menos um ponto")
    page.get_by_label("Potência elétrica").check()
    submit(page)
    expect(page.locator(".export-kind")).to_contain_text("Médias de 5 minutos")
    assert asked(platform)["points"] == ["potencia_kw"]
    page.get_by_label("Todos os pontos").check()
    submit(page)
    expect(page.locator(".export")).to_have_count(2)
    assert "points" not in asked(platform)


def test_the_spreadsheet_switch_says_what_it_does(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(PLACE)
    switch = page.get_by_role("switch", name="Para planilha")
    hint = page.locator("#export-sheet-hint")
    expect(hint).to_contain_text("RFC 4180")
    switch.check()
    expect(hint).to_contain_text("ponto e vírgula")
    expect(hint).to_contain_text("fórmula são neutralizados com um apóstrofo")
    submit(page)
    expect(page.locator(".export-kind")).to_contain_text("para planilha")
    assert asked(platform)["for_spreadsheet"] is True
    pick(page, "Parquet")
    expect(switch).to_be_hidden()
    submit(page)
    expect(page.locator(".export")).to_have_count(2)
    assert (asked(platform)["format"], asked(platform)["for_spreadsheet"]) == ("parquet", False)


def test_an_export_is_followed_to_its_end_and_then_left_alone(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    job = platform.exports.add("acme", device="VACINA-1")
    page = logged_in(PLACE)
    expect(row(page, job)).to_contain_text("Aguardando o início")
    job.update(status="PROCESSING", progress=0.4267, record_count=853_400)
    expect(row(page, job)).to_contain_text("Em andamento")
    expect(row(page, job)).to_contain_text("42% · 853.400 linhas")
    bar = row(page, job).get_by_role("progressbar", name="Andamento")
    assert bar.evaluate("(bar) => bar.value") == 0.4267
    expect(page.locator("#announcer")).to_have_text("VACINA-1: 42%")
    platform.exports.complete(job)
    expect(row(page, job)).to_contain_text("Pronta")
    expect(row(page, job)).to_contain_text("2.000.000 linhas · 61,4 MB · expira em 24 h")
    expect(page.locator("#announcer")).to_have_text("Exportação pronta: VACINA-1")
    expect(bar).to_be_hidden()
    count = len(platform.calls("/api/exports"))
    page.wait_for_timeout(4500)
    assert len(platform.calls("/api/exports")) == count


def test_nothing_is_asked_while_the_tab_is_hidden(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    job = platform.exports.add("acme")
    page = logged_in(PLACE)
    expect(row(page, job)).to_be_visible()
    pretend_hidden(page, True)
    page.wait_for_timeout(500)  # What was on its way has come by then.
    count = len(platform.calls("/api/exports"))
    platform.exports.complete(job)
    page.wait_for_timeout(4500)
    assert len(platform.calls("/api/exports")) == count
    pretend_hidden(page, False)
    expect(row(page, job)).to_contain_text("Pronta")


def test_an_export_that_failed_says_why(logged_in: OpenPage, platform: FakePlatform) -> None:
    job = platform.exports.add(
        "acme", status="FAILED", error={"code": "too_large", "message": HOSTILE}
    )
    page = logged_in(PLACE)
    expect(row(page, job)).to_contain_text("Falhou")
    expect(row(page, job).locator(".export-error")).to_have_text(HOSTILE)
    expect(row(page, job).get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1440])
def test_an_e_mail_that_was_refused_is_said_beside_the_file(
    logged_in: OpenPage, platform: FakePlatform, width: int
) -> None:
    job = platform.exports.add("acme", device="VACINA-1", requested_by=f"{'a' * 60}@acme.example")
    platform.exports.complete(job, notification="pending")
    page = logged_in(PLACE, width=width)
    expect(row(page, job)).to_contain_text("Pronta")
    expect(row(page, job).locator(".export-mail")).to_be_hidden()
    job["notification"] = "refused"  # The answer comes after the file, and is awaited.
    said = row(page, job).locator(".export-mail")
    expect(said).to_have_text(
        f"O e-mail para {job['requested_by']} não foi entregue: este endereço não aceita nossas "
        "mensagens. O arquivo pode ser baixado aqui."
    )
    expect(page.locator("[aria-live]").filter(has_text="não foi entregue")).to_have_count(1)
    expect(page.get_by_role("button", name="Baixar: VACINA-1")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_role("button", name="English").click()
    expect(said).to_contain_text("was not delivered: this address does not accept our messages.")


def test_an_e_mail_that_went_out_or_is_of_no_file_offers_none(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    sent, unsent = platform.exports.add("acme"), platform.exports.add("acme")
    platform.exports.complete(sent)
    platform.exports.complete(unsent)
    unsent.update(status="EXPIRED", notification="unsent")
    page = logged_in(PLACE)
    expect(row(page, sent).locator(".export-mail")).to_be_hidden()
    expect(row(page, unsent).locator(".export-mail")).to_have_text(
        "Não foi possível enviar o e-mail para ana@acme.example."
    )


def test_a_file_is_downloaded_by_its_name(logged_in: OpenPage, platform: FakePlatform) -> None:
    job = platform.exports.add("acme", device="VACINA-1")
    platform.exports.complete(job)
    page = logged_in(PLACE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Baixar: VACINA-1").click()
    assert download.value.suggested_filename == "traksense-acme.csv"
    assert download.value.path().read_bytes() == FILE
    expect(row(page, job)).to_be_visible()


def test_a_file_that_went_meanwhile_is_said(logged_in: OpenPage, platform: FakePlatform) -> None:
    job = platform.exports.add("acme")
    platform.exports.complete(job)
    page = logged_in(PLACE)
    expect(row(page, job)).to_contain_text("Pronta")
    job["status"] = "EXPIRED"
    row(page, job).get_by_role("button", name="Baixar").click()
    expect(row(page, job).get_by_role("alert")).to_have_text("O arquivo não existe mais.")
    expect(row(page, job)).to_contain_text("Expirada")
    expect(row(page, job).get_by_role("button")).to_have_count(0)


def test_a_file_is_no_longer_offered_once_its_day_is_over(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    soon, late = platform.exports.add("acme"), platform.exports.add("acme")
    for job, left in ((soon, 6), (late, 3 * 3600 + 20)):
        platform.exports.complete(job)
        job["expires_at"] = at(time.time() + left)
    page = logged_in(PLACE)
    expect(row(page, late)).to_contain_text("expira em 3 h")
    expect(row(page, soon)).to_contain_text("Expirada")
    expect(row(page, soon).get_by_role("button")).to_have_count(0)
    expect(row(page, late).get_by_role("button", name="Baixar")).to_be_visible()


def test_cancelling_is_confirmed_first_and_by_keyboard_too(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    job = platform.exports.add("acme", device="VACINA-1", status="PROCESSING", progress=0.1)
    page = logged_in(PLACE)
    cancel = page.get_by_role("button", name="Cancelar: VACINA-1")
    cancel.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Cancelar esta exportação?")
    expect(dialog.get_by_role("button", name="Continuar")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(cancel).to_be_focused()
    assert job["status"] == "PROCESSING"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(row(page, job)).to_contain_text("Cancelada")
    expect(row(page, job)).to_be_focused()
    assert job["status"] == "CANCELLED"


def test_cancelling_what_has_just_ended_shows_how_it_ended(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    job = platform.exports.add("acme", status="PROCESSING", progress=0.9)
    page = logged_in(PLACE)
    row(page, job).get_by_role("button", name="Cancelar").click()
    platform.exports.complete(job)
    page.get_by_role("button", name="Cancelar exportação").click()
    expect(row(page, job).get_by_role("alert")).to_have_text("A exportação já terminou.")
    expect(row(page, job)).to_contain_text("Pronta")


def test_a_refusal_is_shown_in_the_apis_words(logged_in: OpenPage, platform: FakePlatform) -> None:
    platform.refusals["/api/exports"] = (429, "Já há 3 exportações em andamento.")
    page = logged_in(PLACE)
    submit(page)
    expect(page.locator(".form-message")).to_have_text("Já há 3 exportações em andamento.")
    platform.refusals.clear()
    submit(page)
    expect(page.locator(".export")).to_have_count(1)
    expect(page.locator(".form-message")).to_be_hidden()


def test_an_answer_that_is_lost_does_not_make_two_exports(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(PLACE)
    platform.loses_answers = True
    submit(page)
    expect(page.locator(".form-message")).to_contain_text("Verifique sua conexão")
    platform.loses_answers = False
    submit(page)
    expect(page.locator(".export")).to_have_count(1)
    first, second = platform.exports.asked
    assert first == second
    submit(page)
    expect(page.locator(".export")).to_have_count(2)


def test_who_leaves_before_the_answer_is_not_followed_by_it(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    held: list[Route] = []
    page = logged_in(PLACE)
    page.route(
        "**/api/exports", lambda r: held.append(r) if r.request.method == "POST" else r.continue_()
    )
    expect(page.locator(".export-history")).to_contain_text("Nenhuma exportação ainda")
    submit(page)
    page.get_by_role("link", name="Equipamentos").first.click()
    expect(page.locator(".device-row").first).to_be_visible()
    with page.expect_response("**/api/exports"):
        held[0].continue_()
    count = len(platform.calls("/api/exports"))
    page.wait_for_timeout(3000)
    assert len(platform.calls("/api/exports")) == count
    page.get_by_role("link", name="Exportações").click()
    expect(page.locator(".export")).to_have_count(1)


def test_an_api_that_goes_away_is_said_and_its_return_too(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    job = platform.exports.add("acme")
    page = logged_in(PLACE)
    expect(row(page, job)).to_be_visible()
    platform.is_away = True
    banner = page.locator(".banner")
    expect(banner).to_contain_text("Sem atualização")
    platform.is_away = False
    banner.get_by_role("button", name="Tentar agora").click()
    expect(banner).to_be_hidden()


def test_a_history_that_cannot_be_had_can_be_tried_again(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    platform.failing_paths.add("/api/exports")
    page = logged_in(PLACE)
    expect(page.locator(".export-history").get_by_role("alert")).to_contain_text("erro 500")
    platform.failing_paths.clear()
    page.get_by_role("button", name="Tentar de novo").click()
    expect(page.locator(".export-history")).to_contain_text("Nenhuma exportação ainda")


def test_older_exports_come_page_by_page_and_the_running_ones_are_followed_there_too(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    platform.exports.page = 3
    jobs = [
        platform.exports.add("acme", device=f"D-{n}", created_at=at(time.time() - 100 + n))
        for n in range(7)
    ]
    for job in jobs[1:]:
        platform.exports.complete(job)
    page = logged_in(PLACE)
    expect(page.locator(".export")).to_have_count(3)
    for count in (6, 7):
        page.get_by_role("button", name="Mostrar anteriores").click()
        expect(page.locator(".export")).to_have_count(count)
    expect(page.get_by_role("button", name="Mostrar anteriores")).to_be_hidden()
    expect(page.locator(".export-title")).to_have_text([f"D-{n}" for n in range(6, -1, -1)])
    expect(page.locator(".export").last).to_be_focused()
    submit(page)
    expect(page.locator(".export")).to_have_count(8)
    platform.exports.complete(jobs[0])
    expect(row(page, jobs[0])).to_contain_text("Pronta")
    expect(page.locator(".export")).to_have_count(8)


def test_a_refresh_leaves_the_focus_and_what_was_opened(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    done, running = platform.exports.add("acme"), platform.exports.add("acme")
    platform.exports.complete(done)
    page = logged_in(PLACE)
    row(page, done).get_by_text("Detalhes").click()
    expect(row(page, done)).to_contain_text("0f" * 32)
    row(page, done).get_by_role("button", name="Baixar").focus()
    running.update(status="PROCESSING", progress=0.5, record_count=1)
    expect(row(page, running)).to_contain_text("50% · 1 linha")
    expect(row(page, done)).to_contain_text("0f" * 32)
    expect(row(page, done).get_by_role("button", name="Baixar")).to_be_focused()


def test_operators_see_the_exports_of_the_tenant_that_they_chose(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    platform.exports.add("acme", device="CHILLER-01")
    platform.exports.add("globex", device="FRIDGE-X", requested_by="rui@globex.example")
    page = logged_in("#/t/globex/exports", email="ops@traksense.example")
    expect(page.locator(".export-title")).to_have_text(["FRIDGE-X"])
    expect(page.locator(".export")).to_contain_text("Pedida por rui@globex.example")
    expect(page.locator(".topbar-tenant-name")).to_have_text("globex")
    expect(page.locator("main > .lead")).to_contain_text("globex")
    expect(page.get_by_label("Equipamento", exact=True).locator("optgroup option")).to_have_text(
        ["FRIDGE-X", "FRIDGE-Y"]
    )
    page.goto("/#/exports")
    expect(page.locator(".tenant")).to_have_count(2)
    expect(page.locator(".topbar-nav")).to_be_hidden()


def test_the_short_place_leads_to_ones_own_exports(logged_in: OpenPage) -> None:
    page = logged_in("#/exports", email="rui@globex.example")
    expect(page).to_have_url(re.compile(r"#/t/globex/exports$"))
    page.goto("/#/t/acme/exports")
    expect(page.locator(".message")).to_contain_text("Não encontrado")


def test_a_device_that_is_not_there_leaves_all_devices(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    page = logged_in(f"{PLACE}?device={platform.device('FRIDGE-X').id}")
    expect(page.get_by_label("Equipamento", exact=True).locator("option")).to_have_count(16)
    expect(page.get_by_label("Equipamento", exact=True)).to_have_value("")
    expect(page.get_by_role("group", name="Pontos")).to_be_hidden()


def test_a_fleet_too_large_for_a_list_is_searched(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    platform.device_page = 2
    device = platform.device("VACINA-9")
    page = logged_in(f"{PLACE}?device={device.id}")
    select = page.get_by_label("Equipamento", exact=True)
    expect(select).to_have_value(device.id)
    page.get_by_label("Buscar equipamento").fill("vacina-8")
    expect(select.locator("optgroup option")).to_have_text(["VACINA-8"])
    select.select_option(label="VACINA-8")
    submit(page)
    expect(page.locator(".export-title")).to_have_text("VACINA-8")


def test_another_language_keeps_what_was_chosen(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    device = platform.device("CHILLER-01")
    page = logged_in(f"{PLACE}?device={device.id}&points=corrente")
    expect(page.get_by_label("Corrente do compressor")).to_be_checked()
    pick(page, "30 dias")
    pick(page, "1 hora")
    pick(page, "CSV.gz")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_label("Compressor current")).to_be_checked()
    for name in ("30 days", "1 hour", "CSV.gz"):
        expect(page.get_by_role("radio", name=name)).to_be_checked()
    page.get_by_role("switch", name="For a spreadsheet").check()
    page.get_by_role("button", name="Request export").click()
    expect(page.locator(".export")).to_contain_text("Queued")
    assert (asked(platform)["locale"], asked(platform)["agg"]) == ("en", "1h")


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_the_screen_does_not_scroll_sideways(
    logged_in: OpenPage, platform: FakePlatform, width: int
) -> None:
    failed = {"code": "internal", "message": "x" * 200}
    platform.exports.add("acme", status="FAILED", error=failed, device="D" * 60)
    platform.exports.add("acme", status="PROCESSING", progress=0.5, points=["p" * 80] * 9)
    platform.exports.complete(platform.exports.add("acme"))
    device = platform.device("CHILLER-01")
    page = logged_in(f"{PLACE}?device={device.id}&points=corrente&range=6h", width=width)
    expect(page.get_by_label("Corrente do compressor")).to_be_checked()
    for summary in page.locator(".export-details summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_role("button", name="Cancelar: ").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_on_a_phone_the_form_opens_on_demand(logged_in: OpenPage, platform: FakePlatform) -> None:
    job = platform.exports.add("acme")
    page = logged_in(PLACE, width=390, height=844)
    expect(row(page, job)).to_be_in_viewport()
    expect(page.get_by_role("button", name="Pedir exportação")).to_be_hidden()
    page.get_by_text("Nova exportação").click()
    submit(page)
    expect(page.locator(".export")).to_have_count(2)
    expect(page.locator(".export").first).to_be_in_viewport()
    expect(page.get_by_role("button", name="Pedir exportação")).to_be_hidden()


def test_text_stands_out_from_its_ground_in_light_and_dark(
    logged_in: OpenPage, platform: FakePlatform
) -> None:
    for status in ("PENDING", "PROCESSING", "CANCELLED", "EXPIRED"):
        platform.exports.add("acme", status=status)
    platform.exports.add("acme", status="FAILED", error={"code": "internal", "message": "Erro."})
    platform.exports.complete(platform.exports.add("acme"))
    platform.refusals["/api/exports"] = (429, "Aguarde.")
    device = platform.device("CHILLER-01")
    page = logged_in(f"{PLACE}?device={device.id}&points=corrente&agg=1m&range=custom")
    expect(page.locator(".export")).to_have_count(6)
    expect(page.get_by_label("Corrente do compressor")).to_be_checked()
    submit(page)
    expect(page.locator(".form-message")).to_contain_text("Aguarde.")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CONTRAST) == []
