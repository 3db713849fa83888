"""The page's pure modules, called in the browser that they are written for."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from .conftest import OpenPage

pytestmark = pytest.mark.browser


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    page = open_page()
    page.locator("#login-email").wait_for()  # By then the catalogue is there.
    return page


def call(page: Page, module: str, body: str, argument: Any = None) -> Any:
    """What a function body returns that sees a module as ``m`` and the argument as ``a``."""
    return page.evaluate(
        f"async (a) => {{ const m = await import('/{module}'); {body} }}", argument
    )


def test_instants_sort_by_time_whatever_their_precision(page: Page) -> None:
    written = [
        "2025-10-07T02:34:12Z",
        "2025-10-07T02:34:12.000001Z",
        "2025-10-07T02:34:12.5Z",
        "2025-10-07T02:34:12.500001Z",
        "2025-10-07T02:34:13Z",
    ]
    keys = call(page, "data/instants.js", "return a.map(m.instantKey);", written)
    assert keys == sorted(keys)
    assert len(set(keys)) == len(written)
    same = ["2025-10-07T02:34:12Z", "2025-10-07T02:34:12.000000Z", "2025-10-07T02:34:12.0Z"]
    assert len(set(call(page, "data/instants.js", "return a.map(m.instantKey);", same))) == 1


def test_a_row_seen_twice_is_taken_once_and_its_neighbour_within_the_millisecond_too(
    page: Page,
) -> None:
    rows = [
        ["2025-10-07T02:34:12Z", 1, 0],
        ["2025-10-07T02:34:12.000200Z", 2, 0],
        ["2025-10-07T02:34:12.000200Z", 2, 0],
        ["2025-10-07T02:34:12Z", 1, 0],
    ]
    body = "const s = new m.Series({type: 'num'}); s.add(a); s.add(a); return s.rows;"
    assert [row["value"] for row in call(page, "data/series.js", body, rows)] == [1, 2]


def test_a_silence_breaks_the_line(page: Page) -> None:
    body = """
        const ts = (s) => new Date(s * 1000).toISOString();
        const s = new m.Series({type: 'num'});
        s.add([0, 10, 20, 30, 40, 50, 60, 1000, 1010].map((at) => [ts(at), at, 0]));
        return s.rows.map(({value}) => value);
    """
    values = call(page, "data/series.js", body)
    assert values == [0, 10, 20, 30, 40, 50, 60, None, 1000, 1010]


def test_a_run_of_one_state_keeps_its_two_ends(page: Page) -> None:
    body = """
        const ts = (s) => new Date(s * 1000).toISOString();
        const s = new m.Series({type: 'enum'});
        s.add([...'AAAABBBA'].map((value, at) => [ts(at), value, 0]));
        return s.rows.map(({ms, value}) => [ms / 1000, value]);
    """
    rows = call(page, "data/series.js", body)
    assert rows == [[0, "A"], [3, "A"], [4, "B"], [6, "B"], [7, "A"]]


def test_rows_that_leave_the_window_go_but_for_the_one_that_leads_in(page: Page) -> None:
    body = """
        const ts = (s) => new Date(s * 1000).toISOString();
        const s = new m.Series({type: 'num'});
        s.add([0, 10, 20, 30].map((at) => [ts(at), at, 0]));
        s.dropBefore(15000);
        return s.rows.map(({value}) => value);
    """
    assert call(page, "data/series.js", body) == [10, 20, 30]


def test_the_last_bucket_is_filled_further_and_the_extremes_are_those_of_buckets(
    page: Page,
) -> None:
    body = """
        const ts = (m) => new Date(m * 60000).toISOString();
        const s = new m.Series({type: 'num'});
        s.describe({agg: '1m', degraded: false, reduction: null, available_from: null});
        s.add([[ts(0), 5, 1, 9, 6], [ts(1), 6, 4, 7, 2]]);
        s.add([[ts(1), 8, 4, 12, 6], [ts(2), 7, 7, 7, 1]]);
        return [s.rows, s.range()];
    """
    rows, extremes = call(page, "data/series.js", body)
    assert rows == [
        {"ms": 0, "value": 5, "min": 1, "max": 9},
        {"ms": 60_000, "value": 8, "min": 4, "max": 12},
        {"ms": 120_000, "value": 7, "min": 7, "max": 7},
    ]
    assert extremes == {"min": 1, "max": 12}


def test_a_long_run_between_changes_is_no_silence(page: Page) -> None:
    body = """
        const ts = (s) => new Date(s * 1000).toISOString();
        const s = new m.Series({type: 'enum'});
        s.describe({agg: 'raw', degraded: false, reduction: 'changes', available_from: null});
        s.add([0, 90, 180, 270, 360, 450, 90000].map((at, n) => [ts(at), 'AB'[n % 2], 0]));
        return s.rows.map(({value}) => value);
    """
    assert call(page, "data/series.js", body) == ["A", "B", "A", "B", "A", "B", "A"]


def test_ticks_are_round_in_the_zone_and_not_in_the_browsers(page: Page) -> None:
    body = """
        const from = Date.parse('2025-11-18T17:20:00Z'), to = Date.parse('2025-11-20T17:20:00Z');
        const {ticks} = m.timeTicks(from, to, 9, 'Asia/Kolkata');
        return ticks.map((ms) => new Date(ms).toISOString());
    """
    ticks = call(page, "chart/ticks.js", body)
    assert ticks[:2] == ["2025-11-18T18:30:00.000Z", "2025-11-19T00:30:00.000Z"]
    assert len(ticks) == 8


def test_ticks_stay_on_the_hour_over_a_change_of_the_clocks(page: Page) -> None:
    body = """
        const from = Date.parse('2025-10-25T12:00:00Z'), to = Date.parse('2025-10-27T12:00:00Z');
        const {ticks} = m.timeTicks(from, to, 3, 'Europe/Lisbon');
        return ticks.map((ms) => m.isMidnight(ms, 'Europe/Lisbon'));
    """
    assert call(page, "chart/ticks.js", body) == [True, True]


def test_a_wall_time_is_the_zones_also_where_the_clocks_change(page: Page) -> None:
    texts = ["2025-10-26T00:30", "2025-10-26T03:00", "2025-03-30T01:30", "2025-03-30T03:00"]
    body = """
        const instants = a.map((text) => m.fromWallText(text, 'Europe/Lisbon'));
        return [instants.map((ms) => new Date(ms).toISOString()),
                instants.map((ms) => m.toWallText(ms, 'Europe/Lisbon'))];
    """
    instants, back = call(page, "zone.js", body, texts)
    assert instants == [
        "2025-10-25T23:30:00.000Z",
        "2025-10-26T03:00:00.000Z",
        "2025-03-30T01:30:00.000Z",  # That hour is skipped: the clock shows 02:30.
        "2025-03-30T02:00:00.000Z",
    ]
    assert back == [*texts[:2], "2025-03-30T02:30", texts[3]]
    odd = ["", "2025-13-40T00:00", "soon", "2025-10-26"]
    body = "return a.map((text) => m.fromWallText(text, 'Europe/Lisbon'));"
    assert call(page, "zone.js", body, odd) == [None] * 4


def test_months_begin_at_midnight_of_the_zone(page: Page) -> None:
    body = """
        const at = Date.parse('2026-01-01T02:30:00Z'); // Still 31 December in Brazil.
        return [0, -1, 1].map((months) =>
            new Date(m.monthStart(at, 'America/Sao_Paulo', months)).toISOString());
    """
    assert call(page, "zone.js", body) == [
        "2025-12-01T03:00:00.000Z",
        "2025-11-01T03:00:00.000Z",
        "2026-01-01T03:00:00.000Z",
    ]


def test_what_an_export_form_holds_is_read_back_from_its_place(page: Page) -> None:
    body = """
        const now = Date.parse('2025-11-20T12:00:00Z'), zone = 'America/Sao_Paulo';
        const read = (text) => m.choicesFrom(new URLSearchParams(text), now, zone);
        const written = (choices) =>
            new URLSearchParams(Object.entries(m.toQuery(choices)).filter(([, v]) => v)).toString();
        const all = read('device=d&points=a,b&range=custom&from=2025-11-01T00:00'
            + '&to=2025-11-02T00:00&agg=5m&format=parquet&sheet=1');
        const odd = read('range=forever&agg=2m&format=exe&from=x&points=,&sheet=yes');
        return [all, read(written(all)), odd, read('')];
    """
    full, again, odd, usual = call(page, "data/export-request.js", body)
    assert full == again == {
        "device": "d", "points": ["a", "b"], "period": "custom", "from": "2025-11-01T00:00",
        "to": "2025-11-02T00:00", "agg": "5m", "format": "parquet", "isSheet": True,
    }  # fmt: skip
    assert odd == usual
    assert (usual["period"], usual["to"]) == ("24h", "2025-11-20T09:00")


def test_an_answer_that_was_long_on_its_way_does_not_wake_an_export(page: Page) -> None:
    jobs = [
        {"id": "1", "created_at": "2025-11-20T12:00:00Z", "status": "CANCELLED"},
        {"id": "1", "created_at": "2025-11-20T12:00:00Z", "status": "PROCESSING"},
        {"id": "2", "created_at": "2025-11-20T12:00:00.5Z", "status": "PENDING"},
    ]
    body = """
        const list = new m.ExportList('acme');
        for (const job of a) list.take([job]);
        return [list.jobs.map(({id, status}) => [id, status]), list.isAnyUnderWay];
    """
    assert call(page, "data/exports.js", body, jobs) == [
        [["2", "PENDING"], ["1", "CANCELLED"]],
        True,
    ]


def test_sizes_and_parts_read_well(page: Page) -> None:
    body = """
        return [[0, 999, 1500, 61_400_000, 5e9].map(m.formatBytes),
                [0, 0.29, 0.999, 1, 1.5].map(m.formatPercent)];
    """
    sizes, parts = call(page, "format.js", body)
    assert [size.replace("\u00a0", " ") for size in sizes] == [
        "0 bytes", "999 bytes", "2 kB", "61,4 MB", "5 GB",
    ]  # fmt: skip
    assert parts == ["0%", "29%", "99%", "100%", "100%"]


def test_places_are_read_back_as_they_were_written(page: Page) -> None:
    body = """
        const r = m.parse(m.deviceLink('acme', 'a/b c') + '?points=x,y&range=24h');
        const e = m.parse(m.exportsLink('acme', {device: 'a b', points: 'x,y', sheet: ''}));
        if (e.name !== 'exports' || e.query.toString() !== 'device=a+b&points=x%2Cy') return e;
        return [r.name, r.tenant, r.device, r.query.get('points'),
                m.parse('#/t/%E0%A4%A').name, m.parse('').name, m.parse('#/elsewhere').name];
    """
    assert call(page, "router.js", body) == [
        "device", "acme", "a/b c", "x,y", "home", "home", "home",
    ]  # fmt: skip


def test_ages_and_numbers_read_well(page: Page) -> None:
    body = """
        const now = Date.now();
        const ages = [0, 12, 75, 3700, 90000, 200000].map((s) => m.formatAge(now - s * 1000));
        const numbers = [7.25, 123.45, 0.00012345, 1234567.891, -0.5, 0].map(m.formatNumber);
        return [ages, numbers, m.formatAge(now + 60000)];
    """
    ages, numbers, ahead = call(page, "format.js", body)
    assert ages == ["agora", "há 12 s", "há 1 min", "há 1 h", "há 25 h", "há 2 d"]
    assert numbers == ["7,25", "123,45", "0,0001235", "1.234.567,891", "-0,5", "0"]
    assert ahead == "agora"
