"""Simulated equipment: reproducible, within bounds, and behaving as equipment does."""

from __future__ import annotations

from itertools import pairwise
from statistics import mean

import pytest

from device_sim.endpoints import Device, EndpointsError
from device_sim.history import history
from device_sim.models import MODELS, POINTS, CommandRefusedError, Model, build
from device_sim.models.base import Identity
from device_sim.models.chiller import Chiller
from device_sim.models.gateways import EnergyMeter
from device_sim.models.surroundings import Weather, hour_of_week, working_load
from tests.unit.device_sim.support_fleet import CONNECTED_KINDS, DAY, NOW, device

FORTNIGHT = range(int(NOW - 14 * DAY), int(NOW), 300)


def numbers(model: Model, point: str, times: range = FORTNIGHT) -> list[float]:
    values = [model.at(float(ts))[point] for ts in times]
    assert all(isinstance(v, float) for v in values)
    return [float(v) for v in values]


def acme(kind: type[Model], name: str = "device-1", seed: object = 1) -> Model:
    return kind(Identity(seed, "acme", "plant", name))


@pytest.mark.parametrize("kind", CONNECTED_KINDS)
def test_a_model_does_not_remember_what_it_was_asked_before(kind: str) -> None:
    asked, fresh = build(device(kind), 7), build(device(kind), 7)
    for ts in (NOW, NOW - 9 * DAY, NOW + 12.5, NOW - 3 * DAY):
        asked.at(ts)
    assert asked.at(NOW - 1234.5) == fresh.at(NOW - 1234.5)
    assert asked.payloads(NOW) == fresh.payloads(NOW)


@pytest.mark.parametrize("kind", CONNECTED_KINDS)
def test_seed_and_name_make_the_difference(kind: str) -> None:
    def day(seed: object, name: str) -> list[object]:
        model = build(device(kind, name), seed)
        return [model.at(NOW + minute * 60) for minute in range(0, 1440, 30)]

    assert day(1, "a") == day(1, "a")
    assert day(1, "a") != day(2, "a")
    assert day(1, "a") != day(1, "b")


@pytest.mark.parametrize("code", [code for code, points in POINTS.items() if points])
def test_every_point_keeps_its_type_bounds_and_resolution(code: str) -> None:
    model = acme(MODELS[code])
    for ts in range(int(NOW - 14 * DAY), int(NOW), 777):
        values = model.at(ts + 0.25)
        assert list(values) == [point.name for point in POINTS[code]]
        for point in POINTS[code]:
            value = values[point.name]
            if point.type == "num":
                assert type(value) is float
                assert value == round(value, point.decimals)
                assert point.low is None or value >= point.low
                assert point.high is None or value <= point.high
            elif point.type == "bool":
                assert type(value) is bool
            else:
                assert value in point.enum_values


def test_afternoons_are_warmer_than_nights() -> None:
    weather = Weather(1, "acme", "plant")
    midnight = NOW - (NOW - 3 * 3600) % DAY
    nights = [weather.outdoor(midnight + d * DAY + 4 * 3600) for d in range(30)]
    afternoons = [weather.outdoor(midnight + d * DAY + 15 * 3600) for d in range(30)]
    assert mean(afternoons) - mean(nights) > 6.0
    assert all(0.0 < t < 45.0 for t in nights + afternoons)


def test_the_working_day_is_sao_paulos() -> None:
    assert hour_of_week(NOW) == pytest.approx(4 * 24 + 7 + 40 / 60)
    ten_on_friday = NOW + 2 * 3600 + 1200
    assert working_load(ten_on_friday) > 2 * working_load(ten_on_friday + 2 * DAY)


def test_the_week_begins_where_it_ends() -> None:
    monday = NOW + 3 * DAY - (7 * 3600 + 2400)
    assert hour_of_week(monday) == pytest.approx(0.0)
    assert working_load(monday - 1) == pytest.approx(working_load(monday + 1), abs=1e-3)


def test_a_chillers_compressor_cycles_and_holds_the_water() -> None:
    chiller = acme(Chiller)
    running = [chiller.at(float(ts)) for ts in range(int(NOW), int(NOW + DAY), 30)]
    switches = sum(a["compressor_1_on"] != b["compressor_1_on"] for a, b in pairwise(running))
    assert 60 < switches < 200
    water = numbers(chiller, "temp_agua_saida")
    near = sum(5.0 <= t <= 9.0 for t in water)
    assert near > 0.9 * len(water)


def test_pressures_and_current_follow_the_compressor() -> None:
    chiller = acme(Chiller)
    at = [chiller.at(float(ts)) for ts in range(int(NOW), int(NOW + DAY), 60)]
    on = [v for v in at if v["compressor_1_on"]]
    off = [v for v in at if not v["compressor_1_on"]]
    for point in ("pressao_alta", "corrente", "potencia_kw"):
        assert mean(float(v[point]) for v in on) > 1.3 * mean(float(v[point]) for v in off)
    assert mean(float(v["pressao_baixa"]) for v in on) < mean(
        float(v["pressao_baixa"]) for v in off
    )


def test_a_trip_stops_the_chiller_warms_the_water_and_raises_the_alarm() -> None:
    chiller = acme(Chiller)
    tripped = [float(t) for t in FORTNIGHT if "compressor_trip" in chiller.alarms(float(t))]
    assert tripped, "this seed has no trip in two weeks"
    values = chiller.at(tripped[-1])
    assert values["modo"] == "OFF"
    assert values["alarme"] is True
    assert values["compressor_1_on"] is False
    last = max(float(chiller.at(t)["temp_agua_saida"]) for t in tripped)
    assert last > 9.0


def test_resetting_the_fault_ends_the_trip_from_then_on() -> None:
    chiller = acme(Chiller)
    first = next(float(t) for t in FORTNIGHT if "compressor_trip" in chiller.alarms(float(t)))
    chiller.execute("reset_fault", {}, first)
    assert "compressor_trip" in chiller.alarms(first - 1.0) or first == float(FORTNIGHT[0])
    assert "compressor_trip" not in chiller.alarms(first + 1.0)


def test_a_stopped_chiller_warms_up_and_a_started_one_cools_down() -> None:
    chiller = acme(Chiller)
    before = chiller.at(NOW - 60)
    chiller.execute("stop", {}, NOW)
    assert chiller.at(NOW - 60) == before, "the past does not change"
    assert chiller.at(NOW + 7200)["modo"] == "OFF"
    assert float(chiller.at(NOW + 7200)["temp_agua_saida"]) > 14.0
    chiller.execute("start", {}, NOW + 7200)
    assert float(chiller.at(NOW + 4 * 7200)["temp_agua_saida"]) < 10.0


def test_a_setpoint_is_reached_and_a_foolish_one_refused() -> None:
    chiller = acme(Chiller)
    chiller.execute("set_setpoint", {"value": 11}, NOW)
    later = numbers(chiller, "temp_agua_saida", range(int(NOW + 7200), int(NOW + 14400), 60))
    assert mean(later) == pytest.approx(11.0, abs=1.0)
    for foolish in ({"value": 50}, {"value": "cold"}, {"value": True}, {}):
        with pytest.raises(CommandRefusedError, match="bad_params"):
            chiller.execute("set_setpoint", foolish, NOW)


def test_a_stuck_sensor_stays_at_one_value() -> None:
    for number in range(40):
        chiller = acme(Chiller, f"chiller-{number}")
        faulty = [float(t) for t in FORTNIGHT if "sensor_fault" in chiller.alarms(float(t))]
        if faulty:
            values = {chiller.at(t + 1)["temp_agua_saida"] for t in faulty}
            assert len(values) <= 2, "one value for each of at most two episodes"
            return
    pytest.fail("no sensor fault in forty chillers")


def test_a_vaccine_fridge_is_nearly_always_between_2_and_8_degrees() -> None:
    for number in range(5):
        temps = numbers(acme(MODELS["vaccine-fridge"], f"fridge-{number}"), "temp")
        assert sum(2.0 <= t <= 8.0 for t in temps) > 0.99 * len(temps)
        assert max(temps) - min(temps) > 1.5


def test_an_open_door_warms_the_fridge_which_recovers() -> None:
    fridge = acme(MODELS["vaccine-fridge"])
    seconds = range(int(NOW + 3600), int(NOW + 6 * 3600))
    doors = [fridge.at(float(ts))["door_open"] for ts in seconds]
    opened = [seconds[i] for i in range(1, len(doors)) if doors[i] and not doors[i - 1]]
    closed = [seconds[i] for i in range(1, len(doors)) if doors[i - 1] and not doors[i]]
    assert len(opened) > 5
    warmed = [
        float(fridge.at(float(end))["temp"]) - float(fridge.at(float(start))["temp"])
        for start, end in zip(opened, closed, strict=False)
    ]
    assert mean(warmed) > 0.1


def test_an_energy_register_never_falls_and_counts_less_at_night() -> None:
    meter = acme(EnergyMeter)
    values = numbers(meter, "value", range(int(NOW - 14 * DAY), int(NOW), 60))
    steps = [b - a for a, b in pairwise(values)]
    assert min(steps) > 0.0
    assert max(steps) < 10 * mean(steps)


def test_an_energy_register_is_continuous_at_midnight() -> None:
    meter = EnergyMeter(Identity(1, "acme", "plant", "m"))
    midnight = NOW - (NOW - 3 * 3600) % DAY
    for day in range(14):
        at = midnight - day * DAY
        assert 0 <= meter.energy_kwh(at) - meter.energy_kwh(at - 1) < 0.1


def test_je02_counters_grow_between_boots() -> None:
    drive = build(device("inverter-je02"), 3)
    seen = [drive.at(float(ts)) for ts in FORTNIGHT]
    boots = 0
    for before, after in pairwise(seen):
        if float(after["uptime"]) < float(before["uptime"]):
            boots += 1
            assert after["cntserr"] == 0.0
        else:
            assert float(after["uptime"]) - float(before["uptime"]) == 300.0
            assert float(after["cntserr"]) >= float(before["cntserr"])
    assert 1 <= boots <= 5


def test_history_holds_what_the_live_fleet_would_have_sent() -> None:
    fridge = device("vaccine-fridge")
    live = build(fridge)
    past = list(history(fridge, NOW - 600, NOW, 60))
    assert len(past) == 10
    assert past == [(ts, live.payloads(ts)[0]) for ts, _ in past]


def test_a_khomp_gateway_sends_one_message_for_each_sensor() -> None:
    assert len(list(history(device("gateway-khomp"), NOW, NOW + 120, 60))) == 4


def test_an_unknown_template_and_a_gateway_without_mac_are_clear_errors() -> None:
    with pytest.raises(EndpointsError, match="no model for the template 'toaster'"):
        build(device("toaster"))
    with pytest.raises(EndpointsError, match="needs mac and children"):
        build(Device("acme", "plant", "g", None, None, template="gateway-tds"))


def test_a_device_reports_only_the_points_that_it_has() -> None:
    few = Device(
        "acme", "plant", "c", None, None, template="chiller-v1",
        points=frozenset({"corrente", "alarme"}),
    )  # fmt: skip
    payload = build(few).payloads(NOW)[0]
    assert b"corrente" in payload
    assert b"alarme" in payload
    assert b"temp_agua" not in payload
